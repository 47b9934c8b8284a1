// Values of elementwise functions: those of the C++ standard library, to a few units of the last place, and
// what happens at poles, at infinity, for NaN and at kinks.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace ag = autograd;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Case {
  std::string name;
  std::function<ag::Var<double>(const ag::Var<double>&)> in_double;
  std::function<ag::Var<float>(const ag::Var<float>&)> in_float;
  std::function<double(double)> reference;
  double low, high;  // where it is compared
};

template <class F>
Case make_case(const char* name, F f, std::function<double(double)> reference, double low = -20,
               double high = 20) {
  return {name, f, f, std::move(reference), low, high};
}

double normal_distribution(double x) { return std::erfc(-x / std::sqrt(2)) / 2; }

const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> c;
    c.push_back(make_case(
        "exp", [](const auto& x) { return exp(x); }, [](double x) { return std::exp(x); }));
    c.push_back(make_case(
        "expm1", [](const auto& x) { return expm1(x); }, [](double x) { return std::expm1(x); }));
    c.push_back(make_case(
        "log", [](const auto& x) { return log(x); }, [](double x) { return std::log(x); }, 0.001));
    c.push_back(make_case(
        "log1p", [](const auto& x) { return log1p(x); }, [](double x) { return std::log1p(x); }, -0.99));
    c.push_back(make_case(
        "sqrt", [](const auto& x) { return sqrt(x); }, [](double x) { return std::sqrt(x); }, 0));
    c.push_back(make_case(
        "rsqrt", [](const auto& x) { return rsqrt(x); }, [](double x) { return 1 / std::sqrt(x); }, 0.001));
    c.push_back(make_case(
        "sin", [](const auto& x) { return sin(x); }, [](double x) { return std::sin(x); }, -3, 3));
    c.push_back(make_case(
        "cos", [](const auto& x) { return cos(x); }, [](double x) { return std::cos(x); }, -1.5, 1.5));
    c.push_back(make_case(
        "tanh", [](const auto& x) { return tanh(x); }, [](double x) { return std::tanh(x); }));
    c.push_back(make_case(
        "sigmoid", [](const auto& x) { return sigmoid(x); },
        [](double x) { return 1 / (1 + std::exp(-x)); }));
    c.push_back(make_case(
        "softplus", [](const auto& x) { return softplus(x); },
        [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }));
    c.push_back(make_case(
        "erf", [](const auto& x) { return erf(x); }, [](double x) { return std::erf(x); }));
    c.push_back(make_case(
        "pow 2.5", [](const auto& x) { return pow(x, 2.5); }, [](double x) { return std::pow(x, 2.5); }, 0));
    c.push_back(make_case(
        "pow -3", [](const auto& x) { return pow(x, -3); }, [](double x) { return std::pow(x, -3); }, 0.1));
    c.push_back(make_case(
        "power of 2", [](const auto& x) { return pow(2, x); }, [](double x) { return std::exp2(x); }));
    c.push_back(make_case(
        "relu", [](const auto& x) { return relu(x); }, [](double x) { return std::max(x, 0.0); }));
    c.push_back(make_case(
        "leaky_relu", [](const auto& x) { return leaky_relu(x, 0.25); },
        [](double x) { return x > 0 ? x : 0.25 * x; }));
    c.push_back(make_case(
        "elu", [](const auto& x) { return elu(x, 1.5); },
        [](double x) { return x > 0 ? x : 1.5 * std::expm1(x); }));
    c.push_back(make_case(
        "silu", [](const auto& x) { return silu(x); }, [](double x) { return x / (1 + std::exp(-x)); }));
    c.push_back(make_case(
        "gelu", [](const auto& x) { return gelu(x); }, [](double x) { return x * normal_distribution(x); },
        -1, 20));
    c.push_back(make_case(
        "hardtanh", [](const auto& x) { return hardtanh(x); },
        [](double x) { return std::clamp(x, -1.0, 1.0); }));
    c.push_back(make_case(
        "clamp", [](const auto& x) { return clamp(x, -2.5, 3); },
        [](double x) { return std::clamp(x, -2.5, 3.0); }));
    return c;
  }();
  return all;
}

// The value of f and its derivative by the tape, at one point.
template <class F>
std::pair<double, double> at(const F& f, double x) {
  const auto v = ag::variable(x);
  ag::Tape tape;
  const ag::Var<double> y = f(v);
  if (!y.differentiable()) return {y.item(), 0};
  return {y.item(), tape.backward(y)[v]()};
}

}  // namespace

