// The cells that PyTorch does not have, against their papers' equations written as loops over units.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <cmath>
#include <functional>
#include <map>
#include <nn/nn.hpp>

#include "autograd/random_arrays.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

namespace {

constexpr std::size_t kSteps = 5, kBatch = 2, kIn = 3, kHidden = 4;

using Vector = std::vector<double>;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double relu(double x) { return std::max(x, 0.0); }

// The parameters of a cell as numbers. One that is switched off counts as zeros.
class Numbers {
 public:
  template <class Cell>
  explicit Numbers(const Cell& cell) {
    for (const auto& each : nn::named_parameters(cell)) arrays_[each.first] = each.second.array();
  }
  double operator()(const std::string& name, std::size_t i) const {
    return arrays_.count(name) ? arrays_.at(name).data()[i] : 0;
  }
  // Row `row` of a matrix times a vector.
  double times(const std::string& name, std::size_t row, const Vector& x) const {
    double sum = 0;
    for (std::size_t k = 0; k < x.size(); ++k) sum += (*this)(name, row * x.size() + k) * x[k];
    return sum;
  }
  // Row `row` of W_ih x + b_ih + b_hh, and with W_hh h.
  double input(std::size_t row, const Vector& x) const {
    return times("weight_ih", row, x) + (*this)("bias_ih", row) + (*this)("bias_hh", row);
  }
  double both(std::size_t row, const Vector& x, const Vector& h) const {
    return input(row, x) + times("weight_hh", row, h);
  }
  // LN of entries [first, last) of W x, with its gain and bias.
  Vector normalised(const std::string& side, const Vector& x, std::size_t first, std::size_t last) const {
    Vector a;
    for (std::size_t row = first; row < last; ++row) a.push_back(times("weight_" + side, row, x));
    return normalised(a, side, first);
  }
  Vector normalised(Vector a, const std::string& side, std::size_t first = 0) const {
    const double n = static_cast<double>(a.size());
    double mean = 0, variance = 0;
    for (const double each : a) mean += each / n;
    for (const double each : a) variance += (each - mean) * (each - mean) / n;
    for (std::size_t i = 0; i < a.size(); ++i)
      a[i] = (a[i] - mean) / std::sqrt(variance + 1e-5) * (*this)("gain_" + side, first + i) +
             (*this)("bias_" + side, first + i);
    return a;
  }

 private:
  std::map<std::string, ag::Array<double>> arrays_;
};

struct Memory {
  Vector h = Vector(kHidden, 0), c = Vector(kHidden, 0);
};
using Loop = std::function<Memory(const Numbers&, const Vector& x, const Memory& before)>;

// Every parameter gets random values, so that those that start equal differ; then the outputs of a batch and
// its last state are compared with the loop's.
template <class Cell>
void check(const Cell& cell, const Loop& loop) {
  unsigned seed = 10;
  for (Var parameter : nn::parameters(cell))
    parameter.assign(test::random_array(parameter.shape(), ++seed).view());
  const ag::Array<double> x = test::random_array({kSteps, kBatch, kIn}, 1);
  const auto unrolled = nn::unroll(cell, Var(x));
  const Numbers numbers(cell);
  ag::Array<double> output({kSteps, kBatch, kHidden}), c({kBatch, kHidden});
  for (std::size_t b = 0; b < kBatch; ++b) {
    Memory memory;
    for (std::size_t t = 0; t < kSteps; ++t) {
      const double* at = x.data() + (t * kBatch + b) * kIn;
      memory = loop(numbers, Vector(at, at + kIn), memory);
      std::copy_n(memory.h.data(), kHidden, output.data() + (t * kBatch + b) * kHidden);
    }
    std::copy_n(memory.c.data(), kHidden, c.data() + b * kHidden);
  }
  CHECK(test::difference(unrolled.output, output) <= 1e-13);
  if constexpr (requires { unrolled.state.c; }) {
    CHECK(test::difference(unrolled.state.h, output[kSteps - 1]) <= 1e-13);
    CHECK(test::difference(unrolled.state.c, c) <= 1e-13);
  } else {
    CHECK(test::difference(unrolled.state, output[kSteps - 1]) <= 1e-13);
  }
}

nn::Rng& rng() {
  static nn::Rng generator(1);
  return generator;
}

}  // namespace

