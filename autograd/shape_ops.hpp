// Ops that repeat or join whole values: broadcasting and its adjoint, concatenation. Those that rearrange
// entries are in views.hpp.
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

namespace detail {

// sum_to for an op of this name, divided by a number.
template <class T>
Var<T> sum_to(const char* op, const Var<T>& x, const Shape& shape, T divisor);

}  // namespace detail

/// Vars joined along an axis; their other axes must be equal. Throws Error if they are not, or if there are
/// none.
template <class T>
Var<T> concat(std::span<const Var<T>> parts, std::ptrdiff_t axis = 0);
template <class T>
Var<T> concat(const std::vector<Var<T>>& parts, std::ptrdiff_t axis = 0) {
  return concat(std::span<const Var<T>>(parts), axis);
}
template <class T>
Var<T> concat(std::initializer_list<Var<T>> parts, std::ptrdiff_t axis = 0) {
  return concat(std::span<const Var<T>>(parts.begin(), parts.size()), axis);
}

/// Vars of one shape as the entries of a new axis. Throws Error if the shapes differ, or if there are none.
template <class T>
Var<T> stack(std::span<const Var<T>> parts, std::ptrdiff_t axis = 0);
template <class T>
Var<T> stack(const std::vector<Var<T>>& parts, std::ptrdiff_t axis = 0) {
  return stack(std::span<const Var<T>>(parts), axis);
}
template <class T>
Var<T> stack(std::initializer_list<Var<T>> parts, std::ptrdiff_t axis = 0) {
  return stack(std::span<const Var<T>>(parts.begin(), parts.size()), axis);
}

namespace detail {

// Copies x to memory of its size, and its place on the tape to `place`; gives the copy.
template <class T>
Var<T> write_to(const Var<T>& x, Array<T> memory, Place place);

}  // namespace detail
}  // namespace autograd
