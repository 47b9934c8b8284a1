// Blocks of columns: operands of map that read (and whose gradients write) part of a wider matrix in place.
#pragma once

#include "var.hpp"

namespace autograd {

/// Columns [first, first + width) of the last axis of a Var, as an operand of map: nothing is copied. As a
/// value of its own it is a Var by var(), which copies.
template <class T>
struct Columns {
  using value_type = T;
  Var<T> matrix;
  std::size_t first;
  std::size_t width;

  Var<T> var() const;
};

/// The K equal blocks of columns of a Var, as K operands of map.
template <class T, std::size_t K>
struct Chunks {
  using value_type = T;
  Var<T> matrix;
};

/// Columns [first, first + width) of the last axis. Throws Error if there are not as many.
template <class T>
Columns<T> columns(const Var<T>& x, std::size_t first, std::size_t width) {
  x.require_value("columns");
  if (x.rank() == 0 || first > x.shape().back() || width > x.shape().back() - first)
    detail::fail("columns: [", first, ", ", first + width, ") is outside the last axis of shape ", x.shape(),
                 "; give a range inside of it");
  return {x, first, width};
}

/// The last axis cut into K equal blocks (the gates of a recurrent cell), for map. Throws Error if K does not
/// divide it.
template <std::size_t K, class T>
Chunks<T, K> chunk(const Var<T>& x) {
  static_assert(K > 0, "chunk<K>: at least one block is needed");
  x.require_value("chunk");
  if (x.rank() == 0 || x.shape().back() % K != 0)
    detail::fail("chunk: the last axis of shape ", x.shape(), " cannot be cut into ", K,
                 " equal blocks; its extent must be a multiple of ", K);
  return {x};
}

}  // namespace autograd
