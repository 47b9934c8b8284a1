// Products of stacks of matrices.
#pragma once

#include "product.hpp"

namespace autograd::detail {

// A product of stacks: C[c] = sum of op(A[a]) op(B[b]) over all entries of a batch that share c, where an
// entry finds its three matrices by steps along the axes of the batch. A step of 0 repeats a factor, so that
// nothing that broadcasts is copied, and sums into a result. The gradients of A and B are products of the
// same kind over the same batch.
struct BatchedProduct {
  using Steps = std::array<std::size_t, Shape::kMaxRank>;  // in elements
  struct Factor {
    Steps step;
    Transpose t;
  };
  Shape batch;
  std::size_t rows, in, out;  // op(A) is rows x in, op(B) is in x out
  Factor a, b;
  Steps c;

  // Of an array whose leading axes, `own`, broadcast to the batch.
  static Steps steps_of(const Shape& own, const Shape& batch, std::size_t matrix);

  // Of G and B, in this order where A is not transposed, in the other where it is.
  BatchedProduct gradient_of_a() const;
  // Of A and G, in this order where B is not transposed, in the other where it is.
  BatchedProduct gradient_of_b() const;

  // Whether entries of the batch share a matrix of C, or some have none.
  bool sums() const;

  // C = result [+ C]; must accumulate where it sums.
  template <class T>
  void run(const T* left, const T* right, bool accumulate, T* result) const;
};

// The product as an op, with a result of this shape.
template <class T>
Var<T> record_batched(const char* op, const BatchedProduct& product, const Var<T>& a, const Var<T>& b,
                      const Shape& shape);

}  // namespace autograd::detail