TEST_CASE("elementwise functions have the values of the standard library") {
  constexpr std::size_t kPoints = 2001;
  for (const Case& each : cases()) {
    CAPTURE(each.name);
    ag::Array<float> points({kPoints});  // numbers that both types hold
    for (std::size_t i = 0; i < kPoints; ++i)
      points.data()[i] = static_cast<float>(each.low + (each.high - each.low) * double(i) / (kPoints - 1));
    const auto y = each.in_double(ag::Var<double>(points.view()));
    const auto z = each.in_float(ag::Var<float>(points));
    double worst = 0, worst_float = 0;
    for (std::size_t i = 0; i < kPoints; ++i) {
      const double expected = each.reference(static_cast<double>(points.data()[i]));
      const double scale = std::max(std::abs(expected), 1e-12);
      const double error = std::abs(y.array().data()[i] - expected) / scale;
      const double error_float = std::abs(static_cast<double>(z.array().data()[i]) - expected) / scale;
      worst = std::max(worst, std::isnan(error) ? kInf : error);
      worst_float = std::max(worst_float, std::isnan(error_float) ? kInf : error_float);
    }
    CHECK(worst < 1e-14);
    CHECK(worst_float < 1e-5);
  }
}

namespace {

// The largest error of f over both signs of magnitudes from 1e-30 to `largest`, in units in the last place.
template <class T, class F>
double worst_units(F f, long double (*reference)(long double), double largest) {
  constexpr std::size_t kPoints = 40'000;
  ag::Array<T> x({kPoints});
  for (std::size_t i = 0; i < kPoints; ++i) {
    const double size = std::exp(std::log(1e-30) + std::log(largest / 1e-30) * double(i / 2) / (kPoints / 2));
    x.data()[i] = static_cast<T>(i % 2 ? -size : size);
  }
  const ag::Array<T> y = f(ag::Var<T>(x)).array();
  double worst = 0;
  for (std::size_t i = 0; i < kPoints; ++i) {
    const long double exact = reference(x.data()[i]);
    const int exponent = std::ilogb(static_cast<T>(exact)) + 1 - std::numeric_limits<T>::digits;
    const auto error = std::abs(static_cast<double>(std::ldexp(y.data()[i] - exact, -exponent)));
    worst = std::max(worst, std::isnan(error) ? kInf : error);
  }
  return worst;
}

}  // namespace

TEST_CASE("tanh and sigmoid are within three units in the last place wherever they are normal numbers") {
  const auto tanh_of = [](const auto& x) { return tanh(x); };
  const auto sigmoid_of = [](const auto& x) { return sigmoid(x); };
  const auto exact_tanh = [](long double x) { return std::tanh(x); };
  const auto exact_sigmoid = [](long double x) { return 1 / (1 + std::exp(-x)); };
  CHECK(worst_units<float>(tanh_of, exact_tanh, 100) < 3);
  CHECK(worst_units<double>(tanh_of, exact_tanh, 100) < 3);
  CHECK(worst_units<float>(sigmoid_of, exact_sigmoid, 87.3) < 3);
  CHECK(worst_units<double>(sigmoid_of, exact_sigmoid, 708.3) < 3);
}

TEST_CASE("tanh and sigmoid at zero and at infinity") {
  const auto check = []<class T>(T infinity) {
    CHECK(tanh(ag::Var<T>(infinity)).item() == 1);
    CHECK(tanh(ag::Var<T>(-infinity)).item() == -1);
    CHECK(std::signbit(tanh(ag::Var<T>(T(-0.0))).item()));
    CHECK(sigmoid(ag::Var<T>(infinity)).item() == 1);
    CHECK(sigmoid(ag::Var<T>(-infinity)).item() == 0);
    CHECK(sigmoid(ag::Var<T>(T(0))).item() == T(0.5));
    CHECK(sigmoid(ag::Var<T>(sizeof(T) == 4 ? T(-88) : T(-709))).item() ==
          0);  // below the smallest normal number
  };
  check(std::numeric_limits<float>::infinity());
  check(std::numeric_limits<double>::infinity());
}

TEST_CASE("NaN goes through every elementwise function") {
  for (const Case& each : cases()) {
    CAPTURE(each.name);
    CHECK(std::isnan(each.in_double(kNaN).item()));
    CHECK(std::isnan(each.in_float(kNaN).item()));
  }
  CHECK(std::isnan(maximum(ag::Var<double>(kNaN), 1).item()));
  CHECK(std::isnan(maximum(1, ag::Var<double>(kNaN)).item()));
  CHECK(std::isnan(minimum(ag::Var<double>(kNaN), 1).item()));
  CHECK(std::isnan(minimum(1, ag::Var<double>(kNaN)).item()));
}

