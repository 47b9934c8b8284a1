// Initial values: their ranges, moments and structure.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

namespace ag = autograd;
using nn::Rng;

namespace {

struct Moments {
  double low = 1e300, high = -1e300, mean = 0, variance = 0;
};

template <class T>
Moments moments(const ag::Array<T>& array) {
  Moments m;
  const double n = static_cast<double>(array.size());
  for (std::size_t i = 0; i < array.size(); ++i) {
    const double x = static_cast<double>(array.data()[i]);
    m.low = std::min(m.low, x), m.high = std::max(m.high, x), m.mean += x / n, m.variance += x * x / n;
  }
  m.variance -= m.mean * m.mean;
  return m;
}

// Largest |Q Q^T - gain^2 I| of the rows, or of the columns if they are fewer.
template <class T>
double deviation_from_orthogonal(const ag::Array<T>& q, double gain) {
  const std::size_t rows = q.shape()[0], cols = q.shape()[1], fewer = std::min(rows, cols);
  double largest = 0;
  for (std::size_t i = 0; i < fewer; ++i)
    for (std::size_t j = 0; j < fewer; ++j) {
      double dot = i == j ? -gain * gain : 0;
      for (std::size_t k = 0; k < std::max(rows, cols); ++k)
        dot +=
            rows < cols
                ? static_cast<double>(q.data()[i * cols + k]) * static_cast<double>(q.data()[j * cols + k])
                : static_cast<double>(q.data()[k * cols + i]) * static_cast<double>(q.data()[k * cols + j]);
      largest = std::max(largest, std::abs(dot));
    }
  return largest;
}

}  // namespace

TEST_CASE("uniform fills its range") {
  Rng rng(1);
  const Moments m = moments(nn::init::uniform<double>({200, 500}, -0.5, 1.5, rng));
  CHECK(m.low >= -0.5);
  CHECK(m.low < -0.499);
  CHECK(m.high < 1.5);
  CHECK(m.high > 1.499);
  CHECK(m.mean == doctest::Approx(0.5).epsilon(0.01));
  CHECK(m.variance == doctest::Approx(4.0 / 12).epsilon(0.01));
}

TEST_CASE("normal has its mean and deviation, and draws in row-major order") {
  Rng rng(1), same(1);
  const ag::Array<double> array = nn::init::normal<double>({200, 500}, 3, 0.5, rng);
  const Moments m = moments(array);
  CHECK(m.mean == doctest::Approx(3).epsilon(0.01));
  CHECK(m.variance == doctest::Approx(0.25).epsilon(0.02));
  for (std::size_t i = 0; i < 10; ++i) CHECK(array.data()[i] == 3 + 0.5 * same.normal());
}

TEST_CASE("Xavier's values have the variance 2 gain^2 / (fan_in + fan_out)") {
  for (const double gain : {1.0, 5.0 / 3}) {
    Rng rng(2);
    const double variance = 2 * gain * gain / (100 + 300), bound = std::sqrt(3 * variance);
    const Moments u = moments(nn::init::xavier_uniform<double>({100, 300}, rng, gain));
    CHECK(u.low >= -bound);
    CHECK(u.low < -0.999 * bound);
    CHECK(u.high < bound);
    CHECK(u.high > 0.999 * bound);
    CHECK(u.variance == doctest::Approx(variance).epsilon(0.02));
    const Moments n = moments(nn::init::xavier_normal<double>({100, 300}, rng, gain));
    CHECK(std::abs(n.mean) < 0.01 * std::sqrt(variance));
    CHECK(n.variance == doctest::Approx(variance).epsilon(0.03));
    CHECK(n.high > bound);  // not bounded
  }
}

