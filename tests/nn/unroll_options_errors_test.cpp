// What is said word by word of options, states and networks that do not fit.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "message_of.hpp"

namespace ag = autograd;
using test::message_of;
using Var = ag::Var<double>;

namespace {

nn::Rng rng(1);
const nn::LSTMCell<double> lstm(2, 3, rng);
const nn::GRUCell<double> gru(2, 3, rng), upper(3, 3, rng);

Var ones(const ag::Shape& shape) { return ag::Array<double>(shape, 1); }
const Var x = ones({5, 4, 2});

std::string of_unroll(const auto& net, const nn::UnrollOptions& options = {}, const Var& input = x) {
  return message_of([&] { nn::unroll(net, input, options); });
}
std::string of_state(const auto& net, const auto& state) {
  return message_of([&] { nn::unroll(net, x, state); });
}

}  // namespace

TEST_CASE("lengths that do not fit") {
  const std::string range =
      " is not in [1, 5], the steps of the input; leave out what is empty, and pad the input to the longest";
  CHECK(of_unroll(gru, {.lengths = {5, 6, 1, 2}}) == "unroll: length 6 of sequence 1" + range);
  CHECK(of_unroll(gru, {.lengths = {5, 5, 0, 2}}) == "unroll: length 0 of sequence 2" + range);
  CHECK(of_unroll(gru, {.lengths = {-3, 5, 1, 2}}) == "unroll: length -3 of sequence 0" + range);
  CHECK(of_unroll(gru, {.lengths = {5, 5, 5}}) ==
        "unroll: there are 3 lengths for a batch of 4 sequences; give one for each");
  CHECK(of_unroll(nn::stack(gru, upper), {.lengths = {5}}) ==
        "unroll: there are 1 lengths for a batch of 4 sequences; give one for each");
}

// A state that no batch changes.
struct Shared {
  using value_type = double;
  Var initial_state(std::size_t) const { return ag::zeros<double>({3}); }
  std::pair<Var, Var> step(const Var& input, const Var& state) const { return {tanh(input), state}; }
};

TEST_CASE("lengths of a cell whose state has no batch") {
  CHECK(of_unroll(Shared(), {.lengths = {5, 5, 1, 2}}) ==
        "unroll: state has shape (3,) for any batch; with lengths, each Var of the state must have the batch "
        "as an "
        "axis, so that sequences that have ended keep theirs (in Shared)");
}

TEST_CASE("what is called after a step must return an output, or nothing") {
  const auto of_callback = [](auto&& call) { return message_of([&] { nn::unroll(gru, x, {}, call); }); };
  const std::string remedy = "; it must return an output (batch, ...) for a batch of 4, or nothing (void)";
  CHECK(of_callback([](const auto& now) { return now.output[0]; }) ==
        "unroll: the function that is called after each step returned shape (3,)" + remedy +
            " (in GRUCell / step 0)");
  CHECK(of_callback([](const auto&) { return Var(); }) ==
        "unroll: the function that is called after each step returned an empty Var, shape ()" + remedy +
            " (in GRUCell / step 0)");
}

TEST_CASE("an input that is not a sequence") {
  CHECK(of_unroll(gru, {.batch_first = true}, ones({4, 2})) ==
        "unroll: the input has shape (4, 2); (batch, time, features) is needed");
  CHECK(of_unroll(nn::bidirectional(gru, gru), {}, ones({4})) ==
        "unroll: the input has shape (4,); (time, batch, features) is needed");
  CHECK(of_unroll(gru, {.batch_first = true}, ones({4, 0, 2})) ==
        "unroll: the input of shape (4, 0, 2) has no time steps; at least one is needed");
}

