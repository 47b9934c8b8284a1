// Functions of ops that networks are made of, in the form that is stable for large inputs.
#pragma once

#include "map.hpp"
#include "reduce.hpp"

namespace autograd {

/// x - logsumexp(x) along an axis, as (x - m) - log(sum_i exp(x_i - m)) with m the largest entry. Throws
/// Error if the axis does not exist or has no entries.
template <class T>
Var<T> log_softmax(const Var<T>& x, std::ptrdiff_t axis = -1);

/// exp(log_softmax(x)); sums to 1 along the axis.
template <class T>
Var<T> softmax(const Var<T>& x, std::ptrdiff_t axis = -1);

/// (x - mean) / sqrt(var + eps) weight + bias, mean and variance along the last axis (Ba et al. 2016), as
/// PyTorch's layer_norm. Weight and bias have the extent of the last axis. Throws Error if they do not, or if
/// there are no entries.
template <class T>
Var<T> layer_norm(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, double eps = 1e-5);
/// Without weight and bias.
template <class T>
Var<T> layer_norm(const Var<T>& x, double eps = 1e-5);

/// Each entry is 0 with probability p and x / (1 - p) otherwise (Srivastava et al. 2014). Random numbers in
/// [0, 1) come from rng.uniform(), one for each entry in order. Throws Error unless 0 <= p < 1.
template <class T, class Rng>
Var<T> dropout(const Var<T>& x, double p, Rng& rng) {
  x.require_value("dropout");
  if (!(p >= 0 && p < 1)) detail::fail("dropout: the probability is ", p, "; it must be in [0, 1)");
  Array<T> mask(x.shape());
  for (std::size_t i = 0; i < mask.size(); ++i)
    mask.data()[i] = rng.uniform() < p ? T(0) : static_cast<T>(1 / (1 - p));
  return map([](auto x, auto m) { return where(m, x * m, 0); }, x, Var<T>(std::move(mask)));
}

}  // namespace autograd
