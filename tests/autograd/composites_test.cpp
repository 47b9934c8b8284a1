// NaN, infinities, ties and entries that overflow in extremes and logsumexp; values of softmax, layer_norm
// and dropout.
#include <doctest/doctest.h>

#include <xtensor/xarray.hpp>

#include "index_loops.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Shape;
using test::numbers;
using test::random_array;
using V = ag::Var<double>;
using Numbers = std::vector<double>;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

V row(const Numbers& x) {
  ag::Array<double> array({x.size()});
  std::copy(x.begin(), x.end(), array.data());
  return array;
}

bool is_nan(const V& x) { return std::isnan(x.item()); }

}  // namespace

TEST_CASE("the first NaN is the largest and the smallest entry") {
  for (std::size_t n = 1; n <= 19; n += 3)
    for (std::size_t at = 0; at < n; ++at) {
      Numbers x(n, 1.0);
      x[n / 2] = kInf;
      x[n / 3] = -kInf;
      x[at] = x.back() = kNaN;
      CHECK(is_nan(max(row(x))));
      CHECK(is_nan(min(row(x))));
      const auto first = std::int64_t(
          std::find_if(x.begin(), x.end(), [](double each) { return std::isnan(each); }) - x.begin());
      CHECK(argmax(row(x)).values()[0] == first);
      CHECK(argmin(row(x), 0).values()[0] == first);
    }
  const V x(xt::xarray<double>{{1, kNaN, 3}, {4, 5, 6}});
  CHECK(numbers(max(x, 1))[1] == 6);  // the other rows are as they were
  CHECK(std::isnan(numbers(max(x, 1))[0]));
  CHECK(std::isnan(numbers(sum(x, 0))[1]));
  CHECK(numbers(sum(x, 0))[2] == 9);
  CHECK(is_nan(logsumexp(x)));
  CHECK(is_nan(norm(x)));
}

TEST_CASE("infinite entries are found") {
  CHECK(max(row({-kInf, -kInf})).item() == -kInf);
  CHECK(min(row({kInf, kInf})).item() == kInf);
  CHECK(argmax(row({-kInf, -kInf})).values()[0] == 0);
  CHECK(argmin(row({kInf, 3, -kInf, -kInf})).values()[0] == 2);
  CHECK(argmax(row({0.0, -0.0})).values()[0] == 0);
  CHECK(argmax(row({-0.0, 0.0})).values()[0] == 0);
}

TEST_CASE("the gradient of a maximum goes to the first of equal entries") {
  const V x = ag::variable<double>(xt::xarray<double>{{1, 3, 3}, {2, 2, 2}, {3, 1, 2}});
  const auto gradient = [&](auto f) {
    ag::Tape tape;
    return numbers(tape.backward(sum(f(x))).array(x));
  };
  CHECK(gradient([](const V& v) { return max(v, 1); }) == Numbers{0, 1, 0, 1, 0, 0, 1, 0, 0});
  CHECK(gradient([](const V& v) { return min(v, 0); }) == Numbers{1, 0, 0, 0, 0, 1, 0, 1, 0});
  CHECK(gradient([](const V& v) { return max(v); }) == Numbers{0, 1, 0, 0, 0, 0, 0, 0, 0});
  CHECK(gradient([](const V& v) { return max(v, {0, 1}, true); }) == Numbers{0, 1, 0, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("logsumexp does not overflow and takes infinities as limits") {
  CHECK(logsumexp(row({1000, 1000})).item() == doctest::Approx(1000 + std::log(2)).epsilon(1e-15));
  CHECK(logsumexp(row({-1000, -1000})).item() == doctest::Approx(-1000 + std::log(2)).epsilon(1e-15));
  CHECK(logsumexp(row({1000, -1000})).item() == 1000);
  CHECK(logsumexp(row({-kInf, -kInf})).item() == -kInf);
  CHECK(logsumexp(row({-kInf, 2})).item() == 2);
  CHECK(logsumexp(row({kInf, -kInf, 1000})).item() == kInf);
  CHECK(logsumexp(row({kInf, kInf})).item() == kInf);
  CHECK(is_nan(logsumexp(row({kInf, kNaN}))));
  const V rows(xt::xarray<double>{{-kInf, -kInf}, {1000, 1000}, {0, 0}});
  CHECK(numbers(logsumexp(rows, 1))[0] == -kInf);  // and finite beside it
  CHECK(numbers(logsumexp(rows, 1))[2] == std::log(2));
  CHECK(logsumexp(ag::Var<float>(xt::xarray<float>{100, 100})).item() == doctest::Approx(100 + std::log(2)));
}

TEST_CASE("softmax and log_softmax along every axis") {
  for (const Shape& shape : test::shapes())
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] == 0) continue;
      CAPTURE(shape);
      const V x = random_array(shape, 1, -5, 5);
      Numbers expected;
      for (const test::Index& index : test::indices_of(shape)) {
        test::Index other = index;
        long double sum = 0;
        for (other[axis] = 0; other[axis] < shape[axis]; ++other[axis])
          sum += std::exp(static_cast<long double>(test::entry(x, other)));
        expected.push_back(double(std::exp(static_cast<long double>(test::entry(x, index))) / sum));
      }
      const auto at = std::ptrdiff_t(axis), last = at - std::ptrdiff_t(shape.rank());
      CHECK(softmax(x, at).shape() == shape);
      CHECK(test::difference(numbers(softmax(x, last)), expected) < 1e-14);
      CHECK(test::difference(numbers(exp(log_softmax(x, at))), expected) < 1e-14);
      CHECK(test::difference(numbers(softmax(ag::Var<float>(x.array().view()), at)), expected) < 1e-6);
    }
}

