// The independently recurrent cell.
#pragma once

#include "activation.hpp"
#include "gate_weights.hpp"

namespace nn {

/// Independently recurrent cell (IndRNN, Li et al. 2018): each unit sees its own state only, so that layers
/// of them can be deep and sequences long.
///
///     h' = act(W_ih x + b + w_hh h)        act is relu, tanh or sigmoid
///
/// weight_ih is (H, I), weight_hh and bias are (H). W_ih and b start uniform in +-1/sqrt(H), w_hh uniform in
/// [0, 1), so that no unit grows without bounds.
template <class T = float>
struct IndRNNCell {
  using State = ag::Var<T>;  ///< h (B, H)
  std::size_t hidden_size;
  ag::Var<T> weight_ih, weight_hh, bias;
  Activation activation;

  /// Throws Error if a size is 0.
  IndRNNCell(std::size_t in, std::size_t hidden, Rng& rng, Activation act = Activation::relu,
             CellOptions options = {})
      : hidden_size(hidden), activation(act) {
    detail::need_size("IndRNNCell", "in", in);
    detail::need_size("IndRNNCell", "hidden", hidden);
    weight_ih = detail::cell_parameter<T>({hidden, in}, hidden, rng);
    weight_hh = ag::variable(init::uniform<T>({hidden}, 0, 1, rng));
    if (options.bias) bias = detail::cell_parameter<T>({hidden}, hidden, rng);
  }

  auto fields(auto&& visit) {
    visit("weight_ih", weight_ih);
    visit("weight_hh", weight_hh);
    visit("bias", bias);
  }

  State initial_state(std::size_t batch) const { return ag::zeros<T>({batch, hidden_size}); }

  /// W_ih x + b for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const {
    detail::check_features("IndRNNCell", x, weight_ih);
    return bias.defined() ? ag::linear(x, weight_ih, bias) : ag::linear(x, weight_ih);
  }

  /// Throws Error if the shapes do not fit.
  State step(const ag::Var<T>& projected, const State& h) const {
    detail::check_projected("IndRNNCell", projected, hidden_size);
    detail::check_state("IndRNNCell", "h", h, projected.shape(0), hidden_size);
    switch (activation) {
      case Activation::tanh:
        return ag::map([](auto x, auto w, auto h) { return tanh(x + w * h); }, projected, weight_hh, h);
      case Activation::sigmoid:
        return ag::map([](auto x, auto w, auto h) { return sigmoid(x + w * h); }, projected, weight_hh, h);
      case Activation::relu:
        break;
    }
    return ag::map([](auto x, auto w, auto h) { return relu(x + w * h); }, projected, weight_hh, h);
  }
};

}  // namespace nn
