// Elementwise functions, the arithmetic ones: each is one struct, its value and its derivative side by side.
// The same rule serves dual numbers in a map body and Vars on the tape, so that it can be differentiated
// again. The transcendental ones are in transcendental.hpp, what is composed of both in activations.hpp.
//
// To add one: a struct with `value` (of SIMD batches) and `slope<I>` (the derivative with respect to operand
// I, of batches or Vars), its public function below, its name in elementwise.cpp, and its row in
// tests/autograd/gradient_rows/.
#pragma once

#include "lanes.hpp"
#include "var.hpp"

namespace autograd {

namespace detail {

// One elementwise node on Vars; instantiated in elementwise.cpp for every function of `fn`.
template <class F, class T>
Var<T> record_elementwise(const Var<T>& x);
template <class F, class T>
Var<T> record_elementwise(const Var<T>& a, const Var<T>& b);
template <class F, class T>
Var<T> record_elementwise(const Var<T>& a, const Var<T>& b, const Var<T>& c);

// The same for any body, in map.hpp.
template <class T, class F, class... X>
auto record_map(const char* op, const F& body, const X&... x);

template <class... X>
struct FirstVar;
template <class X, class... Rest>
struct FirstVar<X, Rest...> : std::conditional_t<VarType<X>, std::type_identity<X>, FirstVar<Rest...>> {};
template <>
struct FirstVar<> {};

// F on Vars, on lanes, or (inside of rules) on bare batches. Numbers among the operands become constants.
template <class F, class... X>
[[gnu::always_inline]] inline auto elementwise(const X&... x) {
  if constexpr ((VarType<X> || ...)) {
    static_assert(!(LaneType<X> || ...),
                  "map: the body uses a Var that is none of its parameters; give it to map as an operand");
    static_assert(((!VarType<X> || std::is_same_v<X, typename FirstVar<X...>::type>)&&...),
                  "a Var<float> and a Var<double> in one op; make one of them again in the other type, for "
                  "example Var<double>(x.value()), which is a constant");
    using V = typename FirstVar<X...>::type;
    if constexpr (UserFunction<F>)
      return record_map<typename V::value_type>(F::kName, F{}, static_cast<const V&>(x)...);
    else
      return record_elementwise<F>(static_cast<const V&>(x)...);
  } else if constexpr ((LaneType<X> || ...)) {
    return apply<F>(lifted<typename FirstLane<X...>::type>(x)...);
  } else {
    return F::value(x...);
  }
}

}  // namespace detail

/// The elementwise functions as types: what nodes of the tape are made of.
namespace fn {

using detail::elementwise;
using detail::Gate;
using detail::MinusOne;
using detail::One;
using detail::Zero;

// What makes a struct of this list a map body.
template <class F>
struct Function {
  template <class... X>
  [[gnu::always_inline]] auto operator()(const X&... x) const {
    return elementwise<F>(x...);
  }
};

struct Heaviside : Function<Heaviside> {  // the slope of relu: 1 above 0, else 0
  static constexpr const char* kName = "heaviside";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& x) {
    return xsimd::select(x > V(0), V(1), V(0));
  }
  template <std::size_t, class V>
  static Zero slope(const V&, const V&) {
    return {};
  }
};

struct Sign : Function<Sign> {  // the slope of abs: -1, 0 or 1
  static constexpr const char* kName = "sign";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& x) {
    return xsimd::select(x > V(0), V(1), xsimd::select(x < V(0), V(-1), V(0)));
  }
  template <std::size_t, class V>
  static Zero slope(const V&, const V&) {
    return {};
  }
};

struct Add : Function<Add> {
  static constexpr const char* kName = "add";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& a, const V& b) {
    return a + b;
  }
  template <std::size_t, class V>
  static One slope(const V&, const V&, const V&) {
    return {};
  }
};

struct Subtract : Function<Subtract> {
  static constexpr const char* kName = "subtract";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& a, const V& b) {
    return a - b;
  }
  template <std::size_t kOperand, class V>
  static auto slope(const V&, const V&, const V&) {
    return std::conditional_t<kOperand == 0, One, MinusOne>{};
  }
};

