// Training with tapes that repeat each other ends in the same parameters, to the bit, as with tapes made
// anew.
#include <doctest/doctest.h>

#include <nn/nn.hpp>
#include <optional>
#include <random>

#include "autograd/replay.hpp"
#include "minimal_gated_cell.hpp"

namespace ag = autograd;

namespace {

template <class T>
ag::Var<T> sequence(std::size_t steps, std::size_t batch, std::size_t features, unsigned seed) {
  std::mt19937 rng(seed);
  ag::Array<T> x({steps, batch, features});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(rng() % 2000) / T(1000) - T(1);
  return x;
}

// Trains a model that `make` makes, on sequences whose lengths change now and then, with replay or without;
// gives its parameters.
template <class T>
std::vector<T> train(const auto& make, bool replay, bool carries_state, bool repeats) {
  ag::set_replay(replay);
  nn::Rng rng(1);
  auto model = make(rng);
  nn::Adam<T> adam(nn::parameters(model), {.lr = 0.01});
  const std::size_t lengths[] = {5, 5, 7, 7, 7, 3, 5, 5};
  std::size_t replayed = 0;
  std::optional<std::decay_t<decltype(model.initial_state(2))>> state;
  for (std::size_t pass = 0; pass < 16; ++pass) {
    const std::size_t steps = lengths[pass % 8];
    const ag::Var<T> x = sequence<T>(steps, 2, 3, static_cast<unsigned>(pass));
    ag::Tape tape;
    const nn::Training training(rng);
    nn::UnrollOptions options;
    if (pass % 4 == 3) options.lengths = {static_cast<std::int64_t>(steps), 2};
    if (pass % 8 == 4) options.last_only = true;
    const auto [output, last] =
        carries_state && state ? nn::unroll(model, x, *state, options) : nn::unroll(model, x, options);
    const ag::Var<T> loss = nn::mse(output, ag::zeros<T>(output.shape()));
    replayed += ag::detail::current_tape()->replayed;
    adam.step(tape.backward(loss));
    if (carries_state) state = nn::detach(last);
  }
  ag::set_replay(true);
  CHECK((replayed > 0) == (replay && repeats));
  std::vector<T> all;
  for (const ag::Var<T>& each : nn::parameters(model))
    all.insert(all.end(), each.array().data(), each.array().data() + each.size());
  return all;
}

template <class T>
void check_same(const std::string& name, const auto& make, bool repeats = true) {
  CAPTURE(name);
  for (const bool carries_state : {false, true}) {
    const std::vector<T> anew = train<T>(make, false, carries_state, repeats);
    CHECK(train<T>(make, true, carries_state, repeats) == anew);
    bool finite = true;
    for (const T each : anew) finite &= std::isfinite(each);
    CHECK(finite);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("a model is trained to the same parameters with replay and without", T, float, double) {
  check_same<T>("RNN", [](nn::Rng& rng) { return nn::RNNCell<T>(3, 5, rng); });
  check_same<T>("GRU", [](nn::Rng& rng) { return nn::GRUCell<T>(3, 5, rng); });
  check_same<T>("LSTM", [](nn::Rng& rng) { return nn::LSTMCell<T>(3, 5, rng); });
  check_same<T>("MGU", [](nn::Rng& rng) { return nn::MGUCell<T>(3, 5, rng); });
  check_same<T>("a cell of a user", [](nn::Rng& rng) { return test::MinimalGatedCell<T>(3, 5, rng); });
  check_same<T>("stack with dropout and residual", [](nn::Rng& rng) {
    return nn::stack(nn::dropout(nn::LSTMCell<T>(3, 4, rng), {.input = 0.2, .output = 0.3}),
                     nn::residual(nn::GRUCell<T>(4, 4, rng)));
  });
  check_same<T>(
      "checkpointed", [](nn::Rng& rng) { return nn::checkpointed(nn::GRUCell<T>(3, 4, rng)); }, false);
}
