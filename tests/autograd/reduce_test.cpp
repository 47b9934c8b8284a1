// Values of reductions over axes: NumPy's, checked against loops over the
// entries that go into each result.
#include <doctest/doctest.h>

#include <functional>
#include <numeric>
#include <string>
#include <xtensor/xarray.hpp>
#include <xtensor/xmath.hpp>

#include "index_loops.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Shape;
using test::has_entries;
using test::Index;
using test::numbers;
using test::random_array;
using V = ag::Var<double>;
using Numbers = std::vector<double>;

namespace {

V whole_numbers(const Shape& shape, unsigned seed, double low, double high) {
  ag::Array<double> array = random_array(shape, seed, low, high);
  for (std::size_t i = 0; i < array.size(); ++i) array.data()[i] = std::floor(array.data()[i]);
  return array;
}

// For each entry of the result, those of x that go into it, in order.
template <class T>
std::vector<Numbers> groups(const ag::Var<T>& x, const ag::Axes& axes) {
  const std::vector<bool> reduced = test::named(axes, x.rank());
  Shape kept = x.shape();
  for (std::size_t axis = 0; axis < x.rank(); ++axis)
    if (reduced[axis]) kept[axis] = 1;
  std::vector<Numbers> result(kept.size());
  for (Index index : test::indices_of(x.shape())) {
    const double value = test::entry(x, index);
    for (std::size_t axis = 0; axis < x.rank(); ++axis)
      if (reduced[axis]) index[axis] = 0;
    result[test::flat(index, kept)].push_back(value);
  }
  return result;
}

long double mean_of(const Numbers& x) {
  return std::accumulate(x.begin(), x.end(), 0.0L) / static_cast<long double>(x.size());
}
long double squares_of(const Numbers& x, long double from = 0) {
  long double sum = 0;
  for (const double each : x) sum += (each - from) * (each - from);
  return sum;
}

struct Reduction {
  std::string name;
  std::function<V(const V&, const ag::Axes&, bool keepdims)> of;
  std::function<ag::Var<float>(const ag::Var<float>&, const ag::Axes&, bool)> of_floats;
  std::function<V(const V&)> of_all;
  std::function<long double(const Numbers&)> expected;
  std::size_t least = 1;  // entries that it needs
};

template <class F, class G>
Reduction make(const char* name, F f, G of_all, std::function<long double(const Numbers&)> expected,
               std::size_t least = 1) {
  return {name, f, f, of_all, std::move(expected), least};
}

std::vector<Reduction> reductions() {
  const auto variance = [](const Numbers& x, double ddof) {
    return squares_of(x, mean_of(x)) / (static_cast<long double>(x.size()) - ddof);
  };
  return {
      make(
          "sum", [](const auto& x, auto& axes, bool keep) { return sum(x, axes, keep); },
          [](const V& x) { return sum(x); },
          [](const Numbers& x) { return std::accumulate(x.begin(), x.end(), 0.0L); }, 0),
      make(
          "mean", [](const auto& x, auto& axes, bool keep) { return mean(x, axes, keep); },
          [](const V& x) { return mean(x); }, mean_of),
      make(
          "var", [](const auto& x, auto& axes, bool keep) { return var(x, axes, {.keepdims = keep}); },
          [](const V& x) { return var(x); }, [=](const Numbers& x) { return variance(x, 0); }),
      make(
          "std, ddof 1",
          [](const auto& x, auto& axes, bool keep) {
            return ag::std(x, axes, {.ddof = 1, .keepdims = keep});
          },
          [](const V& x) { return sqrt(var(x) * double(x.size()) / double(x.size() - 1)); },
          [=](const Numbers& x) { return std::sqrt(variance(x, 1)); }, 2),
      make(
          "prod", [](const auto& x, auto& axes, bool keep) { return prod(x, axes, keep); },
          [](const V& x) { return prod(x); },
          [](const Numbers& x) { return std::accumulate(x.begin(), x.end(), 1.0L, std::multiplies<>()); }, 0),
      make(
          "max", [](const auto& x, auto& axes, bool keep) { return max(x, axes, keep); },
          [](const V& x) { return max(x); },
          [](const Numbers& x) { return *std::max_element(x.begin(), x.end()); }),
      make(
          "min", [](const auto& x, auto& axes, bool keep) { return min(x, axes, keep); },
          [](const V& x) { return min(x); },
          [](const Numbers& x) { return *std::min_element(x.begin(), x.end()); }),
      make(
          "logsumexp", [](const auto& x, auto& axes, bool keep) { return logsumexp(x, axes, keep); },
          [](const V& x) { return logsumexp(x); },
          [](const Numbers& x) {
            long double sum = 0;
            for (const double each : x) sum += std::exp(static_cast<long double>(each));
            return std::log(sum);
          }),
      make(
          "norm", [](const auto& x, auto& axes, bool keep) { return norm(x, axes, keep); },
          [](const V& x) { return norm(x); }, [](const Numbers& x) { return std::sqrt(squares_of(x)); }, 0),
  };
}

}  // namespace

