// Transcendental elementwise functions: values and derivatives, as in elementwise.hpp.
#pragma once

#include <cmath>
#include <numbers>

#include "elementwise.hpp"
#include "sigmoidal.hpp"

namespace autograd {
namespace fn {

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

struct Expm1 : Function<Expm1> {
  static constexpr const char* kName = "expm1";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::expm1(x);
  }
  template <std::size_t, class V>
  static V slope(const V&, const V& y) {
    return y + V(1);
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

struct Log1p : Function<Log1p> {
  static constexpr const char* kName = "log1p";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::log1p(x);
  }
  template <std::size_t, class V>
  static V slope(const V& x, const V&) {
    return V(1) / (V(1) + x);
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

struct Rsqrt : Function<Rsqrt> {
  static constexpr const char* kName = "rsqrt";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return V(1) / xsimd::sqrt(x);
  }
  template <std::size_t, class V>
  static V slope(const V&, const V& y) {
    return V(-0.5) * y * y * y;
  }
};

struct Pow : Function<Pow> {
  static constexpr const char* kName = "pow";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& a, const V& b) {
    if (xsimd::all(b == V(2))) return a * a;
    alignas(64) typename V::value_type base[V::size], exponent[V::size];  // xsimd's own takes 0^0 for 0
    a.store_aligned(base);
    b.store_aligned(exponent);
    for (std::size_t i = 0; i < V::size; ++i) base[i] = std::pow(base[i], exponent[i]);
    return V::load_aligned(base);
  }
  template <std::size_t kOperand, class V>
  static V slope(const V& a, const V& b, const V& y) {
    if constexpr (kOperand == 0) {  // b a^(b - 1), which is 0 and not 0 inf for 0^0
      const V not_both_zero = elementwise<Abs>(a) + elementwise<Abs>(b);
      return elementwise<Where>(not_both_zero, b * elementwise<Pow>(a, b - V(1)), V(0));
    } else {  // y log a, which is 0 and not 0 inf for a base of 0
      return elementwise<Where>(y, y * elementwise<Log>(a), V(0));
    }
  }
};

struct Cos;

struct Sin : Function<Sin> {
  static constexpr const char* kName = "sin";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::sin(x);
  }
  template <std::size_t, class V>
  static V slope(const V& x, const V&) {
    return elementwise<Cos>(x);
  }
};

struct Cos : Function<Cos> {
  static constexpr const char* kName = "cos";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::cos(x);
  }
  template <std::size_t, class V>
  static V slope(const V& x, const V&) {
    return -elementwise<Sin>(x);
  }
};

struct Tanh : Function<Tanh> {
  static constexpr const char* kName = "tanh";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return detail::tanh_of(x);
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
    return detail::sigmoid_of(x);
  }
  template <std::size_t, class V>
  static V slope(const V&, const V& y) {
    return y * (V(1) - y);
  }
};

struct Softplus : Function<Softplus> {
  static constexpr const char* kName = "softplus";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::select(x <= V(0), V(0), x) + xsimd::log1p(xsimd::exp(-xsimd::abs(x)));
  }
  template <std::size_t, class V>
  static V slope(const V& x, const V&) {
    return elementwise<Sigmoid>(x);
  }
};

struct Erf : Function<Erf> {
  static constexpr const char* kName = "erf";
  static constexpr bool kCostly = true;
  template <class V>
  static V value(const V& x) {
    return xsimd::erf(x);
  }
  template <std::size_t, class V>
  static V slope(const V& x, const V&) {
    return V(2 * std::numbers::inv_sqrtpi) * elementwise<Exp>(-x * x);
  }
};

}  // namespace fn

/// e^x
template <detail::Element X>
auto exp(const X& x) {
  return detail::elementwise<fn::Exp>(x);
}
/// e^x - 1, exact near 0.
template <detail::Element X>
auto expm1(const X& x) {
  return detail::elementwise<fn::Expm1>(x);
}
/// Natural logarithm; NaN below 0, -inf at 0.
template <detail::Element X>
auto log(const X& x) {
  return detail::elementwise<fn::Log>(x);
}
/// log(1 + x), exact near 0; NaN below -1, -inf at -1.
template <detail::Element X>
auto log1p(const X& x) {
  return detail::elementwise<fn::Log1p>(x);
}
/// Square root; NaN below 0. The derivative at 0 is infinite.
template <detail::Element X>
auto sqrt(const X& x) {
  return detail::elementwise<fn::Sqrt>(x);
}
/// 1 / sqrt(x)
template <detail::Element X>
auto rsqrt(const X& x) {
  return detail::elementwise<fn::Rsqrt>(x);
}
/// a^b; NaN for a negative a and a b that is no integer. The derivative with respect to b is a^b log(a), NaN
/// for a negative a.
template <class A, class B>
requires detail::Elements<A, B>
auto pow(const A& a, const B& b) { return detail::elementwise<fn::Pow>(a, b); }
/// Sine of x in radians.
template <detail::Element X>
auto sin(const X& x) {
  return detail::elementwise<fn::Sin>(x);
}
/// Cosine of x in radians.
template <detail::Element X>
auto cos(const X& x) {
  return detail::elementwise<fn::Cos>(x);
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
/// log(1 + e^x), without overflow.
template <detail::Element X>
auto softplus(const X& x) {
  return detail::elementwise<fn::Softplus>(x);
}
/// The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x.
template <detail::Element X>
auto erf(const X& x) {
  return detail::elementwise<fn::Erf>(x);
}

namespace detail {
using autograd::cos;
using autograd::erf;
using autograd::exp;
using autograd::expm1;
using autograd::log;
using autograd::log1p;
using autograd::pow;
using autograd::rsqrt;
using autograd::sigmoid;
using autograd::sin;
using autograd::softplus;
using autograd::sqrt;
using autograd::tanh;
}  // namespace detail
}  // namespace autograd
