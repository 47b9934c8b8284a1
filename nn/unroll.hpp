// unroll: a recurrent network, by calling a cell once for each time step. Backpropagation through time is
// nothing but the reverse sweep over what that recorded.
#pragma once

#include "unroll_steps.hpp"

namespace nn {

namespace detail {

// Whether a network was made for (B, T, F).
template <class C>
bool is_batch_first(const C& net) {
  if constexpr (requires {
                  { net.batch_first() } -> std::same_as<bool>;
                })
    return net.batch_first();
  else
    return false;
}

inline void need_sequence(const ag::Shape& x, bool batch_first) {
  if (x.rank() != 3)
    fail("unroll: the input has shape ", x, "; ",
         batch_first ? "(batch, time, features)" : "(time, batch, features)", " is needed");
  if (x[batch_first ? 1 : 0] == 0)
    fail("unroll: the input of shape ", x, " has no time steps; at least one is needed");
}

// A given state is compared with the one that the cell would begin with.
template <class S>
void check_given_state(S& given, S& initial, std::size_t batch) {
  auto check = [&](const StatePath& path, const auto& own, const auto& var) {
    if (!var.defined())
      fail("unroll: ", path.text(), " is an empty Var; give a value, or begin from the cell's initial state");
    if (own.defined() && own.rank() && own.shape(0) == batch && !(var.shape() == own.shape()))
      fail("unroll: the given ", path.text(), " has shape ", var.shape(), "; for a batch of ", batch,
           " it must be ", own.shape());
  };
  visit_state(StatePath{}, check, initial, given);
}

// All that unroll does around the steps: checks, the order of the axes, and what lies past a sequence's end.
template <class C, class T, class OnStep>
Unrolled<T, CellState<C>> unroll_checked(const C& cell, const ag::Var<T>& input, CellState<C>* given,
                                         const UnrollOptions& options, OnStep&& on_step) {
  input.require_value("unroll");
  const bool batch_first = options.batch_first || is_batch_first(cell);
  need_sequence(input.shape(), batch_first);
  UnrollOptions inner = options;
  inner.batch_first = false;
  const ag::Var<T>* x = &input;
  ag::Var<T> changed;
  if (batch_first) x = &(changed = swap_leading_axes(*x));
  const std::size_t steps = x->shape(0), batch = x->shape(1);
  options.lengths.check(steps, batch);
  CellState<C> state = cell.initial_state(batch);
  if (given) {
    check_given_state(*given, state, batch);
    state = std::move(*given);
  }
  ag::Var<T> active;  // (T, B, 1)
  if (options.lengths.ragged(steps)) {
    active = active_steps<T>(options.lengths, steps);
    x = &(changed = where(active, *x, 0));  // padding may hold anything, even what is not a number
  } else {
    inner.lengths = {};
  }
  Unrolled<T, CellState<C>> result = [&] {
    if constexpr (std::is_same_v<std::remove_cvref_t<OnStep>, NoCallback>)
      return unroll_within(cell, *x, std::move(state), inner);
    else
      return run(cell, *x, std::move(state), inner, on_step);
  }();
  if (options.last_only) return result;
  if (active.defined()) {
    ag::Shape shape{steps, batch};
    while (shape.rank() < result.output.rank()) shape.push_back(1);
    result.output = where(active.reshape(shape), result.output, 0);
  }
  if (batch_first) result.output = swap_leading_axes(result.output);
  return result;
}

}  // namespace detail

/// Runs a cell, or any recurrent network, over a sequence x (T, B, F) from its initial state; gives the
/// outputs of all steps (T, B, H) and the last state:
///
///     state_0 = initial state;  (y_t, state_t) = cell.step(x_t, state_{t-1})
///
/// See UnrollOptions for sequences of unequal lengths, the other direction of time, the batch as first axis,
/// and the last output only. Throws Error if x does not have three axes or no time step, if a length is not
/// in [1, T], or if outputs or states do not have the shapes that they must have. The steps are scopes:
/// "LSTMCell / step 3".
///
/// What the steps compute belongs to this thread, with and without a tape: a cell that keeps some of it
/// elsewhere than in its state must not give it to other threads. What is returned without a tape, all
/// threads may use.
template <Recurrent C>
Unrolled<CellNumber<C>, CellState<C>> unroll(const C& cell, const ag::Var<CellNumber<C>>& x,
                                             const UnrollOptions& options = {}) {
  return detail::unroll_checked(cell, x, nullptr, options, detail::NoCallback{});
}

/// The same from a given state, for example that of an earlier part of the sequence.
template <Recurrent C>
Unrolled<CellNumber<C>, CellState<C>> unroll(const C& cell, const ag::Var<CellNumber<C>>& x,
                                             CellState<C> state, const UnrollOptions& options = {}) {
  return detail::unroll_checked(cell, x, &state, options, detail::NoCallback{});
}

/// The same with a function that is called after each step of a cell. It may look on (and return nothing), or
/// return a Var, which takes the place of the step's output; the state stays the cell's. Attention over all
/// outputs so far, for example:
///
///     nn::unroll(cell, x, {}, [](const auto& now) {
///       return nn::dot_product_attention(now.output, now.memory, now.memory).output;
///     });
///
/// All steps are kept for the backward sweep, of a checkpointed() cell too.
template <class C, class OnStep>
requires Cell<C> && std::invocable < OnStep&, const Step<CellNumber<C>, CellState<C>>
& > Unrolled<CellNumber<C>, CellState<C>> unroll(const C& cell, const ag::Var<CellNumber<C>>& x,
                                                 const UnrollOptions& options, OnStep&& on_step) {
  return detail::unroll_checked(cell, x, nullptr, options, on_step);
}
template <class C, class OnStep>
requires Cell<C> && std::invocable < OnStep&, const Step<CellNumber<C>, CellState<C>>
& > Unrolled<CellNumber<C>, CellState<C>> unroll(const C& cell, const ag::Var<CellNumber<C>>& x,
                                                 CellState<C> state, const UnrollOptions& options,
                                                 OnStep&& on_step) {
  return detail::unroll_checked(cell, x, &state, options, on_step);
}

namespace detail {

// What step gives for an input X, whether or not it is const and gives what it must.
template <class C, class X>
concept Steps = requires(C& cell, X x, const CellState<C>& state) {
  cell.step(std::move(x), state);
};

}  // namespace detail

/// Says what a struct lacks to be a cell.
template <class C, class X, class... Rest>
requires(!Recurrent<C> || !std::convertible_to<const X&, ag::Var<CellNumber<C>>>)  //
    void unroll(const C&, const X&, const Rest&...) {
  constexpr bool kInitial = detail::HasInitialState<C>;
  static_assert(kInitial,
                "unroll: the cell has no `State initial_state(size_t batch) const`, which gives the state "
                "before the first step");
  if constexpr (kInitial) {
    constexpr bool kState = State<CellState<C>>;
    static_assert(
        kState,
        "unroll: the state that initial_state gives must be an autograd::Var, or a std::pair, tuple, "
        "array, vector or plain struct (no constructors, at most 8 members) of those");
    if constexpr (kState) {
      using T = CellNumber<C>;
      constexpr bool kOther =
          detail::HasStep<C, std::conditional_t<std::is_same_v<T, float>, double, float>> ||
          (Recurrent<C> && detail::VarType<X>);
      static_assert(!kOther,
                    "unroll: the cell computes in float and the input is double, or the other way round; "
                    "make both of one type, for example Cell<double>");
      constexpr bool kSteps = detail::Steps<C, ag::Var<T>>, kConst = detail::Steps<const C, ag::Var<T>>;
      static_assert(kOther || kSteps,
                    "unroll: the cell has no `step(Var<T> x, State state) const` that takes a "
                    "step of the input (or of what project gives) and what initial_state gives");
      static_assert(kOther || !kSteps || kConst,
                    "unroll: the cell's step is not const; it must be "
                    "`step(Var<T> x, State state) const`, and state is what it returns");
      static_assert(kOther || !kConst || Recurrent<C>,
                    "unroll: the cell's step must return a Var<T>, where that is also the state, "
                    "or else a std::pair of output and next state, of initial_state's type");
      static_assert(kOther || !Recurrent<C>, "unroll: the input must be a Var, or an xtensor expression");
    }
  }
}

}  // namespace nn
