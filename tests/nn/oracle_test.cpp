// Backpropagation through time by the tape against the one written by hand.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "bptt_oracle.hpp"

namespace ag = autograd;
using oracle::Arrays;
using oracle::Kind;
using oracle::Numbers;
using oracle::Sizes;
using Var = ag::Var<double>;

namespace {

constexpr double kTolerance = 1e-12;

Arrays draw(Kind kind, const Sizes& size, nn::Rng& rng) {
  const auto [T, B, I, H, O] = size;
  const std::size_t G = oracle::gates(kind) * H;
  Arrays arrays;
  const auto add = [&](const char* name, std::size_t count, double deviation) {
    for (std::size_t k = 0; k < count; ++k) arrays[name].push_back(deviation * rng.normal());
  };
  const double weight = 1 / std::sqrt(static_cast<double>(H));
  add("x", T * B * I, 1), add("y", T * B * O, 1), add("h0", B * H, 0.5);
  if (kind == Kind::lstm) add("c0", B * H, 0.5);
  add("weight_ih", G * I, weight), add("weight_hh", G * H, weight), add("bias_ih", G, 0.3),
      add("bias_hh", G, 0.3);
  add("readout", O * H, weight), add("readout_bias", O, 0.3);
  return arrays;
}

Var variable(const Numbers& numbers, const ag::Shape& shape) {
  ag::Array<double> array(shape);
  std::copy(numbers.begin(), numbers.end(), array.data());
  return ag::variable(array);
}

// The largest error, relative to the largest entry of the array.
double error(const Var& of, const ag::Gradients& gradients, const Numbers& expected) {
  const ag::Array<double> actual = gradients.array(of);
  REQUIRE(actual.size() == expected.size());
  double largest = 0, scale = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(actual.data()[i] - expected[i]));
    scale = std::max(scale, std::abs(expected[i]));
    REQUIRE(std::isfinite(actual.data()[i]));
  }
  return largest / scale;
}

template <class Cell>
void check(Kind kind, const Sizes& size, const Cell& cell, nn::Rng& rng) {
  const auto [T, B, I, H, O] = size;
  const Arrays in = draw(kind, size, rng);
  const oracle::Result expected = oracle::bptt(kind, size, in);

  nn::for_each_parameter(cell, [&](const std::string& name, auto& parameter) {
    parameter.update_elements([&](double* to) { std::copy(in.at(name).begin(), in.at(name).end(), to); });
  });
  std::map<std::string, Var> leaves = {{"x", variable(in.at("x"), {T, B, I})},
                                       {"h0", variable(in.at("h0"), {B, H})},
                                       {"readout", variable(in.at("readout"), {O, H})},
                                       {"readout_bias", variable(in.at("readout_bias"), {O})}};
  if (kind == Kind::lstm) leaves["c0"] = variable(in.at("c0"), {B, H});
  nn::for_each_parameter(cell, [&](const std::string& name, auto& parameter) { leaves[name] = parameter; });

  ag::Tape tape;
  nn::CellState<Cell> state;
  if constexpr (std::is_same_v<Cell, nn::LSTMCell<double>>)
    state = {leaves["h0"], leaves["c0"]};
  else
    state = leaves["h0"];
  const auto [output, last] = nn::unroll(cell, leaves["x"], state);
  const Var loss = nn::mse(ag::linear(output, leaves["readout"], leaves["readout_bias"]),
                           variable(in.at("y"), {T, B, O}).detach());
  CHECK(std::abs(loss.item() - expected.loss) <= kTolerance * expected.loss);
  const ag::Gradients gradients = tape.backward(loss);
  CHECK(expected.gradients.size() == leaves.size());
  for (const auto& leaf : leaves) {
    INFO("gradient of " << leaf.first);
    CHECK(error(leaf.second, gradients, expected.gradients.at(leaf.first)) <= kTolerance);
  }
}

// (150, 2, ...) gathers 300 rows of a weight's gradient: more than one product's worth.
constexpr Sizes kSizes[] = {{1, 1, 1, 1, 1},   {3, 1, 1, 4, 1},   {2, 2, 3, 2, 2},   {7, 5, 3, 17, 2},
                            {40, 3, 2, 8, 1},  {5, 33, 4, 16, 3}, {1, 129, 2, 3, 1}, {150, 2, 3, 5, 2},
                            {128, 1, 1, 2, 1}, {300, 1, 2, 33, 1}};

void for_all_sizes(const auto& check_size) {
  for (const Sizes& size : kSizes) {
    CAPTURE(size.T);
    CAPTURE(size.B);
    CAPTURE(size.I);
    CAPTURE(size.H);
    CAPTURE(size.O);
    nn::Rng rng(5);
    check_size(size, rng);
  }
}

}  // namespace

TEST_CASE("an unrolled RNN has the loss and the gradients of hand-written BPTT") {
  for_all_sizes(
      [](const Sizes& s, nn::Rng& rng) { check(Kind::rnn, s, nn::RNNCell<double>(s.I, s.H, rng), rng); });
}

TEST_CASE("an unrolled GRU has the loss and the gradients of hand-written BPTT") {
  for_all_sizes(
      [](const Sizes& s, nn::Rng& rng) { check(Kind::gru, s, nn::GRUCell<double>(s.I, s.H, rng), rng); });
}

TEST_CASE("an unrolled LSTM has the loss and the gradients of hand-written BPTT") {
  for_all_sizes(
      [](const Sizes& s, nn::Rng& rng) { check(Kind::lstm, s, nn::LSTMCell<double>(s.I, s.H, rng), rng); });
}