TEST_CASE("a layer of a stack that does not take what the one before it gives is told") {
  const std::string tuple = of_unroll(nn::stack(gru, gru));
  CHECK(tuple ==
        "GRUCell: the input of shape (5, 4, 3) has 3 features, and the cell was made for 2 (weight_ih has "
        "shape "
        "(9, 2)); make them equal (in layer 1 / GRUCell)");
  CHECK(of_unroll(nn::stack(std::vector{gru, gru})) == tuple);
  CHECK(of_unroll(nn::stack(nn::stack(gru, upper), lstm)) ==
        "LSTMCell: the input of shape (5, 4, 3) has 3 features, and the cell was made for 2 (weight_ih has "
        "shape "
        "(12, 2)); make them equal (in layer 1 / LSTMCell)");
  CHECK(of_unroll(nn::bidirectional(gru, upper)) ==
        "GRUCell: the input of shape (5, 4, 2) has 2 features, and the cell was made for 3 (weight_ih has "
        "shape "
        "(9, 3)); make them equal (in backward / GRUCell)");
}

TEST_CASE("a state that does not fit is called by its place") {
  const auto bad = [](const std::string& place, const std::string& shape) {
    return "unroll: the given " + place + " has shape " + shape + "; for a batch of 4 it must be (4, 3)";
  };
  CHECK(of_state(gru, ones({3, 3})) == bad("state", "(3, 3)"));
  CHECK(of_state(lstm, nn::LSTMState<double>{ones({4, 3}), ones({4, 2})}) == bad("state[1]", "(4, 2)"));
  CHECK(of_state(nn::stack(gru, upper), std::tuple{ones({4, 3}), ones({4})}) == bad("state[1]", "(4,)"));
  CHECK(of_state(nn::stack(lstm, upper), std::tuple{nn::LSTMState<double>{ones({4, 3}), ones({1, 3})},
                                                    ones({4, 3})}) == bad("state[0][1]", "(1, 3)"));
  CHECK(of_state(nn::stack(std::vector{gru, upper}), std::vector{ones({4, 3}), ones({2, 3})}) ==
        bad("state[1]", "(2, 3)"));
  CHECK(of_state(nn::stack(std::vector{gru, upper}), std::vector{ones({4, 3})}) ==
        "state is a list of 1 where there must be 2; give one for each layer, as "
        "initial_state(batch) does");
  CHECK(of_state(nn::stack(std::vector{gru, upper}), std::vector{ones({4, 3}), Var()}) ==
        "unroll: state[1] is an empty Var; give a value, or begin from the cell's initial state");
  const nn::LSTM<double> layer(2, 3, rng, {.num_layers = 2});
  CHECK(of_state(layer, nn::LSTMState<double>{ones({2, 4, 3}), ones({2, 3, 3})}) ==
        "LSTMCell layer: state[1] has shape (2, 3, 3); it must be (layers x directions, batch, size): (2, 4, "
        "3) "
        "(in LSTM)");
}

TEST_CASE("combinators that are made of what does not fit") {
  CHECK(of_unroll(nn::residual(gru)) ==
        "residual: the input has shape (5, 4, 2) and the output (5, 4, 3); they are added, so they must be "
        "equal "
        "(in Residual)");
  CHECK(message_of([] {
          nn::zoneout(gru, {0.1, 0.2});
        }) ==
        "zoneout: there are 2 probabilities, and the state of GRUCell has 1 Vars; give one for all, or one "
        "for each");
  CHECK(message_of([] { nn::zoneout(lstm, std::vector<double>{}); }) ==
        "zoneout: there are 0 probabilities, and the state of LSTMCell has 2 Vars; give one for all, or one "
        "for each");
  CHECK(message_of([] { nn::stack(std::vector<nn::GRUCell<double>>{}); }) ==
        "stack: there are no layers; give at least one");
  CHECK(of_unroll(nn::layer_norm(gru, 2)) ==
        "LayerNorm: the input has shape (5, 4, 3); its last axes must be (2,) (in Normalised)");
}