struct Multiply : Function<Multiply> {
  static constexpr const char* kName = "multiply";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& a, const V& b) {
    return a * b;
  }
  template <std::size_t kOperand, class V>
  static V slope(const V& a, const V& b, const V&) {
    return kOperand == 0 ? b : a;
  }
};

struct Divide : Function<Divide> {
  static constexpr const char* kName = "divide";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& a, const V& b) {
    return a / b;
  }
  template <std::size_t kOperand, class V>
  static V slope(const V&, const V& b, const V& y) {
    if constexpr (kOperand == 0)
      return V(1) / b;
    else
      return -y / b;
  }
};

struct Negate : Function<Negate> {
  static constexpr const char* kName = "negate";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& x) {
    return -x;
  }
  template <std::size_t, class V>
  static MinusOne slope(const V&, const V&) {
    return {};
  }
};

struct Square : Function<Square> {
  static constexpr const char* kName = "square";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& x) {
    return x * x;
  }
  template <std::size_t, class V>
  static V slope(const V& x, const V&) {
    return x + x;
  }
};

struct Abs : Function<Abs> {
  static constexpr const char* kName = "abs";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& x) {
    return xsimd::abs(x);
  }
  template <std::size_t, class V>
  static V slope(const V& x, const V&) {
    return elementwise<Sign>(x);
  }
};

struct Relu : Function<Relu> {
  static constexpr const char* kName = "relu";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& x) {
    return xsimd::select(x <= V(0), V(0), x);
  }  // NaN stays NaN
  template <std::size_t, class V>
  static V slope(const V& x, const V&) {
    return elementwise<Heaviside>(x);
  }
};

struct Greater : Function<Greater> {
  static constexpr const char* kName = "greater";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& a, const V& b) {
    return xsimd::select(a > b, V(1), V(0));
  }
  template <std::size_t, class V>
  static Zero slope(const V&, const V&, const V&) {
    return {};
  }
};

struct GreaterEqual : Function<GreaterEqual> {
  static constexpr const char* kName = "greater_equal";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& a, const V& b) {
    return xsimd::select(a >= b, V(1), V(0));
  }
  template <std::size_t, class V>
  static Zero slope(const V&, const V&, const V&) {
    return {};
  }
};

struct Where : Function<Where> {
  static constexpr const char* kName = "where";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& condition, const V& a, const V& b) {
    return xsimd::select(condition == V(0), b, a);
  }
  template <std::size_t kOperand, class V>
  static auto slope(const V& condition, const V&, const V&, const V&) {
    if constexpr (kOperand == 0)
      return Zero{};
    else
      return Gate<V, kOperand == 1>{condition};
  }
};

struct Maximum : Function<Maximum> {
  static constexpr const char* kName = "maximum";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& a, const V& b) {
    return xsimd::select(a > b, a, xsimd::select(a <= b, b, a + b));  // NaN stays NaN
  }
  template <std::size_t kOperand, class V>
  static V slope(const V& a, const V& b, const V&) {
    return V(0.5) + V(kOperand == 0 ? 0.5 : -0.5) * elementwise<Sign>(a - b);
  }
};

struct Minimum : Function<Minimum> {
  static constexpr const char* kName = "minimum";
  static constexpr bool kCostly = false;
  template <class V>
  static V value(const V& a, const V& b) {
    return xsimd::select(a < b, a, xsimd::select(a >= b, b, a + b));  // NaN stays NaN
  }
  template <std::size_t kOperand, class V>
  static V slope(const V& a, const V& b, const V&) {
    return V(0.5) - V(kOperand == 0 ? 0.5 : -0.5) * elementwise<Sign>(a - b);
  }
};

}  // namespace fn

// The functions take Vars (recording one node, with NumPy's broadcasting), lanes of a map body, and numbers.

