// The layers, cells and losses against PyTorch 1.13 in float64. A new case is a line in a list.
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

template <class Cell>
void check_cell(const Fixture& fixture, const Cell& cell) {
  check_module(fixture, cell, [&](Inputs& in) -> Outputs {
    if constexpr (std::is_same_v<Cell, nn::LSTMCell<double>>) {
      const auto [output, state] = cell.step(cell.project(in["input"]), {in["h0"], in["c0"]});
      return {{"h_n", state.h}, {"c_n", state.c}};
    } else {
      return {{"h_n", cell.step(cell.project(in["input"]), in["h0"])}};
    }
  });
}

// The minimal gated unit as a user writes it, with x W by matmul:
//
//     f = sigmoid(x Wf + h Uf + bf);  n = tanh(x Wn + (f h) Un + bn);  h' = (1 - f) h + f n
struct Mgu {
  using value_type = double;
  Var Wf, Uf, bf, Wn, Un, bn;

  Mgu() {
    const auto make = [](const ag::Shape& shape) { return ag::variable(ag::Array<double>(shape, 0)); };
    Wf = make({kIn, kHidden}), Uf = make({kHidden, kHidden}), bf = make({kHidden});
    Wn = make({kIn, kHidden}), Un = make({kHidden, kHidden}), bn = make({kHidden});
  }
  auto fields(auto&& visit) {
    visit("Wf", Wf), visit("Uf", Uf), visit("bf", bf), visit("Wn", Wn), visit("Un", Un), visit("bn", bn);
  }
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, kHidden}); }
  Var step(const Var& x, const Var& h) const {
    const Var f = sigmoid(ag::matmul(x, Wf) + ag::matmul(h, Uf) + bf);
    const Var n = tanh(ag::matmul(x, Wn) + ag::matmul(f * h, Un) + bn);
    return (1 - f) * h + f * n;
  }
};

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

TEST_CASE("one step of a cell gives PyTorch's state, loss and gradients") {
  for (const std::string name : {"rnncell_tanh", "rnncell_tanh_nobias", "rnncell_relu", "rnncell_relu_nobias",
                                 "grucell", "grucell_nobias", "lstmcell", "lstmcell_nobias"}) {
    CAPTURE(name);
    const Fixture fixture(name);
    nn::Rng rng(1);
    const nn::CellOptions options{.bias = !has(name, "_nobias")};
    if (has(name, "rnncell"))
      check_cell(fixture, nn::RNNCell<double>(kIn, kHidden, rng,
                                              has(name, "relu") ? nn::Activation::relu : nn::Activation::tanh,
                                              options));
    else if (has(name, "grucell"))
      check_cell(fixture, nn::GRUCell<double>(kIn, kHidden, rng, options));
    else
      check_cell(fixture, nn::LSTMCell<double>(kIn, kHidden, rng, options));
  }
}

TEST_CASE("Linear gives PyTorch's output, loss and gradients") {
  for (const std::string name : {"linear", "linear_nobias", "linear_3d", "linear_1d"}) {
    CAPTURE(name);
    nn::Rng rng(1);
    const nn::Linear<double> layer(kIn, 5, rng, !has(name, "_nobias"));
    check_module(Fixture(name), layer, [&](Inputs& in) -> Outputs {
      return {{"output", layer(in["input"])}};
    });
  }
}

TEST_CASE("a cell of a user's own gives what PyTorch gives for the same equations") {
  const Mgu cell;
  check_module(Fixture("custom_mgu"), cell, [&](Inputs& in) -> Outputs {
    const auto [output, state] = nn::unroll(cell, in["input"], in["s0.0"]);
    return {{"output", output}, {"sT.0", state}};
  });
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
