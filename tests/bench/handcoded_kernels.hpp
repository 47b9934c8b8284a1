// What the hand-written step is made of: products, elementwise parts in SIMD, sums of rows, the update.
#pragma once

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>
#include <xsimd/xsimd.hpp>

namespace handcoded {

template <class T>
using Vec = std::vector<T, xsimd::aligned_allocator<T, 64>>;

// C (m x n) = op(A) op(B) + beta C, row-major; the leading dimensions are those of packed matrices if 0.
template <class T>
void gemm(bool ta, bool tb, int m, int n, int k, const T* a, const T* b, T beta, T* c, int lda = 0,
          int ldb = 0, int ldc = 0) {
  const auto at = ta ? CblasTrans : CblasNoTrans, bt = tb ? CblasTrans : CblasNoTrans;
  lda = lda ? lda : ta ? m : k;
  ldb = ldb ? ldb : tb ? k : n;
  ldc = ldc ? ldc : n;
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, at, bt, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
  else
    cblas_dgemm(CblasRowMajor, at, bt, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}

template <class V>
V sig(const V& x) {
  if constexpr (std::is_floating_point_v<V>)
    return V(1) / (V(1) + std::exp(-x));
  else
    return V(1) / (V(1) + xsimd::exp(-x));
}
template <class V>
V th(const V& x) {
  if constexpr (std::is_floating_point_v<V>)
    return std::tanh(x);
  else
    return xsimd::tanh(x);
}

// Runs f over [0, n) in SIMD batches with a scalar tail; f gets the offset, a load and a store.
template <class T, class F>
void simd(int n, F&& f) {
  using B = xsimd::batch<T>;
  constexpr int kSize = static_cast<int>(B::size);
  int j = 0;
  for (; j + kSize <= n; j += kSize)
    f(
        j, [](const T* p) { return B::load_unaligned(p); }, [](T* p, const B& v) { v.store_unaligned(p); });
  for (; j < n; ++j)
    f(
        j, [](const T* p) { return *p; }, [](T* p, const T& v) { *p = v; });
}

template <class T>
void addbias(T* m, const T* b, int r, int c) {
  for (int i = 0; i < r; ++i)
    simd<T>(c, [&](int j, auto ld, auto st) { st(m + i * c + j, ld(m + i * c + j) + ld(b + j)); });
}
template <class T>
void colsum(const T* m, T* b, int r, int c) {
  std::fill(b, b + c, T(0));
  for (int i = 0; i < r; ++i)
    simd<T>(c, [&](int j, auto ld, auto st) { st(b + j, ld(b + j) + ld(m + i * c + j)); });
}
template <class T>
void sgd(Vec<T>& w, const Vec<T>& g) {
  simd<T>(static_cast<int>(w.size()), [&](int j, auto ld, auto st) {
    auto x = ld(&w[j]);
    st(&w[j], x - decltype(x)(T(0.01)) * ld(&g[j]));
  });
}

}  // namespace handcoded
