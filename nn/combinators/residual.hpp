// Residual connections.
#pragma once

#include "around.hpp"

namespace nn {

/// See residual().
template <Recurrent C>
struct Residual : detail::Around<Residual<C>, C> {
  using typename detail::Wrapper<C>::Var;
  static constexpr bool kOfInput = true;

  explicit Residual(C inner) : detail::Around<Residual<C>, C>{{std::move(inner)}} {}

  Var before(const Var& x) const { return x; }
  Var after(const Var& x, const Var& y) const {
    if (!(x.shape() == y.shape()))
      detail::fail("residual: the input has shape ", x.shape(), " and the output ", y.shape(),
                   "; they are added, so they must be equal");
    return x + y;
  }
  auto on_cells(const auto& wrap) const;
};

/// y_t = x_t + cell(x_t): the outputs of a network are added to its inputs (He et al. 2016), which must have
/// as many features. Throws Error in use if they do not.
template <Recurrent C>
Residual<C> residual(C cell) {
  return Residual<C>(std::move(cell));
}

template <Recurrent C>
auto Residual<C>::on_cells(const auto& wrap) const {
  return residual(detail::on_cells(this->cell, wrap));
}

}  // namespace nn
