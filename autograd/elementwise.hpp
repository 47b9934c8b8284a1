// Elementwise functions: each is one struct, its value and its derivative side by side. The same rule serves
// dual numbers in a map body and Vars on the tape, so that it can be differentiated again.
//
// To add one: a struct with `value` (of SIMD batches) and `slope<I>` (the derivative with respect to operand
// I, of batches or Vars), its public function below, and its row in tests/autograd/gradient_table_test.cpp.
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
    return record_elementwise<F>(static_cast<const typename FirstVar<X...>::type&>(x)...);
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

struct Exp : Function<Exp> {
  static constexpr const char* kName = "exp";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::exp(x);
  }
  template <std::size_t, class V>
  static V slope(const V&, const V& y) {
    return y;
  }
};

struct Log : Function<Log> {
  static constexpr const char* kName = "log";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::log(x);
  }
  template <std::size_t, class V>
  static V slope(const V& x, const V&) {
    return V(1) / x;
  }
};

struct Sqrt : Function<Sqrt> {
  static constexpr const char* kName = "sqrt";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::sqrt(x);
  }
  template <std::size_t, class V>
  static V slope(const V&, const V& y) {
    return V(0.5) / y;
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

struct Tanh : Function<Tanh> {
  static constexpr const char* kName = "tanh";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::tanh(x);
  }
  template <std::size_t, class V>
  static V slope(const V&, const V& y) {
    return V(1) - y * y;
  }
};

struct Sigmoid : Function<Sigmoid> {
  static constexpr const char* kName = "sigmoid";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return V(1) / (V(1) + xsimd::exp(-x));
  }
  template <std::size_t, class V>
  static V slope(const V&, const V& y) {
    return y * (V(1) - y);
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
/// e^x
template <detail::Element X>
auto exp(const X& x) {
  return detail::elementwise<fn::Exp>(x);
}
/// Natural logarithm; NaN below 0, -inf at 0.
template <detail::Element X>
auto log(const X& x) {
  return detail::elementwise<fn::Log>(x);
}
/// Square root; NaN below 0. The derivative at 0 is infinite.
template <detail::Element X>
auto sqrt(const X& x) {
  return detail::elementwise<fn::Sqrt>(x);
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
/// Hyperbolic tangent.
template <detail::Element X>
auto tanh(const X& x) {
  return detail::elementwise<fn::Tanh>(x);
}
/// 1 / (1 + e^-x); saturates to 0 and 1 without overflow.
template <detail::Element X>
auto sigmoid(const X& x) {
  return detail::elementwise<fn::Sigmoid>(x);
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

namespace detail {
// Operators are found in the namespace of their operands; lanes live here.
using autograd::operator+;
using autograd::operator-;
using autograd::operator*;
using autograd::operator/;
using autograd::abs;
using autograd::exp;
using autograd::heaviside;
using autograd::log;
using autograd::relu;
using autograd::sigmoid;
using autograd::sign;
using autograd::sqrt;
using autograd::square;
using autograd::tanh;
}  // namespace detail
}  // namespace autograd
