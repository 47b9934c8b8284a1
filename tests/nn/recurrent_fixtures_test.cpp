// Recurrent layers against PyTorch 1.13 in float64: every combination of layers, directions, bias,
// projection, order of the axes and lengths that tests/fixtures has. A new case is a file there.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <filesystem>
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

// "lstm_l2_bi_bf_nobias_proj2_packed": the cell, the layers, and what is not as usual.
struct Case {
  std::string name, cell;
  nn::RecurrentOptions options;

  explicit Case(const std::string& file) : name(file), cell(file.substr(0, file.find("_l"))) {
    const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
    const auto number_after = [&](const char* part) {
      return static_cast<std::size_t>(std::stoi(name.substr(name.find(part) + std::string(part).size())));
    };
    options.num_layers = number_after("_l");
    if (has("rnn_relu")) options.nonlinearity = nn::Activation::relu;
    options.bias = !has("_nobias");
    options.batch_first = has("_bf");
    options.bidirectional = has("_bi");
    if (has("_proj")) options.proj_size = number_after("_proj");
  }
};

nn::UnrollOptions lengths_of(const Fixture& fixture) {
  if (!fixture.has("lengths")) return {};
  return {.lengths = fixture.integers("lengths")};
}

template <class Layer>
void check_layer(const Case& each) {
  const Fixture fixture(each.name);
  nn::Rng rng(1);
  const std::size_t features = fixture["input"].shape().back(),
                    hidden = fixture["param.weight_ih_l0"].shape()[0];
  const std::size_t gates = each.cell == "lstm" ? 4 : each.cell == "gru" ? 3 : 1;
  const Layer layer(features, hidden / gates, rng, each.options);
  const nn::UnrollOptions how = lengths_of(fixture);
  check_module(fixture, layer, [&](Inputs& in) -> Outputs {
    if constexpr (std::is_same_v<Layer, nn::LSTM<double>>) {
      const auto result = layer(in["input"], {in["h0"], in["c0"]}, how);
      return {{"output", result.output}, {"h_n", result.state.h}, {"c_n", result.state.c}};
    } else {
      const auto result = layer(in["input"], in["h0"], how);
      return {{"output", result.output}, {"h_n", result.state}};
    }
  });
}

// An embedding, an LSTM over it, and a linear layer that gives the logits of each step's next token.
struct TokenModel {
  using value_type = double;
  nn::Embedding<double> embedding;
  nn::LSTM<double> lstm;
  nn::Linear<double> head;
  auto fields(auto&& visit) { visit("embedding", embedding), visit("lstm", lstm), visit("head", head); }
};

ag::Indices indices(const Fixture& fixture, const std::string& name, const ag::Shape& shape) {
  return {shape, fixture.integers(name)};
}

}  // namespace

TEST_CASE("recurrent layers give PyTorch's outputs, states, loss and gradients") {
  std::size_t cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(UNROLL_TESTS_DIR "/fixtures")) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() != ".safetensors" ||
        !(name.starts_with("rnn_") || name.starts_with("gru_l") || name.starts_with("lstm_l")))
      continue;
    CAPTURE(name);
    const Case each(name);
    if (each.cell == "lstm")
      check_layer<nn::LSTM<double>>(each);
    else if (each.cell == "gru")
      check_layer<nn::GRU<double>>(each);
    else
      check_layer<nn::RNN<double>>(each);
    ++cases;
  }
  CHECK(cases >= 84);
}

TEST_CASE("models of tokens give PyTorch's logits, loss and gradients") {
  for (const std::string name : {"embed_lstm_ce", "embed_lstm_ce_pad"}) {
    CAPTURE(name);
    const bool padded = name.ends_with("_pad");
    const Fixture fixture(name);
    const ag::Shape shape = fixture["logits"].shape().prefix(2);
    nn::Rng rng(1);
    const TokenModel model{
        {7, 4, rng, {.padding_idx = padded ? std::optional<std::ptrdiff_t>(0) : std::nullopt}},
        {4, 5, rng, {.num_layers = padded ? 2u : 1u}},
        {5, 7, rng}};
    test::set_parameters(fixture, model);
    ag::Tape tape;
    const auto output =
        model.lstm(model.embedding(indices(fixture, "tokens", shape)), lengths_of(fixture)).output;
    const Var logits = model.head(output);
    CHECK(test::difference(logits, fixture["logits"]) <= kParity);
    const Var loss =
        nn::cross_entropy(logits, indices(fixture, "targets", shape), {.ignore_index = padded ? -100 : -1});
    CHECK(test::difference(loss, fixture.scalar("loss")) <= kParity);
    test::check_gradients(fixture, model, tape.backward(loss));
  }
}
