// Reductions over all entries or over some axes, and cumulative sums. Over axes they take NumPy's arguments:
// the axes (negative ones count from the end) are dropped, or kept with extent 1. All throw Error for an axis
// that does not exist or is named twice.
#pragma once

#include "indexing.hpp"
#include "var.hpp"

namespace autograd {

/// Sum of all entries, a scalar; or over some axes.
template <class T>
Var<T> sum(const Var<T>& x);
template <class T>
Var<T> sum(const Var<T>& x, const Axes& axes, bool keepdims = false);

/// Mean of all entries, a scalar; or over some axes. Throws Error if it would be over no entries.
template <class T>
Var<T> mean(const Var<T>& x);
template <class T>
Var<T> mean(const Var<T>& x, const Axes& axes, bool keepdims = false);

/// How var and std over axes work.
struct VarianceOptions {
  std::size_t ddof = 0;  ///< "delta degrees of freedom": 1 for the unbiased estimate from a sample
  bool keepdims = false;
};

/// Variance, sum((x - mean)^2) / n, of all entries; or, with n - ddof for n, over some axes. Throws Error
/// unless n > ddof.
template <class T>
Var<T> var(const Var<T>& x);
template <class T>
Var<T> var(const Var<T>& x, const Axes& axes, VarianceOptions options = {});

/// Standard deviation, the square root of var. The derivative is infinite or NaN where all entries are equal.
template <class T>
Var<T> std(const Var<T>& x);
template <class T>
Var<T> std(const Var<T>& x, const Axes& axes, VarianceOptions options = {});

/// Product of all entries, a scalar; or over some axes. The derivative is exact also where entries are 0.
template <class T>
Var<T> prod(const Var<T>& x);
template <class T>
Var<T> prod(const Var<T>& x, const Axes& axes, bool keepdims = false);

/// The largest entry; or the largest along some axes. NaN if there is one. The gradient goes to the first of
/// those that are equal. Throws Error if it would be of no entries.
template <class T>
Var<T> max(const Var<T>& x);
template <class T>
Var<T> max(const Var<T>& x, const Axes& axes, bool keepdims = false);

/// The smallest entry, as max.
template <class T>
Var<T> min(const Var<T>& x);
template <class T>
Var<T> min(const Var<T>& x, const Axes& axes, bool keepdims = false);

/// Where the largest entry is: its position among all entries in row-major order, or along an axis, which is
/// dropped. The first of those that are equal, or the first NaN. These are integers and have no derivative.
/// Throws Error if there are no entries.
template <class T>
Indices argmax(const Var<T>& x);
template <class T>
Indices argmax(const Var<T>& x, std::ptrdiff_t axis);

/// Where the smallest entry is, as argmax.
template <class T>
Indices argmin(const Var<T>& x);
template <class T>
Indices argmin(const Var<T>& x, std::ptrdiff_t axis);

/// log(sum_i exp x_i) of all entries or over some axes, as m + log(sum_i exp(x_i - m)) with m the largest
/// entry, which cannot overflow. Throws Error if it would be over no entries.
template <class T>
Var<T> logsumexp(const Var<T>& x);
template <class T>
Var<T> logsumexp(const Var<T>& x, const Axes& axes, bool keepdims = false);

/// Euclidean norm, sqrt(sum x^2), of all entries or over some axes. The derivative at 0 is taken as 0.
template <class T>
Var<T> norm(const Var<T>& x);
template <class T>
Var<T> norm(const Var<T>& x, const Axes& axes, bool keepdims = false);

/// y_i = x_0 + ... + x_i along an axis.
template <class T>
Var<T> cumsum(const Var<T>& x, std::ptrdiff_t axis = 0);

namespace detail {

// The largest entries along some axes, which are kept, as a constant. Where that is not finite it is 0, so
// that x - m is no NaN.
template <class T>
Var<T> finite_max(const Var<T>& x, const Axes& axes);

}  // namespace detail
}  // namespace autograd
