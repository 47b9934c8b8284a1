// Recurrent cells with layer normalisation (Ba et al. 2016, "Layer normalization").
#pragma once

#include "autograd/composites.hpp"
#include "autograd/shape_ops.hpp"
#include "lstm.hpp"

namespace nn {

/// How a cell with layer normalisation is made.
struct LayerNormCellOptions {
  bool bias = true;   ///< with the shifts of the normalisations
  double eps = 1e-5;  ///< what is added to variances
};

/// The weights of cells that normalise W_ih x and W_hh h, each by its own
///
///     LN(a; gain, bias) = (a - mean(a)) / sqrt(var(a) + eps) gain + bias
///
/// over the units: weight_ih (G H, I), weight_hh (G H, H), gain_ih, gain_hh, bias_ih and bias_hh (G H). The
/// paper's b, added to the gates beside the shifts of the normalisations, is part of those. Weights start
/// uniform in +-1/sqrt(H), gains at 1 and biases at 0.
template <class T, class Gates, std::size_t kGates>
struct NormalisedGates : Gates {
  double eps;
  ag::Var<T> gain_ih, gain_hh;

  NormalisedGates(std::size_t in, std::size_t hidden, Rng& rng, const LayerNormCellOptions& options)
      : Gates(in, hidden, rng, {.bias = false}), eps(options.eps) {
    gain_ih = detail::constant_parameter<T>({kGates * hidden}, 1);
    gain_hh = detail::constant_parameter<T>({kGates * hidden}, 1);
    if (!options.bias) return;
    this->bias_ih = detail::constant_parameter<T>({kGates * hidden}, 0);
    this->bias_hh = detail::constant_parameter<T>({kGates * hidden}, 0);
  }

  auto fields(auto&& visit) {
    Gates::fields(visit);
    visit("gain_ih", gain_ih);
    visit("gain_hh", gain_hh);
  }

  /// LN(x W^T; gain, bias) for the rows of gates [first, last); the bias may be empty.
  ag::Var<T> normalised_product(const ag::Var<T>& x, const ag::Var<T>& weight, const ag::Var<T>& gain,
                                const ag::Var<T>& bias, std::size_t first, std::size_t last) const {
    return normalise(ag::linear(x, this->gates(weight, first, last)), this->gates(gain, first, last),
                     bias.defined() ? this->gates(bias, first, last) : bias);
  }

  /// LN(a; gain, bias); the bias may be empty.
  ag::Var<T> normalise(const ag::Var<T>& a, const ag::Var<T>& gain, const ag::Var<T>& bias) const {
    return bias.defined() ? ag::layer_norm(a, gain, bias, eps) : ag::layer_norm(a, eps) * gain;
  }
};

/// LSTM with layer normalisation (Ba et al. 2016, equations 20 to 22):
///
///     i, f, g, o = LN(W_ih x; gain_ih, bias_ih) + LN(W_hh h; gain_hh, bias_hh)
///     c' = sigmoid(f) c + sigmoid(i) tanh(g)
///     h' = sigmoid(o) tanh(LN(c'; gain_c, bias_c))
///
/// The first two normalisations are over all gates together (4 H), the third over the units (H). The gates'
/// order in the weights is i, f, g, o. See NormalisedGates.
template <class T = float>
struct LayerNormLSTMCell : NormalisedGates<T, LSTMGates<T, 4>, 4> {
  using State = LSTMState<T>;
  using Weights = NormalisedGates<T, LSTMGates<T, 4>, 4>;
  ag::Var<T> gain_c, bias_c;

  /// Throws Error if a size is 0.
  LayerNormLSTMCell(std::size_t in, std::size_t hidden, Rng& rng, LayerNormCellOptions options = {})
      : Weights(in, hidden, rng, options), gain_c(detail::constant_parameter<T>({hidden}, 1)) {
    if (options.bias) bias_c = detail::constant_parameter<T>({hidden}, 0);
  }

  auto fields(auto&& visit) {
    Weights::fields(visit);
    visit("gain_c", gain_c);
    visit("bias_c", bias_c);
  }

  /// LN(W_ih x; gain_ih, bias_ih) for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const {
    detail::check_features("LayerNormLSTMCell", x, this->weight_ih);
    return this->normalised_product(x, this->weight_ih, this->gain_ih, this->bias_ih, 0, 4);
  }

  /// Throws Error if the shapes do not fit.
  std::pair<ag::Var<T>, State> step(const ag::Var<T>& projected, const State& state) const {
    this->check_step("LayerNormLSTMCell", projected, state);
    const ag::Var<T> u =
        this->normalised_product(state.h, this->weight_hh, this->gain_hh, this->bias_hh, 0, 4);
    auto [o, c] = ag::map(
        [](auto xi, auto xf, auto xg, auto xo, auto hi, auto hf, auto hg, auto ho, auto c) {
          return std::tuple{sigmoid(xo + ho), sigmoid(xf + hf) * c + sigmoid(xi + hi) * tanh(xg + hg)};
        },
        ag::chunk<4>(projected), ag::chunk<4>(u), state.c);
    const ag::Var<T> h =
        ag::map([](auto o, auto c) { return o * tanh(c); }, o, this->normalise(c, gain_c, bias_c));
    return {h, {h, std::move(c)}};
  }
};

/// GRU with layer normalisation (Ba et al. 2016, supplementary material):
///
///     r, z = LN(W_i. x; gain_ih, bias_ih) + LN(W_h. h; gain_hh, bias_hh)
///     n = tanh(LN(W_in x; gain_ih, bias_ih) + sigmoid(r) LN(W_hn h; gain_hh, bias_hh))
///     h' = (1 - sigmoid(z)) h + sigmoid(z) n
///
/// Gates r and z are normalised together (2 H), n by itself (H), each with its part of gains and biases. The
/// gates' order in the weights is r, z, n. z is the paper's: where it is open the new value comes in; in
/// GRUCell the old one stays there. See NormalisedGates.
template <class T = float>
struct LayerNormGRUCell : NormalisedGates<T, GateWeights<T, 3>, 3> {
  using State = ag::Var<T>;  ///< h (B, H)
  using Weights = NormalisedGates<T, GateWeights<T, 3>, 3>;

  /// Throws Error if a size is 0.
  LayerNormGRUCell(std::size_t in, std::size_t hidden, Rng& rng, LayerNormCellOptions options = {})
      : Weights(in, hidden, rng, options) {}

  State initial_state(std::size_t batch) const { return this->zero_state(batch); }

  /// The normalised products of x, for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const {
    detail::check_features("LayerNormGRUCell", x, this->weight_ih);
    const auto part = [&](std::size_t first, std::size_t last) {
      return this->normalised_product(x, this->weight_ih, this->gain_ih, this->bias_ih, first, last);
    };
    return ag::concat({part(0, 2), part(2, 3)}, -1);
  }

  /// Throws Error if the shapes do not fit.
  State step(const ag::Var<T>& projected, const State& h) const {
    this->check_step("LayerNormGRUCell", projected, h);
    const auto part = [&](std::size_t first, std::size_t last) {
      return this->normalised_product(h, this->weight_hh, this->gain_hh, this->bias_hh, first, last);
    };
    return ag::map(
        [](auto xr, auto xz, auto xn, auto hr, auto hz, auto hn, auto h) {
          auto n = tanh(xn + sigmoid(xr + hr) * hn);
          return h + sigmoid(xz + hz) * (n - h);
        },
        ag::chunk<3>(projected), ag::chunk<2>(part(0, 2)), part(2, 3), h);
  }
};

}  // namespace nn
