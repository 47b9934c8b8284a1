// A variable's matrix, laid out as products read it fastest and kept until its value changes: a weight is
// read at every time step. Only the values of variables are kept, since only they tell of a change (see
// Var::update). Each thread has its own.
#pragma once

#include "blas.hpp"
#include "memory.hpp"

namespace autograd::detail {

// The transpose of a matrix (rows x cols).
template <class T>
const T* cached_transpose(const Block* variable, const T* matrix, std::size_t rows, std::size_t cols);

// The panels of op(B) (k x n), see panels.hpp.
template <class T>
const T* cached_panels(const Block* variable, const T* b, Transpose t, std::size_t k, std::size_t n);

// Gives all that this thread keeps back.
void forget_weights();

extern template const float* cached_transpose(const Block*, const float*, std::size_t, std::size_t);
extern template const double* cached_transpose(const Block*, const double*, std::size_t, std::size_t);
extern template const float* cached_panels(const Block*, const float*, Transpose, std::size_t, std::size_t);
extern template const double* cached_panels(const Block*, const double*, Transpose, std::size_t, std::size_t);

}  // namespace autograd::detail
