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

template <class C, class T>
concept HasInitialState = requires(const C& cell) {
  cell.initial_state(std::size_t{1});
};

template <class C, class T>
concept HasProject = requires(const C& cell, const ag::Var<T>& x) {
  { cell.project(x) } -> std::same_as<ag::Var<T>>;
};

// step(x, state) gives a Var, which is output and next state in one, or a pair of both.
template <class C, class T>
concept HasStep = requires(const C& cell, ag::Var<T> x, const CellState<C>& state) {
  { cell.step(std::move(x), state) } -> std::convertible_to<CellState<C>>;
  requires std::same_as<CellState<C>, ag::Var<T>>;
}
|| requires(const C& cell, ag::Var<T> x, const CellState<C>& state) {
  { cell.step(std::move(x), state) } -> std::convertible_to<std::pair<ag::Var<T>, CellState<C>>>;
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
concept Cell = detail::HasInitialState<C, T> && detail::HasStep<C, T>;

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

}  // namespace detail

/// Runs a cell over a sequence x (T, B, F) from a state; gives the outputs of all steps and the last state:
///
///     state_0 = state;  (y_t, state_t) = cell.step(x_t, state_{t-1})
///
/// Throws Error if x does not have three axes or no time step. The steps are scopes: "LSTMCell / step 3".
template <class T, Cell<T> C>
Unrolled<T, CellState<C>> unroll(const C& cell, const ag::Var<T>& x, CellState<C> state) {
  if (x.rank() != 3)
    detail::fail("unroll: the input has shape ", x.shape(), "; (time, batch, features) is needed");
  if (x.shape(0) == 0) detail::fail("unroll: the input of shape ", x.shape(), " has no time steps");
  const std::size_t steps = x.shape(0);
  const ag::Scope scope(ag::detail::type_name<C>());
  thread_local detail::OutputHabit habits[2];  // of this cell, without and with a tape
  ag::Var<T> inputs;
  bool sole = false;  // nobody but this function sees the projected inputs
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
      state = outputs.after_step(t, result);
    }
  }
  return {outputs.finish(), std::move(state)};
}

/// The same from the cell's initial state.
template <class T, Cell<T> C>
Unrolled<T, CellState<C>> unroll(const C& cell, const ag::Var<T>& x) {
  if (x.rank() != 3)
    detail::fail("unroll: the input has shape ", x.shape(), "; (time, batch, features) is needed");
  return unroll(cell, x, cell.initial_state(x.shape(1)));
}

}  // namespace nn