TEST_CASE("reductions over every set of axes are those of the entries that go into each result") {
  for (const Reduction& reduction : reductions())
    for (const Shape& shape : test::shapes()) {
      CAPTURE(reduction.name);
      CAPTURE(shape);
      const ag::Array<float> entries = random_array<float>(shape, 1, -1.5, 1.5);
      const V x(entries.view());
      for (const ag::Axes& axes : test::axis_sets(shape.rank())) {
        const std::vector<bool> reduced = test::named(axes, shape.rank());
        Shape kept, dropped;
        std::size_t count = 1;
        for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
          kept.push_back(reduced[axis] ? 1 : shape[axis]);
          if (!reduced[axis]) dropped.push_back(shape[axis]);
          if (reduced[axis]) count *= shape[axis];
        }
        if (count < reduction.least) {
          CHECK_THROWS_AS(reduction.of(x, axes, false), ag::Error);
          continue;
        }
        Numbers expected;
        for (const Numbers& group : groups(x, axes)) expected.push_back(double(reduction.expected(group)));
        CHECK(reduction.of(x, axes, true).shape() == kept);
        const V y = reduction.of(x, axes, false);
        CHECK(y.shape() == dropped);
        CHECK(test::difference(numbers(y), expected) < 1e-14);
        CHECK(numbers(reduction.of(x, axes, true)) == numbers(y));
        CHECK(test::difference(numbers(reduction.of_floats(entries, axes, false)), expected) < 4e-6);
        if (dropped.rank() > 0) continue;
        CHECK(reduction.of_all(x).shape() == Shape{});
        CHECK(test::difference(numbers(reduction.of_all(x)), expected) < 1e-14);
      }
    }
}

TEST_CASE("the second argument of every reduction is the axes") {
  const V x(xt::xarray<double>{{1, 2, 6}, {3, 2, 10}});
  CHECK(numbers(var(x, 0)) == Numbers{1, 0, 4});
  CHECK(numbers(var(x, {0})) == Numbers{1, 0, 4});
  CHECK(numbers(ag::std(x, 0)) == Numbers{1, 0, 2});
  CHECK(numbers(ag::std(x, 0, {.ddof = 1})) == numbers(sqrt(V(xt::xarray<double>{2, 0, 8}))));
  CHECK(numbers(sum(x, {0})) == Numbers{4, 4, 16});
  CHECK(numbers(sum(x, ag::Axes{})) == numbers(x));  // no axes: each entry by itself
  CHECK(numbers(var(x, ag::Axes{})) == Numbers(6, 0));
}

TEST_CASE("variance keeps its digits next to a large offset") {
  const V x = random_array({7, 33}, 2);
  CHECK(test::difference(var(x + 1e8, 1), var(x, 1)) < 1e-7);
  CHECK(test::difference(ag::std(x + 1e8), ag::std(x)) < 1e-7);
  CHECK(numbers(var(V(xt::xarray<double>{1e15, 1e15 + 2}))) == Numbers{1});
  CHECK(numbers(var(ag::Var<float>(xt::xarray<float>{4096, 4098}))) == Numbers{1});
}

TEST_CASE("argmax and argmin give the first of equal entries, as xtensor does") {
  for (const Shape& shape : test::shapes()) {
    CAPTURE(shape);
    const V x = whole_numbers(shape, 3, 0, 3);  // 0, 1 or 2: many ties
    const auto position = [](const Numbers& group, bool largest) {
      const auto at = largest ? std::max_element(group.begin(), group.end())
                              : std::min_element(group.begin(), group.end());
      return at - group.begin();
    };
    if (shape.size() > 0) {
      CHECK(argmax(x).shape() == Shape{});
      CHECK(argmax(x).values()[0] == position(numbers(x), true));
      CHECK(argmin(x).values()[0] == position(numbers(x), false));
    }
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] == 0) continue;
      const auto at = std::ptrdiff_t(axis) - (axis % 2 ? std::ptrdiff_t(shape.rank()) : 0);
      const ag::Indices largest = argmax(x, at), smallest = argmin(x, at);
      std::vector<std::int64_t> expected_largest, expected_smallest;
      for (const Numbers& group : groups(x, at)) {
        expected_largest.push_back(position(group, true));
        expected_smallest.push_back(position(group, false));
      }
      CHECK(largest.shape() == max(x, at).shape());
      CHECK(smallest.shape() == max(x, at).shape());
      CHECK(largest.values() == expected_largest);
      CHECK(smallest.values() == expected_smallest);
    }
  }
}

TEST_CASE("cumsum along every axis") {
  for (const Shape& shape : test::shapes())
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      CAPTURE(shape);
      const V x = whole_numbers(shape, 5, -9, 9);  // exact
      for (const std::ptrdiff_t at :
           {std::ptrdiff_t(axis), std::ptrdiff_t(axis) - std::ptrdiff_t(shape.rank())})
        CHECK(has_entries(cumsum(x, at), shape, [&](Index index) {
          double sum = 0;
          for (std::size_t last = index[axis] + 1, i = 0; i < last; ++i)
            index[axis] = i, sum += test::entry(x, index);
          return sum;
        }));
    }
  const V x = random_array({5, 19}, 6);
  CHECK(numbers(cumsum(x, 1)) == numbers(V(xt::cumsum(x.array().view(), 1))));
}
