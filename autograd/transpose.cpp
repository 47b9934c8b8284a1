#include "transpose.hpp"

#include <algorithm>
#include <cstring>

namespace autograd::detail {
namespace {

// Vectors of 16 bytes, which all processors have that matter.
template <class T>
using Quad __attribute__((vector_size(16))) = T;

[[gnu::always_inline]] inline void transpose_tile(const float* from, std::size_t from_row, float* to,
                                                  std::size_t to_row) {
  Quad<float> a, b, c, d;
  std::memcpy(&a, from, 16);
  std::memcpy(&b, from + from_row, 16);
  std::memcpy(&c, from + 2 * from_row, 16);
  std::memcpy(&d, from + 3 * from_row, 16);
  const Quad<float> ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                    ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad<float> cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
                    cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
  std::memcpy(to, &a, 16);
  std::memcpy(to + to_row, &b, 16);
  std::memcpy(to + 2 * to_row, &c, 16);
  std::memcpy(to + 3 * to_row, &d, 16);
}

[[gnu::always_inline]] inline void transpose_tile(const double* from, std::size_t from_row, double* to,
                                                  std::size_t to_row) {
  Quad<double> a, b;
  std::memcpy(&a, from, 16);
  std::memcpy(&b, from + from_row, 16);
  const Quad<double> low = __builtin_shufflevector(a, b, 0, 2), high = __builtin_shufflevector(a, b, 1, 3);
  std::memcpy(to, &low, 16);
  std::memcpy(to + to_row, &high, 16);
}

}  // namespace

template <class T>
void transpose(const T* from, std::size_t from_row, std::size_t rows, std::size_t cols, T* to,
               std::size_t to_row) {
  constexpr std::size_t kTile = 16 / sizeof(T), kBlock = 32;
  const std::size_t tiled_rows = rows / kTile * kTile, tiled_cols = cols / kTile * kTile;
  for (std::size_t i0 = 0; i0 < tiled_rows; i0 += kBlock)  // blocks that stay in the cache, both of them
    for (std::size_t j0 = 0; j0 < tiled_cols; j0 += kBlock)
      for (std::size_t j = j0; j < std::min(tiled_cols, j0 + kBlock); j += kTile)
        for (std::size_t i = i0; i < std::min(tiled_rows, i0 + kBlock); i += kTile)
          transpose_tile(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = i < tiled_rows ? tiled_cols : 0; j < cols; ++j)
      to[j * to_row + i] = from[i * from_row + j];
}

template void transpose(const float*, std::size_t, std::size_t, std::size_t, float*, std::size_t);
template void transpose(const double*, std::size_t, std::size_t, std::size_t, double*, std::size_t);

}  // namespace autograd::detail
