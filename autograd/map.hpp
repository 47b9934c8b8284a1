// map: one node for a whole elementwise body, given as a generic lambda.
#pragma once

#include "columns.hpp"
#include "map_node.hpp"

namespace autograd {
namespace detail {

template <class X>
concept MapOperand = requires {
  typename MapArgument<X>::value_type;
};

template <class... X>
struct FirstTyped {};
template <class X, class... Rest>
struct FirstTyped<X, Rest...> : std::type_identity<typename MapArgument<X>::value_type> {};

template <class T, class F, class... X>
auto record_map(const char* op, const F& body, const X&... x) {
  using In = Inputs<MapArgument<X>::kBlocks...>;
  const auto unpacked = [](auto&& out) {
    if constexpr (std::tuple_size_v<std::remove_reference_t<decltype(out)>> == 1)
      return std::move(out[0]);
    else
      return std::apply([](auto&... each) { return std::make_tuple(std::move(each)...); }, out);
  };
  TapeStorage* const tape = current_tape();
  if (auto* node = next_in_replay<MapNode<T, F, In>>(tape)) {
    typename MapNode<T, F, In>::Returns how;
    if (node->repeated_by(*tape, body, how, x...)) return unpacked(node->repeat(*tape, how, x...));
  }
  const auto& first = std::get<0>(std::tie(x...));
  Shape shape = MapArgument<std::remove_cvref_t<decltype(first)>>::shape(first);
  const bool fits = (MapArgument<X>::has_shape(x, shape) && ...);
  if (!fits) [[unlikely]] {
    const Shape shapes[] = {MapArgument<X>::shape(x)...};
    const Block* const blocks[] = {MapArgument<X>::var(x).array().block()...};
    shape = broadcast_shapes(op, shapes, blocks);
  }
  const std::size_t size = shape.size();
  Operand<T> in[In::kOperands];
  Var<T> owners[In::kOperands];
  std::size_t i = 0;
  const auto fill = [&]<class Each>(const Each& each) {
    using Argument = MapArgument<Each>;
    Operand<T>& operand = in[i];
    if constexpr (Argument::kBlocks != 0) {
      if (!fits) [[unlikely]]
        check_columns(op, each.matrix.shape(), Argument::width(each), shape);
      fill_columns(operand, each.matrix, Argument::first(each), tape, op);
    } else if (fits || Argument::has_shape(each, shape)) {
      fill_full(operand, each, each.rank() == shape.rank() ? size : each.shape()[0], tape, op);
      if (operand.width != size) operand.layout = Layout::suffix;
    } else {
      fill_broadcast(operand, each, shape, owners[i], op);
    }
    ++i;
  };
  (fill(x), ...);
  return unpacked(record_operands<T, In>(body, in, shape));
}

}  // namespace detail

/// Applies an elementwise body to Vars as one node of the tape.
///
///     auto h = ag::map([](auto f, auto n, auto h) { return (1 - f) * h + f * tanh(n); }, f, n, h);
///
/// The body is a generic lambda of the elementwise functions and operators of elementwise.hpp and plain
/// numbers; it returns one value, or a std::tuple of several, which map returns as a tuple of Vars. It is
/// called with SIMD lanes forward, with dual numbers backward, and with Vars for derivatives of higher order,
/// so a variable of it cannot be assigned a value of another form (`x = x + y`): give each value a name of
/// its own. Captures are plain values.
///
/// Operands are Vars, which broadcast as in NumPy, and blocks of columns (columns, chunk), which are read in
/// place and whose gradients are written in place. Throws Error if the shapes do not broadcast.
template <class F, class... X>
auto map(const F& body, const X&... x) {
  constexpr bool kOperands = (detail::MapOperand<X> && ...);
  static_assert(kOperands,
                "map: an operand is neither a Var nor columns or a chunk of one; capture a number: "
                "[number](auto x) { return number * x; }");
  if constexpr (kOperands) {
    using T = typename detail::FirstTyped<X...>::type;
    constexpr bool kOneType = (std::is_same_v<T, typename detail::MapArgument<X>::value_type> && ...);
    static_assert(kOneType,
                  "map: the operands are of float and of double; make them of one type, for example "
                  "Var<double>(x.value()), which is a constant");
    constexpr std::size_t kInputs =
        ((detail::MapArgument<X>::kBlocks ? detail::MapArgument<X>::kBlocks : 1) + ...);
    static_assert(kInputs <= 32, "map: at most 32 operands (chunk<K> counts as K); stack some of them");
    if constexpr (kOneType && kInputs <= 32) {
      using Body = detail::BodyTraits<F, T, std::make_index_sequence<kInputs>>;
      static_assert(
          Body::kCallable,
          "map: the body does not take these operands; it must be a lambda with one `auto` parameter "
          "for each (chunk<K> counts as K), that is not mutable");
      static_assert(
          !Body::kCallable || Body::returns_lanes(),
          "map: the body must return what it computed from its parameters (declared `auto`), one value or a "
          "std::tuple of values: not a plain number, a bool or nothing; and write tanh(x), not std::tanh(x)");
      static_assert(
          std::is_trivially_destructible_v<F>,
          "map: the body captures more than plain numbers; give a Var as an operand, and capture an "
          "entry of a vector, not the vector");
      if constexpr (Body::returns_lanes() && std::is_trivially_destructible_v<F>)
        return detail::record_map<T>("map", body, x...);
    }
  }
}

}  // namespace autograd
