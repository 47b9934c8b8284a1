// What a cell is, and what unroll takes and gives.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "lengths.hpp"
#include "state.hpp"

namespace nn {

/// The state of a cell: whatever its initial_state(batch) gives.
template <class C>
using CellState = decltype(std::declval<const C&>().initial_state(std::size_t{}));

namespace detail {

template <class C>
constexpr auto number_of_cell() {
  using Number = decltype(number_of_state<CellState<C>>());
  if constexpr (!std::is_void_v<typename Number::type>)
    return Number{};
  else if constexpr (requires { typename C::value_type; })
    return std::type_identity<typename C::value_type>{};
  else
    return std::type_identity<float>{};
}

template <class C>
struct NumberOf {};
template <class C>
requires State<CellState<C>>
struct NumberOf<C> : decltype(number_of_cell<C>()) {
};

}  // namespace detail

/// The type of a cell's numbers, float or double: that of its state, or, if that has no Var, its value_type,
/// or else float.
template <class C>
using CellNumber = typename detail::NumberOf<C>::type;

/// How unroll goes over a sequence.
struct UnrollOptions {
  /// Of sequences of a batch that have unequal lengths, (B). Past a sequence's end outputs are 0, whatever
  /// the input holds there; the last state is each sequence's own.
  Lengths lengths = {};
  /// From the last step to the first (of sequences with lengths: from each one's own last). Outputs stay at
  /// the steps of their inputs.
  bool reverse = false;
  /// Input (B, T, F) and outputs (B, T, H), instead of (T, B, F) and (T, B, H).
  bool batch_first = false;
  /// Of the outputs only the last (B, H): each sequence's own, and in reverse that of its first step.
  bool last_only = false;
};

/// What unrolling gives: the outputs of all steps (T, B, H), and the state after the last.
template <class T, class State>
struct Unrolled {
  ag::Var<T> output;
  State state;
};

/// What a function of one's own sees of each step, see unroll.
template <class T, class State>
struct Step {
  std::size_t t;      ///< its number
  ag::Var<T> input;   ///< x_t (B, F)
  ag::Var<T> output;  ///< (B, H)
  State state;        ///< after it
  ag::Var<T> memory;  ///< the outputs so far, this one among them (t + 1, B, H); in reverse (T - t, B, H)
  /// With lengths (B, t + 1), in reverse (B, T - t), else empty: 0 for outputs in `memory` that lie past the
  /// end of their sequence, where they are what the cell makes of zeros. A mask for attention; sequences that
  /// this step is not part of, whose output is dropped, see all.
  ag::Var<T> visible;
};

namespace detail {

// Whether a network goes over its inputs from the last step to the first as well, so that it needs all of
// them.
template <class C>
bool goes_both_ways(const C& net) {
  if constexpr (requires { net.goes_both_ways(); })
    return net.goes_both_ways();
  else
    return false;
}

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

template <class C, class T>
concept HasUnroll = requires(const C& net, const ag::Var<T>& x, CellState<C> state,
                             const UnrollOptions& options) {
  { net.unroll(x, std::move(state), options) } -> Is<Unrolled<T, CellState<C>>>;
};

}  // namespace detail

/// A recurrent cell over numbers of type T: a struct with
///
///     State initial_state(size_t batch) const;
///     Var<T> step(Var<T> x, State) const;                       // where the state is the output, or
///     std::pair<Var<T>, State> step(Var<T> x, State) const;     // output and next state
///
/// and, if part of a step depends neither on the state nor on other steps, `Var<T> project(X) const`, which
/// maps the inputs (n, B, F) of n steps at once to what `step` then gets a slice (B, G) of instead of x. A
/// state is any nest of Vars, see state.hpp.
template <class C>
concept Cell = detail::HasInitialState<C> && State<CellState<C>> && detail::HasStep<C, CellNumber<C>>;

/// What can be unrolled: a cell, or a struct with initial_state and
///
///     Unrolled<T, State> unroll(const Var<T>& x, State, const UnrollOptions&) const;
///
/// such as bidirectional(). x is (T, B, F) and the options are checked; batch_first is seen to by nn::unroll,
/// and so are outputs past a sequence's end.
template <class C>
concept Recurrent = Cell<C> ||
    (detail::HasInitialState<C>&& State<CellState<C>>&& detail::HasUnroll<C, CellNumber<C>>);

}  // namespace nn
