// Recurrent layers: a built-in cell, unrolled, under PyTorch's parameter names.
#pragma once

#include <string>

#include "cells.hpp"
#include "unroll.hpp"

namespace nn {

/// One layer in one direction: calling it unrolls its cell over (T, B, I). Its parameters are the cell's,
/// under PyTorch's names for the first layer, weight_ih_l0 and so on.
template <class T, Cell<T> C>
struct RecurrentLayer {
  C cell;

  auto fields(auto&& visit) {
    cell.fields([&](const std::string& name, auto& parameter) { visit(name + "_l0", parameter); });
  }

  /// The outputs of all steps (T, B, H) and the last state. Throws Error as unroll does.
  Unrolled<T, CellState<C>> operator()(const ag::Var<T>& x, CellState<C> state) const {
    return unroll(cell, x, std::move(state));
  }
  /// The same from a state of zeros.
  Unrolled<T, CellState<C>> operator()(const ag::Var<T>& x) const { return unroll(cell, x); }
};

/// A layer of RNNCell.
template <class T = float>
struct RNN : RecurrentLayer<T, RNNCell<T>> {
  RNN(std::size_t in, std::size_t hidden, Rng& rng, Activation activation = Activation::tanh,
      CellOptions options = {})
      : RecurrentLayer<T, RNNCell<T>>{{in, hidden, rng, activation, options}} {}
};

/// A layer of LSTMCell.
template <class T = float>
struct LSTM : RecurrentLayer<T, LSTMCell<T>> {
  LSTM(std::size_t in, std::size_t hidden, Rng& rng, CellOptions options = {})
      : RecurrentLayer<T, LSTMCell<T>>{{in, hidden, rng, options}} {}
};

/// A layer of GRUCell.
template <class T = float>
struct GRU : RecurrentLayer<T, GRUCell<T>> {
  GRU(std::size_t in, std::size_t hidden, Rng& rng, CellOptions options = {})
      : RecurrentLayer<T, GRUCell<T>>{{in, hidden, rng, options}} {}
};

}  // namespace nn
