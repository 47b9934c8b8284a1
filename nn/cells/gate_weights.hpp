// What the built-in cells share: the weights of their gates, and the checks of what a step is given.
#pragma once

#include <cmath>
#include <tuple>
#include <utility>

#include "autograd/linalg.hpp"
#include "autograd/map.hpp"
#include "nn/init.hpp"
#include "nn/parameters.hpp"

namespace nn {

/// How a built-in cell is made.
struct CellOptions {
  bool bias = true;  ///< with b_ih and b_hh
};

namespace detail {

// A parameter of a cell of `hidden` units: uniform in +-1/sqrt(hidden).
template <class T>
ag::Var<T> cell_parameter(const ag::Shape& shape, std::size_t hidden, Rng& rng) {
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  return ag::variable(init::uniform<T>(shape, -bound, bound, rng));
}

// A parameter with equal entries.
template <class T>
ag::Var<T> constant_parameter(const ag::Shape& shape, double value) {
  return ag::variable(ag::Array<T>(shape, static_cast<T>(value)));
}

// Throws if a cell cannot project x (..., I) by weight_ih (..., I).
template <class T>
void check_features(const char* cell, const ag::Var<T>& x, const ag::Var<T>& weight_ih) {
  x.require_value(cell);
  const std::size_t in = weight_ih.shape(1);
  if (x.rank() == 0)
    fail(cell, ": the input is a scalar, of shape (); it must have a last axis of ", in, " features");
  if (x.shape().back() != in)
    fail(cell, ": the input of shape ", ag::detail::shape_of(x), " has ", x.shape().back(),
         " features, and the cell was made for ", in, " (", ag::detail::called(weight_ih, "weight_ih"),
         " has shape ", weight_ih.shape(), "); make them equal");
}

// Throws if a step is given something else than one step (batch, width) of what the cell's project makes.
template <class T>
void check_projected(const char* cell, const ag::Var<T>& projected, std::size_t width) {
  projected.require_value(cell);
  if (projected.rank() != 2 || projected.shape(1) != width)
    fail(cell, ": step was given shape ", projected.shape(),
         "; it takes one step of what project makes, (batch, ", width, "): step(project(x), state)");
}

// Throws if a state is not (batch, size). `what` is what the size is of.
template <class T>
void check_state(const char* cell, const char* name, const ag::Var<T>& state, std::size_t batch,
                 std::size_t size, const char* what = "a hidden size") {
  state.require_value(cell);
  const ag::Shape wanted{batch, size};
  if (!(state.shape() == wanted))
    fail(cell, ": the state ", name, " has shape ", state.shape(), "; for a batch of ", batch, " and ", what,
         " of ", size, " it must be ", wanted);
}

}  // namespace detail

/// The weights that the built-in cells share, under PyTorch's names: the gates' blocks of rows below each
/// other, weight_ih (G H, I), weight_hh (G H, H), bias_ih and bias_hh (G H). All start uniform in
/// +-1/sqrt(H).
template <class T, std::size_t kGates>
struct GateWeights {
  std::size_t hidden_size;
  ag::Var<T> weight_ih, weight_hh, bias_ih, bias_hh;

  /// Throws Error if a size is 0.
  GateWeights(std::size_t in, std::size_t hidden, Rng& rng, const CellOptions& options)
      : GateWeights(in, hidden, hidden, rng, options) {}

  /// For a state h (B, P) of another size than the gates': weight_hh is (G H, P).
  GateWeights(std::size_t in, std::size_t hidden, std::size_t state, Rng& rng, const CellOptions& options)
      : hidden_size(hidden) {
    detail::need_size("recurrent cell", "in", in);
    detail::need_size("recurrent cell", "hidden", hidden);
    weight_ih = detail::cell_parameter<T>({kGates * hidden, in}, hidden, rng);
    weight_hh = detail::cell_parameter<T>({kGates * hidden, state}, hidden, rng);
    if (!options.bias) return;
    bias_ih = detail::cell_parameter<T>({kGates * hidden}, hidden, rng);
    bias_hh = detail::cell_parameter<T>({kGates * hidden}, hidden, rng);
  }

  auto fields(auto&& visit) {
    visit("weight_ih", weight_ih);
    visit("weight_hh", weight_hh);
    visit("bias_ih", bias_ih);
    visit("bias_hh", bias_hh);
  }

  /// W_ih x + b_ih, without the bias if it is empty. Throws Error if x has another width.
  ag::Var<T> project_with_input_bias(const char* cell, const ag::Var<T>& x) const {
    detail::check_features(cell, x, weight_ih);
    return bias_ih.defined() ? ag::linear(x, weight_ih, bias_ih) : ag::linear(x, weight_ih);
  }

  /// W_ih x + b_ih + b_hh, where a bias that is empty counts as 0. Throws Error if x has another width.
  ag::Var<T> project_with_both_biases(const char* cell, const ag::Var<T>& x) const {
    detail::check_features(cell, x, weight_ih);
    if (bias_ih.defined() && bias_hh.defined()) return ag::linear(x, weight_ih, bias_ih + bias_hh);
    const ag::Var<T>& bias = bias_ih.defined() ? bias_ih : bias_hh;
    return bias.defined() ? ag::linear(x, weight_ih, bias) : ag::linear(x, weight_ih);
  }

  /// projected + W_hh h + b_hh, without the bias if it is empty.
  ag::Var<T> add_state(ag::Var<T> projected, const ag::Var<T>& h) const {
    return bias_hh.defined() ? ag::add_linear(std::move(projected), h, weight_hh, bias_hh)
                             : ag::add_linear(std::move(projected), h, weight_hh);
  }

  /// Rows of weight_hh (or of a vector with as many entries) that belong to gates [first, last); a window.
  ag::Var<T> gates(const ag::Var<T>& rows, std::size_t first, std::size_t last) const {
    return rows.slice(first * hidden_size, last * hidden_size);
  }

  /// Throws Error if the projected inputs of a step, or its state h, do not have the shapes that they must
  /// have.
  void check_step(const char* cell, const ag::Var<T>& projected, const ag::Var<T>& h) const {
    detail::check_projected(cell, projected, kGates * hidden_size);
    const std::size_t state = weight_hh.shape(1);
    detail::check_state(cell, "h", h, projected.shape(0), state,
                        state == hidden_size ? "a hidden size" : "a proj_size");
  }

  /// A state of zeros for a batch.
  ag::Var<T> zero_state(std::size_t batch) const { return ag::zeros<T>({batch, hidden_size}); }
};

}  // namespace nn
