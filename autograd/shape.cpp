#include "shape.hpp"

namespace autograd {

using detail::fail;

Shape Extents::of(const Shape& from) const {
  Shape shape;
  std::size_t open = Shape::kMaxRank;  // the axis of the -1
  std::size_t others = 1;
  for (std::size_t axis = 0; axis < size(); ++axis) {
    const std::ptrdiff_t extent = (*this)[axis];
    if (extent < -1)
      fail("reshape: extent ", extent, " of axis ", axis, " is negative; only -1 stands for what is left");
    if (extent == -1 && open < Shape::kMaxRank)
      fail("reshape: the extents of axes ", open, " and ", axis, " are both -1; give one of them");
    if (extent == -1) open = axis;
    shape.push_back(extent == -1 ? 1 : static_cast<std::size_t>(extent));
    others *= shape[axis];
  }
  if (open == Shape::kMaxRank) return shape;
  if (others == 0 || from.size() % others)
    fail("reshape: ", from.size(), " elements of shape ", from, " leave no extent for axis ", open,
         " beside ", others, " of the other axes",
         others ? "; their product must divide the size" : "; give it, since it could be anything");
  shape[open] = from.size() / others;
  return shape;
}

}  // namespace autograd
