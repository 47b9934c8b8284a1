// unroll: a recurrent network, by calling a cell once for each time step. Backpropagation through time is
// nothing but the reverse sweep over what that recorded.
#pragma once

#include <concepts>
#include <vector>

#include "autograd/shape_ops.hpp"
#include "parameters.hpp"

namespace nn {

/// The state of a cell: whatever its initial_state(batch) gives.
template <class C>
using CellState = decltype(std::declval<const C&>().initial_state(std::size_t{}));

namespace detail {

template <class R>
struct IsPair : std::false_type {};
template <class A, class B>
struct IsPair<std::pair<A, B>> : std::true_type {};

template <class C>
concept HasInitialState = requires(const C& cell) {
  cell.initial_state(std::size_t{1});
};

template <class C, class T>
concept HasProject = requires(const C& cell, const ag::Var<T>& x) {
  { cell.project(x) } -> std::same_as<ag::Var<T>>;
};

template <class X, class Y>
concept Is = std::same_as<std::remove_cvref_t<X>, Y>;

// step(x, state) gives a Var, which is output and next state in one, or a pair of both.
template <class C, class T>
concept HasStep = requires(const C& cell, ag::Var<T> x, const CellState<C>& state) {
  { cell.step(std::move(x), state) } -> Is<CellState<C>>;
  requires std::same_as<CellState<C>, ag::Var<T>>;
}
|| requires(const C& cell, ag::Var<T> x, const CellState<C>& state) {
  { cell.step(std::move(x), state) } -> Is<std::pair<ag::Var<T>, CellState<C>>>;
};

}  // namespace detail

/// A recurrent cell over numbers of type T: a struct with
///
///     State initial_state(size_t batch) const;
///     Var<T> step(Var<T> x, State) const;                       // where the state is the output, or
///     std::pair<Var<T>, State> step(Var<T> x, State) const;     // output and next state
///
/// and, if part of a step does not depend on the state, `Var<T> project(X) const`, which maps the inputs of
/// all steps (T, B, F) at once to what `step` then gets a slice (B, G) of instead of x.
template <class C, class T>
concept Cell = detail::HasInitialState<C> && detail::HasStep<C, T>;

/// What unrolling gives: the outputs of all steps (T, B, H), and the state after the last.
template <class T, class State>
struct Unrolled {
  ag::Var<T> output;
  State state;
};

namespace detail {

// What the steps of a cell have in common: which of the results that a step makes is its output (1 is the
// first, 0 is not known), and of which shape, for inputs of a width.
struct OutputHabit {
  std::uint64_t index = 0;
  ag::Shape shape;
  std::size_t input_width = 0;
};

// Gets the output of every step into one array. Where the op that makes it is the same at each step, which
// the first step shows, that op writes it there itself; otherwise it is copied.
template <class T>
class OutputStack {
 public:
  // `habit` is what an earlier unrolling of the same cell has shown. It is updated.
  OutputStack(const ag::Var<T>& inputs, std::size_t batch, OutputHabit& habit);
  ~OutputStack();
  OutputStack(const OutputStack&) = delete;

  void before_step(std::size_t t);
  // The output of step t as it is in the stack.
  ag::Var<T> after_step(std::size_t t, const ag::Var<T>& output);
  ag::Var<T> finish();

 private:
  void make_stack(const ag::Shape& step);
  void set_shape(const ag::Shape& step);
  ag::detail::Place place(std::size_t t) const;

