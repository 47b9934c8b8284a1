// Layer normalisation of a network's outputs.
#pragma once

#include "around.hpp"
#include "nn/layer_norm.hpp"

namespace nn {

/// See layer_norm().
template <Recurrent C>
struct Normalised : detail::Around<Normalised<C>, C> {
  using typename detail::Wrapper<C>::Var;
  LayerNorm<CellNumber<C>> norm;

  Normalised(C inner, LayerNorm<CellNumber<C>> layer)
      : detail::Around<Normalised<C>, C>{{std::move(inner)}}, norm(std::move(layer)) {}

  void fields(auto&& visit) {
    if constexpr (Module<C>) this->cell.fields(visit);
    visit("norm", norm);
  }

  Var before(const Var& x) const { return x; }
  Var after(const Var&, const Var& y) const { return norm(y); }
  auto on_cells(const auto& wrap) const;
};

/// The outputs of a network, normalised over their features (Ba et al. 2016), of which there are `features`.
/// The state is left alone; LayerNormLSTMCell and LayerNormGRUCell normalise within the step. Its weight and
/// bias are the parameters "norm.weight" and "norm.bias". Throws Error in use if the outputs have other
/// features.
template <Recurrent C>
Normalised<C> layer_norm(C cell, std::size_t features, LayerNormOptions options = {}) {
  return {std::move(cell), LayerNorm<CellNumber<C>>(features, options)};
}

template <Recurrent C>
auto Normalised<C>::on_cells(const auto& wrap) const {
  auto inner = detail::on_cells(this->cell, wrap);
  return Normalised<decltype(inner)>(std::move(inner), norm);
}

}  // namespace nn
