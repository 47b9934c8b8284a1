// Long short-term memory and its variants.
#pragma once

#include "gate_weights.hpp"

namespace nn {

/// The state of the cells of the LSTM family.
template <class T>
struct LSTMState {
  ag::Var<T> h;  ///< what is given out, (B, H), or (B, P) with a projection
  ag::Var<T> c;  ///< the memory, (B, H)
};

/// How an LSTMCell is made.
struct LSTMOptions {
  bool bias = true;           ///< with b_ih and b_hh
  std::size_t proj_size = 0;  ///< the size P of h, smaller than hidden; 0 is no projection
};

/// Gates of which the state is an LSTM's.
template <class T, std::size_t kGates>
struct LSTMGates : GateWeights<T, kGates> {
  using State = LSTMState<T>;
  using GateWeights<T, kGates>::GateWeights;

  /// Zeros.
  State initial_state(std::size_t batch) const {
    return {ag::zeros<T>({batch, this->weight_hh.shape(1)}), this->zero_state(batch)};
  }

  /// Throws Error if the projected inputs of a step, or its states, do not have the shapes that they must
  /// have.
  void check_step(const char* cell, const ag::Var<T>& projected, const State& state) const {
    GateWeights<T, kGates>::check_step(cell, projected, state.h);
    detail::check_state(cell, "c", state.c, projected.shape(0), this->hidden_size);
  }
};

/// Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), as
/// PyTorch's LSTMCell:
///
///     i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)
///     f = sigmoid(W_if x + b_if + W_hf h + b_hf)
///     g =    tanh(W_ig x + b_ig + W_hg h + b_hg)
///     o = sigmoid(W_io x + b_io + W_ho h + b_ho)
///     c' = f c + i g
///     h' = o tanh(c')
///
/// The gates' order in the weights is i, f, g, o. With a proj_size P (Sak et al. 2014), as PyTorch's LSTM,
///
///     h' = W_hr (o tanh(c'))
///
/// where weight_hr is (P, H), h is (B, P), and weight_hh is (4 H, P).
template <class T = float>
struct LSTMCell : LSTMGates<T, 4> {
  using State = LSTMState<T>;
  ag::Var<T> weight_hr;  ///< empty without a projection

  /// Throws Error if a size is 0, or if proj_size is not smaller than hidden.
  LSTMCell(std::size_t in, std::size_t hidden, Rng& rng, LSTMOptions options = {})
      : LSTMGates<T, 4>(in, hidden, state_size(hidden, options), rng, {options.bias}) {
    if (options.proj_size) weight_hr = detail::cell_parameter<T>({options.proj_size, hidden}, hidden, rng);
  }
  /// The same with the options that all cells have.
  template <std::same_as<CellOptions> Options>
  LSTMCell(std::size_t in, std::size_t hidden, Rng& rng, Options options)
      : LSTMCell(in, hidden, rng, LSTMOptions{.bias = options.bias}) {}

  auto fields(auto&& visit) {
    LSTMGates<T, 4>::fields(visit);
    visit("weight_hr", weight_hr);
  }

  /// W_i. x + b_i. for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const { return this->project_with_input_bias("LSTMCell", x); }

  /// Throws Error if the shapes do not fit.
  std::pair<ag::Var<T>, State> step(ag::Var<T> projected, const State& state) const {
    this->check_step("LSTMCell", projected, state);
    const ag::Var<T> z = this->add_state(std::move(projected), state.h);
    auto [h, c] = ag::map(
        [](auto i, auto f, auto g, auto o, auto c) {
          auto c_next = sigmoid(f) * c + sigmoid(i) * tanh(g);
          return std::tuple{sigmoid(o) * tanh(c_next), c_next};
        },
        ag::chunk<4>(z), state.c);
    if (weight_hr.defined()) h = ag::linear(h, weight_hr);
    return {h, {h, std::move(c)}};
  }