TEST_CASE("PeepholeLSTMCell: the gates see the memory, the output gate the new one") {
  const Loop loop = [](const Numbers& w, const Vector& x, const Memory& m) {
    Memory next;
    for (std::size_t j = 0; j < kHidden; ++j) {
      const double i = sigmoid(w.both(j, x, m.h) + w("weight_ci", j) * m.c[j]);
      const double f = sigmoid(w.both(kHidden + j, x, m.h) + w("weight_cf", j) * m.c[j]);
      const double g = std::tanh(w.both(2 * kHidden + j, x, m.h));
      next.c[j] = f * m.c[j] + i * g;
      const double o = sigmoid(w.both(3 * kHidden + j, x, m.h) + w("weight_co", j) * next.c[j]);
      next.h[j] = o * std::tanh(next.c[j]);
    }
    return next;
  };
  check(nn::PeepholeLSTMCell<double>(kIn, kHidden, rng()), loop);
  check(nn::PeepholeLSTMCell<double>(kIn, kHidden, rng(), {.bias = false}), loop);
}

TEST_CASE("CoupledLSTMCell: the input gate is one minus the forget gate") {
  const Loop loop = [](const Numbers& w, const Vector& x, const Memory& m) {
    Memory next;
    for (std::size_t j = 0; j < kHidden; ++j) {
      const double f = sigmoid(w.both(j, x, m.h)), i = 1 - f;
      const double g = std::tanh(w.both(kHidden + j, x, m.h));
      const double o = sigmoid(w.both(2 * kHidden + j, x, m.h));
      next.c[j] = f * m.c[j] + i * g;
      next.h[j] = o * std::tanh(next.c[j]);
    }
    return next;
  };
  check(nn::CoupledLSTMCell<double>(kIn, kHidden, rng()), loop);
  check(nn::CoupledLSTMCell<double>(kIn, kHidden, rng(), {.bias = false}), loop);
}

TEST_CASE("ResetBeforeGRUCell: the state is reset before the product") {
  const Loop loop = [](const Numbers& w, const Vector& x, const Memory& m) {
    Memory next;
    Vector reset(kHidden);
    for (std::size_t j = 0; j < kHidden; ++j) reset[j] = sigmoid(w.both(j, x, m.h)) * m.h[j];
    for (std::size_t j = 0; j < kHidden; ++j) {
      const double z = sigmoid(w.both(kHidden + j, x, m.h));
      const double n = std::tanh(w.both(2 * kHidden + j, x, reset));
      next.h[j] = (1 - z) * n + z * m.h[j];
    }
    return next;
  };
  check(nn::ResetBeforeGRUCell<double>(kIn, kHidden, rng()), loop);
  check(nn::ResetBeforeGRUCell<double>(kIn, kHidden, rng(), {.bias = false}), loop);
}

TEST_CASE("MGUCell: one gate forgets and updates") {
  const Loop loop = [](const Numbers& w, const Vector& x, const Memory& m) {
    Memory next;
    Vector f(kHidden), kept(kHidden);
    for (std::size_t j = 0; j < kHidden; ++j) f[j] = sigmoid(w.both(j, x, m.h)), kept[j] = f[j] * m.h[j];
    for (std::size_t j = 0; j < kHidden; ++j)
      next.h[j] = (1 - f[j]) * m.h[j] + f[j] * std::tanh(w.both(kHidden + j, x, kept));
    return next;
  };
  check(nn::MGUCell<double>(kIn, kHidden, rng()), loop);
  check(nn::MGUCell<double>(kIn, kHidden, rng(), {.bias = false}), loop);
}

TEST_CASE("IndRNNCell: a unit sees its own state") {
  const auto loop = [](double (*act)(double)) -> Loop {
    return [act](const Numbers& w, const Vector& x, const Memory& m) {
      Memory next;
      for (std::size_t j = 0; j < kHidden; ++j)
        next.h[j] = act(w.times("weight_ih", j, x) + w("bias", j) + w("weight_hh", j) * m.h[j]);
      return next;
    };
  };
  check(nn::IndRNNCell<double>(kIn, kHidden, rng()), loop(relu));
  check(nn::IndRNNCell<double>(kIn, kHidden, rng(), nn::Activation::tanh), loop(std::tanh));
  check(nn::IndRNNCell<double>(kIn, kHidden, rng(), nn::Activation::sigmoid, {.bias = false}), loop(sigmoid));
}

