// Recurrent layers: the built-in cells, unrolled in layers and directions, with PyTorch's options, parameter
// names and states.
#pragma once

#include <string>
#include <vector>

#include "cells.hpp"
#include "dropout.hpp"
#include "unroll.hpp"

namespace nn {

/// How a recurrent layer is made; the names are PyTorch's.
struct RecurrentOptions {
  std::size_t num_layers = 1;                  ///< on top of each other
  Activation nonlinearity = Activation::tanh;  ///< of RNN only
  bool bias = true;                            ///< with b_ih and b_hh
  bool batch_first = false;    ///< input (B, T, I) and output (B, T, D H); states stay as they are
  double dropout = 0;          ///< on the outputs of each layer but the last, in training
  bool bidirectional = false;  ///< with a second cell in each layer from the last step to the first
  std::size_t proj_size = 0;   ///< of LSTM only: the size of h, smaller than hidden; 0 is hidden
};

/// Layers of one kind of cell, each in one direction of time or in both: what RNN, LSTM and GRU are.
///
/// With L layers and D directions, the state is that of the cell, its Vars being (L D, B, H) with the
/// directions of the first layer first, as PyTorch's h_n and c_n; the parameters are the cells', as
/// "weight_ih_l0", "weight_ih_l0_reverse", "weight_ih_l1" ...
template <class C>
struct RecurrentLayer {
  using value_type = CellNumber<C>;
  using Var = ag::Var<value_type>;
  using State = CellState<C>;

  std::vector<C> cells;  ///< by layer, then direction
  RecurrentOptions options;

  auto fields(auto&& visit) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string suffix =
          "_l" + std::to_string(i / directions()) + (i % directions() ? "_reverse" : "");
      cells[i].fields([&](const std::string& name, auto& parameter) { visit(name + suffix, parameter); });
    }
  }

  bool batch_first() const { return options.batch_first; }
  bool goes_both_ways() const { return options.bidirectional; }
  std::size_t directions() const { return options.bidirectional ? 2 : 1; }

  /// Zeros.
  State initial_state(std::size_t batch) const {
    return map_state(
        [&](const Var& of_cell) {
          return ag::zeros<value_type>({cells.size(), of_cell.shape(0), of_cell.shape(1)});
        },
        cells[0].initial_state(batch));
  }

  /// The outputs of the last layer (T, B, D H) and the last state, from a state or from zeros. How is as of
  /// nn::unroll, whose Errors are thrown.
  Unrolled<value_type, State> operator()(const Var& x, State state, const UnrollOptions& how = {}) const {
    return nn::unroll(*this, x, std::move(state), how);
  }
  Unrolled<value_type, State> operator()(const Var& x, const UnrollOptions& how = {}) const {
    return nn::unroll(*this, x, how);
  }

  /// The same for nn::unroll and combinators, with time as first axis.
  Unrolled<value_type, State> unroll(Var x, State state, const UnrollOptions& how) const {
    const ag::Scope scope(ag::detail::type_name<C>().substr(0, ag::detail::type_name<C>().find("Cell")));
    check_state(state, x.shape(1));
    const std::size_t layers = cells.size() / directions();
    std::vector<State> last;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      std::optional<ag::Scope> of_layer;
      if (layers > 1) of_layer.emplace("layer", layer);
      if (layer) x = dropout(x, options.dropout);
      UnrollOptions inner = how;
      inner.last_only = how.last_only && layer + 1 == layers;
      std::vector<Var> outputs;
      for (std::size_t direction = 0; direction < directions(); ++direction) {
        const std::size_t index = layer * directions() + direction;
        inner.reverse = how.reverse != (direction == 1);
        const State own = map_state([&](const Var& all) { return all[index]; }, state);
        auto result = detail::unroll_within(cells[index], x, own, inner);
        outputs.push_back(std::move(result.output));
        last.push_back(std::move(result.state));
      }
      x = outputs.size() == 1 ? std::move(outputs[0]) : ag::concat(outputs, -1);
    }
    return {std::move(x), joined(last)};
  }

  /// See zoneout() and the like.
  auto on_cells(const auto& wrap) const {
    RecurrentLayer<decltype(wrap(cells[0]))> result{{}, options};
    for (const C& cell : cells) result.cells.push_back(wrap(cell));
    return result;
  }

 private:
  void check_state(const State& state, std::size_t batch) const {
    auto check = [](const detail::StatePath& path, const Var& given, const Var& own) {
      if (!(given.shape() == own.shape()))
        detail::fail(ag::detail::type_name<C>(), " layer: ", path.text(), " has shape ", given.shape(),
                     "; it must be (layers x directions, batch, size): ", own.shape());
    };
    const State own = initial_state(batch);
    detail::visit_state(detail::StatePath{}, check, state, own);
  }

  // The states of all cells as one.
  static State joined(const std::vector<State>& states) {
    std::vector<std::vector<Var>> parts;
    for (const State& state : states) {
      std::size_t part = 0;
      detail::for_each_var(
          [&](const Var& var) {
            if (part == parts.size()) parts.emplace_back();
            parts[part++].push_back(var);
          },
          state);
    }
    std::size_t part = 0;
    return map_state([&](const Var&) { return ag::stack(parts[part++]); }, states[0]);
  }
};

