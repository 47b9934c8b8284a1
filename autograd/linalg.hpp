// Matrix products.
#pragma once

#include "var.hpp"

namespace autograd {

/// Product a b, as numpy.matmul:
///
///     (K)          (K)          gives ()           sum_k a_k b_k
///     (K)          (K, N)       gives (N)          sum_k a_k b_kn
///     (..., M, K)  (K)          gives (..., M)     sum_k a_mk b_k
///     (..., M, K)  (K, N)       gives (..., M, N)  sum_k a_mk b_kn
///     (..., M, K)  (..., K, N)  gives (..., M, N)  the same for each pair of matrices
///
/// The leading axes of stacks of matrices broadcast, without a copy, and (K) is (1, K) or (K, 1) there,
/// without this axis in the result. Rows times one matrix are one product however many axes they have. A sum
/// over no entries is 0. Throws Error if the inner sizes differ, if leading axes do not broadcast, or for a
/// scalar.
template <class T>
Var<T> matmul(const Var<T>& a, const Var<T>& b);

/// Inner product sum_k a_k b_k of two vectors (K), a scalar. Throws Error for other ranks, or if their sizes
/// differ.
template <class T>
Var<T> dot(const Var<T>& a, const Var<T>& b);

/// Outer product a_i b_j: (M) and (N) give (M, N). Others are taken as vectors of their entries, as
/// numpy.outer does.
template <class T>
Var<T> outer(const Var<T>& a, const Var<T>& b);

/// Affine map x W^T + b as one node: x (..., I), weight W (O, I) and bias b (O) give (..., O). The layout of
/// W is PyTorch's. Throws Error if the sizes do not fit.
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias);
/// x W^T
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight);

/// Affine map x W + b as one node: x (..., I), weight W (I, O) and bias b (O) give (..., O). The layout of W
/// is Keras'; linear takes the other. Throws Error if the sizes do not fit.
template <class T>
Var<T> affine(const Var<T>& x, const Var<T>& weight, const Var<T>& bias);
/// x W
template <class T>
Var<T> affine(const Var<T>& x, const Var<T>& weight);

/// c + x W^T + b as one node: c (..., O) is an addend of the result's shape. Pass c with std::move if it is
/// not needed any more: the sum is then made in its memory where nobody else can see it.
template <class T>
Var<T> add_linear(Var<T> c, const Var<T>& x, const Var<T>& weight, const Var<T>& bias);
/// c + x W^T
template <class T>
Var<T> add_linear(Var<T> c, const Var<T>& x, const Var<T>& weight);

}  // namespace autograd
