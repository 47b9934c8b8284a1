// Ops that move or repeat entries: broadcasting and its adjoint, joining, columns, transposition.
#pragma once

#include <span>
#include <vector>

#include "columns.hpp"

namespace autograd {

/// x repeated along axes of extent 1 (and new leading axes) to `shape`, as in NumPy. Throws Error if it does
/// not fit.
template <class T>
Var<T> broadcast_to(const Var<T>& x, const Shape& shape);

/// x summed over the axes along which `shape` was broadcast to x's shape: the adjoint of broadcast_to.
template <class T>
Var<T> sum_to(const Var<T>& x, const Shape& shape);

/// Vars joined along axis 0; their other axes must be equal. Throws Error if they are not, or if there are
/// none.
template <class T>
Var<T> concat(std::span<const Var<T>> parts);
template <class T>
Var<T> concat(const std::vector<Var<T>>& parts) {
  return concat(std::span<const Var<T>>(parts));
}

/// Vars of one shape as the entries of a new axis 0. Throws Error if the shapes differ, or if there are none.
template <class T>
Var<T> stack(std::span<const Var<T>> parts);
template <class T>
Var<T> stack(const std::vector<Var<T>>& parts) {
  return stack(std::span<const Var<T>>(parts));
}

/// The transpose of a matrix. Throws Error for other ranks.
template <class T>
Var<T> transpose(const Var<T>& x);

namespace detail {

// x as columns [first, first + x's) of a matrix of `width` columns that is zero elsewhere: the adjoint of
// columns.
template <class T>
Var<T> embed_columns(const Var<T>& x, std::size_t first, std::size_t width);

// Copies x to memory of its size, and its place on the tape to `place`; gives the copy.
template <class T>
Var<T> write_to(const Var<T>& x, Array<T> memory, Place place);

}  // namespace detail
}  // namespace autograd
