#include "views.hpp"

#include <cstdint>

#include "strided.hpp"

namespace autograd {

using detail::fail;
using detail::gather_view;
using detail::SignedIndex;
using detail::StridedView;
using detail::view_of;

namespace {

// A range as Python counts it: the first position, and how many.
std::pair<std::ptrdiff_t, std::size_t> positions(const Range& range, std::size_t extent) {
  const auto n = static_cast<std::ptrdiff_t>(extent);
  const bool forward = range.step > 0;
  const std::ptrdiff_t low = forward ? 0 : -1, high = forward ? n : n - 1;  // what a bound may be
  const auto bound = [&](const std::optional<std::ptrdiff_t>& given, std::ptrdiff_t otherwise) {
    return given ? std::clamp(*given < 0 ? *given + n : *given, low, high) : otherwise;
  };
  const std::ptrdiff_t begin = bound(range.begin, forward ? low : high);
  const std::ptrdiff_t end = bound(range.end, forward ? high : low);
  const std::ptrdiff_t length = forward ? end - begin : begin - end,
                       step = forward ? range.step : -std::max(range.step, -PTRDIFF_MAX);
  return {begin, length > 0 ? static_cast<std::size_t>((length - 1) / step + 1) : 0};
}

}  // namespace

template <class T>
Var<T> permute(const Var<T>& x, const Axes& axes) {
  x.require_value("permute");
  const std::size_t rank = x.rank();
  if (axes.size() != rank)
    fail("permute: ", axes.size(), " axes for shape ", x.shape(), "; each of its ", rank,
         " must be named once");
  const AxisSet named("permute", axes, x.shape());  // refuses one that is named twice
  const StridedView all = view_of(x.shape());
  StridedView view = all;
  bool same = true;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::size_t axis = normalise_axis(axes[i], x.shape(), "permute");
    view.shape[i] = x.shape(axis);
    view.stride[i] = all.stride[axis];
    same &= axis == i;
  }
  return same ? x : gather_view("permute", x, view);
}

template <class T>
Var<T> transpose(const Var<T>& x) {
  x.require_value("transpose");
  Axes reversed;
  for (std::size_t axis = x.rank(); axis-- > 0;) reversed.push_back(static_cast<std::ptrdiff_t>(axis));
  return permute(x, reversed);
}

template <class T>
Var<T> expand_dims(const Var<T>& x, std::ptrdiff_t axis) {
  x.require_value("expand_dims");
  const auto rank = static_cast<std::ptrdiff_t>(x.rank()) + 1;
  if (axis < -rank || axis >= rank)
    fail("expand_dims: axis ", axis, " does not exist in the result of ", rank, " axes; axes are ", -rank,
         " to ", rank - 1);
  const auto at = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
  Shape shape = x.shape().prefix(at);
  shape.push_back(1);
  for (std::size_t i = at; i < x.rank(); ++i) shape.push_back(x.shape(i));
  return x.reshape(shape);
}

template <class T>
Var<T> squeeze(const Var<T>& x) {
  x.require_value("squeeze");
  Shape shape;
  for (const std::size_t extent : x.shape())
    if (extent != 1) shape.push_back(extent);
  return x.reshape(shape);
}

template <class T>
Var<T> squeeze(const Var<T>& x, const Axes& axes) {
  x.require_value("squeeze");
  const AxisSet named("squeeze", axes, x.shape());
  Shape shape;
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    if (!named[axis])
      shape.push_back(x.shape(axis));
    else if (x.shape(axis) != 1)
      fail("squeeze: axis ", axis, " of shape ", x.shape(), " has extent ", x.shape(axis),
           "; only axes of extent 1 can be left out");
  }
  return x.reshape(shape);
}

template <class T>
Var<T> slice(const Var<T>& x, const PerAxis<Range>& ranges) {
  x.require_value("slice");
  if (ranges.size() > x.rank())
    fail("slice: ", ranges.size(), " ranges for shape ", x.shape(), "; give at most one for each axis");
  StridedView view = view_of(x.shape());
  bool whole = true, rows = true;  // all of it; only rows of axis 0, in order
  for (std::size_t axis = 0; axis < ranges.size(); ++axis) {
    if (ranges[axis].step == 0)
      fail("slice: the step of axis ", axis, " is 0; it must be positive or negative");
    const auto [begin, count] = positions(ranges[axis], x.shape(axis));
    const bool all = begin == 0 && count == x.shape(axis) && ranges[axis].step == 1;
    whole &= all;
    rows &= all || (axis == 0 && ranges[axis].step == 1);
    view.shape[axis] = count;
    view.offset += begin * view.stride[axis];
    if (count > 1) view.stride[axis] *= ranges[axis].step;  // a step beyond the end might overflow
  }
  if (whole) return x;
  if (rows) {
    const auto begin = static_cast<std::size_t>(positions(ranges[0], x.shape(0)).first);
    return x.slice(begin, begin + view.shape[0]);
  }
  return gather_view("slice", x, view);
}

