// Activation functions that are composed of others: each is one body, which is one node on Vars and a part of
// a larger body on the lanes of a map. No derivative is written here.
#pragma once

#include "transcendental.hpp"

namespace autograd {
namespace detail {

// One node on a Var; instantiated in activations.cpp for every body of `fn`.
template <class Body, class T>
Var<T> record_body(const Body& body, const Var<T>& x);

template <class Body, class X>
auto apply_body(const Body& body, const X& x) {
  if constexpr (VarType<X>)
    return record_body(body, x);
  else
    return body(x);
}

}  // namespace detail

namespace fn {

struct LeakyRelu {
  static constexpr const char* kName = "leaky_relu";
  double slope;
  auto operator()(const auto& x) const { return where(x > 0, x, slope * x); }
};

struct Elu {
  static constexpr const char* kName = "elu";
  double alpha;
  auto operator()(const auto& x) const {
    return where(x > 0, x, alpha * expm1(where(x > 0, 0, x)));  // the inner one, so that no branch overflows
  }
};

struct Silu {
  static constexpr const char* kName = "silu";
  auto operator()(const auto& x) const { return x * sigmoid(x); }
};

struct Gelu {
  static constexpr const char* kName = "gelu";
  auto operator()(const auto& x) const { return x * (0.5 + 0.5 * erf(x * (1 / std::numbers::sqrt2))); }
};

struct Clamp {
  static constexpr const char* kName = "clamp";
  double low, high;
  auto operator()(const auto& x) const { return where(x < low, low, where(x > high, high, x)); }
};

}  // namespace fn

/// x where x > 0, slope x elsewhere (Maas et al. 2013).
template <detail::Element X>
auto leaky_relu(const X& x, double slope = 0.01) {
  return detail::apply_body(fn::LeakyRelu{slope}, x);
}
/// x where x > 0, alpha (e^x - 1) elsewhere (Clevert et al. 2016).
template <detail::Element X>
auto elu(const X& x, double alpha = 1) {
  return detail::apply_body(fn::Elu{alpha}, x);
}
/// x sigmoid(x) (Elfwing et al. 2018), also called swish.
template <detail::Element X>
auto silu(const X& x) {
  return detail::apply_body(fn::Silu{}, x);
}
/// x (1 + erf(x / sqrt(2))) / 2, x times the normal distribution function (Hendrycks and Gimpel 2016).
template <detail::Element X>
auto gelu(const X& x) {
  return detail::apply_body(fn::Gelu{}, x);
}
/// x within [low, high], the nearer bound outside of it. The derivative is 1 within, also at the bounds. NaN
/// stays NaN. Throws Error if low > high or either is NaN.
template <detail::Element X>
auto clamp(const X& x, double low, double high) {
  if (!(low <= high))
    detail::fail("clamp: the bounds are ", low, " and ", high, "; the first must not be above the second");
  return detail::apply_body(fn::Clamp{low, high}, x);
}
/// clamp(x, -1, 1)
template <detail::Element X>
auto hardtanh(const X& x) {
  return clamp(x, -1, 1);
}

namespace detail {
using autograd::clamp;
using autograd::elu;
using autograd::gelu;
using autograd::hardtanh;
using autograd::leaky_relu;
using autograd::silu;
}  // namespace detail
}  // namespace autograd
