// Sequential: layers that are called one behind the other.
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "parameters.hpp"

namespace nn {

namespace detail {

// The type of numbers of the first of these that is a module.
template <class... L>
struct FirstModule : std::type_identity<float> {};
template <class First, class... Rest>
struct FirstModule<First, Rest...> : FirstModule<Rest...> {};
template <Module First, class... Rest>
struct FirstModule<First, Rest...> : std::type_identity<value_type<First>> {};

}  // namespace detail

/// Layers in a row, each of which gets what the one before it gives, as PyTorch's nn.Sequential. A layer is
/// whatever can be called: a module, or a function, for which a lambda is written.
///
///     const nn::Sequential mlp(nn::Linear(4, 16, rng), [](const auto& x) { return relu(x); },
///                              nn::Linear(16, 1, rng));
///     const auto y = mlp(x);
///
/// Its parameters are those of its modules, under the places of these: "0.weight", "0.bias", "2.weight" ...
/// The first layer may take several arguments, and layers may hand on anything: a recurrent layer's output
/// comes from `[](const auto& unrolled) { return unrolled.output; }` behind it.
template <class... L>
struct Sequential {
  static_assert(sizeof...(L) > 0, "Sequential: give it at least one layer");
  using value_type = typename detail::FirstModule<L...>::type;

  std::tuple<L...> layers;

  explicit Sequential(L... layer) : layers(std::move(layer)...) {}

  auto fields(auto&& visit) {
    [&]<std::size_t... kI>(std::index_sequence<kI...>) { (name_layer(visit, kI, std::get<kI>(layers)), ...); }
    (std::index_sequence_for<L...>{});
  }

  /// The last layer's result.
  template <class... X>
  auto operator()(const X&... x) const {
    return call<0>(x...);
  }

  /// Layer kI.
  template <std::size_t kI>
  const auto& get() const {
    return std::get<kI>(layers);
  }

 private:
  static void name_layer(auto& visit, std::size_t index, auto& layer) {
    if constexpr (Module<std::remove_cvref_t<decltype(layer)>>) visit(std::to_string(index), layer);
  }

  template <std::size_t kI, class... X>
  auto call(const X&... x) const {
    using Layer = std::tuple_element_t<kI, std::tuple<L...>>;
    constexpr bool kCallable = std::is_invocable_v<const Layer&, const X&...>;
    static_assert(
        kCallable,
        "Sequential: a layer cannot be called (as const) with what the layer before it gives, or the "
        "first one with the arguments");
    if constexpr (kCallable) {
      if constexpr (kI + 1 == sizeof...(L))
        return std::get<kI>(layers)(x...);
      else
        return call<kI + 1>(std::get<kI>(layers)(x...));
    }
  }
};

}  // namespace nn
