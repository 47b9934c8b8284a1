// A tape of a million nodes is a flat list: nothing recurses, and memory grows with the nodes and not faster.
#include <doctest/doctest.h>

#include "random_arrays.hpp"

namespace ag = autograd;
using V = ag::Var<double>;

namespace {

// The gradient of w - w / n - w / n ... (n times) halved, (1 - 1) / 2 + 1, and the most bytes that it took.
struct Run {
  double gradient;
  std::size_t peak_bytes;
};

Run run(std::size_t nodes) {
  ag::release_pooled_memory();
  ag::reset_peak_memory();
  const std::size_t before = ag::memory_stats().live_bytes;
  const V w = ag::variable(ag::Array<double>({}, 2.0));
  ag::Tape tape;
  V h = w;
  const double step = 1.0 / static_cast<double>(nodes);
  for (std::size_t i = 0; i < nodes; ++i)
    h = i % 2 ? ag::map([step](auto a, auto b) { return a - step * b; }, h, w) : h + w * step;
  const double gradient = tape.backward(h).array(w).item();
  return {gradient, ag::memory_stats().peak_bytes - before};
}

}  // namespace

TEST_CASE("a chain of a million nodes") {
#ifdef UNROLL_ASAN
  constexpr std::size_t kNodes = 100'000;
#else
  constexpr std::size_t kNodes = 1'000'000;
#endif
  const std::size_t before = ag::memory_stats().live_bytes;
  const Run small = run(kNodes / 10), large = run(kNodes);
  CHECK(small.gradient == doctest::Approx(1).epsilon(1e-12));
  CHECK(large.gradient == doctest::Approx(1).epsilon(1e-12));
  CHECK(large.peak_bytes < 10.1 * static_cast<double>(small.peak_bytes));
  CHECK(large.peak_bytes < 512 * kNodes);
  CHECK(ag::memory_stats().live_bytes == before);
  ag::release_pooled_memory();
}

TEST_CASE("gradients are released as the sweep passes") {
  // Values take n rows; the gradients of all nodes at once would take as much again.
  constexpr std::size_t kNodes = 200, kElements = 4096;
  const V w = ag::variable(test::random_array({kElements}, 1));
  ag::Tape tape;
  V h = w;
  for (std::size_t i = 0; i < kNodes; ++i) h = square(h);
  const V loss = ag::sum(h);
  ag::reset_peak_memory();
  const std::size_t recorded = ag::memory_stats().live_bytes;
  (void)tape.backward(loss);
  CHECK(ag::memory_stats().peak_bytes - recorded <= 4 * kElements * sizeof(double));
}

TEST_CASE("products with twenty thousand values of the tape") {
  // Each step multiplies by a matrix of its own, which gathers its own gradient.
  constexpr std::size_t kSteps = 100'000;
  const V a = ag::variable(test::random_array({2, 2}, 1, 0.1, 0.2));
  ag::Tape tape;
  V h = a;
  for (std::size_t i = 0; i < kSteps; ++i) h = ag::matmul(a, h) + a;
  const ag::Gradients g = tape.backward(ag::sum(h));
  // h = (1 - a)^-1 a in the limit, and dh = (1 - a)^-1 da (1 - a)^-1.
  const double p = 1 - a.value()(0, 0), q = -a.value()(0, 1), r = -a.value()(1, 0), s = 1 - a.value()(1, 1);
  const double det = p * s - q * r;
  const double inverse[2][2] = {{s / det, -q / det}, {-r / det, p / det}};
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j)
      CHECK(
          g[a](i, j) ==
          doctest::Approx((inverse[0][i] + inverse[1][i]) * (inverse[j][0] + inverse[j][1])).epsilon(1e-13));
}
