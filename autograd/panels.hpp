// Panels: a matrix laid out for products of more than one row. BLAS does that in each of its calls; for a
// weight, which is the same at every time step, it is done once: see cached_panels.
//
// Rows are taken in blocks, and columns in panels as wide as a few vectors. A panel of a block lies row after
// row without gaps, in the order in which products read it; columns beyond the matrix are zero. An element of
// a product is the same to the bit in a batch of whatever size. The same kernels multiply small matrices as
// they lie, of which one is transposed.
#pragma once

#include <cstddef>

#include "blas.hpp"

namespace autograd::detail {

// Whether a product of these sizes, of a matrix whose panels are there, is computed faster from them than by
// BLAS (measured). Not on several threads.
bool prefer_panels(std::size_t multiplications);
inline bool prefer_panels(std::size_t m, std::size_t n, std::size_t k) {
  return m > 1 && n > 1 && k > 1 && prefer_panels(m * n * k);
}

// Elements of the panels of a matrix (k x n).
template <class T>
std::size_t panels_size(std::size_t k, std::size_t n);

// The panels of op(B) (k x n), where B is row-major with ldb elements from one row to the next.
template <class T>
void pack_panels(const T* b, std::size_t ldb, Transpose t, std::size_t k, std::size_t n, T* panels);

// C (m x n) = A B [+ C] [+ bias], as gemm; A is row-major.
template <class T>
void multiply_panels(std::size_t m, std::size_t n, std::size_t k, const T* a, std::size_t lda,
                     const T* panels, bool accumulate, const T* bias, T* c, std::size_t ldc);

// Whether a product A^T B of these sizes is computed faster here than by BLAS (measured). Not on several
// threads.
template <class T>
bool prefer_own_transposed(std::size_t m, std::size_t n, std::size_t k);

// C (m x n) = A^T B [+ C], where A (k x m) and B (k x n) are row-major: the gradient of a weight.
template <class T>
void multiply_transposed(std::size_t m, std::size_t n, std::size_t k, const T* a, std::size_t lda, const T* b,
                         std::size_t ldb, bool accumulate, T* c, std::size_t ldc);

#define UNROLL_DECLARE(T)                                                                                \
  extern template std::size_t panels_size<T>(std::size_t, std::size_t);                                  \
  extern template void pack_panels(const T*, std::size_t, Transpose, std::size_t, std::size_t, T*);      \
  extern template void multiply_panels(std::size_t, std::size_t, std::size_t, const T*, std::size_t,     \
                                       const T*, bool, const T*, T*, std::size_t);                       \
  extern template bool prefer_own_transposed<T>(std::size_t, std::size_t, std::size_t);                  \
  extern template void multiply_transposed(std::size_t, std::size_t, std::size_t, const T*, std::size_t, \
                                           const T*, std::size_t, bool, T*, std::size_t);
UNROLL_DECLARE(float)
UNROLL_DECLARE(double)
#undef UNROLL_DECLARE

}  // namespace autograd::detail
