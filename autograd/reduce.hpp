// Reductions, and what is composed of them.
#pragma once

#include <initializer_list>

#include "shape_ops.hpp"

namespace autograd {

/// Sum of all entries, a scalar.
template <class T>
Var<T> sum(const Var<T>& x);
/// Sum over some axes (negative ones count from the end), which are dropped, or kept with extent 1. Throws
/// Error for an axis that does not exist or is named twice.
template <class T>
Var<T> sum(const Var<T>& x, std::initializer_list<std::ptrdiff_t> axes, bool keepdims = false);

/// Mean of all entries, a scalar. Throws Error if there are none.
template <class T>
Var<T> mean(const Var<T>& x);
/// Mean over some axes, as sum. Throws Error if it would be over no entries.
template <class T>
Var<T> mean(const Var<T>& x, std::initializer_list<std::ptrdiff_t> axes, bool keepdims = false);

/// log(sum_i exp x_i) over the last axis, kept with extent 1: m + log(sum_i exp(x_i - m)) with m the largest
/// entry, which cannot overflow. Throws Error for a scalar or an empty axis.
template <class T>
Var<T> logsumexp(const Var<T>& x);

/// x - logsumexp(x) over the last axis, as (x - m) - log(sum_i exp(x_i - m)).
template <class T>
Var<T> log_softmax(const Var<T>& x);

/// exp(log_softmax(x)) over the last axis; each row sums to 1.
template <class T>
Var<T> softmax(const Var<T>& x);

}  // namespace autograd
