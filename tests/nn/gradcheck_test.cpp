// Cells over several steps, checked with all of their parameters and their input.
#include <doctest/doctest.h>

#include <nn/nn.hpp>

#include "autograd/random_arrays.hpp"

namespace ag = autograd;
using V = ag::Var<double>;

namespace {

// A cell without parameters, whose step forgets part of its gradient.
struct Leaky {
  V initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 2}); }
  V step(const V& x, const V& h) const { return tanh(x + 0.5 * h.detach() + 0.2 * h); }
};

}  // namespace

TEST_CASE("every cell passes over five steps, to second order") {
  nn::Rng rng(1);
  const V x = test::random_array({5, 2, 3}, 1);
  const auto check = [&](const auto& cell, std::size_t parameters) {
    const ag::GradcheckReport report = nn::gradcheck(cell, x, {.atol = 1e-8, .order = 2});
    CHECK_MESSAGE(report, report);
    CHECK(report.checked == 2 * (parameters + x.size()));
  };
  check(nn::RNNCell<double>(3, 2, rng), 2 * (3 + 2 + 2));
  check(nn::RNNCell<double>(3, 2, rng, nn::Activation::sigmoid), 2 * (3 + 2 + 2));
  check(nn::LSTMCell<double>(3, 2, rng), 8 * (3 + 2 + 2));
  check(nn::LSTMCell<double>(3, 4, rng, {.proj_size = 2}), 16 * (3 + 2 + 2) + 8);
  check(nn::PeepholeLSTMCell<double>(3, 2, rng), 8 * (3 + 2 + 2) + 6);
  check(nn::CoupledLSTMCell<double>(3, 2, rng), 6 * (3 + 2 + 2));
  check(nn::GRUCell<double>(3, 2, rng, {.bias = false}), 6 * (3 + 2));
  check(nn::ResetBeforeGRUCell<double>(3, 2, rng), 6 * (3 + 2 + 2));
  check(nn::MGUCell<double>(3, 2, rng), 4 * (3 + 2 + 2));
  check(nn::IndRNNCell<double>(3, 2, rng), 2 * (3 + 1 + 1));
  check(nn::IndRNNCell<double>(3, 2, rng, nn::Activation::tanh, {.bias = false}), 2 * (3 + 1));
}

// Three units, since a normalisation over two of them is close to a sign.
TEST_CASE("cells with layer normalisation pass over three steps, to second order") {
  nn::Rng rng(1);
  const V x = test::random_array({3, 2, 2}, 1);
  const auto check = [&](const auto& cell, std::size_t parameters) {
    const ag::GradcheckReport report = nn::gradcheck(cell, x, {.atol = 1e-6, .order = 2});
    CHECK_MESSAGE(report, report);
    CHECK(report.checked == 2 * (parameters + x.size()));
  };
  check(nn::LayerNormLSTMCell<double>(2, 3, rng, {.eps = 0.1}), 12 * (2 + 3 + 4) + 6);
  check(nn::LayerNormLSTMCell<double>(2, 3, rng, {.bias = false, .eps = 0.1}), 12 * (2 + 3 + 2) + 3);
  check(nn::LayerNormGRUCell<double>(2, 3, rng, {.eps = 0.1}), 9 * (2 + 3 + 4));
}

TEST_CASE("a gradient that a cell loses from step to step is found") {
  const ag::GradcheckReport report = nn::gradcheck(Leaky{}, test::random_array({4, 3, 2}, 1));
  CHECK_FALSE(report);
  CHECK(report.mismatches[0].input == "x");
  CHECK(report.hint.starts_with(
      "every op's rule is right by itself: part of the function is computed outside"));
}
