// Oracles by brute force: an array is what a function of the index says.
#pragma once

#include <autograd/autograd.hpp>
#include <cmath>
#include <vector>

namespace test {

using Index = std::vector<std::size_t>;

/// No axes, extents of 0 and 1, all ranks, and rows that are longer than SIMD registers and no multiple of
/// them.
inline const std::vector<autograd::Shape>& shapes() {
  static const std::vector<autograd::Shape> all{{},           {1},
                                                {0},          {5},
                                                {67},         {1, 1},
                                                {3, 4},       {1, 19},
                                                {33, 17},     {0, 3},
                                                {3, 0},       {17, 130},
                                                {2, 3, 4},    {1, 7, 1},
                                                {2, 0, 3},    {2, 1, 3, 2},
                                                {5, 1, 2, 3}, {2, 3, 1, 2, 2},
                                                {9, 2, 33},   {2, 3, 1, 2, 3, 2}};
  return all;
}

/// Every index of an array, the last axis the fastest.
inline std::vector<Index> indices_of(const autograd::Shape& shape) {
  std::vector<Index> all;
  Index index(shape.rank());
  for (std::size_t i = 0; i < shape.size(); ++i) {
    all.push_back(index);
    for (std::size_t axis = shape.rank(); axis-- > 0; index[axis] = 0)
      if (++index[axis] < shape[axis]) break;
  }
  return all;
}

inline std::size_t flat(const Index& index, const autograd::Shape& shape) {
  std::size_t at = 0;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) at = at * shape[axis] + index[axis];
  return at;
}

template <class T>
T entry(const autograd::Var<T>& x, const Index& index) {
  return x.array().data()[flat(index, x.shape())];
}

/// Whether y has this shape and is value(index) everywhere; NaN is NaN.
template <class T, class Value>
bool has_entries(const autograd::Var<T>& y, const autograd::Shape& shape, Value&& value) {
  if (!(y.shape() == shape)) return false;
  for (const Index& index : indices_of(shape)) {
    const T a = entry(y, index), b = value(index);
    if (!(a == b || (std::isnan(a) && std::isnan(b)))) return false;
  }
  return true;
}

/// Every set of axes, some of them counted from the end.
inline std::vector<autograd::Axes> axis_sets(std::size_t rank) {
  std::vector<autograd::Axes> all;
  for (std::size_t bits = 0; bits < std::size_t{1} << rank; ++bits) {
    autograd::Axes axes;
    for (std::size_t axis = 0; axis < rank; ++axis)
      if (bits >> axis & 1)
        axes.push_back(static_cast<std::ptrdiff_t>(axis) - ((axis + bits) % 2 ? std::ptrdiff_t(rank) : 0));
    all.push_back(axes);
  }
  return all;
}

/// Which axes a list names.
inline std::vector<bool> named(const autograd::Axes& axes, std::size_t rank) {
  std::vector<bool> is(rank);
  for (const std::ptrdiff_t axis : axes)
    is[static_cast<std::size_t>(axis < 0 ? axis + std::ptrdiff_t(rank) : axis)] = true;
  return is;
}

}  // namespace test
