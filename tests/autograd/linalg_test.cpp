// Products against loops, and products of stacks against those of their matrices one by one.
#include <doctest/doctest.h>

#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Shape;
using ag::Var;

namespace {

// What numpy.matmul says, in loops and in double.
struct Expected {
  Shape shape;
  std::vector<double> values;
};

template <class T>
Expected naive(const ag::Array<T>& a, const ag::Array<T>& b) {
  Shape left = a.shape(), right = b.shape();
  if (a.rank() == 1) left = {1, left[0]};
  if (b.rank() == 1) right = {right[0], 1};
  const std::size_t rank = std::max(left.rank(), right.rank());
  const auto padded = [&](const Shape& s) {
    Shape result;
    for (std::size_t i = s.rank(); i < rank; ++i) result.push_back(1);
    for (std::size_t extent : s) result.push_back(extent);
    return result;
  };
  left = padded(left);
  right = padded(right);
  Shape full = left;
  full[rank - 1] = right[rank - 1];
  for (std::size_t axis = 0; axis + 2 < rank; ++axis)
    if (left[axis] == 1) full[axis] = right[axis];
  // The element of an operand at an index of the result, with another index along one axis.
  const auto at = [&](const ag::Array<T>& x, const Shape& s, Shape index, std::size_t axis, std::size_t k) {
    index[axis] = k;
    std::size_t i = 0;
    for (std::size_t d = 0; d < rank; ++d) i = i * s[d] + (s[d] == 1 ? 0 : index[d]);
    return static_cast<double>(x.data()[i]);
  };
  Expected result;
  for (std::size_t flat = 0; flat < full.size(); ++flat) {
    Shape index = full;
    for (std::size_t d = rank, rest = flat; d-- > 0; rest /= full[d]) index[d] = rest % full[d];
    double sum = 0;
    for (std::size_t k = 0; k < left[rank - 1]; ++k)
      sum += at(a, left, index, rank - 1, k) * at(b, right, index, rank - 2, k);
    result.values.push_back(sum);
  }
  for (std::size_t axis = 0; axis < rank; ++axis)
    if (!(axis == rank - 2 && a.rank() == 1) && !(axis == rank - 1 && b.rank() == 1))
      result.shape.push_back(full[axis]);
  return result;
}

template <class T>
void check_product(const Shape& a, const Shape& b, double tolerance) {
  CAPTURE(a);
  CAPTURE(b);
  const auto x = test::random_array<T>(a, 1), y = test::random_array<T>(b, 2);
  const Expected expected = naive(x, y);
  const Var<T> constants = ag::matmul(Var<T>(x), Var<T>(y));
  CHECK(constants.shape() == expected.shape);
  CHECK(test::difference(test::numbers(constants), expected.values) <= tolerance);
  const auto v = ag::variable(x), w = ag::variable(y);
  const ag::Tape tape;
  CHECK(test::difference(test::numbers(ag::matmul(v, w)), expected.values) <= tolerance);
}

void check_product(const Shape& a, const Shape& b) {
  check_product<float>(a, b, 1e-5);
  check_product<double>(a, b, 1e-13);
}

// The product of stacks whose leading axis is one, matrix by matrix.
template <class T>
Var<T> one_by_one(const Var<T>& a, const Var<T>& b) {
  std::vector<Var<T>> parts;
  for (std::size_t i = 0; i < std::max(a.shape(0), b.shape(0)); ++i)
    parts.push_back(ag::matmul(a[a.shape(0) == 1 ? 0 : i], b[b.shape(0) == 1 ? 0 : i]));
  return ag::stack(parts);
}

// A function with derivatives of every order, and these in a row: of order 1, 2 and 3.
template <class T, class F>
std::vector<std::vector<double>> derivatives(F product, const Var<T>& a, const Var<T>& b) {
  std::vector<std::vector<double>> result;
  const ag::Tape tape;
  const Var<T> y = product(a, b);
  Var<T> f = ag::sum(tanh(y) * Var<T>(test::random_array<T>(y.shape(), 7)));
  for (unsigned order = 1; order <= 3; ++order) {
    const auto g = ag::grad(f, std::vector<Var<T>>{a, b}, {.create_graph = true});
    result.push_back(test::numbers(g[0]));
    for (double each : test::numbers(g[1])) result.back().push_back(each);
    f = ag::sum(square(g[0]) * Var<T>(test::random_array<T>(a.shape(), 8 + order))) +
        ag::sum(g[1] * Var<T>(test::random_array<T>(b.shape(), 18 + order)));
  }
  return result;
}

}  // namespace

TEST_CASE("matmul is numpy's, for random shapes") {
  std::mt19937 random(5);
  const auto below = [&](unsigned n) { return static_cast<std::size_t>(random() % n); };
  for (int trial = 0; trial < 300; ++trial) {
    const std::size_t rows = below(20), in = below(20), out = below(20);
    std::vector<std::size_t> a, b;
    const std::size_t batch_axes = below(5), missing_a = below(5), missing_b = below(5);
    for (std::size_t axis = 0; axis < batch_axes; ++axis) {
      const std::size_t extent = below(12) ? 1 + below(3) : 0;
      if (axis >= missing_a) a.push_back(below(3) ? extent : 1);
      if (axis >= missing_b) b.push_back(below(3) ? extent : 1);
    }
    if (!a.empty() || below(4)) a.push_back(rows);
    a.push_back(in);
    b.push_back(in);
    if (b.size() > 1 || below(4)) b.push_back(out);
    check_product({a.begin(), a.end()}, {b.begin(), b.end()});
  }
}

