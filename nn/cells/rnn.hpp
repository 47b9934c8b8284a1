// The plain recurrent cell.
#pragma once

#include "activation.hpp"
#include "gate_weights.hpp"

namespace nn {

/// Elman's recurrent cell (1990), as PyTorch's RNNCell:
///
///     h' = act(W_ih x + b_ih + W_hh h + b_hh)        act is tanh, relu or sigmoid
template <class T = float>
struct RNNCell : GateWeights<T, 1> {
  using State = ag::Var<T>;  ///< h (B, H)
  Activation activation;

  RNNCell(std::size_t in, std::size_t hidden, Rng& rng, Activation act = Activation::tanh,
          CellOptions options = {})
      : GateWeights<T, 1>(in, hidden, rng, options), activation(act) {}

  State initial_state(std::size_t batch) const { return this->zero_state(batch); }

  /// W_ih x + b_ih for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const { return this->project_with_input_bias("RNNCell", x); }

  /// Throws Error if the shapes do not fit.
  State step(ag::Var<T> projected, const State& h) const {
    this->check_step("RNNCell", projected, h);
    const ag::Var<T> z = this->add_state(std::move(projected), h);
    switch (activation) {
      case Activation::relu:
        return relu(z);
      case Activation::sigmoid:
        return sigmoid(z);
      case Activation::tanh:
        break;
    }
    return tanh(z);
  }
};

}  // namespace nn