TEST_CASE("LayerNormLSTMCell: both products are normalised over all gates, and the memory in the output") {
  const Loop loop = [](const Numbers& w, const Vector& x, const Memory& m) {
    Memory next;
    const Vector xs = w.normalised("ih", x, 0, 4 * kHidden), hs = w.normalised("hh", m.h, 0, 4 * kHidden);
    const auto gate = [&](std::size_t block, std::size_t j) {
      return xs[block * kHidden + j] + hs[block * kHidden + j];
    };
    for (std::size_t j = 0; j < kHidden; ++j)
      next.c[j] = sigmoid(gate(1, j)) * m.c[j] + sigmoid(gate(0, j)) * std::tanh(gate(2, j));
    const Vector normalised = w.normalised(next.c, "c");
    for (std::size_t j = 0; j < kHidden; ++j) next.h[j] = sigmoid(gate(3, j)) * std::tanh(normalised[j]);
    return next;
  };
  check(nn::LayerNormLSTMCell<double>(kIn, kHidden, rng()), loop);
  check(nn::LayerNormLSTMCell<double>(kIn, kHidden, rng(), {.bias = false}), loop);
}

TEST_CASE("LayerNormGRUCell: the gates are normalised together, the candidate by itself") {
  const Loop loop = [](const Numbers& w, const Vector& x, const Memory& m) {
    Memory next;
    const Vector xs = w.normalised("ih", x, 0, 2 * kHidden), hs = w.normalised("hh", m.h, 0, 2 * kHidden);
    const Vector xn = w.normalised("ih", x, 2 * kHidden, 3 * kHidden);
    const Vector hn = w.normalised("hh", m.h, 2 * kHidden, 3 * kHidden);
    for (std::size_t j = 0; j < kHidden; ++j) {
      const double r = sigmoid(xs[j] + hs[j]), z = sigmoid(xs[kHidden + j] + hs[kHidden + j]);
      next.h[j] = (1 - z) * m.h[j] + z * std::tanh(xn[j] + r * hn[j]);
    }
    return next;
  };
  check(nn::LayerNormGRUCell<double>(kIn, kHidden, rng()), loop);
  check(nn::LayerNormGRUCell<double>(kIn, kHidden, rng(), {.bias = false}), loop);
}

// What a newly made cell holds.
TEST_CASE("cells start with the values that their papers or PyTorch give them") {
  const auto largest = [](const Var& x) { return ag::max(abs(x)).item(); };
  const double bound = 1 / std::sqrt(static_cast<double>(kHidden));
  const nn::LSTMCell<double> lstm(kIn, kHidden, rng(), {.proj_size = 2});
  for (const Var& parameter : nn::parameters(lstm))
    CHECK((largest(parameter) > 0 && largest(parameter) < bound));
  const nn::IndRNNCell<double> indrnn(kIn, 100, rng());
  CHECK((ag::min(indrnn.weight_hh).item() >= 0 && ag::max(indrnn.weight_hh).item() < 1));
  const nn::LayerNormLSTMCell<double> norm(kIn, kHidden, rng());
  for (const Var& gain : {norm.gain_ih, norm.gain_hh, norm.gain_c}) CHECK(ag::min(gain).item() == 1);
  for (const Var& bias : {norm.bias_ih, norm.bias_hh, norm.bias_c}) CHECK(largest(bias) == 0);
}

TEST_CASE("a cell of the first options has the random numbers that it had without a projection") {
  nn::Rng one(7), two(7);
  const nn::LSTMCell<double> plain(kIn, kHidden, one), projected(kIn, kHidden, two, {.proj_size = 2});
  CHECK(test::difference(plain.weight_ih, projected.weight_ih) == 0);
  CHECK(projected.weight_hh.shape() == ag::Shape{4 * kHidden, 2});
  CHECK(projected.initial_state(5).h.shape() == ag::Shape{5, 2});
  CHECK(projected.initial_state(5).c.shape() == ag::Shape{5, kHidden});
  CHECK(nn::unroll(projected, Var(test::random_array({3, 5, kIn}, 1))).output.shape() == ag::Shape{3, 5, 2});
}