  std::size_t steps_;
  OutputHabit& habit_;
  ag::detail::TapeStorage* tape_;
  ag::detail::SlotId slot_ = ag::detail::kConstant;
  ag::detail::Destination saved_destination_;
  std::vector<ag::detail::OutputRecord>* saved_log_;
  std::vector<ag::detail::OutputRecord> log_;
  std::uint64_t first_output_ = 0;
  ag::Shape shape_;     // of one step's output
  ag::Array<T> stack_;  // (T, ...)
  bool differentiable_ = false;
  std::vector<ag::Var<T>> scattered_;  // all outputs, once one could not be had in place
};

extern template class OutputStack<float>;
extern template class OutputStack<double>;

inline void need_sequence(const ag::Shape& input) {
  if (input.rank() != 3) fail("unroll: the input has shape ", input, "; (time, batch, features) is needed");
}

// Of a cell whose state is its output. Sums broadcast, so that a state of another batch would go unnoticed.
inline void need_batch(const ag::Shape& output, std::size_t batch) {
  if (output.rank() == 0 || output[0] != batch)
    fail("unroll: the output of step 0 has shape ", output, " for a batch of ", batch,
         "; its first axis must be the batch (is the state that of another batch?)");
}

// unroll, from a state that the caller has `given` or the cell has made.
template <class T, class C>
Unrolled<T, CellState<C>> unroll_from(const C& cell, const ag::Var<T>& x, CellState<C> state, bool given) {
  need_sequence(x.shape());
  if (x.shape(0) == 0)
    detail::fail("unroll: the input of shape ", x.shape(), " has no time steps; at least one is needed");
  const std::size_t steps = x.shape(0);
  const ag::Scope scope(ag::detail::type_name<C>());
  thread_local detail::OutputHabit habits[2];  // of this cell, without and with a tape
  ag::Var<T> inputs;
  bool sole = false;  // nobody but this function sees the projected inputs
  static_assert(
      HasProject<C, T> || !requires(C cell) { cell.project(x); },
      "unroll: the cell's project must be `Var<T> project(const Var<T>& x) const`, of the input's type");
  if constexpr (detail::HasProject<C, T>) {
    inputs = cell.project(x);
    sole = inputs.fresh();
    if (inputs.rank() == 0 || inputs.shape(0) != steps)
      detail::fail("unroll: the cell's project made shape ", inputs.shape(), " from an input of shape ",
                   x.shape(), "; the first axis must stay the time steps");
  } else {
    inputs = x;
  }
  detail::OutputStack<T> outputs(inputs, x.shape(1), habits[ag::detail::recording() != nullptr]);
  ag::Shape given_shape;
  if constexpr (VarType<CellState<C>>) given_shape = state.shape();
  for (std::size_t t = 0; t < steps; ++t) {
    const ag::Scope step("step", t);
    ag::Var<T> input = inputs[t];
    if (sole) input = std::move(input).mark_fresh();
    outputs.before_step(t);
    auto result = cell.step(std::move(input), std::as_const(state));
    if constexpr (detail::IsPair<decltype(result)>::value) {
      outputs.after_step(t, result.first);
      state = std::move(result.second);
    } else {
      if (t == 0 && result.defined()) need_batch(result.shape(), x.shape(1));
      state = outputs.after_step(t, result);
    }
    if constexpr (VarType<CellState<C>>)
      if (t == 0 && given && !(state.shape() == given_shape))
        fail("unroll: the state has shape ", given_shape, ", and after one step ", state.shape(),
             "; give one of the shape that it will have, for example by broadcast_to");
  }
  return {outputs.finish(), std::move(state)};
}

}  // namespace detail

/// Runs a cell over a sequence x (T, B, F) from a state; gives the outputs of all steps and the last state:
///
///     state_0 = state;  (y_t, state_t) = cell.step(x_t, state_{t-1})
///
/// Throws Error if x does not have three axes or no time step, or if outputs or states do not have the shapes
/// that they must have. The steps are scopes: "LSTMCell / step 3".
template <class T, Cell<T> C>
Unrolled<T, CellState<C>> unroll(const C& cell, const ag::Var<T>& x, CellState<C> state) {
  return detail::unroll_from(cell, x, std::move(state), true);
}

/// The same from the cell's initial state.
template <class T, Cell<T> C>
Unrolled<T, CellState<C>> unroll(const C& cell, const ag::Var<T>& x) {
  detail::need_sequence(x.shape());
  return detail::unroll_from(cell, x, cell.initial_state(x.shape(1)), false);
}

namespace detail {

// What step gives for an input X, whether or not it is const and gives what it must.
template <class C, class X>
concept Steps = requires(C& cell, X x, const CellState<C>& state) {
  cell.step(std::move(x), state);
};

}  // namespace detail

/// Says what a struct lacks to be a cell.
template <class T, class C, class... State>
requires(!Cell<C, T>) void unroll(const C&, const ag::Var<T>&, const State&...) {
  constexpr bool kState = detail::HasInitialState<C>;
  static_assert(kState,
                "unroll: the cell has no `State initial_state(size_t batch) const`, which gives the state "
                "before the first step");
  if constexpr (kState) {
    constexpr bool kOther = Cell<C, std::conditional_t<std::is_same_v<T, float>, double, float>>;
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
    static_assert(kOther || !kConst,
                  "unroll: the cell's step must return a Var<T>, where that is also the state, "
                  "or else a std::pair of output and next state, of initial_state's type");
  }
}

}  // namespace nn