TEST_CASE("softmax is stable for large entries and takes -infinity as masked") {
  CHECK(numbers(softmax(row({1000, 1000}))) == Numbers{0.5, 0.5});
  CHECK(numbers(softmax(row({-1000, -1000}))) == Numbers{0.5, 0.5});
  CHECK(numbers(softmax(row({1000, -1000}))) == Numbers{1, 0});
  CHECK(numbers(log_softmax(row({1000, -1000}))) == Numbers{0, -2000});
  CHECK(numbers(softmax(row({-kInf, 3, 3}))) == Numbers{0, 0.5, 0.5});
  CHECK(numbers(log_softmax(row({-kInf, 3}))) == Numbers{-kInf, 0});
  for (const double each : numbers(softmax(row({1, kNaN, 2})))) CHECK(std::isnan(each));
  const V rows = softmax(V(xt::xarray<double>{{-kInf, -kInf}, {0, 0}}));
  CHECK(std::isnan(numbers(rows)[0]));  // 0 / 0, as in NumPy; the other rows are as they were
  CHECK(std::isnan(numbers(rows)[1]));
  CHECK(numbers(rows)[2] == 0.5);
  const double close = 1e8;  // log_softmax keeps entries apart that are close
  CHECK(numbers(log_softmax(row({close, close - 1})))[0] ==
        doctest::Approx(-std::log1p(std::exp(-1))).epsilon(1e-15));
}

TEST_CASE("layer_norm over the last axis, also next to a large offset") {
  for (const Shape& shape : test::shapes()) {
    if (shape.rank() == 0 || shape.back() == 0) continue;
    CAPTURE(shape);
    const std::size_t n = shape.back();
    const V x = random_array(shape, 1), w = random_array({n}, 2), b = random_array({n}, 3);
    Numbers expected, plain;
    for (std::size_t first = 0; first < x.size(); first += n) {
      const double* at = x.array().data() + first;
      long double mean = 0, variance = 0;
      for (std::size_t i = 0; i < n; ++i) mean += at[i] / static_cast<long double>(n);
      for (std::size_t i = 0; i < n; ++i)
        variance += (at[i] - mean) * (at[i] - mean) / static_cast<long double>(n);
      for (std::size_t i = 0; i < n; ++i) {
        plain.push_back(double((at[i] - mean) / std::sqrt(variance + 1e-3L)));
        expected.push_back(plain.back() * numbers(w)[i] + numbers(b)[i]);
      }
    }
    CHECK(layer_norm(x, w, b, 1e-3).shape() == shape);
    CHECK(test::difference(numbers(layer_norm(x, w, b, 1e-3)), expected) < 1e-13);
    CHECK(test::difference(numbers(layer_norm(x, 1e-3)), plain) < 1e-13);
    CHECK(test::difference(numbers(layer_norm(x + 1e6, 1e-3)), plain) < 1e-7);
  }
}

TEST_CASE("dropout zeroes where the random number is below p and scales the rest") {
  struct Steps {
    double at = 0;
    double uniform() { return std::exchange(at, at + 0.125); }
  } steps, none;
  const V x(xt::xarray<double>{{1, 2, 3}, {4, 5, kInf}});
  CHECK(numbers(dropout(x, 0.5, steps)) == Numbers{0, 0, 0, 0, 10, kInf});
  CHECK(steps.at == 0.75);  // one number for each entry
  CHECK(numbers(dropout(x, 0, none)) == numbers(x));
  CHECK(dropout(V(xt::empty<double>({0, 3})), 0.5, none).shape() == Shape{0, 3});
}
