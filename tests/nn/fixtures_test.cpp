// Recurrent layers and losses against PyTorch 1.13 in float64. A new case is a line in a list; cells are in
// cell_fixtures_test.cpp, other layers in layer_fixtures_test.cpp.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "parity.hpp"

namespace ag = autograd;
using test::check_module;
using test::Fixture;
using test::Inputs;
using test::kParity;
using test::Outputs;
using Var = ag::Var<double>;

namespace {

constexpr std::size_t kIn = 4, kHidden = 3;

bool has(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }

template <class Layer>
void check_layer(const Fixture& fixture, const Layer& layer) {
  check_module(fixture, layer, [&](Inputs& in) -> Outputs {
    if constexpr (std::is_same_v<Layer, nn::LSTM<double>>) {
      const auto [output, state] = layer(in["input"], {in["h0"][0], in["c0"][0]});
      return {{"output", output},
              {"h_n", state.h.reshape(in["h0"].shape())},
              {"c_n", state.c.reshape(in["c0"].shape())}};
    } else {
      const auto [output, state] = layer(in["input"], in["h0"][0]);
      return {{"output", output}, {"h_n", state.reshape(in["h0"].shape())}};
    }
  });
}

ag::Indices labels(const Fixture& fixture) {
  const std::vector<std::int64_t> target = fixture.integers("target");
  return xt::xarray<std::int64_t>(xt::adapt(target, {target.size()}));
}

}  // namespace

TEST_CASE("recurrent layers give PyTorch's outputs, states, loss and gradients") {
  for (const std::string name :
       {"rnn_tanh_l1", "rnn_tanh_l1_nobias", "rnn_tanh_l1_bf", "rnn_tanh_l1_bf_nobias",  //
        "gru_l1", "gru_l1_nobias", "gru_l1_bf", "gru_l1_bf_nobias",                      //
        "lstm_l1", "lstm_l1_nobias", "lstm_l1_bf", "lstm_l1_bf_nobias"}) {
    CAPTURE(name);
    Fixture fixture(name);
    if (has(name, "_bf"))
      for (const char* array : {"input", "grad.input", "output", "cot.output"})
        fixture.swap_leading_axes(array);
    nn::Rng rng(1);
    const nn::CellOptions options{.bias = !has(name, "_nobias")};
    if (has(name, "rnn_tanh"))
      check_layer(fixture, nn::RNN<double>(kIn, kHidden, rng, nn::Activation::tanh, options));
    else if (has(name, "gru"))
      check_layer(fixture, nn::GRU<double>(kIn, kHidden, rng, options));
    else
      check_layer(fixture, nn::LSTM<double>(kIn, kHidden, rng, options));
  }
}

TEST_CASE("mse is the mean of PyTorch's squared errors") {
  const Fixture fixture("loss_mse_none");
  const Var input = ag::variable(fixture["input"]), target = fixture["target"];
  const Var expected = ag::mean(Var(fixture["output"]));
  // the fixture's loss is sum(cot * (input - target)^2)
  const Var gradient =
      Var(fixture["grad.input"]) / Var(fixture["cot.output"]) / static_cast<double>(input.size());
  ag::Tape tape;
  const Var loss = nn::mse(input, target);
  CHECK(test::difference(loss, expected.item()) <= kParity);
  CHECK(test::difference(tape.backward(loss).array(input), gradient.array()) <= kParity);
}

TEST_CASE("cross_entropy gives PyTorch's mean, and its sum from the mean") {
  for (const std::string name : {"loss_cross_entropy_mean", "loss_cross_entropy_sum"}) {
    CAPTURE(name);
    const Fixture fixture(name);
    const double factor = has(name, "_sum") ? static_cast<double>(fixture.integers("target").size()) : 1;
    const Var input = ag::variable(fixture["input"]);
    ag::Tape tape;
    const Var loss = nn::cross_entropy(input, labels(fixture)) * factor;
    CHECK(test::difference(loss, fixture.scalar("loss")) <= kParity);
    CHECK(test::difference(tape.backward(loss).array(input), fixture["grad.input"]) <= kParity);
  }
}

TEST_CASE("cross_entropy of extreme logits gives PyTorch's loss of each row") {
  const Fixture fixture("loss_cross_entropy_extreme_none");
  const Var input = ag::variable(fixture["input"]);
  const std::vector<std::int64_t> target = fixture.integers("target");
  ag::Tape tape;
  Var loss(0);
  for (std::size_t row = 0; row < target.size(); ++row) {
    const Var of_row = nn::cross_entropy(input.slice(row, row + 1), xt::xarray<std::int64_t>{target[row]});
    CHECK(test::difference(of_row, fixture["output"][row]) <= kParity);
    loss = loss + of_row * fixture["cot.output"].data()[row];
  }
  CHECK(test::difference(loss, fixture.scalar("loss")) <= kParity);
  CHECK(test::difference(tape.backward(loss).array(input), fixture["grad.input"]) <= kParity);
}
