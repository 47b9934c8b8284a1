// The steps of unrolling a cell: what they share, what a step draws, and what is kept of it.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "autograd/elementwise.hpp"
#include "autograd/shape_ops.hpp"
#include "cell.hpp"
#include "mode.hpp"
#include "output_stack.hpp"

namespace nn::detail {

// 1 where a step is within its sequence, else 0: (T, B, 1).
template <class T>
ag::Var<T> active_steps(const Lengths& lengths, std::size_t steps);

extern template ag::Var<float> active_steps(const Lengths&, std::size_t);
extern template ag::Var<double> active_steps(const Lengths&, std::size_t);

// (A, B, ...) to (B, A, ...).
template <class T>
ag::Var<T> swap_leading_axes(const ag::Var<T>& x);

extern template ag::Var<float> swap_leading_axes(const ag::Var<float>&);
extern template ag::Var<double> swap_leading_axes(const ag::Var<double>&);

// What all parts of an unrolling share.
template <class T>
struct StepPlan {
  bool reverse, last_only;
  ag::Var<T> active;  // see active_steps; empty if no sequence is shorter
  std::uint64_t seed = seed_of_steps();
  std::optional<Mode> mode = random_context.mode ? std::optional(*random_context.mode) : std::nullopt;

  StepPlan(const UnrollOptions& options, std::size_t steps)
      : reverse(options.reverse), last_only(options.last_only) {
    if (options.lengths.ragged(steps)) active = active_steps<T>(options.lengths, steps);
  }
};

// Which axis of each Var of a cell's state is the batch: the one that grows with it. Throws Error if none
// does.
template <class C>
std::vector<std::size_t> batch_axes(const C& cell, std::size_t batch) {
  const ag::detail::NoRecording guard;
  std::vector<std::size_t> axes;
  const CellState<C> state = cell.initial_state(batch), larger = cell.initial_state(batch + 1);
  auto find = [&](const StatePath& path, const auto& one, const auto& other) {
    std::size_t axis = 0;
    while (axis < one.rank() && one.shape(axis) == other.shape(axis)) ++axis;
    if (axis == one.rank())
      fail("unroll: ", path.text(), " has shape ", one.shape(),
           " for any batch; with lengths, each Var of the state "
           "must have the batch as an axis, so that sequences that have ended keep theirs");
    axes.push_back(axis);
  };
  visit_state(StatePath{}, find, state, larger);
  return axes;
}

// New where a sequence has not ended, old where it has; `axis` is the batch.
template <class T>
ag::Var<T> where_active(const ag::Var<T>& active, const ag::Var<T>& now, const ag::Var<T>& before,
                        std::size_t axis = 0);

extern template ag::Var<float> where_active(const ag::Var<float>&, const ag::Var<float>&,
                                            const ag::Var<float>&, std::size_t);
extern template ag::Var<double> where_active(const ag::Var<double>&, const ag::Var<double>&,
                                             const ag::Var<double>&, std::size_t);

// Rows that are projected at once: enough for a fast product, few enough to stay in the cache until the steps
// read them.
constexpr std::size_t kProjectedRows = 128;

// How many steps of a cell are projected at once; 1 if it has no project.
template <class C>
std::size_t steps_at_once(std::size_t batch) {
  if constexpr (HasProject<C, CellNumber<C>>)
    return std::max<std::size_t>(1, kProjectedRows / std::max<std::size_t>(1, batch));
  else
    return 1;
}

// The last output of each sequence (B, H), of all (T, B, H).
template <class T>
ag::Var<T> last_output(const ag::Var<T>& outputs, const UnrollOptions& options);

extern template ag::Var<float> last_output(const ag::Var<float>&, const UnrollOptions&);
extern template ag::Var<double> last_output(const ag::Var<double>&, const UnrollOptions&);

// See Step::visible, of step t.
template <class T>
ag::Var<T> visible_outputs(const ag::Var<T>& active, std::size_t t, bool reverse);

extern template ag::Var<float> visible_outputs(const ag::Var<float>&, std::size_t, bool);
extern template ag::Var<double> visible_outputs(const ag::Var<double>&, std::size_t, bool);

struct NoCallback {};

// Whether what is called after each step returns something.
template <class OnStep, class Step>
constexpr bool replaces_outputs() {
  if constexpr (std::is_same_v<OnStep, NoCallback>)
    return false;
  else
    return !std::is_void_v<std::invoke_result_t<OnStep&, const Step&>>;
}

// The steps of x (n, B, F), of which the first is number `first` of the sequence, from a state. `last` is the
// output before them where lengths and last_only ask for it.
template <class C, class T, class OnStep>
Unrolled<T, CellState<C>> run_steps(const C& cell, const ag::Var<T>& x, const StepPlan<T>& plan,
                                    std::size_t first, CellState<C> state, ag::Var<T> last, OnStep& on_step) {
  static_assert(
      HasProject<C, T> || !requires(C cell) { cell.project(x); },
      "unroll: the cell's project must be `Var<T> project(const Var<T>& x) const`, of the input's type");
  constexpr bool kCalls = !std::is_same_v<OnStep, NoCallback>;
  constexpr bool kReplaces = replaces_outputs<OnStep, Step<T, CellState<C>>>();
  // Without a tape, what the steps compute stays with this thread; what is returned is published.
  constexpr bool kConfines = !kCalls && nn::State<CellState<C>>;
  std::optional<ag::detail::Confined> confined;
  if (kConfines && !ag::detail::current_tape()) confined.emplace();
  const auto returned = [&](ag::Var<T> output) -> Unrolled<T, CellState<C>> {
    if constexpr (kConfines)
      if (confined) {
        output.publish();
        for_each_var([](const auto& var) { var.publish(); }, state);
      }
    return {std::move(output), std::move(state)};
  };
  const std::size_t steps = x.shape(0), batch = x.shape(1);
  const ag::Scope scope(ag::detail::type_name<C>());
  StepRandomness randomness{plan.seed};
  const Bound bound(random_context.steps, plan.seed ? &randomness : nullptr);
  thread_local OutputHabit habits[2];  // of this cell, without and with a tape
  std::optional<OutputStack<T>> outputs;
  if (!plan.last_only || kCalls)
    outputs.emplace(steps, batch, x.shape(2), plan.reverse, habits[ag::detail::current_tape() != nullptr]);
  const std::vector<std::size_t> axes =
      plan.active.defined() ? batch_axes(cell, batch) : std::vector<std::size_t>();
  std::vector<ag::Var<T>> replaced(kCalls ? steps : 0);  // by what on_step returns

  const std::size_t at_once = HasProject<C, T> ? steps_at_once<C>(batch) : steps;
  for (std::size_t done = 0, count = 0; done < steps; done += count) {
    count = std::min(at_once, steps - done);
    const std::size_t begin = plan.reverse ? steps - done - count : done;
    const ag::Var<T> part = count == steps ? ag::Var<T>() : x.slice(begin, begin + count);
    const ag::Var<T>* inputs = count == steps ? &x : &part;
    [[maybe_unused]] ag::Var<T> projected;
    bool sole = false;  // nobody but this function sees the projected inputs
    if constexpr (HasProject<C, T>) {
      projected = cell.project(*inputs);
      sole = projected.fresh();
      if (projected.rank() == 0 || projected.shape(0) != count)
        fail("unroll: the cell's project made shape ", projected.shape(), " from an input of shape ",
             inputs->shape(), "; the first axis must stay the time steps");
      inputs = &projected;
    }
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t in_part = plan.reverse ? count - 1 - k : k, at = begin + in_part, t = first + at;
      const ag::Scope step("step", t);
      randomness.begin_step(t);
      ag::Var<T> input = (*inputs)[in_part];
      if (sole) input.mark_fresh();
      if (outputs) outputs->before_step(at);
      auto result = cell.step(std::move(input), std::as_const(state));
      constexpr bool kPair =
          IsPair<decltype(result)>::value && !std::is_same_v<decltype(result), CellState<C>>;
      ag::Var<T>& output = [&]() -> ag::Var<T>& {
        if constexpr (kPair)
          return result.first;
        else
          return result;
      }();
      if (outputs) {
        [[maybe_unused]] const T* const made = output.array().data();
        [[maybe_unused]] const ag::detail::Place place = output.place();
        outputs->after_step(at, output);
        // An output that was copied is so in the state as well: gradients are then added in the same order,
        // and are the same to the bit, as where it was made in its place.
        if constexpr (kPair)
          if (output.array().data() != made)
            for_each_var(
                [&](auto& var) {
                  if constexpr (std::is_same_v<decltype(var), ag::Var<T>&>)
                    if (var.array().data() == made && var.place() == place && var.shape() == output.shape())
                      var = output;
                },
                result.second);
      }
      const auto next = [&]() -> CellState<C>& {
        if constexpr (kPair)
          return result.second;
        else
          return result;
      };
      // Sums broadcast, so that a state of another batch would go unnoticed.
      if constexpr (VarType<CellState<C>>)
        if (done + k == 0 && (next().rank() == 0 || next().shape(0) != batch))
          fail("unroll: the ", kPair ? "state after" : "output of", " step ", t, " has shape ",
               next().shape(), " for a batch of ", batch,
               "; its first axis must be the batch (is the state that of another batch?)");
      [[maybe_unused]] ag::Var<T> seen = kCalls ? output : ag::Var<T>();
      if (plan.active.defined()) {
        const ag::Var<T> active = plan.active[t];
        const auto keep = [&](const ag::Var<T>& now, const ag::Var<T>& before) {
          return where_active(active, now, before);
        };
        if (plan.last_only && !kReplaces) last = keep(output, last.defined() ? last : ag::Var<T>(0));
        std::size_t part = 0;
        const auto keep_part = [&](const ag::Var<T>& now, const ag::Var<T>& before) {
          if (part == axes.size())
            fail(
                "unroll: the state has more Vars after a step than in the beginning; with lengths it must "
                "keep "
                "their number");
          return where_active(active, now, before, axes[part++]);
        };
        state = map_state(keep_part, std::as_const(next()), std::as_const(state));
      } else {
        if (plan.last_only && !kReplaces) last = output;
        state = std::move(next());
      }
      if constexpr (kCalls) {
        ag::Var<T> visible;
        if (plan.active.defined()) visible = visible_outputs(plan.active, t, plan.reverse);
        const Step<T, CellState<C>> now{
            t, x[at], std::move(seen), state, outputs->so_far(), std::move(visible)};
        if constexpr (kReplaces) {
          replaced[at] = on_step(now);
          if (!replaced[at].defined() || replaced[at].rank() == 0 || replaced[at].shape(0) != batch)
            fail("unroll: the function that is called after each step returned ",
                 replaced[at].defined() ? "shape " : "an empty Var, shape ", replaced[at].shape(),
                 "; it must return an output (batch, ...) for a batch of ", batch, ", or nothing (void)");
          const ag::Var<T>& given = replaced[at].defined() ? replaced[at] : now.output;
          if (plan.last_only && plan.active.defined())
            last = where_active(plan.active[t], given, last.defined() ? last : ag::Var<T>(0));
          else if (plan.last_only)
            last = given;
        } else {
          on_step(now);
        }
      }
    }
  }
  if (plan.last_only) return returned(std::move(last));
  if (kCalls && replaced[0].defined()) return returned(ag::stack(replaced));
  return returned(outputs->so_far());
}

template <class C, class T, class OnStep>
Unrolled<T, CellState<C>> run(const C& cell, const ag::Var<T>& x, CellState<C> state,
                              const UnrollOptions& options, OnStep& on_step) {
  const StepPlan<T> plan(options, x.shape(0));
  return run_steps(cell, x, plan, 0, std::move(state), ag::Var<T>(), on_step);
}

// unroll, for combinators: nothing is checked again.
template <class C, class T>
Unrolled<T, CellState<C>> unroll_within(const C& cell, const ag::Var<T>& x, CellState<C> state,
                                        const UnrollOptions& options) {
  if constexpr (HasUnroll<C, T>) {
    return cell.unroll(x, std::move(state), options);
  } else {
    NoCallback none;
    return run(cell, x, std::move(state), options, none);
  }
}

}  // namespace nn::detail
