// The matrix product below all ops, at all sizes that one of its kernels treats in its own way, against plain
// sums.
#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <vector>

#include "autograd/blas.hpp"
#include "autograd/transpose.hpp"

namespace {

using autograd::detail::gemm;
using autograd::detail::Transpose;

// Numbers in (-1, 1), all different.
template <class T>
std::vector<T> numbers(std::size_t count, double seed) {
  std::vector<T> result(count);
  for (std::size_t i = 0; i < count; ++i)
    result[i] = static_cast<T>(std::sin(seed + 1.7 * static_cast<double>(i)));
  return result;
}

// The largest error of gemm, in units of the last place of the sum of magnitudes; what lies between rows of C
// must stay.
template <class T>
double worst_error(bool ta, bool tb, std::size_t m, std::size_t n, std::size_t k, bool accumulate,
                   bool with_bias, std::size_t gap) {
  const std::size_t lda = (ta ? m : k) + gap, ldb = (tb ? k : n) + gap, ldc = n + gap;
  const std::vector<T> a = numbers<T>(lda * (ta ? k : m) + 1, 1), b = numbers<T>(ldb * (tb ? n : k) + 1, 2);
  const std::vector<T> before = numbers<T>(ldc * m + 1, 3), bias = numbers<T>(n, 4);
  std::vector<T> c = before;
  gemm(ta ? Transpose::yes : Transpose::no, tb ? Transpose::yes : Transpose::no, m, n, k, a.data(), lda,
       b.data(), ldb, accumulate, with_bias ? bias.data() : nullptr, c.data(), ldc);
  double worst = 0;
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < ldc; ++j) {
      const T was = before[i * ldc + j], is = c[i * ldc + j];
      if (j >= n) {
        if (was != is) return 1e9;
        continue;
      }
      double sum = 0, magnitude = 0;
      if (accumulate) {
        sum = static_cast<double>(was);
        magnitude = std::abs(sum);
      }
      if (with_bias) {
        sum += static_cast<double>(bias[j]);
        magnitude += std::abs(static_cast<double>(bias[j]));
      }
      for (std::size_t p = 0; p < k; ++p) {
        const double term = static_cast<double>(a[ta ? p * lda + i : i * lda + p]) *
                            static_cast<double>(b[tb ? j * ldb + p : p * ldb + j]);
        sum += term;
        magnitude += std::abs(term);
      }
      const double unit = magnitude * static_cast<double>(std::numeric_limits<T>::epsilon()) + 1e-300;
      const double error = std::abs(static_cast<double>(is) - sum) / unit;
      worst = std::max(worst, std::isnan(error) ? HUGE_VAL : error);
    }
  return worst;
}

template <class T>
void check_sizes() {
  for (const std::size_t m : {1, 2, 3, 4, 5, 9})
    for (const std::size_t n :
         {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 128, 129, 200, 272})
      for (const std::size_t k : {1, 2, 3, 4, 5, 16, 33})
        for (const bool accumulate : {false, true})
          for (const bool bias : {false, true})
            for (const bool ta : {false, true})
              for (const bool tb : {false, true})
                for (const std::size_t gap : {0, 3}) {
                  const double error = worst_error<T>(ta, tb, m, n, k, accumulate, bias, gap);
                  if (!(error < 8))
                    FAIL_CHECK("m " << m << " n " << n << " k " << k << " accumulate " << accumulate
                                    << " bias " << bias << " transposed " << ta << tb << " gap " << gap
                                    << ": error " << error);
                }
}

}  // namespace

TEST_CASE("a matrix product is the sum of products at every size and layout, with C and a bias") {
  check_sizes<float>();
  check_sizes<double>();
}

TEST_CASE("a product over nothing is zero, whatever C was") {
  std::vector<float> c(64, NAN);
  gemm<float>(Transpose::no, Transpose::no, 1, 40, 0, nullptr, 1, nullptr, 40, false, nullptr, c.data(), 40);
  for (std::size_t j = 0; j < 40; ++j) CHECK(c[j] == 0);
  std::vector<float> b(40, 2);
  const float one = 1;
  c.assign(64, NAN);
  gemm<float>(Transpose::no, Transpose::no, 1, 40, 1, &one, 1, b.data(), 40, false, nullptr, c.data(), 40);
  for (std::size_t j = 0; j < 40; ++j) CHECK(c[j] == 2);
}

TEST_CASE("transposing, at sizes within and beyond its tiles") {
  const auto check = [](auto zero) {
    using T = decltype(zero);
    for (const std::size_t rows : {1, 2, 3, 4, 5, 8, 31, 32, 33, 70})
      for (const std::size_t cols : {1, 2, 3, 4, 6, 7, 30, 32, 35, 66}) {
        const std::vector<T> matrix = numbers<T>(rows * cols, 1);
        std::vector<T> result(rows * cols + 1, T(9));
        autograd::detail::transpose(matrix.data(), cols, rows, cols, result.data(), rows);
        bool same = result.back() == T(9);
        for (std::size_t i = 0; i < rows; ++i)
          for (std::size_t j = 0; j < cols; ++j) same &= result[j * rows + i] == matrix[i * cols + j];
        if (!same) FAIL_CHECK(rows << " x " << cols);
      }
  };
  check(float{});
  check(double{});
}
