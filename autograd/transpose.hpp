// Transposing matrices.
#pragma once

#include <cstddef>

namespace autograd::detail {

// The transpose of a matrix of so many rows and columns; `from_row` and `to_row` are how far rows lie apart.
template <class T>
void transpose(const T* from, std::size_t from_row, std::size_t rows, std::size_t cols, T* to,
               std::size_t to_row);

extern template void transpose(const float*, std::size_t, std::size_t, std::size_t, float*, std::size_t);
extern template void transpose(const double*, std::size_t, std::size_t, std::size_t, double*, std::size_t);

}  // namespace autograd::detail