/// a + b
template <class A, class B>
requires detail::Elements<A, B>
auto operator+(const A& a, const B& b) { return detail::elementwise<fn::Add>(a, b); }
/// a - b
template <class A, class B>
requires detail::Elements<A, B>
auto operator-(const A& a, const B& b) { return detail::elementwise<fn::Subtract>(a, b); }
/// a * b, entry by entry
template <class A, class B>
requires detail::Elements<A, B>
auto operator*(const A& a, const B& b) { return detail::elementwise<fn::Multiply>(a, b); }
/// a / b, entry by entry
template <class A, class B>
requires detail::Elements<A, B>
auto operator/(const A& a, const B& b) { return detail::elementwise<fn::Divide>(a, b); }
/// -x
template <detail::Element X>
auto operator-(const X& x) {
  return detail::elementwise<fn::Negate>(x);
}
/// x^2
template <detail::Element X>
auto square(const X& x) {
  return detail::elementwise<fn::Square>(x);
}
/// |x|; the derivative at 0 is taken as 0.
template <detail::Element X>
auto abs(const X& x) {
  return detail::elementwise<fn::Abs>(x);
}
/// max(x, 0); the derivative at 0 is taken as 0. NaN stays NaN.
template <detail::Element X>
auto relu(const X& x) {
  return detail::elementwise<fn::Relu>(x);
}
/// 1 where x > 0, else 0. Its derivative is 0 everywhere.
template <detail::Element X>
auto heaviside(const X& x) {
  return detail::elementwise<fn::Heaviside>(x);
}
/// -1, 0 or 1. Its derivative is 0 everywhere.
template <detail::Element X>
auto sign(const X& x) {
  return detail::elementwise<fn::Sign>(x);
}
/// 1 where a > b, else 0. Its derivative is 0 everywhere.
template <class A, class B>
requires detail::Elements<A, B>
auto operator>(const A& a, const B& b) { return detail::elementwise<fn::Greater>(a, b); }
/// 1 where a < b, else 0. Its derivative is 0 everywhere.
template <class A, class B>
requires detail::Elements<A, B>
auto operator<(const A& a, const B& b) { return detail::elementwise<fn::Greater>(b, a); }
/// 1 where a >= b, else 0. Its derivative is 0 everywhere.
template <class A, class B>
requires detail::Elements<A, B>
auto operator>=(const A& a, const B& b) { return detail::elementwise<fn::GreaterEqual>(a, b); }
/// 1 where a <= b, else 0. Its derivative is 0 everywhere.
template <class A, class B>
requires detail::Elements<A, B>
auto operator<=(const A& a, const B& b) { return detail::elementwise<fn::GreaterEqual>(b, a); }
/// a where the condition is not 0, b elsewhere: `where(x > 0, x, 0.1 * x)`. The condition has no gradient.
template <class C, class A, class B>
requires detail::Elements<C, A, B>
auto where(const C& condition, const A& a, const B& b) {
  return detail::elementwise<fn::Where>(condition, a, b);
}
/// The larger of a and b; the gradient of a tie goes to both in halves. NaN where either is NaN.
template <class A, class B>
requires detail::Elements<A, B>
auto maximum(const A& a, const B& b) { return detail::elementwise<fn::Maximum>(a, b); }
/// The smaller of a and b; the gradient of a tie goes to both in halves. NaN where either is NaN.
template <class A, class B>
requires detail::Elements<A, B>
auto minimum(const A& a, const B& b) { return detail::elementwise<fn::Minimum>(a, b); }

namespace detail {
// Operators are found in the namespace of their operands; lanes live here.
using autograd::operator+;
using autograd::operator-;
using autograd::operator*;
using autograd::operator/;
using autograd::operator>;
using autograd::operator<;
using autograd::operator>=;
using autograd::operator<=;
using autograd::abs;
using autograd::heaviside;
using autograd::maximum;
using autograd::minimum;
using autograd::relu;
using autograd::sign;
using autograd::square;
using autograd::where;
}  // namespace detail
}  // namespace autograd
