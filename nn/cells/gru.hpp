// Gated recurrent units.
#pragma once

#include "gate_weights.hpp"

namespace nn {

/// Gated recurrent unit (Cho et al. 2014) with the reset after the product, as PyTorch's GRUCell:
///
///     r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
///     z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
///     n =    tanh(W_in x + b_in + r (W_hn h + b_hn))
///     h' = (1 - z) n + z h
///
/// The gates' order in the weights is r, z, n.
template <class T = float>
struct GRUCell : GateWeights<T, 3> {
  using State = ag::Var<T>;  ///< h (B, H)

  /// Throws Error if a size is 0.
  GRUCell(std::size_t in, std::size_t hidden, Rng& rng, CellOptions options = {})
      : GateWeights<T, 3>(in, hidden, rng, options) {}

  State initial_state(std::size_t batch) const { return this->zero_state(batch); }

  /// W_i. x + b_i. for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const { return this->project_with_input_bias("GRUCell", x); }

  /// Throws Error if the shapes do not fit.
  State step(const ag::Var<T>& projected, const State& h) const {
    this->check_step("GRUCell", projected, h);
    const ag::Var<T> u = this->bias_hh.defined() ? ag::linear(h, this->weight_hh, this->bias_hh)
                                                 : ag::linear(h, this->weight_hh);
    return ag::map(
        [](auto xr, auto xz, auto xn, auto hr, auto hz, auto hn, auto h) {
          auto r = sigmoid(xr + hr);
          auto z = sigmoid(xz + hz);
          auto n = tanh(xn + r * hn);
          return n + z * (h - n);
        },
        ag::chunk<3>(projected), ag::chunk<3>(u), h);
  }
};

/// Gated recurrent unit as Cho et al. (2014) have it, with the reset before the product:
///
///     r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
///     z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
///     n =    tanh(W_in x + b_in + W_hn (r h) + b_hn)
///     h' = (1 - z) n + z h
///
/// Names, shapes and the gates' order r, z, n are GRUCell's. A step needs two products, one behind the other,
/// where GRUCell needs one.
template <class T = float>
struct ResetBeforeGRUCell : GateWeights<T, 3> {
  using State = ag::Var<T>;  ///< h (B, H)

  /// Throws Error if a size is 0.
  ResetBeforeGRUCell(std::size_t in, std::size_t hidden, Rng& rng, CellOptions options = {})
      : GateWeights<T, 3>(in, hidden, rng, options) {}

  State initial_state(std::size_t batch) const { return this->zero_state(batch); }

  /// W_i. x + b_i. + b_h. for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const {
    return this->project_with_both_biases("ResetBeforeGRUCell", x);
  }

  /// Throws Error if the shapes do not fit.
  State step(const ag::Var<T>& projected, const State& h) const {
    this->check_step("ResetBeforeGRUCell", projected, h);
    const std::size_t hidden = this->hidden_size;
    const ag::Var<T> u = ag::linear(h, this->gates(this->weight_hh, 0, 2));  // of r and z
    const ag::Var<T> reset = ag::map([](auto xr, auto hr, auto h) { return sigmoid(xr + hr) * h; },
                                     ag::columns(projected, 0, hidden), ag::columns(u, 0, hidden), h);
    const ag::Var<T> un = ag::linear(reset, this->gates(this->weight_hh, 2, 3));
    return ag::map(
        [](auto xz, auto xn, auto hz, auto hn, auto h) {
          auto n = tanh(xn + hn);
          return n + sigmoid(xz + hz) * (h - n);
        },
        ag::columns(projected, hidden, hidden), ag::columns(projected, 2 * hidden, hidden),
        ag::columns(u, hidden, hidden), un, h);
  }
};

}  // namespace nn