TEST_CASE("orthogonal matrices are orthogonal: square, wide and tall") {
  for (const auto& shape : {ag::Shape{1, 1}, ag::Shape{5, 5}, ag::Shape{3, 40}, ag::Shape{40, 3},
                            ag::Shape{1, 6}, ag::Shape{6, 1}, ag::Shape{64, 63}, ag::Shape{63, 64}}) {
    CAPTURE(shape);
    Rng rng(3);
    const ag::Array<double> q = nn::init::orthogonal<double>(shape, rng);
    CHECK(q.shape() == shape);
    CHECK(deviation_from_orthogonal(q, 1) <= 1e-12);
    CHECK(deviation_from_orthogonal(nn::init::orthogonal<double>(shape, rng, 2.5), 2.5) <= 1e-11);
    CHECK(deviation_from_orthogonal(nn::init::orthogonal<float>(shape, rng), 1) <= 1e-5);
  }
}

TEST_CASE("orthogonal matrices are uniformly distributed: an entry is as often positive as negative") {
  Rng rng(4);
  int positive[4] = {};
  for (int k = 0; k < 1000; ++k) {
    const ag::Array<double> q = nn::init::orthogonal<double>({2, 2}, rng);
    for (int i = 0; i < 4; ++i) positive[i] += q.data()[i] > 0;
  }
  for (int count : positive) CHECK(std::abs(count - 500) < 60);  // 3.8 deviations
}

TEST_CASE("blocks stacks independent blocks of rows") {
  Rng rng(5), same(5);
  const auto make = [](Rng& from) {
    return [&](const ag::Shape& s) { return nn::init::orthogonal<double>(s, from); };
  };
  const ag::Array<double> whole = nn::init::blocks(4, {5, 5}, make(rng));
  CHECK(whole.shape() == ag::Shape{20, 5});
  for (std::size_t k = 0; k < 4; ++k) {
    const ag::Array<double> block = whole.slice(5 * k, 5 * k + 5), expected = make(same)({5, 5});
    CHECK(std::equal(block.data(), block.data() + 25, expected.data()));
    CHECK(deviation_from_orthogonal(block, 1) <= 1e-12);
  }
  CHECK(nn::init::blocks(1, {3, 2}, make(rng)).shape() == ag::Shape{3, 2});
}

TEST_CASE("a shape that is no matrix is refused by name") {
  Rng rng(6);
  const std::string tail = ": shape (4,) is not that of a weight (out_features, in_features)";
  CHECK_THROWS_WITH_AS(nn::init::xavier_uniform<double>({4}, rng), ("xavier_uniform" + tail).c_str(),
                       ag::Error);
  CHECK_THROWS_WITH_AS(nn::init::xavier_normal<float>({4}, rng), ("xavier_normal" + tail).c_str(), ag::Error);
  CHECK_THROWS_WITH_AS(nn::init::orthogonal<double>({4}, rng), ("orthogonal" + tail).c_str(), ag::Error);
  CHECK_THROWS_AS(nn::init::orthogonal<double>({2, 3, 4}, rng), ag::Error);
  CHECK_THROWS_AS(nn::init::orthogonal<double>({0, 3}, rng), ag::Error);
  CHECK_THROWS_AS(nn::init::xavier_uniform<double>({}, rng), ag::Error);
}

TEST_CASE("layers start where PyTorch's do: uniform within 1/sqrt(hidden) and 1/sqrt(in)") {
  Rng rng(7);
  nn::for_each_parameter(nn::LSTMCell<double>(30, 100, rng), [](const std::string&, const auto& parameter) {
    const Moments m = moments(parameter.array());
    CHECK(m.low >= -0.1);
    CHECK(m.high < 0.1);
    CHECK(m.variance == doctest::Approx(0.01 / 3).epsilon(0.12));
  });
  nn::for_each_parameter(nn::Linear<double>(25, 400, rng), [](const std::string&, const auto& parameter) {
    const Moments m = moments(parameter.array());
    CHECK(m.low >= -0.2);
    CHECK(m.high < 0.2);
    CHECK(m.variance == doctest::Approx(0.04 / 3).epsilon(0.12));
  });
}
