// Strided views: the one way in which entries are picked out of an array by position (transposed, sliced,
// flipped), and its adjoint, which puts them back (padding).
#pragma once

#include <array>

#include "var.hpp"

namespace autograd::detail {

// Where entries lie in an array: entry (i, j, ...) at offset + i stride_0 + j stride_1 + ... No two at one
// place.
struct StridedView {
  Shape shape;
  std::array<std::ptrdiff_t, Shape::kMaxRank> stride{};
  std::ptrdiff_t offset = 0;
};

// All entries of an array of this shape.
inline StridedView view_of(const Shape& shape) {
  StridedView view{shape, {}, 0};
  std::ptrdiff_t step = 1;
  for (std::size_t axis = shape.rank(); axis-- > 0; step *= static_cast<std::ptrdiff_t>(shape[axis]))
    view.stride[axis] = step;
  return view;
}

// The entries of x in a view, as an array of their own. `op` is what an Error calls it.
template <class T>
Var<T> gather_view(const char* op, const Var<T>& x, const StridedView& view);

// An array of this shape that is `fill` but for the view's entries, which are x.
template <class T>
Var<T> scatter_view(const char* op, const Var<T>& x, const StridedView& view, const Shape& shape, T fill = 0);

}  // namespace autograd::detail
