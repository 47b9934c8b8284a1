// Checkpointed unrolling.
#pragma once

#include <cmath>

#include "around.hpp"

namespace nn {

/// See checkpointed().
template <Recurrent C>
struct Checkpointed : detail::Wrapper<C> {
  using typename detail::Wrapper<C>::Var;
  using typename detail::Wrapper<C>::State;
  std::size_t every;  ///< steps; 0 for the square root of their number

  Checkpointed(C inner, std::size_t steps) : detail::Wrapper<C>{std::move(inner)}, every(steps) {}

  Var project(const Var& x) const requires Cell<C> && detail::HasProject<C, CellNumber<C>> {
    return this->cell.project(x);
  }
  auto step(Var x, const State& state) const requires Cell<C> { return this->cell.step(std::move(x), state); }

  Unrolled<CellNumber<C>, State> unroll(const Var& x, State state, const UnrollOptions& options) const {
    UnrollOptions inner = options;
    inner.checkpoint_every =
        every ? every : static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(x.shape(0)))));
    return detail::unroll_within(this->cell, x, std::move(state), inner);
  }

  auto on_cells(const auto& wrap) const;
};

/// A network of which a tape keeps the state at every so many steps only, and the outputs; what lies between
/// is computed again when the backward sweep comes to it, with the same random numbers. The gradients are the
/// same to the bit. Memory grows with T / every + every instead of T, least at the square root of T, which is
/// what `every` is without being given; time grows by the forward part.
///
/// Where a cell has `project`, `every` is rounded up to the steps that are projected at once, about 128 /
/// batch. Each layer of a network has checkpoints of its own. With a function that is called after each step,
/// or on a tape that was made with trace, all is kept. See autograd::checkpoint for the Error that a step
/// throws that is not the same when it is computed again.
template <Recurrent C>
Checkpointed<C> checkpointed(C cell, std::size_t every = 0) {
  return {std::move(cell), every};
}

template <Recurrent C>
auto Checkpointed<C>::on_cells(const auto& wrap) const {
  return checkpointed(detail::on_cells(this->cell, wrap), every);
}

}  // namespace nn