template <class T>
Var<T> flip(const Var<T>& x, const Axes& axes) {
  x.require_value("flip");
  const AxisSet named("flip", axes, x.shape());
  StridedView view = view_of(x.shape());
  if (axes.size() == 0 || x.size() == 0) return x;
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    if (!named[axis]) continue;
    view.offset += static_cast<std::ptrdiff_t>(x.shape(axis) - 1) * view.stride[axis];
    view.stride[axis] *= -1;
  }
  return gather_view("flip", x, view);
}

template <class T>
Var<T> pad(const Var<T>& x, const PerAxis<std::pair<std::size_t, std::size_t>>& widths, double value) {
  x.require_value("pad");
  if (widths.size() != x.rank())
    fail("pad: ", widths.size(), " pairs of widths for shape ", x.shape(),
         "; there must be one for each axis");
  Shape shape = x.shape();
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    const auto [before, after] = widths[axis];
    if (before > PTRDIFF_MAX || after > PTRDIFF_MAX)
      fail("pad: the widths of axis ", axis, " are ", SignedIndex{before}, " and ", SignedIndex{after},
           "; they must be at least 0, cut with slice");
    shape[axis] += before + after;
  }
  StridedView view = view_of(shape);
  view.shape = x.shape();
  for (std::size_t axis = 0; axis < x.rank(); ++axis)
    view.offset += static_cast<std::ptrdiff_t>(widths[axis].first) * view.stride[axis];
  return detail::scatter_view("pad", x, view, shape, static_cast<T>(value));
}

namespace {

template <class T>
std::vector<Var<T>> parts(const Var<T>& x, const std::vector<std::size_t>& extents, std::size_t axis) {
  std::vector<Var<T>> result;
  PerAxis<Range> ranges;
  for (std::size_t i = 0; i <= axis; ++i) ranges.push_back({});
  std::ptrdiff_t begin = 0;
  for (const std::size_t extent : extents) {
    const std::ptrdiff_t end = begin + static_cast<std::ptrdiff_t>(extent);
    ranges[axis] = {begin, end};
    result.push_back(slice(x, ranges));
    begin = end;
  }
  return result;
}

}  // namespace

template <class T>
std::vector<Var<T>> split(const Var<T>& x, std::size_t count, std::ptrdiff_t axis) {
  x.require_value("split");
  const std::size_t at = normalise_axis(axis, x.shape(), "split");
  if (count == 0 || x.shape(at) % count != 0)
    fail("split: axis ", axis, " of shape ", x.shape(), " cannot be cut into ", count,
         " equal parts; give their extents, or use chunk");
  return parts(x, std::vector<std::size_t>(count, x.shape(at) / count), at);
}

template <class T>
std::vector<Var<T>> split(const Var<T>& x, const std::vector<std::size_t>& extents, std::ptrdiff_t axis) {
  x.require_value("split");
  const std::size_t at = normalise_axis(axis, x.shape(), "split");
  std::size_t sum = 0;
  for (const std::size_t extent : extents) {
    if (extent > x.shape(at))
      fail("split: an extent is ", SignedIndex{extent}, "; axis ", axis, " of shape ", x.shape(), " has ",
           x.shape(at), "; give extents that add up to that");
    sum += extent;
  }
  if (sum != x.shape(at))
    fail("split: the extents add up to ", sum, "; axis ", axis, " of shape ", x.shape(), " has ", x.shape(at),
         "; make the two equal");
  return parts(x, extents, at);
}

template <class T>
std::vector<Var<T>> chunk(const Var<T>& x, std::size_t count, std::ptrdiff_t axis) {
  x.require_value("chunk");
  const std::size_t at = normalise_axis(axis, x.shape(), "chunk"), extent = x.shape(at);
  if (count == 0) fail("chunk: the count is 0; at least one part is needed");
  const std::size_t each = std::max<std::size_t>(1, (extent + count - 1) / count);
  std::vector<std::size_t> extents;
  for (std::size_t begin = 0; begin < extent; begin += each)
    extents.push_back(std::min(each, extent - begin));
  if (extents.empty()) extents.push_back(0);
  return parts(x, extents, at);
}

#define UNROLL_INSTANTIATE(T)                                                                         \
  template Var<T> permute(const Var<T>&, const Axes&);                                                \
  template Var<T> transpose(const Var<T>&);                                                           \
  template Var<T> expand_dims(const Var<T>&, std::ptrdiff_t);                                         \
  template Var<T> squeeze(const Var<T>&);                                                             \
  template Var<T> squeeze(const Var<T>&, const Axes&);                                                \
  template Var<T> slice(const Var<T>&, const PerAxis<Range>&);                                        \
  template Var<T> flip(const Var<T>&, const Axes&);                                                   \
  template Var<T> pad(const Var<T>&, const PerAxis<std::pair<std::size_t, std::size_t>>&, double);    \
  template std::vector<Var<T>> split(const Var<T>&, std::size_t, std::ptrdiff_t);                     \
  template std::vector<Var<T>> split(const Var<T>&, const std::vector<std::size_t>&, std::ptrdiff_t); \
  template std::vector<Var<T>> chunk(const Var<T>&, std::size_t, std::ptrdiff_t);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd
