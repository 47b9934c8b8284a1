// Products with weights that are laid out in panels once for each of their values.
#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "autograd/autograd.hpp"
#include "autograd/panels.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;

namespace {

using ag::detail::Transpose;
using test::difference;
using test::random_array;
using test::random_variable;

// Of sums of k products of numbers below 1, in any order.
template <class T>
double rounding(std::size_t k) {
  return 2 * static_cast<double>(std::numeric_limits<T>::epsilon()) * static_cast<double>(k + 2);
}

// The same numbers, of which no layout is kept.
template <class T>
ag::Var<T> constant(const ag::Var<T>& x) {
  return ag::Array<T>(x.value());
}

template <class T>
std::vector<T> panels_of(const ag::Var<T>& matrix, Transpose t) {
  const bool transposed = t == Transpose::yes;
  const std::size_t k = matrix.shape(transposed), n = matrix.shape(!transposed);
  std::vector<T> panels(ag::detail::panels_size<T>(k, n) + 1, T(9));
  ag::detail::pack_panels(matrix.array().data(), transposed ? k : n, t, k, n, panels.data());
  REQUIRE(panels.back() == T(9));
  return panels;
}

template <class T>
void check_product(std::size_t m, std::size_t n, std::size_t k) {
  const std::size_t gap = n % 3, lda = k + gap, ldc = n + gap;
  const ag::Array<T> a = random_array<T>({m, lda}, 1), before = random_array<T>({m, ldc}, 4),
                     bias = random_array<T>({n}, 3);
  const ag::Var<T> b = random_array<T>({k, n}, 2);
  std::vector<double> sums(m * n);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t p = 0; p < k; ++p)
      for (std::size_t j = 0; j < n; ++j)
        sums[i * n + j] += double(a.data()[i * lda + p]) * double(b.array().data()[p * n + j]);
  for (const Transpose t : {Transpose::no, Transpose::yes})
    for (const bool accumulate : {false, true})
      for (const bool add_bias : {false, true}) {
        const std::vector<T> panels = panels_of(t == Transpose::yes ? transpose(b) : b, t);
        std::vector<T> c(before.data(), before.data() + before.size());
        ag::detail::multiply_panels(m, n, k, a.data(), lda, panels.data(), accumulate,
                                    add_bias ? bias.data() : nullptr, c.data(), ldc);
        std::vector<double> expected(before.data(), before.data() + before.size());
        for (std::size_t i = 0; i < m; ++i)
          for (std::size_t j = 0; j < n; ++j) {
            double& each = expected[i * ldc + j];
            each = sums[i * n + j] + (accumulate ? each : 0) + (add_bias ? double(bias.data()[j]) : 0);
          }
        const double error = difference(std::vector<double>(c.begin(), c.end()), expected);
        if (!(error < rounding<T>(k)))
          FAIL_CHECK("m " << m << " n " << n << " k " << k << " transposed " << (t == Transpose::yes)
                          << " accumulate " << accumulate << " bias " << add_bias << ": error " << error);
      }
}

template <class T>
void check_transposed(std::size_t m, std::size_t n, std::size_t k) {
  const std::size_t lda = m + n % 3, ldb = n + m % 3, ldc = n + k % 3;
  const ag::Array<T> a = random_array<T>({k, lda}, 1), b = random_array<T>({k, ldb}, 2),
                     before = random_array<T>({m, ldc}, 3);
  for (const bool accumulate : {false, true}) {
    std::vector<T> c(before.data(), before.data() + before.size());
    ag::detail::multiply_transposed(m, n, k, a.data(), lda, b.data(), ldb, accumulate, c.data(), ldc);
    std::vector<double> expected(before.data(), before.data() + before.size());
    for (std::size_t i = 0; i < m; ++i) {
      double* const row = &expected[i * ldc];
      if (!accumulate) std::fill_n(row, n, 0.0);
      for (std::size_t p = 0; p < k; ++p)
        for (std::size_t j = 0; j < n; ++j)
          row[j] += double(a.data()[p * lda + i]) * double(b.data()[p * ldb + j]);
    }
    const double error = difference(std::vector<double>(c.begin(), c.end()), expected);
    if (!(error < rounding<T>(k)))
      FAIL_CHECK("m " << m << " n " << n << " k " << k << " accumulate " << accumulate << ": error "
                      << error);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("a product with panels is the sum of products at every size, with C and a bias", T, float,
                   double) {
  for (const std::size_t m : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 29})
    for (const std::size_t n : {1, 2, 7, 8, 9, 16, 17, 24, 31, 40, 48, 63, 64, 65, 100})
      for (const std::size_t k : {1, 2, 5, 64, 257}) check_product<T>(m, n, k);
  for (const std::size_t k : {255, 256, 512, 600}) check_product<T>(13, 50, k);
  for (const std::size_t m : {255, 256, 257, 513}) check_product<T>(m, 50, 13);
}

TEST_CASE_TEMPLATE("a product of a transposed matrix is the sum of products, of small and of large results",
                   T, float, double) {
  for (const std::size_t m : {1, 2, 3, 7, 8, 12, 29})
    for (const std::size_t n : {32, 33, 48, 65, 100})
      for (const std::size_t k : {1, 5, 128}) check_transposed<T>(m, n, k);
  for (const std::size_t m : {250, 257, 262, 263})
    for (const std::size_t n : {200, 201, 207, 240}) check_transposed<T>(m, n, 9);
  check_transposed<T>(24, 2100, 128);  // in several parts
  check_transposed<T>(1700, 32, 128);
}

TEST_CASE_TEMPLATE("rows of a product are the same to the bit in a batch of any size", T, float, double) {
  const std::size_t rows = 300, k = 300, n = 72;
  const ag::Array<T> a = random_array<T>({rows, k}, 1);
  const std::vector<T> panels = panels_of<T>(random_array<T>({k, n}, 2), Transpose::no);
  const auto last_rows = [&](std::size_t count) {
    std::vector<T> c(count * n);
    ag::detail::multiply_panels<T>(count, n, k, a.data() + (rows - count) * k, k, panels.data(), false,
                                   nullptr, c.data(), n);
    return c;
  };
  const std::vector<T> all = last_rows(rows);
  for (const std::size_t count : {1, 2, 3, 5, 8, 11, 64, 255, 256, 299})
    CHECK(std::ranges::equal(last_rows(count), std::span(all).last(count * n)));
}

TEST_CASE_TEMPLATE("products and gradients of a weight are those of the same matrix as a constant", T, float,
                   double) {
  const std::size_t in = 65, out = 100;
  for (const std::size_t rows : {1, 2, 9, 32})
    for (const bool transposed : {false, true}) {
      const auto weight = random_variable<T>(transposed ? ag::Shape{out, in} : ag::Shape{in, out}, 1);
      const auto x = random_variable<T>({rows, in}, 2), g = ag::Var<T>(random_array<T>({rows, out}, 3));
      const auto result_and_gradient = [&](const ag::Var<T>& w) {
        const ag::Tape tape;
        const auto y = transposed ? linear(x, w) : matmul(x, w);
        return std::pair(constant(y), ag::grad(sum(y * g), x));
      };
      const auto [y, dx] = result_and_gradient(weight);
      const auto [expected, expected_dx] = result_and_gradient(constant(weight));
      CHECK(difference(y, expected) < rounding<T>(in));
      CHECK(difference(dx, expected_dx) < rounding<T>(out));
    }
}

TEST_CASE("a product sees every change of its weight") {
  auto weight = random_variable<float>({64, 48}, 1);
  const ag::Var<float> x = random_array<float>({8, 64}, 2);
  for (unsigned i = 0; i < 6; ++i) {
    for (int twice = 0; twice < 2; ++twice)
      CHECK(difference(matmul(x, weight), matmul(x, constant(weight))) < rounding<float>(64));
    if (i % 2)
      weight.update([](auto& w) { w *= -1.5f; });
    else
      weight.assign(random_array<float>({64, 48}, 10 + i).view());
  }
}

TEST_CASE("windows of one weight, of any shape, are weights of their own") {
  const auto both = random_variable<float>({128, 64}, 1);
  const ag::Var<float> x = random_array<float>({8, 64}, 2), wide = random_array<float>({8, 128}, 3);
  for (int twice = 0; twice < 2; ++twice) {
    CHECK(difference(matmul(wide, both), matmul(wide, constant(both))) < rounding<float>(128));
    CHECK(difference(linear(x, both), linear(x, constant(both))) < rounding<float>(64));
    for (const auto& window : {both.slice(0, 64), both.slice(64, 128), both.reshape({64, 128})})
      CHECK(difference(matmul(x, window), matmul(x, constant(window))) < rounding<float>(64));
  }
}

TEST_CASE("more weights than are kept, and weights where others were") {
  const ag::Var<float> x = random_array<float>({4, 40}, 1);
  std::vector<ag::Var<float>> weights;
  for (unsigned i = 0; i < 400; ++i) weights.push_back(random_variable<float>({40, 40}, 2 + i));
  for (unsigned round = 0; round < 3; ++round) {
    double worst = 0;
    for (const auto& weight : weights)
      worst = std::max(worst, difference(matmul(x, weight), matmul(x, constant(weight))));
    CHECK(worst < rounding<float>(40));
    for (unsigned i = 0; i < weights.size(); i += 3) {
      weights[i] = {};
      weights[i] =
          random_variable<float>({40, 40}, 1000 * (round + 1) + i);  // in the memory of the one before
    }
  }
}

TEST_CASE("what is kept of weights is given back on request") {
  ag::release_pooled_memory();
  const std::size_t before = ag::memory_stats().live_bytes;
  const ag::Var<float> x = random_array<float>({8, 64}, 2);
  const auto weight = random_variable<float>({64, 64}, 1);
  const std::size_t own = ag::memory_stats().live_bytes - before;
  const auto multiply = [&] { return matmul(x, weight).shape() == ag::Shape{8, 64}; };
  CHECK(multiply());
  ag::release_pooled_memory();
  CHECK(ag::memory_stats().live_bytes - before == own);
  CHECK(multiply());
}
