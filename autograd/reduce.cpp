#include "reduce.hpp"

#include <cmath>

#include "description.hpp"
#include "recorded_sweep.hpp"
#include "shape_ops.hpp"
#include "tangent_sweep.hpp"
#include "transcendental.hpp"
#include "views.hpp"

namespace autograd {

using detail::fail;

namespace {

// A shape with the reduced axes as extents of 1, and without them.
struct Reduced {
  Shape kept, dropped;
  std::size_t count;  // entries that go into one

  Reduced(const char* call, const Shape& shape, const Axes& axes) : kept(shape), count(1) {
    const AxisSet named(call, axes, shape);
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      if (named[axis]) {
        count *= shape[axis];
        kept[axis] = 1;
      } else {
        dropped.push_back(shape[axis]);
      }
    }
  }
  const Shape& shape(bool keepdims) const { return keepdims ? kept : dropped; }
};

Axes all_axes(const Shape& shape) {
  Axes axes;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) axes.push_back(static_cast<std::ptrdiff_t>(axis));
  return axes;
}

template <class T>
Reduced reduced(const char* call, const Var<T>& x, const Axes& axes) {
  x.require_value(call);
  return {call, x.shape(), axes};
}

// The same, of at least one entry.
template <class T>
Reduced reduced_some(const char* call, const Var<T>& x, const Axes& axes) {
  const Reduced r = reduced(call, x, axes);
  if (r.count == 0) fail(call, ": shape ", x.shape(), " has no entries to reduce; at least one is needed");
  return r;
}

// x with the named axes last (or first), in order.
template <class T>
Var<T> gathered(const char* call, const Var<T>& x, const Axes& axes, bool last) {
  const AxisSet named(call, axes, x.shape());
  Axes order;
  for (const bool wanted : {!last, last})
    for (std::size_t axis = 0; axis < x.rank(); ++axis)
      if (named[axis] == wanted) order.push_back(static_cast<std::ptrdiff_t>(axis));
  return permute(x, order);
}

// Which of `count` numbers is the first NaN, or else the first of the largest (smallest).
template <class T>
std::size_t extreme(const T* x, std::size_t count, bool largest) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < count && !std::isnan(x[best]); ++i)
    if (std::isnan(x[i]) || (largest ? x[i] > x[best] : x[i] < x[best])) best = i;
  return best;
}

// The same along the last axis of rows of `count`.
template <class T>
std::vector<std::int64_t> extremes(const Var<T>& x, std::size_t rows, std::size_t count, bool largest) {
  std::vector<std::int64_t> at(rows);
  for (std::size_t r = 0; r < rows; ++r)
    at[r] = static_cast<std::int64_t>(extreme(x.array().data() + r * count, count, largest));
  return at;
}

template <class T>
Var<T> pick_extreme(const char* call, const Var<T>& x, const Axes& axes, bool keepdims, bool largest) {
  const Reduced r = reduced_some(call, x, axes);
  const std::size_t rows = r.dropped.size();
  const Var<T> last = gathered(call, x, axes, true);
  const detail::Runs runs(rows, 1);
  for (std::size_t i = 0; i < rows; ++i)
    runs.begin()[i] = i * r.count + extreme(last.array().data() + i * r.count, r.count, largest);
  return detail::pick_runs(call, last, r.shape(keepdims), runs);
}

template <class T>
Indices find_extreme(const char* call, const Var<T>& x, std::ptrdiff_t axis, bool largest) {
  const Reduced r = reduced_some(call, x, axis);
  const std::size_t rows = r.dropped.size();
  const Var<T> last = gathered(call, x.detach(), axis, true);
  return {r.dropped, extremes(last, rows, r.count, largest)};
}

template <class T>
Indices find_extreme(const char* call, const Var<T>& x, bool largest) {
  reduced_some(call, x, all_axes(x.shape()));
  return {{}, extremes(x, 1, x.size(), largest)};
}

template <class T>
struct CumsumNode : detail::LinearNode<T> {
  using value_type = T;
  using Recorded = detail::RecordedSweep<T>;
  detail::Place in, out;
  Shape shape;
  std::size_t axis, outer, extent, inner;
  bool reverse;