TEST_CASE("matmul of sizes that BLAS is called for") {
  check_product({40, 50}, {50, 60});
  check_product({3, 40, 50}, {50, 60});
  check_product({3, 40, 50}, {3, 50, 60});
  check_product({40, 50}, {3, 50, 60});
  check_product({3, 40, 50}, {1, 50, 60});
  check_product({2, 1, 40, 50}, {3, 50, 60});
  check_product({50}, {3, 50, 60});
  check_product({50}, {50, 60});
  check_product({3, 40, 50}, {50});
  check_product({40, 1500}, {1500});
  check_product({5000}, {5000});
  check_product({2, 3, 300}, {2, 300, 3});
  check_product({2, 300, 3}, {2, 3, 300});
}

TEST_CASE("gradients of large products of stacks are those of their matrices") {
  const auto check_gradients = [](const Shape& a, const Shape& b) {
    CAPTURE(a);
    CAPTURE(b);
    const auto each = [&]<class T>(T, double tolerance) {
      const auto x = test::random_variable<T>(a, 1), y = test::random_variable<T>(b, 2);
      const auto gradients = [&](auto product) {
        ag::Tape tape;
        const Var<T> z = product(x, y);
        const ag::Gradients g = tape.backward(ag::sum(z * Var<T>(test::random_array<T>(z.shape(), 3))));
        return std::pair(test::numbers(g.array(x)), test::numbers(g.array(y)));
      };
      const auto whole = gradients([](const auto& p, const auto& q) { return ag::matmul(p, q); });
      const auto parts = gradients([](const auto& p, const auto& q) { return one_by_one(p, q); });
      CHECK(test::difference(whole.first, parts.first) <= tolerance);
      CHECK(test::difference(whole.second, parts.second) <= tolerance);
    };
    each(float{}, 1e-5);
    each(double{}, 1e-13);
  };
  check_gradients({3, 40, 50}, {3, 50, 60});
  check_gradients({1, 40, 50}, {3, 50, 60});
  check_gradients({3, 40, 50}, {1, 50, 60});
}

TEST_CASE("products of stacks are differentiated to any order") {
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
           {{2, 3, 4}, {2, 4, 2}}, {{1, 3, 4}, {2, 4, 2}}, {{2, 3, 4}, {1, 4, 2}}}) {
    const auto x = test::random_variable(a, 1), y = test::random_variable(b, 2);
    const auto whole = derivatives([](const auto& p, const auto& q) { return ag::matmul(p, q); }, x, y);
    const auto parts = derivatives([](const auto& p, const auto& q) { return one_by_one(p, q); }, x, y);
    for (std::size_t order = 0; order < 3; ++order)
      CHECK(test::difference(whole[order], parts[order]) <= 1e-12);
  }
}

TEST_CASE("a product of stacks is one node, and copies no factor that broadcasts") {
  const auto a = test::random_variable({64, 64}, 1), b = test::random_variable({32, 64, 1}, 2);
  ag::Tape tape;
  ag::reset_peak_memory();
  const std::size_t before = ag::memory_stats().live_bytes;
  const auto c = ag::matmul(a, b);
  CHECK(c.shape() == Shape{32, 64, 1});
  CHECK(tape.size() == 1);
  const ag::Gradients g = tape.backward(ag::sum(square(c)));
  CHECK(ag::memory_stats().peak_bytes - before < 32 * a.size() * sizeof(double) / 4);
}

TEST_CASE("affine is linear of the other layout") {
  const auto x = test::random_variable({5, 3}, 1), w = test::random_variable({3, 4}, 2),
             b = test::random_variable({4}, 3);
  CHECK(test::difference(ag::affine(x, w, b), ag::linear(x, ag::transpose(w), b)) <= 1e-15);
  CHECK(test::difference(ag::affine(x, w), ag::matmul(x, w)) == 0);
  const ag::Tape tape;
  ag::affine(x, w, b);
  CHECK(tape.size() == 1);
}

TEST_CASE("dot and outer are numpy's") {
  const Var<double> a = xt::xarray<double>{1, 2, 3}, b = xt::xarray<double>{4, 5, 6};
  CHECK(ag::dot(a, b).item() == 32);
  CHECK(ag::dot(a, b).shape() == Shape{});
  CHECK(ag::dot(ag::zeros<double>({0}), ag::zeros<double>({0})).item() == 0);
  CHECK(test::numbers(ag::outer(a, b)) == std::vector<double>{4, 5, 6, 8, 10, 12, 12, 15, 18});
  CHECK(ag::outer(Var<double>(xt::xarray<double>{{1, 2}, {3, 4}}), a).shape() == Shape{4, 3});
  CHECK(ag::outer(Var<double>(2), a).shape() == Shape{1, 3});
  CHECK(ag::outer(ag::zeros<double>({0}), a).shape() == Shape{0, 3});
}
