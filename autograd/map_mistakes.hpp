// What the compiler says where the body of a map does what a body cannot: in words, at the line that does it.
#pragma once

#include <type_traits>

namespace autograd {

template <class T>
class Var;

namespace detail {

template <class X>
struct IsLane;
template <class L>
inline constexpr bool kNever = false;  // known only when L is

// What lanes convert to, so that the conversion can say why it is none.
template <class L>
double lane_as_number() {
  static_assert(kNever<L>,
                "map: the body uses a parameter as a plain number; write tanh(x), not std::tanh(x), and give "
                "results back by return");
  return 0;
}
template <class L>
bool lane_as_condition() {
  static_assert(kNever<L>,
                "map: the body asks a condition of many elements at once (if, ?:, && or a loop); write "
                "where(x > 0, a, b)");
  return false;
}
template <class L>
Var<typename L::value_type> lane_as_var() {
  static_assert(
      kNever<L>,
      "map: the body uses a parameter as a Var; give results back by return, and compute what is not "
      "elementwise outside of map");
  return {};
}
template <class L>
void change_in_place() {
  static_assert(kNever<L>,
                "map: the body changes a value in place (x += y, or x = x + y); make a new one: "
                "auto z = x + y");
}
template <class L>
L not_elementwise() {
  static_assert(
      kNever<L>,
      "map: the body calls a function that is not elementwise, such as matmul, sum or softmax; call it "
      "outside of map and give its result as an operand");
  return {};
}

template <class X>
concept OfBody = IsLane<X>::value;

}  // namespace detail

template <detail::OfBody X, class... Rest>
X matmul(const X&, const Rest&...) {
  return detail::not_elementwise<X>();
}
template <detail::OfBody X, class... Rest>
X linear(const X&, const Rest&...) {
  return detail::not_elementwise<X>();
}
template <detail::OfBody X, class... Rest>
X dot(const X&, const Rest&...) {
  return detail::not_elementwise<X>();
}
template <detail::OfBody X, class... Rest>
X sum(const X&, const Rest&...) {
  return detail::not_elementwise<X>();
}
template <detail::OfBody X, class... Rest>
X mean(const X&, const Rest&...) {
  return detail::not_elementwise<X>();
}
template <detail::OfBody X, class... Rest>
X softmax(const X&, const Rest&...) {
  return detail::not_elementwise<X>();
}
template <detail::OfBody X, class... Rest>
X max(const X&, const Rest&...) {
  static_assert(detail::kNever<X>, "map: max goes over axes; the larger of two values is maximum(a, b)");
  return {};
}
template <detail::OfBody X, class... Rest>
X min(const X&, const Rest&...) {
  static_assert(detail::kNever<X>, "map: min goes over axes; the smaller of two values is minimum(a, b)");
  return {};
}

namespace detail {
template <OfBody X>
void operator+=(X&, const auto&) {
  change_in_place<X>();
}
template <OfBody X>
void operator-=(X&, const auto&) {
  change_in_place<X>();
}
template <OfBody X>
void operator*=(X&, const auto&) {
  change_in_place<X>();
}
template <OfBody X>
void operator/=(X&, const auto&) {
  change_in_place<X>();
}

using autograd::dot;
using autograd::linear;
using autograd::matmul;
using autograd::max;
using autograd::mean;
using autograd::min;
using autograd::softmax;
using autograd::sum;
}  // namespace detail
}  // namespace autograd