 private:
  static std::size_t state_size(std::size_t hidden, const LSTMOptions& options) {
    if (options.proj_size && hidden && options.proj_size >= hidden)
      detail::fail("LSTMCell: proj_size is ", options.proj_size, " and hidden is ", hidden,
                   "; the projection must be smaller, or 0 for none");
    return options.proj_size ? options.proj_size : hidden;
  }
};

/// LSTM with peepholes (Gers and Schmidhuber 2000; in this form Graves 2013): the gates see the memory, each
/// unit its own, by diagonal weights.
///
///     i = sigmoid(W_ii x + b_ii + W_hi h + b_hi + w_ci c)
///     f = sigmoid(W_if x + b_if + W_hf h + b_hf + w_cf c)
///     g =    tanh(W_ig x + b_ig + W_hg h + b_hg)
///     c' = f c + i g
///     o = sigmoid(W_io x + b_io + W_ho h + b_ho + w_co c')
///     h' = o tanh(c')
///
/// The gates' order in the weights is i, f, g, o; weight_ci, weight_cf and weight_co are (H). All start
/// uniform in +-1/sqrt(H).
template <class T = float>
struct PeepholeLSTMCell : LSTMGates<T, 4> {
  using State = LSTMState<T>;
  ag::Var<T> weight_ci, weight_cf, weight_co;

  /// Throws Error if a size is 0.
  PeepholeLSTMCell(std::size_t in, std::size_t hidden, Rng& rng, CellOptions options = {})
      : LSTMGates<T, 4>(in, hidden, rng, options),
        weight_ci(detail::cell_parameter<T>({hidden}, hidden, rng)),
        weight_cf(detail::cell_parameter<T>({hidden}, hidden, rng)),
        weight_co(detail::cell_parameter<T>({hidden}, hidden, rng)) {}

  auto fields(auto&& visit) {
    LSTMGates<T, 4>::fields(visit);
    visit("weight_ci", weight_ci);
    visit("weight_cf", weight_cf);
    visit("weight_co", weight_co);
  }

  /// W_i. x + b_i. for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const {
    return this->project_with_input_bias("PeepholeLSTMCell", x);
  }

  /// Throws Error if the shapes do not fit.
  std::pair<ag::Var<T>, State> step(ag::Var<T> projected, const State& state) const {
    this->check_step("PeepholeLSTMCell", projected, state);
    const ag::Var<T> z = this->add_state(std::move(projected), state.h);
    auto [h, c] = ag::map(
        [](auto i, auto f, auto g, auto o, auto c, auto w_ci, auto w_cf, auto w_co) {
          auto c_next = sigmoid(f + w_cf * c) * c + sigmoid(i + w_ci * c) * tanh(g);
          return std::tuple{sigmoid(o + w_co * c_next) * tanh(c_next), c_next};
        },
        ag::chunk<4>(z), state.c, weight_ci, weight_cf, weight_co);
    return {h, {h, std::move(c)}};
  }
};

/// LSTM with coupled input and forget gate (Greff et al. 2017, "CIFG", here without peepholes): what is
/// forgotten makes room for what is new, with a quarter of the weights less.
///
///     f = sigmoid(W_if x + b_if + W_hf h + b_hf)
///     g =    tanh(W_ig x + b_ig + W_hg h + b_hg)
///     o = sigmoid(W_io x + b_io + W_ho h + b_ho)
///     c' = f c + (1 - f) g
///     h' = o tanh(c')
///
/// The gates' order in the weights is f, g, o.
template <class T = float>
struct CoupledLSTMCell : LSTMGates<T, 3> {
  using State = LSTMState<T>;

  /// Throws Error if a size is 0.
  CoupledLSTMCell(std::size_t in, std::size_t hidden, Rng& rng, CellOptions options = {})
      : LSTMGates<T, 3>(in, hidden, rng, options) {}

  /// W_i. x + b_i. for some time steps at once. Throws Error if x has another width.
  ag::Var<T> project(const ag::Var<T>& x) const {
    return this->project_with_input_bias("CoupledLSTMCell", x);
  }

  /// Throws Error if the shapes do not fit.
  std::pair<ag::Var<T>, State> step(ag::Var<T> projected, const State& state) const {
    this->check_step("CoupledLSTMCell", projected, state);
    const ag::Var<T> z = this->add_state(std::move(projected), state.h);
    auto [h, c] = ag::map(
        [](auto f, auto g, auto o, auto c) {
          auto candidate = tanh(g);
          auto c_next = candidate + sigmoid(f) * (c - candidate);
          return std::tuple{sigmoid(o) * tanh(c_next), c_next};
        },
        ag::chunk<3>(z), state.c);
    return {h, {h, std::move(c)}};
  }
};

}  // namespace nn
