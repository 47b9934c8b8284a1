// Checkpointed unrolling.
#pragma once

#include <cmath>
#include <memory>

#include "around.hpp"
#include "autograd/checkpoint.hpp"

namespace nn {

namespace detail {

// run, in segments of some steps, of each of which only the outputs and the last state are kept until the
// reverse sweep comes to it and has it computed again.
template <class C, class T>
Unrolled<T, CellState<C>> run_segments(const C& cell, const ag::Var<T>& x, const StepPlan<T>& plan,
                                       CellState<C> state, std::size_t every) {
  const std::size_t steps = x.shape(0), at_once = steps_at_once<C>(x.shape(1));
  every = (every + at_once - 1) / at_once * at_once;  // what is projected at once is so here as well
  const auto shared = std::make_shared<const C>(cell);
  ag::Array<T> stack;
  const ag::detail::SlotId slot = ag::detail::recording()->new_slot(0, sizeof(T));
  ag::Shape step;
  bool differentiable = false;
  ag::Var<T> last;
  for (std::size_t done = 0, count = 0; done < steps; done += count) {
    count = std::min(every, steps - done);
    const std::size_t begin = plan.reverse ? steps - done - count : done;
    std::vector<ag::Var<T>> inputs{x.slice(begin, begin + count)};
    for_each_var([&](const ag::Var<T>& var) { inputs.push_back(var); }, std::as_const(state));
    if (last.defined()) inputs.push_back(last);
    const auto nest = map_state([](const ag::Var<T>&) { return ag::Var<T>(); }, state);
    const auto end = std::make_shared<CellState<C>>();  // for the numbers in it
    const auto segment = [shared, plan, begin, nest, end](const std::vector<ag::Var<T>>& in) {
      CellState<C> from = nest;
      std::size_t next = 1;
      for_each_var([&](ag::Var<T>& var) { var = in[next++]; }, from);
      Mode mode{plan.mode && plan.mode->training, nullptr};
      const Bound<const Mode*> bound(random_context.mode, plan.mode ? &mode : nullptr);
      NoCallback none;
      const Unrolled<T, CellState<C>> result = run_steps(*shared, in[0], plan, begin, std::move(from),
                                                         next < in.size() ? in[next] : ag::Var<T>(), none);
      std::vector<ag::Var<T>> results{result.output};
      for_each_var([&](const ag::Var<T>& var) { results.push_back(var); }, result.state);
      *end = map_state([](const ag::Var<T>&) { return ag::Var<T>(); }, result.state);
      return results;
    };
    const auto home = [&](std::size_t result, const ag::Array<T>& outputs) -> ag::detail::Home<T> {
      if (result || plan.last_only) return {};
      if (!stack.defined()) {
        step = outputs.shape().suffix(1);
        ag::Shape whole{steps};
        for (const std::size_t extent : step) whole.push_back(extent);
        stack = ag::Array<T>(whole);
        ag::detail::recording()->slots[slot].size = stack.size();
      }
      if (!(outputs.shape().suffix(1) == step))
        fail("unroll: the outputs of steps ", begin, " to ", begin + count - 1, " have shape ",
             outputs.shape().suffix(1), ", those of the steps before them ", step,
             "; a cell must give one shape");
      return {stack.slice(begin, begin + count), {slot, begin * step.size()}};
    };
    const std::vector<ag::Var<T>> results = ag::detail::checkpoint<T>(segment, inputs, home);
    differentiable |= results[0].differentiable();
    std::size_t next = 1;
    state = *end;
    for_each_var([&](ag::Var<T>& var) { var = results[next++]; }, state);
    if (plan.last_only) last = results[0];
  }
  if (plan.last_only) return {std::move(last), std::move(state)};
  if (!differentiable) return {ag::Var<T>(stack), std::move(state)};
  return {ag::Var<T>::recorded(stack, {slot, 0}, ag::detail::recording()->id), std::move(state)};
}

}  // namespace detail

/// See checkpointed().
template <Cell C>
struct Checkpointed : detail::Wrapper<C> {
  using typename detail::Wrapper<C>::Var;
  using typename detail::Wrapper<C>::State;
  std::size_t every;  ///< steps; 0 for the square root of their number

  Checkpointed(C inner, std::size_t steps) : detail::Wrapper<C>{std::move(inner)}, every(steps) {}

  Var project(const Var& x) const requires detail::HasProject<C, CellNumber<C>> {
    return this->cell.project(x);
  }
  auto step(Var x, const State& state) const { return this->cell.step(std::move(x), state); }

  Unrolled<CellNumber<C>, State> unroll(const Var& x, State state, const UnrollOptions& options) const {
    const std::size_t steps = x.shape(0);
    const detail::StepPlan<CellNumber<C>> plan(options, steps);
    if (!ag::detail::drops_checkpointed()) {
      detail::NoCallback none;
      return detail::run_steps(this->cell, x, plan, 0, std::move(state), Var(), none);
    }
    const auto root = static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(steps))));
    return detail::run_segments(this->cell, x, plan, std::move(state), std::min(steps, every ? every : root));
  }

  auto on_cells(const auto& wrap) const;
};

/// A network of which a tape keeps the states of its cells at every so many steps only, and their outputs;
/// what lies between is computed again when the backward sweep comes to it, with the same random numbers. The
/// gradients are the same to the bit. Memory grows with T / every + every instead of T, least at the square
/// root of T, which is what `every` is without being given; time grows by the forward part.
///
/// Where a cell has `project`, `every` is rounded up to the steps that are projected at once, about 128 /
/// batch. With a function that is called after each step, or on a tape that was made with trace, all is kept.
/// See autograd::checkpoint for the Error that a step throws that is not the same when it is computed again.
template <Recurrent C>
auto checkpointed(const C& net, std::size_t every = 0) {
  return detail::on_cells(net, [every](const auto& cell) { return Checkpointed(cell, every); });
}

template <Cell C>
auto Checkpointed<C>::on_cells(const auto& wrap) const {
  auto inner = detail::on_cells(this->cell, wrap);
  return Checkpointed<decltype(inner)>(std::move(inner), every);
}

}  // namespace nn