TEST_CASE("probabilities out of range") {
  const auto bad = [](const std::string& who, const std::string& p) {
    return who + ": the probability is " + p + "; it must be in [0, 1)";
  };
  CHECK(message_of([] { (void)nn::dropout(x, 1); }) == bad("dropout", "1"));
  CHECK(message_of([] { nn::Dropout(-0.5); }) == bad("Dropout", "-0.5"));
  CHECK(message_of([] { nn::dropout(gru, {.input = 1}); }) == bad("dropout: input", "1"));
  CHECK(message_of([] { nn::dropout(gru, {.output = -1}); }) == bad("dropout: output", "-1"));
  CHECK(message_of([] { nn::recurrent_dropout(gru, 2); }) == bad("recurrent_dropout", "2"));
  CHECK(message_of([] { nn::variational(gru, {.input = 1}); }) == bad("variational: input", "1"));
  CHECK(message_of([] { nn::variational(gru, {.state = 1}); }) == bad("variational: state", "1"));
  CHECK(message_of([] { nn::variational(gru, {.output = 1.5}); }) == bad("variational: output", "1.5"));
  CHECK(message_of([] { nn::zoneout(gru, 1.0); }) == bad("zoneout", "1"));
  CHECK(message_of([] { nn::zoneout(lstm, {0.1, std::nan("")}); }) == bad("zoneout", "nan"));
  CHECK(message_of([] { nn::stack(nn::StackOptions{.dropout = 1}, gru, upper); }) ==
        bad("stack: dropout", "1"));
  CHECK(message_of([] { nn::GRU<double>(2, 3, rng, {.dropout = 1}); }) == bad("GRU", "1"));
}

TEST_CASE("options that a layer cannot have") {
  CHECK(message_of([] { nn::RNN<double>(2, 3, rng, {.num_layers = 0}); }) ==
        "RNN: num_layers is 0; it must be at least 1");
  CHECK(message_of([] { nn::LSTM<double>(0, 3, rng); }) == "recurrent cell: in is 0; it must be at least 1");
  CHECK(message_of([] { nn::GRU<double>(2, 0, rng); }) ==
        "recurrent cell: hidden is 0; it must be at least 1");
  CHECK(message_of([] { nn::LSTM<double>(2, 3, rng, {.proj_size = 3}); }) ==
        "LSTMCell: proj_size is 3 and hidden is 3; the projection must be smaller, or 0 for none");
  CHECK(message_of([] { nn::GRU<double>(2, 3, rng, {.proj_size = 2}); }) ==
        "GRU: proj_size is 2; only LSTM has a projection");
  CHECK(message_of([] { nn::RNN<double>(2, 3, rng, {.proj_size = 2}); }) ==
        "RNN: proj_size is 2; only LSTM has a projection");
  CHECK(message_of([] { nn::LSTM<double>(2, 3, rng, {.nonlinearity = nn::Activation::relu}); }) ==
        "LSTM: nonlinearity is not tanh; only RNN has another");
  CHECK(message_of([] { nn::GRU<double>(2, 3, rng, {.nonlinearity = nn::Activation::relu}); }) ==
        "GRU: nonlinearity is not tanh; only RNN has another");
}

TEST_CASE("what decode refuses") {
  const auto of_decode = [](std::size_t steps, std::size_t fed,
                            const nn::DecodeOptions<double>& options = {}) {
    return message_of([&] {
      nn::decode(
          gru, x[0], gru.initial_state(4), steps,
          [&](const Var&) {
            return ones({4, fed});
          },
          options);
    });
  };
  CHECK(of_decode(3, 2) == "(no error)");
  CHECK(of_decode(0, 2) == "decode: there are 0 steps; at least one is needed");
  CHECK(of_decode(3, 5) ==
        "decode: feed made shape (4, 5) of an output of shape (4, 3); the first input has shape (4, 2), and "
        "all "
        "must be alike (in decode / step 0)");
  CHECK(of_decode(3, 2, {.teacher_forcing = 1.5}) == "decode: teacher_forcing is 1.5; it must be in [0, 1]");
  CHECK(of_decode(3, 2, {.teacher_forcing = -0.5}) ==
        "decode: teacher_forcing is -0.5; it must be in [0, 1]");
  CHECK(of_decode(3, 2, {.targets = ones({2, 4, 2})}) ==
        "decode: the targets have shape (2, 4, 2); for 3 steps from a first input of shape (4, 2) it must be "
        "(3, 4, 2)");
  CHECK(message_of([] { nn::decode(gru, Var(), gru.initial_state(4), 3, [](const Var& y) { return y; }); }) ==
        "decode: an operand is an empty Var; assign it a value first");
}
