// Layers without time against PyTorch 1.13 in float64. A new case is a line in a list.
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

constexpr std::size_t kIn = 4;

bool has(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }

}  // namespace

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

TEST_CASE("LayerNorm gives PyTorch's output, loss and gradients") {
  const std::vector<std::pair<std::string, nn::LayerNorm<double>>> layers{
      {"layernorm", nn::LayerNorm<double>(5)},
      {"layernorm_noaffine", nn::LayerNorm<double>(5, {.elementwise_affine = false})},
      {"layernorm_3d_2dims", nn::LayerNorm<double>({3, 4}, {.eps = 1e-3})},
      {"layernorm_seq", nn::LayerNorm<double>(ag::Shape{6})}};
  for (const auto& each : layers) {
    CAPTURE(each.first);
    check_module(Fixture(each.first), each.second, [&](Inputs& in) -> Outputs {
      return {{"output", each.second(in["input"])}};
    });
  }
}

TEST_CASE("Embedding gives PyTorch's output, loss and gradient") {
  nn::Rng rng(1);
  for (const std::string name : {"embedding", "embedding_padding_idx"}) {
    CAPTURE(name);
    const Fixture fixture(name);
    const nn::Embedding<double> layer(
        6, 3, rng, has(name, "padding") ? nn::EmbeddingOptions{.padding_idx = 2} : nn::EmbeddingOptions{});
    const ag::Indices tokens({2, 3}, fixture.integers("tokens"));
    check_module(fixture, layer, [&](Inputs&) -> Outputs { return {{"output", layer(tokens)}}; });
  }
}
