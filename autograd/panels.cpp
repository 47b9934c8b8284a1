#include "small_gemm.hpp"
// That one first: see simd.hpp.
#include <type_traits>
#include <utility>

#include "memory.hpp"
#include "panels.hpp"
#include "transpose.hpp"

namespace autograd::detail {
namespace {

// Of the registers, the sums take kRows x 3; on narrower vectors BLAS has kernels for processors that this
// code was not compiled for.
#if defined(__AVX512F__)
constexpr bool kWide = true, kWidest = true;
constexpr std::size_t kRows = 8;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr bool kWide = true, kWidest = false;
constexpr std::size_t kRows = 4;
#else
constexpr bool kWide = false, kWidest = false;
constexpr std::size_t kRows = 4;
#endif

// Multiplications from which on the panels are worth looking for.
constexpr std::size_t kWorthPanels = 4096;
// Terms that are summed before the sum is added to C: so many rows have a panel, and fewer bits are lost.
constexpr std::size_t kTerms = 256;
// A^T B is computed here of so many columns and more: from A and B as they lie up to so many elements of C,
// and beyond, where BLAS is as fast in float and slower in double, from copies of them.
constexpr std::size_t kLeastColumns = 32, kMostAsTheyLie = 48 * 1024;
// Bytes of panels that stay in the cache.
constexpr std::size_t kPanelBytes = 768 * 1024;
// Rows of A that all panels are multiplied with before the next ones; so many terms of them stay in the
// cache.
constexpr std::size_t kRowsAtOnce = 256;
constexpr std::size_t kCacheLine = 64;

template <class T>
constexpr std::size_t kLanes = Batch<T>::size;

// How wide the first panel is of so many columns, in vectors: as equal to the others as can be.
template <class T>
std::size_t panel_vectors(std::size_t columns) {
  const std::size_t vectors = (columns + kLanes<T> - 1) / kLanes<T>;
  return vectors == 4 ? 2 : std::min<std::size_t>(vectors, 3);
}

// What will be read next, to be brought nearer meanwhile: lines one behind the other, or rows of A.
struct Ahead {
  const char* from;
  std::size_t lines, row_bytes;
};

// How the factors lie.
enum class Factors {
  panels,      // A row-major, and B in panels
  transposed,  // the transpose of A row-major, and B row-major
  packed,      // the transpose of A in a panel, and B in panels; C comes from memory
};

// kRowsHere x kVectors vectors of C. Element (i, p) of A lies at a[i a_row + p a_col], row p of B at b + p
// b_row.
template <class T, std::size_t kRowsHere, std::size_t kVectors, bool kTail, Factors kFactors>
[[gnu::always_inline]] inline void panel_tile(std::size_t k, const T* a, std::size_t a_row, std::size_t a_col,
                                              const T* b, std::size_t b_row, bool accumulate, const T* bias,
                                              T* c, std::size_t ldc, const Part<T>& last, Ahead ahead) {
  using B = Batch<T>;
  B sum[kRowsHere][kVectors];
#pragma GCC unroll 32
  for (std::size_t i = 0; i < kRowsHere * kVectors; ++i) (&sum[0][0])[i] = B(T(0));
  for (std::size_t p = 0; p < k; ++p) {
    B vector[kVectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      const T* const from = b + p * b_row + v * kLanes<T>;
      const bool partial = kTail && kFactors == Factors::transposed && v == kVectors - 1;
      vector[v] = partial ? last.load(from) : B::load_unaligned(from);
    }
    const std::size_t step = kFactors == Factors::packed ? ahead.row_bytes : kCacheLine;
    if (p < ahead.lines) __builtin_prefetch(ahead.from + p * step, 0, 2);
    if (kFactors == Factors::packed && p < kRowsHere)
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) __builtin_prefetch(c + p * ldc + v * kLanes<T>, 1);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRowsHere; ++r) {
      const B factor(a[r * a_row + p * a_col]);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) sum[r][v] = xsimd::fma(factor, vector[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRowsHere; ++r)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      T* const to = c + r * ldc + v * kLanes<T>;
      const bool tail = kTail && v == kVectors - 1;
      const auto load = [&](const T* from) __attribute__((always_inline)) {
        return tail ? last.load(from) : B::load_unaligned(from);
      };
      B total = sum[r][v];
      if (accumulate) total = total + load(to);
      if (bias) total = total + load(bias + v * kLanes<T>);
      if (tail)
        last.store(to, total);
      else
        total.store_unaligned(to);
    }
}

// Calls multiply<kRowsHere>(i) for the tiles of m rows: each begins at row i.
[[gnu::always_inline]] inline void for_each_tile(std::size_t m, auto&& multiply) {
  std::size_t i = 0;
  const auto call = [&]<std::size_t kRowsHere>() __attribute__((always_inline)) {
    multiply.template operator()<kRowsHere>(i);
    i += kRowsHere;
  };
  while (i + kRows <= m) call.template operator()<kRows>();
  if (kRows > 4 && i + 4 <= m) call.template operator()<4>();
  if (i + 2 <= m) call.template operator()<2>();
  if (i < m) call.template operator()<1>();
}

// Adds the terms of one panel, or of as many columns of B, to its columns of C. `behind` tells that another
// panel lies behind it.
template <class T, std::size_t kVectors, bool kTail, Factors kFactors>
void multiply_panel(std::size_t m, std::size_t columns, std::size_t terms, const T* a, std::size_t lda,
                    const T* b, std::size_t ldb, bool behind, bool accumulate, const T* bias, T* c,
                    std::size_t ldc) {
  constexpr std::size_t kWidth = kVectors * kLanes<T>;
  const std::size_t a_row = kFactors == Factors::panels ? lda : 1,
                    a_col = kFactors == Factors::panels ? 1 : lda;
  const std::size_t b_row = kFactors == Factors::panels ? kWidth : ldb;
  const Part<T> last(kTail ? columns + kLanes<T> - kWidth : 0);
  const std::size_t lines = terms * kWidth * sizeof(T) / kCacheLine, tiles = (m + kRows - 1) / kRows;
  Ahead ahead{};
  if (behind)  // weights come from memory row by row of A otherwise
    ahead = {reinterpret_cast<const char*>(b + terms * b_row), (lines + tiles - 1) / tiles, 0};
  for_each_tile(
      m, [&]<std::size_t kRowsHere>(std::size_t i) __attribute__((always_inline)) {
        panel_tile<T, kRowsHere, kVectors, kTail, kFactors>(terms, a + i * a_row, a_row, a_col, b, b_row,
                                                            accumulate, bias, c + i * ldc, ldc, last, ahead);
        ahead.from += ahead.lines * kCacheLine;
      });
}

// Calls multiply<kVectors, kTail>(j, left, width) for the panels of n columns: each begins at column j, of
// which `left` are left.
template <class T>
void for_each_panel(std::size_t n, auto&& multiply) {
  for (std::size_t j = 0; j < n;) {
    const std::size_t left = n - j, vectors = panel_vectors<T>(left), width = vectors * kLanes<T>;
    const bool tail = left < width;
    const auto call = [&]<std::size_t kVectors>() {
      tail ? multiply.template operator()<kVectors, true>(j, left, width)
           : multiply.template operator()<kVectors, false>(j, left, width);
    };
    if (vectors == 3)
      call.template operator()<3>();
    else if (vectors == 2)
      call.template operator()<2>();
    else
      call.template operator()<1>();
    j += width;
  }
}

// A^T B [+ C] from copies of A and B: of a large C, whose rows lie pages apart. Columns of B are taken in
// parts that stay in the cache.
template <class T>
void multiply_packed(std::size_t m, std::size_t n, std::size_t k, const T* a, std::size_t lda, const T* b,
                     std::size_t ldb, bool accumulate, T* c, std::size_t ldc) {
  const std::size_t parts = (n * k * sizeof(T) + kPanelBytes - 1) / kPanelBytes;
  const std::size_t columns = ((n + parts - 1) / parts + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
  const BlockRef memory(allocate_block((panels_size<T>(k, columns) + k * kRows) * sizeof(T)));
  T* const panels = static_cast<T*>(memory->data());
  T* const tile = panels + panels_size<T>(k, columns);
  for (std::size_t first = 0; first < n; first += columns) {
    const std::size_t count = std::min(columns, n - first);
    pack_panels(b + first, ldb, Transpose::no, k, count, panels);
    for_each_tile(
        m, [&]<std::size_t kRowsHere>(std::size_t i) __attribute__((always_inline)) {
          for (std::size_t p = 0; p < k; ++p)
            for (std::size_t r = 0; r < kRowsHere; ++r) tile[p * kRowsHere + r] = a[p * lda + i + r];
          Ahead ahead{reinterpret_cast<const char*>(a + i + kRowsHere), i + kRowsHere < m ? k : 0,
                      lda * sizeof(T)};
          const T* panel = panels;
          for_each_panel<T>(count, [&]<std::size_t kVectors, bool kTail>(std::size_t j, std::size_t left,
                                                                         std::size_t width) {
            const Part<T> last(kTail ? left + kLanes<T> - width : 0);
            panel_tile<T, kRowsHere, kVectors, kTail, Factors::packed>(
                k, tile, 1, kRowsHere, panel, width, accumulate, nullptr, c + i * ldc + first + j, ldc, last,
                std::exchange(ahead, {}));
            panel += k * width;
          });
        });
  }
}

}  // namespace

bool prefer_panels(std::size_t multiplications) {
  return kWide && multiplications >= kWorthPanels && !on_threads(multiplications);
}

template <class T>
bool prefer_own_transposed(std::size_t m, std::size_t n, std::size_t k) {
  constexpr bool kDouble = std::is_same_v<T, double>;
  return kWidest && n >= kLeastColumns && k <= kTerms && (kDouble || m * n <= kMostAsTheyLie) &&
         !on_threads(m * n * k);
}

template <class T>
std::size_t panels_size(std::size_t k, std::size_t n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T> * k;
}

template <class T>
void pack_panels(const T* b, std::size_t ldb, Transpose t, std::size_t k, std::size_t n, T* panels) {
  for (std::size_t p = 0; p < k; p += kTerms) {
    const std::size_t terms = std::min(kTerms, k - p);
    for (std::size_t j = 0; j < n;) {
      const std::size_t width = panel_vectors<T>(n - j) * kLanes<T>, columns = std::min(width, n - j);
      if (t == Transpose::yes)
        transpose(b + j * ldb + p, ldb, columns, terms, panels, width);
      else
        for (std::size_t q = 0; q < terms; ++q)
          std::copy_n(b + (p + q) * ldb + j, columns, panels + q * width);
      if (columns < width)
        for (std::size_t q = 0; q < terms; ++q)
          std::fill(panels + q * width + columns, panels + (q + 1) * width, T(0));
      panels += terms * width;
      j += width;
    }
  }
}

template <class T>
void multiply_panels(std::size_t m, std::size_t n, std::size_t k, const T* a, std::size_t lda,
                     const T* panels, bool accumulate, const T* bias, T* c, std::size_t ldc) {
  for (std::size_t i = 0; i < m; i += kRowsAtOnce) {
    const std::size_t rows = std::min(kRowsAtOnce, m - i);
    const T* panel = panels;
    for (std::size_t p = 0; p < k; p += kTerms) {
      const std::size_t terms = std::min(kTerms, k - p);
      for_each_panel<T>(
          n, [&]<std::size_t kVectors, bool kTail>(std::size_t j, std::size_t left, std::size_t width) {
            multiply_panel<T, kVectors, kTail, Factors::panels>(
                rows, left, terms, a + i * lda + p, lda, panel, 0, left > width || p + terms < k,
                accumulate || p > 0, bias && p == 0 ? bias + j : nullptr, c + i * ldc + j, ldc);
            panel += terms * width;
          });
    }
  }
}

template <class T>
void multiply_transposed(std::size_t m, std::size_t n, std::size_t k, const T* a, std::size_t lda, const T* b,
                         std::size_t ldb, bool accumulate, T* c, std::size_t ldc) {
  if (m * n > kMostAsTheyLie) return multiply_packed(m, n, k, a, lda, b, ldb, accumulate, c, ldc);
  for_each_panel<T>(n, [&]<std::size_t kVectors, bool kTail>(std::size_t j, std::size_t left, std::size_t) {
    multiply_panel<T, kVectors, kTail, Factors::transposed>(m, left, k, a, lda, b + j, ldb, false, accumulate,
                                                            nullptr, c + j, ldc);
  });
}

#define UNROLL_INSTANTIATE(T)                                                                               \
  template std::size_t panels_size<T>(std::size_t, std::size_t);                                            \
  template void pack_panels(const T*, std::size_t, Transpose, std::size_t, std::size_t, T*);                \
  template void multiply_panels(std::size_t, std::size_t, std::size_t, const T*, std::size_t, const T*,     \
                                bool, const T*, T*, std::size_t);                                           \
  template bool prefer_own_transposed<T>(std::size_t, std::size_t, std::size_t);                            \
  template void multiply_transposed(std::size_t, std::size_t, std::size_t, const T*, std::size_t, const T*, \
                                    std::size_t, bool, T*, std::size_t);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd::detail
