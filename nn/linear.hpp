// The linear layer.
#pragma once

#include <cmath>

#include "autograd/linalg.hpp"
#include "init.hpp"
#include "parameters.hpp"

namespace nn {

/// y = x W^T + b for x (..., in): weight (out, in), bias (out), as PyTorch's nn.Linear. Both start uniform in
/// +-1/sqrt(in).
template <class T = float>
struct Linear {
  ag::Var<T> weight, bias;

  Linear(std::size_t in, std::size_t out, Rng& rng, bool with_bias = true) {
    detail::need_size("Linear", "in", in);
    detail::need_size("Linear", "out", out);
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    weight = ag::variable(init::uniform<T>({out, in}, -bound, bound, rng));
    if (with_bias) bias = ag::variable(init::uniform<T>({out}, -bound, bound, rng));
  }

  auto fields(auto&& visit) {
    visit("weight", weight);
    visit("bias", bias);
  }

  /// x W^T + b. Throws Error if the last axis of x is not `in`.
  ag::Var<T> operator()(const ag::Var<T>& x) const {
    return bias.defined() ? ag::linear(x, weight, bias) : ag::linear(x, weight);
  }
};

}  // namespace nn