  void backward(detail::Sweep& sweep);
  void record(Recorded& sweep);
  void describe(detail::Description& d) const {
    d.op = "cumsum";
    d.operand(in, shape);
    d.result(out, shape);
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const;
  void release() {}
};

// to = x summed up along the middle axis of (outer, extent, inner), from its end if `reverse`; added to `to`
// if `accumulate`.
template <class T>
void cumulate(const CumsumNode<T>& n, bool reverse, const T* x, T* to, bool accumulate) {
  if (n.inner == 1) {
    for (std::size_t o = 0; o < n.outer; ++o) {
      T total(0);
      for (std::size_t k = 0; k < n.extent; ++k) {
        const std::size_t at = o * n.extent + (reverse ? n.extent - 1 - k : k);
        total += x[at];
        to[at] = accumulate ? to[at] + total : total;
      }
    }
    return;
  }
  Array<T> buffer({n.inner});
  T* sums = buffer.data();
  for (std::size_t o = 0; o < n.outer; ++o) {
    std::fill_n(sums, n.inner, T(0));
    for (std::size_t k = 0; k < n.extent; ++k) {
      const std::size_t row = (o * n.extent + (reverse ? n.extent - 1 - k : k)) * n.inner;
      for (std::size_t i = 0; i < n.inner; ++i) {
        sums[i] += x[row + i];
        to[row + i] = accumulate ? to[row + i] + sums[i] : sums[i];
      }
    }
  }
}

template <class T>
Var<T> record_cumsum(const Var<T>& x, std::size_t axis, bool reverse) {
  const detail::Place in = x.use("cumsum");
  detail::TapeStorage* tape = in.differentiable() ? detail::recording() : nullptr;
  CumsumNode<T> sizes;
  sizes.shape = x.shape();
  sizes.axis = axis;
  sizes.outer = x.shape().prefix(axis).size();
  sizes.extent = x.shape(axis);
  sizes.inner = x.shape().size_from(axis + 1);
  sizes.reverse = reverse;
  Var<T> out = detail::new_output<T>(x.shape(), tape);
  cumulate(sizes, reverse, x.array().data(), const_cast<T*>(out.array().data()), false);
  if (tape) {
    auto& node = tape->emplace<CumsumNode<T>>();
    node.in = in;
    node.out = out.place();
    node.shape = sizes.shape;
    node.axis = axis;
    node.outer = sizes.outer;
    node.extent = sizes.extent;
    node.inner = sizes.inner;
    node.reverse = reverse;
  }
  return out;
}

template <class T>
void CumsumNode<T>::backward(detail::Sweep& sweep) {
  const T* g = sweep.gradient<T>(out, shape.size());
  if (!g) return;
  const detail::Sink<T> to = sweep.sink<T>(in, shape.size());
  cumulate(*this, !reverse, g, to.data, to.accumulate);
}

template <class T>
std::vector<Var<T>> CumsumNode<T>::again(std::span<const Var<T>> x) const {
  return {record_cumsum(x[0], axis, reverse)};
}

template <class T>
void CumsumNode<T>::record(Recorded& sweep) {
  const Var<T> g = sweep.gradient(out, shape);
  if (g.defined()) sweep.add(in, shape, record_cumsum(g, axis, !reverse));
}

}  // namespace

template <class T>
Var<T> sum(const Var<T>& x) {
  x.require_value("sum");
  return detail::sum_to("sum", x, {}, T(1));
}

template <class T>
Var<T> sum(const Var<T>& x, const Axes& axes, bool keepdims) {
  const Reduced r = reduced("sum", x, axes);
  return detail::sum_to("sum", x, r.kept, T(1)).reshape(r.shape(keepdims));
}

template <class T>
Var<T> mean(const Var<T>& x) {
  x.require_value("mean");
  if (x.size() == 0)
    fail("mean: shape ", x.shape(), " has no entries, so it has no mean; check for that first");
  return detail::sum_to("mean", x, {}, static_cast<T>(x.size()));
}

template <class T>
Var<T> mean(const Var<T>& x, const Axes& axes, bool keepdims) {
  const Reduced r = reduced("mean", x, axes);
  if (r.count == 0)
    fail("mean: shape ", x.shape(), " has no entries, so it has no mean; check for that first");
  return detail::sum_to("mean", x, r.kept, static_cast<T>(r.count)).reshape(r.shape(keepdims));
}

template <class T>
Var<T> var(const Var<T>& x) {
  x.require_value("var");
  return var(x, all_axes(x.shape()));
}

template <class T>
Var<T> var(const Var<T>& x, const Axes& axes, VarianceOptions options) {
  const Reduced r = reduced("var", x, axes);
  if (r.count <= options.ddof)
    fail("var: there are ", r.count, " entries of shape ", x.shape(), " to reduce and ddof is ", options.ddof,
         "; there must be more entries than that");
  const Scope scope("var");
  const Var<T> squares = sum(square(x - mean(x, axes, true)), axes, options.keepdims);
  return squares / static_cast<T>(r.count - options.ddof);
}

template <class T>
Var<T> std(const Var<T>& x) {
  const Var<T> variance = var(x);
  const Scope scope("std");
  return sqrt(variance);
}

template <class T>
Var<T> std(const Var<T>& x, const Axes& axes, VarianceOptions options) {
  const Var<T> variance = var(x, axes, options);
  const Scope scope("std");
  return sqrt(variance);
}

template <class T>
Var<T> prod(const Var<T>& x) {
  x.require_value("prod");
  return prod(x, all_axes(x.shape()));
}

