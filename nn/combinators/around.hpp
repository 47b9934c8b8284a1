// What combinators have in common: they are made around a cell, or around any recurrent network.
#pragma once

#include "nn/parameters.hpp"
#include "nn/unroll_steps.hpp"

namespace nn::detail {

// A step of a cell as a pair of output and state, whichever it gives.
template <Cell C, class T>
std::pair<ag::Var<T>, CellState<C>> step_pair(const C& cell, ag::Var<T> x, const CellState<C>& state) {
  auto result = cell.step(std::move(x), state);
  if constexpr (IsPair<decltype(result)>::value && !std::is_same_v<decltype(result), CellState<C>>)
    return {std::move(result.first), std::move(result.second)};
  else
    return {result, result};
}

// A shape with an axis of extent 1 before the others.
inline ag::Shape with_axis(const ag::Shape& shape) {
  ag::Shape result{1};
  for (const std::size_t extent : shape) result.push_back(extent);
  return result;
}

// A step from an input that was not projected.
template <Cell C, class T>
std::pair<ag::Var<T>, CellState<C>> step_from_input(const C& cell, const ag::Var<T>& x,
                                                    const CellState<C>& state) {
  if constexpr (HasProject<C, T>) {
    return step_pair(cell, cell.project(x.reshape(with_axis(x.shape())))[0], state);
  } else {
    return step_pair(cell, x, state);
  }
}

// Puts `wrap` around every cell within a network: around the network itself if it is a cell that is not made
// of others.
template <class C, class Wrap>
auto on_cells(const C& net, const Wrap& wrap) {
  if constexpr (requires { net.on_cells(wrap); }) {
    return net.on_cells(wrap);
  } else {
    static_assert(
        Cell<C>,
        "this combinator changes the steps of cells, and a network that has only `unroll` has none; put it "
        "around the cells in it");
    return wrap(net);
  }
}

// Of a network that has one network in it. Parameters and state are the inner one's, under the same names, so
// that weights that were saved without a combinator load with it.
template <Recurrent C>
struct Wrapper {
  using value_type = CellNumber<C>;
  using Var = ag::Var<value_type>;
  using State = CellState<C>;

  C cell;

  void fields(auto&& visit) requires Module<C> { cell.fields(visit); }
  State initial_state(std::size_t batch) const { return cell.initial_state(batch); }
  bool goes_both_ways() const { return detail::goes_both_ways(cell); }
};

// Of a network whose inputs or outputs go through something that is the same for one step and for all at
// once: Self has before(x), and after(x, y) of the input x and the output y; kOfInput tells whether after
// uses x.
template <class Self, Recurrent C>
struct Around : Wrapper<C> {
  using typename Wrapper<C>::Var;
  using typename Wrapper<C>::State;
  static constexpr bool kOfInput = false;

  std::pair<Var, State> step(const Var& x, const State& state) const requires Cell<C> {
    auto [output, next] = step_from_input(this->cell, self().before(x), state);
    return {self().after(x, output), std::move(next)};
  }

  Unrolled<CellNumber<C>, State> unroll(const Var& x, State state, const UnrollOptions& options) const {
    const ag::Scope scope(ag::detail::type_name<Self>());
    UnrollOptions inner = options;
    if (Self::kOfInput) inner.last_only = false;
    auto [output, last] = unroll_within(this->cell, self().before(x), std::move(state), inner);
    if (inner.last_only) output = output.reshape(with_axis(output.shape()));  // steps, of which there is one
    output = self().after(x, output);
    if (options.last_only) output = inner.last_only ? output[0] : last_output(output, options);
    return {std::move(output), std::move(last)};
  }

 private:
  const Self& self() const { return static_cast<const Self&>(*this); }
};

}  // namespace nn::detail
