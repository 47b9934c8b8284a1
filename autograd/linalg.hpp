// Matrix products.
#pragma once

#include "var.hpp"

namespace autograd {

/// Matrix product a b: (..., K) times (K, N) gives (..., N). Throws Error if the inner sizes differ, if b is
/// not a matrix or if a is a scalar.
template <class T>
Var<T> matmul(const Var<T>& a, const Var<T>& b);

/// Affine map x W^T + b as one node: x (..., I), weight W (O, I) and bias b (O) give (..., O). The layout of
/// W is PyTorch's. Throws Error if the sizes do not fit.
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias);
/// x W^T
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight);

/// c + x W^T + b as one node: c (..., O) is an addend of the result's shape. Pass c with std::move if it is
/// not needed any more: the sum is then made in its memory where nobody else can see it.
template <class T>
Var<T> add_linear(Var<T> c, const Var<T>& x, const Var<T>& weight, const Var<T>& bias);
/// c + x W^T
template <class T>
Var<T> add_linear(Var<T> c, const Var<T>& x, const Var<T>& weight);

}  // namespace autograd