namespace detail {

// The cells of a layer: make(number of inputs) for each.
template <class C, class Make>
RecurrentLayer<C> make_layer(const char* layer, std::size_t in, std::size_t output,
                             const RecurrentOptions& options, Make&& make) {
  need_size(layer, "num_layers", options.num_layers);
  check_probability(layer, options.dropout);
  RecurrentLayer<C> result{{}, options};
  for (std::size_t i = 0; i < options.num_layers * result.directions(); ++i)
    result.cells.push_back(make(i < result.directions() ? in : output * result.directions()));
  return result;
}

inline void no_projection(const char* layer, const RecurrentOptions& options) {
  if (options.proj_size) fail(layer, ": proj_size is ", options.proj_size, "; only LSTM has a projection");
}

inline void no_nonlinearity(const char* layer, const RecurrentOptions& options) {
  if (options.nonlinearity != Activation::tanh)
    fail(layer, ": nonlinearity is not tanh; only RNN has another");
}

}  // namespace detail

/// Layers of RNNCell, as PyTorch's nn.RNN. The state is h (L D, B, H). Throws Error if a size is 0, if
/// dropout is not in [0, 1), or if an option is another layer's; so do LSTM and GRU.
template <class T = float>
struct RNN : RecurrentLayer<RNNCell<T>> {
  RNN(std::size_t in, std::size_t hidden, Rng& rng, RecurrentOptions options = {})
      : RecurrentLayer<RNNCell<T>>(
            detail::make_layer<RNNCell<T>>("RNN", in, hidden, options, [&](std::size_t inputs) {
              detail::no_projection("RNN", options);
              return RNNCell<T>(inputs, hidden, rng, options.nonlinearity, {options.bias});
            })) {}
};

/// Layers of LSTMCell, as PyTorch's nn.LSTM. The state is h (L D, B, H) and c (L D, B, H); with a projection
/// h is (L D, B, P).
template <class T = float>
struct LSTM : RecurrentLayer<LSTMCell<T>> {
  LSTM(std::size_t in, std::size_t hidden, Rng& rng, RecurrentOptions options = {})
      : RecurrentLayer<LSTMCell<T>>(detail::make_layer<LSTMCell<T>>(
            "LSTM", in, options.proj_size ? options.proj_size : hidden, options, [&](std::size_t inputs) {
              detail::no_nonlinearity("LSTM", options);
              return LSTMCell<T>(inputs, hidden, rng,
                                 LSTMOptions{.bias = options.bias, .proj_size = options.proj_size});
            })) {}
};

/// Layers of GRUCell, as PyTorch's nn.GRU. The state is h (L D, B, H).
template <class T = float>
struct GRU : RecurrentLayer<GRUCell<T>> {
  GRU(std::size_t in, std::size_t hidden, Rng& rng, RecurrentOptions options = {})
      : RecurrentLayer<GRUCell<T>>(
            detail::make_layer<GRUCell<T>>("GRU", in, hidden, options, [&](std::size_t inputs) {
              detail::no_projection("GRU", options);
              detail::no_nonlinearity("GRU", options);
              return GRUCell<T>(inputs, hidden, rng, {options.bias});
            })) {}
};

}  // namespace nn
