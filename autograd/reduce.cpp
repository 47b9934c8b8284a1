#include "reduce.hpp"

#include <cmath>

#include "transcendental.hpp"

namespace autograd {

using detail::fail;

namespace {

// The shape with the axes as extents of 1, and without them.
std::pair<Shape, Shape> reduced(const char* call, const Shape& shape,
                                std::initializer_list<std::ptrdiff_t> axes) {
  std::array<bool, Shape::kMaxRank> named{};
  for (std::ptrdiff_t axis : axes) {
    const std::size_t at = normalise_axis(axis, shape, call);
    if (std::exchange(named[at], true)) fail(call, ": axis ", axis, " of shape ", shape, " is named twice");
  }
  Shape kept = shape, dropped;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (named[axis])
      kept[axis] = 1;
    else
      dropped.push_back(shape[axis]);
  }
  return {kept, dropped};
}

template <class T>
void need_rows(const char* call, const Var<T>& x) {
  x.use(call);
  if (x.rank() == 0 || x.shape().back() == 0)
    fail(call, ": shape ", x.shape(), " has no entries along its last axis; at least one is needed");
}

// The largest entry of each row, as a constant. Where that is not finite it is 0, so that x - m is no NaN.
template <class T>
Var<T> row_maximum(const Var<T>& x) {
  const std::size_t cols = x.shape().back(), rows = x.size() / cols;
  Array<T> maximum(with_last_axis(x.shape(), 1));
  for (std::size_t r = 0; r < rows; ++r) {
    const T* row = x.array().data() + r * cols;
    const T largest = *std::max_element(row, row + cols);
    maximum.data()[r] = std::isfinite(largest) ? largest : T(0);
  }
  return maximum;
}

}  // namespace

template <class T>
Var<T> sum(const Var<T>& x) {
  x.use("sum");
  return sum_to(x, {});
}

template <class T>
Var<T> sum(const Var<T>& x, std::initializer_list<std::ptrdiff_t> axes, bool keepdims) {
  x.use("sum");
  const auto [kept, dropped] = reduced("sum", x.shape(), axes);
  return sum_to(x, kept).reshape(keepdims ? kept : dropped);
}

template <class T>
Var<T> mean(const Var<T>& x) {
  x.use("mean");
  if (x.size() == 0)
    fail("mean: shape ", x.shape(), " has no entries, so it has no mean; check for that first");
  return sum(x) / static_cast<T>(x.size());
}

template <class T>
Var<T> mean(const Var<T>& x, std::initializer_list<std::ptrdiff_t> axes, bool keepdims) {
  x.use("mean");
  const auto [kept, dropped] = reduced("mean", x.shape(), axes);
  if (x.size() == 0)
    fail("mean: shape ", x.shape(), " has no entries, so it has no mean; check for that first");
  return sum(x, axes, keepdims) / static_cast<T>(x.size() / kept.size());
}

template <class T>
Var<T> logsumexp(const Var<T>& x) {
  need_rows("logsumexp", x);
  const Var<T> m = row_maximum(x);
  return m + log(sum(exp(x - m), {-1}, true));
}

template <class T>
Var<T> log_softmax(const Var<T>& x) {
  need_rows("log_softmax", x);
  const Var<T> shifted =
      x - row_maximum(x);  // first, so that large entries that are close keep their differences
  return shifted - log(sum(exp(shifted), {-1}, true));
}

template <class T>
Var<T> softmax(const Var<T>& x) {
  need_rows("softmax", x);
  return exp(log_softmax(x));
}

#define UNROLL_INSTANTIATE(T)                                                       \
  template Var<T> sum(const Var<T>&);                                               \
  template Var<T> sum(const Var<T>&, std::initializer_list<std::ptrdiff_t>, bool);  \
  template Var<T> mean(const Var<T>&);                                              \
  template Var<T> mean(const Var<T>&, std::initializer_list<std::ptrdiff_t>, bool); \
  template Var<T> logsumexp(const Var<T>&);                                         \
  template Var<T> log_softmax(const Var<T>&);                                       \
  template Var<T> softmax(const Var<T>&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd
