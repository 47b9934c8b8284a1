// Hessian-vector products of cells and layers: the sweep with tangents against the gradient of the recorded
// gradient.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "autograd/random_arrays.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

namespace {

const Var x = test::random_array({4, 3, 5}, 1);  // (time, batch, features)

template <class F>
void check(const F& loss) {
  const Var input = ag::variable(x.array().copy()), direction = test::random_array(x.shape(), 2);
  Var by_sweep, by_graph;
  {
    ag::Tape tape;
    by_sweep = ag::hvp(loss(input), input, direction);
  }
  {
    ag::Tape tape;
    const Var gradient = ag::grad(loss(input), std::vector{input}, {.create_graph = true})[0];
    by_graph = ag::grad(ag::sum(gradient * direction), std::vector{input})[0];
  }
  CHECK(test::difference(by_sweep, by_graph) <= 1e-12);
  CHECK(ag::max(abs(by_graph)).item() > 1e-4);
}

}  // namespace

TEST_CASE("Hessian-vector products of every cell are those of its recorded gradient") {
  nn::Rng rng(1);
  const auto check_cell = [](const auto& cell) {
    check([&](const Var& input) { return ag::sum(square(nn::unroll(cell, input).output)); });
  };
  check_cell(nn::RNNCell<double>(5, 4, rng));
  check_cell(nn::IndRNNCell<double>(5, 4, rng, nn::Activation::tanh));
  check_cell(nn::LSTMCell<double>(5, 7, rng, {.proj_size = 3}));
  check_cell(nn::PeepholeLSTMCell<double>(5, 4, rng));
  check_cell(nn::CoupledLSTMCell<double>(5, 4, rng));
  check_cell(nn::LayerNormLSTMCell<double>(5, 4, rng));
  check_cell(nn::GRUCell<double>(5, 4, rng));
  check_cell(nn::ResetBeforeGRUCell<double>(5, 4, rng));
  check_cell(nn::LayerNormGRUCell<double>(5, 4, rng));
  check_cell(nn::MGUCell<double>(5, 4, rng));
}

TEST_CASE("Hessian-vector products of attention and LayerNorm are those of their recorded gradients") {
  nn::Rng rng(1);
  const nn::AdditiveAttention<double> additive(5, 5, 4, rng);
  check([&](const Var& input) {
    return ag::sum(square(additive(input[0], input, input, {.lengths = {4, 2, 3}}).output));
  });
  check([](const Var& input) {
    return ag::sum(square(nn::dot_product_attention(input, input, input, {.lengths = {4, 2, 3}}).output));
  });
  const nn::LayerNorm<double> norm({3, 5});
  check([&](const Var& input) { return ag::sum(pow(norm(input), 3.0)); });
}