// Halves of the entries are multiplied with each other, again and again: no division, so that zeros do no
// harm.
template <class T>
Var<T> prod(const Var<T>& x, const Axes& axes, bool keepdims) {
  const Reduced r = reduced("prod", x, axes);
  if (r.count == 0) return Array<T>(r.shape(keepdims), T(1));
  const Scope scope("prod");
  Var<T> rows = gathered("prod", x, axes, false).reshape({r.count, r.dropped.size()});
  while (rows.shape(0) > 1) {
    const std::size_t n = rows.shape(0), half = n / 2;
    const Var<T> product = rows.slice(0, half) * rows.slice(half, 2 * half);
    rows = n % 2 ? concat({product, rows.slice(n - 1, n)}) : product;
  }
  return rows.reshape(r.shape(keepdims));
}

template <class T>
Var<T> max(const Var<T>& x) {
  x.require_value("max");
  return max(x, all_axes(x.shape()));
}
template <class T>
Var<T> max(const Var<T>& x, const Axes& axes, bool keepdims) {
  return pick_extreme("max", x, axes, keepdims, true);
}
template <class T>
Var<T> min(const Var<T>& x) {
  x.require_value("min");
  return min(x, all_axes(x.shape()));
}
template <class T>
Var<T> min(const Var<T>& x, const Axes& axes, bool keepdims) {
  return pick_extreme("min", x, axes, keepdims, false);
}

template <class T>
Indices argmax(const Var<T>& x) {
  return find_extreme("argmax", x, true);
}
template <class T>
Indices argmax(const Var<T>& x, std::ptrdiff_t axis) {
  return find_extreme("argmax", x, axis, true);
}
template <class T>
Indices argmin(const Var<T>& x) {
  return find_extreme("argmin", x, false);
}
template <class T>
Indices argmin(const Var<T>& x, std::ptrdiff_t axis) {
  return find_extreme("argmin", x, axis, false);
}

template <class T>
Var<T> logsumexp(const Var<T>& x) {
  x.require_value("logsumexp");
  return logsumexp(x, all_axes(x.shape()));
}

template <class T>
Var<T> logsumexp(const Var<T>& x, const Axes& axes, bool keepdims) {
  const Reduced r = reduced_some("logsumexp", x, axes);
  const Scope scope("logsumexp");
  const Var<T> m = detail::finite_max(x, axes);
  return (m + log(sum(exp(x - m), axes, true))).reshape(r.shape(keepdims));
}

template <class T>
Var<T> norm(const Var<T>& x) {
  x.require_value("norm");
  return norm(x, all_axes(x.shape()));
}

template <class T>
Var<T> norm(const Var<T>& x, const Axes& axes, bool keepdims) {
  x.require_value("norm");
  reduced("norm", x, axes);
  const Scope scope("norm");
  const Var<T> squares = sum(square(x), axes, keepdims);
  return where(squares, sqrt(where(squares, squares, 1)),
               0);  // the root of 0 would have an infinite derivative
}

template <class T>
Var<T> cumsum(const Var<T>& x, std::ptrdiff_t axis) {
  x.require_value("cumsum");
  return record_cumsum(x, normalise_axis(axis, x.shape(), "cumsum"), false);
}

template <class T>
Var<T> detail::finite_max(const Var<T>& x, const Axes& axes) {
  Var<T> m = max(x.detach(), axes, true);
  T* values = const_cast<T*>(m.array().data());
  for (std::size_t i = 0; i < m.size(); ++i)
    if (!std::isfinite(values[i])) values[i] = 0;
  return m;
}

#define UNROLL_INSTANTIATE(T)                                       \
  template Var<T> sum(const Var<T>&);                               \
  template Var<T> sum(const Var<T>&, const Axes&, bool);            \
  template Var<T> mean(const Var<T>&);                              \
  template Var<T> mean(const Var<T>&, const Axes&, bool);           \
  template Var<T> var(const Var<T>&);                               \
  template Var<T> var(const Var<T>&, const Axes&, VarianceOptions); \
  template Var<T> std(const Var<T>&);                               \
  template Var<T> std(const Var<T>&, const Axes&, VarianceOptions); \
  template Var<T> prod(const Var<T>&);                              \
  template Var<T> prod(const Var<T>&, const Axes&, bool);           \
  template Var<T> max(const Var<T>&);                               \
  template Var<T> max(const Var<T>&, const Axes&, bool);            \
  template Var<T> min(const Var<T>&);                               \
  template Var<T> min(const Var<T>&, const Axes&, bool);            \
  template Indices argmax(const Var<T>&);                           \
  template Indices argmax(const Var<T>&, std::ptrdiff_t);           \
  template Indices argmin(const Var<T>&);                           \
  template Indices argmin(const Var<T>&, std::ptrdiff_t);           \
  template Var<T> logsumexp(const Var<T>&);                         \
  template Var<T> logsumexp(const Var<T>&, const Axes&, bool);      \
  template Var<T> norm(const Var<T>&);                              \
  template Var<T> norm(const Var<T>&, const Axes&, bool);           \
  template Var<T> cumsum(const Var<T>&, std::ptrdiff_t);            \
  template Var<T> detail::finite_max(const Var<T>&, const Axes&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd
