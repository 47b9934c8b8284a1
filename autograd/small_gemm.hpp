// Products of few rows, where a call of BLAS costs as much as the arithmetic: those of single time steps.
#pragma once

#include <algorithm>

#include "simd.hpp"

namespace autograd::detail {

// kVectors vectors of kRows rows of C: sums over k in kChains independent parts, which hide the latency of
// multiply-add. Element (i, p) of A lies at a[i a_row + p a_col]; the bias is null or that of these columns.
template <class T, int kRows, int kVectors, int kChains, bool kTail>
[[gnu::always_inline]] inline void gemm_tile(std::size_t k, const T* a, std::size_t a_row, std::size_t a_col,
                                             const T* b, std::size_t ldb, bool accumulate, const T* bias,
                                             T* c, std::size_t ldc, const Part<T>& last) {
  using B = Batch<T>;
  constexpr std::size_t kLanes = B::size;
  B sum[kChains][kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kChains * kRows * kVectors; ++i) (&sum[0][0][0])[i] = B(T(0));
  const auto step = [&](std::size_t p, int chain) __attribute__((always_inline)) {
    B vector[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const T* from = b + p * ldb + v * kLanes;
      vector[v] = kTail && v == kVectors - 1 ? last.load(from) : B::load_unaligned(from);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const B factor(a[r * a_row + p * a_col]);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) sum[chain][r][v] = xsimd::fma(factor, vector[v], sum[chain][r][v]);
    }
  };
  std::size_t p = 0;
  for (; p + kChains <= k; p += kChains)
#pragma GCC unroll 16
    for (int chain = 0; chain < kChains; ++chain) step(p + chain, chain);
  for (; p < k; ++p) step(p, 0);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      B total = sum[0][r][v];
#pragma GCC unroll 16
      for (int chain = 1; chain < kChains; ++chain) total = total + sum[chain][r][v];
      T* to = c + r * ldc + v * kLanes;
      const bool tail = kTail && v == kVectors - 1;
      const auto load = [&](const T* from) __attribute__((always_inline)) {
        return tail ? last.load(from) : B::load_unaligned(from);
      };
      if (accumulate)
        total = total + (bias ? load(to) + load(bias + v * kLanes) : load(to));
      else if (bias)
        total = total + load(bias + v * kLanes);
      if (tail)
        last.store(to, total);
      else
        total.store_unaligned(to);
    }
}

// Whether there are registers for the sums of a whole row of a weight: its rows are then read from first to
// last, as processors expect.
#ifdef __AVX512F__
constexpr bool kManyRegisters = true;
#else
constexpr bool kManyRegisters = false;
#endif

// C (m x n) = A B [+ C] [+ bias], where B and C are row-major and A lies as above.
template <class T>
struct SmallProduct {
  std::size_t m, n, k;
  const T* a;
  std::size_t a_row, a_col;
  const T* b;
  std::size_t ldb;
  bool accumulate;
  const T* bias;
  T* c;
  std::size_t ldc;

  void compute() const {
    constexpr std::size_t kLanes = Batch<T>::size;
    for (std::size_t j = 0; j < n;) {
      const std::size_t whole = (n - j) / kLanes;
      if (kManyRegisters && whole >= 16)
        j = columns<16, 1, false>(j);
      else if (kManyRegisters && whole >= 12)
        j = columns<12, 1, false>(j);
      else if (whole >= 8)
        j = columns<8, 1, false>(j);
      else if (whole >= 6)
        j = columns<6, 1, false>(j);
      else if (whole >= 4)
        j = columns<4, 2, false>(j);
      else if (whole >= 2)
        j = columns<2, 4, false>(j);
      else if (whole && whole * kLanes < n - j)
        j = columns<2, 4, true>(j);
      else if (whole)
        j = columns<1, 4, false>(j);
      else
        j = columns<1, 4, true>(j);
    }
  }

 private:
  // So many vectors of all rows, from column j on; returns the column behind them.
  template <int kVectors, int kChains, bool kTail>
  std::size_t columns(std::size_t j) const {
    const std::size_t behind = j + kVectors * Batch<T>::size;
    const Part<T> last(kTail ? n + Batch<T>::size - behind : 0);
    const T* const from = k ? b + j : b;  // which is null if there is nothing to read
    const T* const added = bias ? bias + j : nullptr;
    std::size_t i = 0;
    if constexpr (kVectors <= 2)
      for (; i + 4 <= m; i += 4)
        gemm_tile<T, 4, kVectors, 1, kTail>(k, a + i * a_row, a_row, a_col, from, ldb, accumulate, added,
                                            c + i * ldc + j, ldc, last);
    for (; i < m; ++i)
      gemm_tile<T, 1, kVectors, kChains, kTail>(k, a + i * a_row, a_row, a_col, from, ldb, accumulate, added,
                                                c + i * ldc + j, ldc, last);
    return behind;
  }
};

}  // namespace autograd::detail
