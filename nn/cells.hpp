// Recurrent cells. Each is written as a user would write one, with the public API only.
#pragma once

#include <array>
#include <cmath>

#include "autograd/linalg.hpp"
#include "autograd/map.hpp"
#include "init.hpp"
#include "parameters.hpp"

namespace nn {

/// How a built-in cell is made.
struct CellOptions {
  bool bias = true;  ///< with b_ih and b_hh
};

/// The weights that the built-in cells share, under PyTorch's names: the gates' blocks of rows below each
/// other, weight_ih (G H, I), weight_hh (G H, H), bias_ih and bias_hh (G H). All start uniform in
/// +-1/sqrt(H).
template <class T, std::size_t kGates>
struct GateWeights {
  std::size_t hidden_size;
  ag::Var<T> weight_ih, weight_hh, bias_ih, bias_hh;

  GateWeights(std::size_t in, std::size_t hidden, Rng& rng, const CellOptions& options)
      : hidden_size(hidden) {
    detail::need_size("recurrent cell", "in", in);
    detail::need_size("recurrent cell", "hidden", hidden);
    const double bound = 1 / std::sqrt(static_cast<double>(hidden));
    const auto make = [&](const ag::Shape& shape) {
      return ag::variable(init::uniform<T>(shape, -bound, bound, rng));
    };
    weight_ih = make({kGates * hidden, in});
    weight_hh = make({kGates * hidden, hidden});
    if (!options.bias) return;
    bias_ih = make({kGates * hidden});
    bias_hh = make({kGates * hidden});
  }

  auto fields(auto&& visit) {
    visit("weight_ih", weight_ih);
    visit("weight_hh", weight_hh);
    visit("bias_ih", bias_ih);
    visit("bias_hh", bias_hh);
  }

  /// W_ih x + b_ih + b_hh, where a bias that is empty counts as 0.
  ag::Var<T> project_with_both_biases(const ag::Var<T>& x) const {
    if (bias_ih.defined() && bias_hh.defined()) return ag::linear(x, weight_ih, bias_ih + bias_hh);
    const ag::Var<T>& bias = bias_ih.defined() ? bias_ih : bias_hh;
    return bias.defined() ? ag::linear(x, weight_ih, bias) : ag::linear(x, weight_ih);
  }

  /// Throws Error if a state does not fit the projected inputs of a step.
  void check_state(const char* cell, const char* name, const ag::Var<T>& state,
                   const ag::Var<T>& projected) const {
    const ag::Shape wanted{projected.rank() ? projected.shape(0) : 0, hidden_size};
    if (!(state.shape() == wanted))
      detail::fail(cell, ": the state ", name, " has shape ", state.shape(), "; for a batch of ", wanted[0],
                   " and a hidden size of ", hidden_size, " it must be ", wanted);
  }

  /// A state of zeros for a batch.
  ag::Var<T> zero_state(std::size_t batch) const { return ag::zeros<T>({batch, hidden_size}); }
};

/// The function of a plain recurrent cell.
enum class Activation { tanh, relu, sigmoid };

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

  /// W_ih x + b_ih + b_hh for all time steps at once.
  ag::Var<T> project(const ag::Var<T>& x) const { return this->project_with_both_biases(x); }

  State step(ag::Var<T> projected, const State& h) const {
    this->check_state("RNNCell", "h", h, projected);
    const ag::Var<T> z = ag::add_linear(std::move(projected), h, this->weight_hh);
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

/// Long short-term memory (Hochreiter and Schmidhuber 1997, with Gers' forget gate, 2000), as PyTorch's
/// LSTMCell:
///
///     i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)
///     f = sigmoid(W_if x + b_if + W_hf h + b_hf)
///     g =    tanh(W_ig x + b_ig + W_hg h + b_hg)
///     o = sigmoid(W_io x + b_io + W_ho h + b_ho)
///     c' = f c + i g
///     h' = o tanh(c')
///
/// The gates' order in the weights is i, f, g, o.
template <class T = float>
struct LSTMCell : GateWeights<T, 4> {
  struct State {
    ag::Var<T> h, c;  ///< both (B, H)
  };

  LSTMCell(std::size_t in, std::size_t hidden, Rng& rng, CellOptions options = {})
      : GateWeights<T, 4>(in, hidden, rng, options) {}

  State initial_state(std::size_t batch) const { return {this->zero_state(batch), this->zero_state(batch)}; }

  /// W_i. x + b_i. + b_h. for all time steps at once.
  ag::Var<T> project(const ag::Var<T>& x) const { return this->project_with_both_biases(x); }

  std::pair<ag::Var<T>, State> step(ag::Var<T> projected, const State& state) const {
    this->check_state("LSTMCell", "h", state.h, projected);
    this->check_state("LSTMCell", "c", state.c, projected);
    const ag::Var<T> z = ag::add_linear(std::move(projected), state.h, this->weight_hh);
    auto [h, c] = ag::map(
        [](auto i, auto f, auto g, auto o, auto c) {
          auto c_next = sigmoid(f) * c + sigmoid(i) * tanh(g);
          return std::tuple{sigmoid(o) * tanh(c_next), c_next};
        },
        ag::chunk<4>(z), state.c);
    return {h, {h, std::move(c)}};
  }
};

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

  GRUCell(std::size_t in, std::size_t hidden, Rng& rng, CellOptions options = {})
      : GateWeights<T, 3>(in, hidden, rng, options) {}

  State initial_state(std::size_t batch) const { return this->zero_state(batch); }

  /// W_i. x + b_i. for all time steps at once.
  ag::Var<T> project(const ag::Var<T>& x) const {
    return this->bias_ih.defined() ? ag::linear(x, this->weight_ih, this->bias_ih)
                                   : ag::linear(x, this->weight_ih);
  }

  State step(const ag::Var<T>& projected, const State& h) const {
    this->check_state("GRUCell", "h", h, projected);
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

}  // namespace nn
