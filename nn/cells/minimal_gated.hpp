// The minimal gated unit.
#pragma once

#include "gate_weights.hpp"

namespace nn {

/// Minimal gated unit (Zhou et al. 2016): a GRU whose one gate both resets and updates.
///
///     f = sigmoid(W_if x + b_if + W_hf h + b_hf)
///     n =    tanh(W_in x + b_in + W_hn (f h) + b_hn)
///     h' = (1 - f) h + f n
///
/// The gates' order in the weights is f, n. All start uniform in +-1/sqrt(H).
template <class T = float>
struct MGUCell : GateWeights<T, 2> {
  using State = ag::Var<T>;  ///< h (B, H)

  /// Throws Error if a size is 0.
  MGUCell(std::size_t in, std::size_t hidden, Rng& rng, CellOptions options = {})
      : GateWeights<T, 2>(in, hidden, rng, options) {}

  State initial_state(std::size_t batch) const { return this->zero_state(batch); }

  /// W_i. x + b_i. + b_h. for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const { return this->project_with_both_biases("MGUCell", x); }

  /// Throws Error if the shapes do not fit.
  State step(const ag::Var<T>& projected, const State& h) const {
    this->check_step("MGUCell", projected, h);
    const ag::Var<T> uf = ag::linear(h, this->gates(this->weight_hh, 0, 1));
    const auto [f, fh] = ag::map(
        [](auto xf, auto hf, auto h) {
          auto f = sigmoid(xf + hf);
          return std::tuple{f, f * h};
        },
        ag::columns(projected, 0, this->hidden_size), uf, h);
    const ag::Var<T> un = ag::linear(fh, this->gates(this->weight_hh, 1, 2));
    return ag::map([](auto xn, auto hn, auto f, auto h) { return h + f * (tanh(xn + hn) - h); },
                   ag::columns(projected, this->hidden_size, this->hidden_size), un, f, h);
  }
};

}  // namespace nn