TEST_CASE("poles and infinities") {
  const auto value = [](auto f, double x) { return f(ag::Var<double>(x)).item(); };
  CHECK(value([](const auto& x) { return expm1(x); }, 1000) == kInf);
  CHECK(value([](const auto& x) { return expm1(x); }, -kInf) == -1);
  CHECK(value([](const auto& x) { return log(x); }, 0) == -kInf);
  CHECK(value([](const auto& x) { return log1p(x); }, -1) == -kInf);
  CHECK(std::isnan(value([](const auto& x) { return log1p(x); }, -2)));
  CHECK(value([](const auto& x) { return rsqrt(x); }, 0) == kInf);
  CHECK(value([](const auto& x) { return softplus(x); }, 1000) == 1000);
  CHECK(value([](const auto& x) { return softplus(x); }, -1000) == 0);
  CHECK(value([](const auto& x) { return elu(x); }, kInf) == kInf);
  CHECK(value([](const auto& x) { return elu(x); }, -kInf) == -1);
  CHECK(value([](const auto& x) { return erf(x); }, -kInf) == -1);
  CHECK(value([](const auto& x) { return hardtanh(x); }, kInf) == 1);
  CHECK(value([](const auto& x) { return sigmoid(x); }, -1000) == 0);
  CHECK(value([](const auto& x) { return pow(x, 0); }, 0) == 1);
  CHECK(value([](const auto& x) { return pow(x, -1); }, 0) == kInf);
  CHECK(value([](const auto& x) { return pow(x, 3); }, -2) == -8);
  CHECK(value([](const auto& x) { return pow(x, 2); }, -3) == 9);
  CHECK(std::isnan(value([](const auto& x) { return pow(x, 0.5); }, -2)));
}

TEST_CASE("derivatives at kinks are the ones that are documented, in a map body as well") {
  using Derivative = std::pair<double, double>;
  const auto both = [](auto f, double x, double value, double slope) {
    CHECK(at(f, x) == Derivative(value, slope));
    CHECK(at([&](const auto& v) { return ag::map(f, v); }, x) == Derivative(value, slope));
    const auto v = ag::variable(x);  // and where the gradient is recorded
    ag::Tape tape;
    CHECK(ag::grad(f(v), v, {.create_graph = true}).item() == slope);
  };
  both([](auto x) { return relu(x); }, 0, 0, 0);
  both([](auto x) { return abs(x); }, 0, 0, 0);
  both([](auto x) { return maximum(x, 0); }, 0, 0, 0.5);
  both([](auto x) { return minimum(x, 0); }, 0, 0, 0.5);
  both([](auto x) { return clamp(x, -1, 2); }, -1, -1, 1);
  both([](auto x) { return clamp(x, -1, 2); }, 2, 2, 1);
  both([](auto x) { return clamp(x, -1, 2); }, 2.5, 2, 0);
  both([](auto x) { return hardtanh(x); }, -3, -1, 0);
  both([](auto x) { return elu(x, 2); }, 0, 0, 2);
  both([](auto x) { return leaky_relu(x, 0.25); }, 0, 0, 0.25);
  both([](auto x) { return softplus(x); }, 0, std::log(2), 0.5);
  both([](auto x) { return pow(x, 1); }, 0, 0, 1);
  both([](auto x) { return pow(x, 0); }, 0, 1, 0);
  both([](auto x) { return pow(x, 2); }, 0, 0, 0);
  both([](auto x) { return elu(x); }, 1000, 1000, 1);
  both([](auto x) { return gelu(x); }, 0, 0, 0.5);
}

TEST_CASE("the branch that where does not take may be infinite in a map body") {
  const auto f = [](auto x) { return where(x > 0, sqrt(x), x); };
  CHECK(at([&](const auto& v) { return ag::map(f, v); }, 0) == std::pair<double, double>(0, 1));
}

TEST_CASE("a base of 0 has no logarithm, and an exponent's derivative is 0 there") {
  const auto a = ag::variable(0.0), b = ag::variable(2.0);
  ag::Tape tape;
  const auto g = tape.backward(pow(a, b));
  CHECK(g[a]() == 0);
  CHECK(g[b]() == 0);
}

TEST_CASE("a mean is the sum divided by the count, as NumPy's") {
  for (const std::size_t n : {3u, 7u, 49u}) {
    const ag::Var<double> ones = ag::Array<double>({n}, 1.0);
    CHECK(ag::mean(0.1 * ones).item() == ag::sum(0.1 * ones).item() / double(n));
    CHECK(ag::mean(0.1 * ones, 0).item() == ag::sum(0.1 * ones).item() / double(n));
  }
  CHECK(ag::mean(ag::Var<double>(xt::xtensor<double, 1>{1, 2, 2})).item() ==
        5. / 3);  // times 1/3 is another number
}

TEST_CASE("clamp refuses bounds that are the wrong way round") {
  const ag::Var<double> x = 1;
  CHECK_THROWS_WITH_AS(clamp(x, 2, 1),
                       "clamp: the bounds are 2 and 1; the first must not be above the second", ag::Error);
  CHECK_THROWS_AS(clamp(x, kNaN, 1), ag::Error);
}
