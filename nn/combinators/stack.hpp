// Networks on top of each other.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "around.hpp"
#include "nn/dropout.hpp"

namespace nn {

/// How layers are stacked.
struct StackOptions {
  double dropout = 0;  ///< on the outputs of every layer but the last, in training
};

namespace detail {

// The layers of a stack: a std::tuple of networks, or a std::vector of one kind.
template <class Layers>
struct LayersOf;
template <class... C>
struct LayersOf<std::tuple<C...>> {
  using Number = CellNumber<std::tuple_element_t<0, std::tuple<C...>>>;
  static_assert((std::is_same_v<CellNumber<C>, Number> && ...),
                "stack: all layers must compute in float, or all in double");
  using State = std::tuple<CellState<C>...>;
  static constexpr bool kCells = (Cell<C> && ...);
  static constexpr bool kModules = (Module<C> || ...);
};
template <class C>
struct LayersOf<std::vector<C>> {
  using Number = CellNumber<C>;
  using State = std::vector<CellState<C>>;
  static constexpr bool kCells = Cell<C>;
  static constexpr bool kModules = Module<C>;
};

}  // namespace detail

/// See stack().
template <class Layers>
struct Stack {
  using value_type = typename detail::LayersOf<Layers>::Number;
  using Var = ag::Var<value_type>;
  using State = typename detail::LayersOf<Layers>::State;

  Layers layers;
  StackOptions options;

  void fields(auto&& visit) requires(detail::LayersOf<Layers>::kModules) {
    each(layers, layers, [&](std::size_t index, auto& layer, auto&) {
      if constexpr (Module<std::remove_cvref_t<decltype(layer)>>) visit(std::to_string(index), layer);
    });
  }

  State initial_state(std::size_t batch) const {
    State state{};
    if constexpr (kList) state.resize(layers.size());
    each(layers, state, [&](std::size_t, const auto& layer, auto& own) { own = layer.initial_state(batch); });
    return state;
  }

  bool goes_both_ways() const {
    bool any = false;
    each(layers, layers,
         [&](std::size_t, const auto& layer, const auto&) { any |= detail::goes_both_ways(layer); });
    return any;
  }

  std::pair<Var, State> step(Var x, const State& state) const requires(detail::LayersOf<Layers>::kCells) {
    State next = state;
    each(layers, next, [&](std::size_t index, const auto& layer, auto& own) {
      const ag::Scope scope("layer", index);
      if (index) x = dropout(x, options.dropout);
      std::tie(x, own) = detail::step_from_input(layer, x, std::as_const(own));
    });
    return {std::move(x), std::move(next)};
  }

  Unrolled<value_type, State> unroll(Var x, State state, const UnrollOptions& how) const {
    UnrollOptions inner = how;
    each(layers, state, [&](std::size_t index, const auto& layer, auto& own) {
      const ag::Scope scope("layer", index);
      if (index) x = dropout(x, options.dropout);
      inner.last_only = how.last_only && index + 1 == count();
      auto result = detail::unroll_within(layer, x, std::move(own), inner);
      x = std::move(result.output);
      own = std::move(result.state);
    });
    return {std::move(x), std::move(state)};
  }

  auto on_cells(const auto& wrap) const;

 private:
  static constexpr bool kList = !requires(Layers l) { std::get<0>(l); };

  std::size_t count() const {
    if constexpr (kList)
      return layers.size();
    else
      return std::tuple_size_v<Layers>;
  }

  // f(index, layer, what belongs to it) for each.
  static void each(auto& all, auto& others, auto&& f) {
    if constexpr (kList) {
      if (others.size() != all.size())
        detail::fail("stack: the state has parts for ", others.size(), " layers, and there are ", all.size(),
                     "; give one for each");
      for (std::size_t i = 0; i < all.size(); ++i) f(i, all[i], others[i]);
    } else {
      [&]<std::size_t... I>(std::index_sequence<I...>) { (f(I, std::get<I>(all), std::get<I>(others)), ...); }
      (std::make_index_sequence<std::tuple_size_v<Layers>>());
    }
  }
};

/// Networks on top of each other: each gets the outputs of the one before it. The state is a std::tuple of
/// theirs, and parameters have the layer's number before their names, "0.weight_ih". Throws Error in use if a
/// layer does not take what the one before it gives; the Error tells which.
template <Recurrent... C>
auto stack(StackOptions options, C... cells) {
  detail::check_probability("stack: dropout", options.dropout);
  return Stack<std::tuple<C...>>{{std::move(cells)...}, options};
}
template <Recurrent First, Recurrent... C>
auto stack(First first, C... cells) {
  return stack(StackOptions{}, std::move(first), std::move(cells)...);
}

/// The same of layers of one kind, as many as there are; the state is a std::vector. Throws Error if there
/// are none.
template <Recurrent C>
Stack<std::vector<C>> stack(std::vector<C> cells, StackOptions options = {}) {
  detail::check_probability("stack: dropout", options.dropout);
  if (cells.empty()) detail::fail("stack: there are no layers; give at least one");
  return {std::move(cells), options};
}

template <class Layers>
auto Stack<Layers>::on_cells(const auto& wrap) const {
  if constexpr (kList) {
    std::vector<decltype(detail::on_cells(layers[0], wrap))> wrapped;
    for (const auto& layer : layers) wrapped.push_back(detail::on_cells(layer, wrap));
    return stack(std::move(wrapped), options);
  } else {
    return std::apply([&](const auto&... layer) { return stack(options, detail::on_cells(layer, wrap)...); },
                      layers);
  }
}

}  // namespace nn
