// Cells, built in and of a user's own, against PyTorch 1.13 in float64. A new case is a line in a list.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "parity.hpp"

namespace ag = autograd;
using test::check_module;
using test::Fixture;
using test::Inputs;
using test::Outputs;
using Var = ag::Var<double>;

namespace {

constexpr std::size_t kIn = 4, kHidden = 3;

bool has(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }

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

// An LSTM with layer normalisation as a user writes it, order i, f, g, o:
//
//     gates = LN(x W + h U + b; gain, shift);  c' = f c + i g;  h' = o tanh(LN(c'))
struct LayerNormLstm {
  using value_type = double;
  struct State {
    Var h, c;
  };
  Var W, U, b, gain, shift;

  LayerNormLstm() {
    const auto make = [](const ag::Shape& shape) { return ag::variable(ag::Array<double>(shape, 0)); };
    W = make({kIn, 4 * kHidden}), U = make({kHidden, 4 * kHidden});
    b = make({4 * kHidden}), gain = make({4 * kHidden}), shift = make({4 * kHidden});
  }
  auto fields(auto&& visit) {
    visit("W", W), visit("U", U), visit("b", b), visit("gain", gain), visit("shift", shift);
  }
  State initial_state(std::size_t batch) const {
    return {ag::zeros<double>({batch, kHidden}), ag::zeros<double>({batch, kHidden})};
  }
  std::pair<Var, State> step(const Var& x, const State& state) const {
    const Var gates = ag::layer_norm(ag::matmul(x, W) + ag::matmul(state.h, U) + b, gain, shift);
    const auto [o, c] = ag::map(
        [](auto i, auto f, auto g, auto o, auto c) {
          return std::tuple{sigmoid(o), sigmoid(f) * c + sigmoid(i) * tanh(g)};
        },
        ag::chunk<4>(gates), state.c);
    const Var h = o * tanh(ag::layer_norm(c));
    return {h, {h, c}};
  }
};

// A parameter of MGUCell from the fixture's of two gates, x W, as rows.
Var rows_of(const Fixture& fixture, const std::string& f, const std::string& n) {
  const auto rows = [&](const std::string& name) {
    const Var w = fixture[name];
    return w.rank() == 2 ? ag::transpose(w) : w;
  };
  return ag::concat({rows(f), rows(n)});
}

}  // namespace

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

TEST_CASE("a cell of a user's own gives what PyTorch gives for the same equations") {
  const Mgu cell;
  check_module(Fixture("custom_mgu"), cell, [&](Inputs& in) -> Outputs {
    const auto [output, state] = nn::unroll(cell, in["input"], in["s0.0"]);
    return {{"output", output}, {"sT.0", state}};
  });
}

TEST_CASE("MGUCell gives what PyTorch gives for its equations") {
  const Fixture fixture("custom_mgu");
  nn::Rng rng(1);
  nn::MGUCell<double> cell(kIn, kHidden, rng);
  const std::vector<std::tuple<Var, std::string, std::string>> parameters{
      {cell.weight_ih, "Wf", "Wn"}, {cell.weight_hh, "Uf", "Un"}, {cell.bias_ih, "bf", "bn"}};
  for (auto [parameter, f, n] : parameters)
    parameter.assign(rows_of(fixture, "param." + f, "param." + n).value());
  cell.bias_hh.update_elements([&](double* elements) { std::fill_n(elements, 2 * kHidden, 0.0); });
  const Var x = ag::variable(fixture["input"]), h = ag::variable(fixture["s0.0"]);
  ag::Tape tape;
  const nn::Unrolled<double, Var> y = nn::unroll(cell, x, h);
  CHECK(test::difference(y.output, fixture["output"]) <= test::kParity);
  const Var loss =
      ag::sum(y.output * Var(fixture["cot.output"])) + ag::sum(y.state * Var(fixture["cot.sT.0"]));
  CHECK(test::difference(loss, fixture.scalar("loss")) <= test::kParity);
  const ag::Gradients gradients = tape.backward(loss);
  CHECK(test::difference(gradients.array(x), fixture["grad.input"]) <= test::kParity);
  CHECK(test::difference(gradients.array(h), fixture["grad.s0.0"]) <= test::kParity);
  for (const auto& each : parameters) {
    const std::string& f = std::get<1>(each);
    INFO(f);
    CHECK(test::difference(gradients.array(std::get<0>(each)),
                           rows_of(fixture, "grad.param." + f, "grad.param." + std::get<2>(each)).array()) <=
          test::kParity);
  }
}

TEST_CASE("a cell of a user's own with two states gives what PyTorch gives for the same equations") {
  const LayerNormLstm cell;
  check_module(Fixture("custom_layernorm_lstm"), cell, [&](Inputs& in) -> Outputs {
    const auto [output, state] = nn::unroll(cell, in["input"], {in["s0.0"], in["s0.1"]});
    return {{"output", output}, {"sT.0", state.h}, {"sT.1", state.c}};
  });
}
