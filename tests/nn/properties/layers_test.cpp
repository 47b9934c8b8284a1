// The layers RNN, LSTM and GRU, of two layers in both directions, keep what is promised of every network, see
// promises.hpp.
#include <doctest/doctest.h>

#include "promises.hpp"

namespace ag = autograd;

namespace {

using test::BothWays;
using test::kHidden;
using test::kInput;
using test::Make;

// Layers of numbers T that `make_layer(T, rng)` makes.
template <class T>
Make<T> layers(const auto& make_layer) {
  return [make_layer](std::uint32_t seed) {
    nn::Rng rng(seed);
    return test::network<T>(make_layer(T(), rng));
  };
}

void check_layers(const auto& make_layer, BothWays both_ways) {
  const test::Traits traits{.both_ways = both_ways, .batch_axis = 1};
  const Make<double> make = layers<double>(make_layer);
  test::check_in_evaluation(make, make, traits);
  test::check_training(make, traits);
  test::check_checkpointed<double>(make, traits);
  test::check_checkpointed<float>(layers<float>(make_layer), traits);
}

constexpr nn::RecurrentOptions kBothWays{.num_layers = 2, .dropout = 0.3, .bidirectional = true};

}  // namespace

TEST_CASE("RNN keeps all promises") {
  check_layers([]<class T>(T, nn::Rng& rng) { return nn::RNN<T>(kInput, kHidden, rng, kBothWays); },
               BothWays::given);
}

TEST_CASE("LSTM keeps all promises") {
  check_layers([]<class T>(T, nn::Rng& rng) { return nn::LSTM<T>(kInput, kHidden, rng, kBothWays); },
               BothWays::given);
}

TEST_CASE("LSTM with a projection keeps all promises") {
  check_layers(
      []<class T>(T, nn::Rng& rng) {
        return nn::LSTM<T>(kInput, 4, rng, {.num_layers = 2, .dropout = 0.3, .proj_size = 2});
      },
      BothWays::no);
}

TEST_CASE("GRU keeps all promises") {
  check_layers([]<class T>(T, nn::Rng& rng) { return nn::GRU<T>(kInput, kHidden, rng, kBothWays); },
               BothWays::given);
}

TEST_CASE("layers that are made for the batch as first axis take it so without being told") {
  nn::Rng rng(1), same(1);
  const nn::GRU<double> time_first(2, 3, rng), batch_first(2, 3, same, {.batch_first = true});
  const ag::Var<double> x(nn::init::uniform<double>({5, 4, 2}, -1, 1, rng));
  const auto [expected, state] = time_first(x);
  const auto [output, last] = batch_first(ag::permute(x, {1, 0, 2}));
  const ag::Var<double> swapped = ag::permute(expected, {1, 0, 2});
  REQUIRE(output.shape() == swapped.shape());
  CHECK(std::equal(output.array().data(), output.array().data() + output.size(), swapped.array().data()));
  REQUIRE(last.shape() == state.shape());  // states stay (layers, batch, size)
  CHECK(std::equal(last.array().data(), last.array().data() + last.size(), state.array().data()));
}
