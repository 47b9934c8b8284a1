// The options of unroll, functions called after each step, and decode.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>
#include <xtensor/xbuilder.hpp>

#include "fixture.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

namespace {

nn::Rng rng(1);
const nn::LSTMCell<double> lstm(2, 3, rng);
const nn::GRUCell<double> gru(2, 3, rng), upper(3, 3, rng);
const Var x = nn::init::uniform<double>({5, 4, 2}, -1, 1, rng);

Var ones(const ag::Shape& shape) { return ag::Array<double>(shape, 1); }
bool same(const Var& a, const Var& b) { return test::difference(a, b.array()) == 0; }
bool close(const Var& a, const Var& b) { return test::difference(a, b.array()) <= 1e-12; }

// Counts its steps in its state, and is another function at each: h' = tanh(x + (n + 1) h / 4).
struct Clock {
  using value_type = double;
  Var weight = ag::variable(ag::Array<double>({3}, 0.7));
  struct State {
    Var h;
    int steps = 0;
  };
  auto fields(auto&& visit) { visit("weight", weight); }
  State initial_state(std::size_t batch) const { return {ag::zeros<double>({batch, 3}), 0}; }
  std::pair<Var, State> step(const Var& input, const State& state) const {
    const Var h = tanh(ag::sum(input, -1, true) * weight + (state.steps + 1) * state.h / 4);
    return {h, {h, state.steps + 1}};
  }
};

// Keeps its last two outputs as a memory (2, B, H), time first, and adds their mean to the next.
struct Remembering {
  using value_type = double;
  Var weight = ag::variable(ag::Array<double>({3}, 0.7));
  struct State {
    Var memory;
  };
  auto fields(auto&& visit) { visit("weight", weight); }
  State initial_state(std::size_t batch) const { return {ag::zeros<double>({2, batch, 3})}; }
  std::pair<Var, State> step(const Var& input, const State& state) const {
    const Var h = tanh(ag::sum(input, -1, true) * weight + ag::mean(state.memory, 0));
    return {h, {ag::stack({state.memory[1], h})}};
  }
};

}  // namespace

TEST_CASE("last_only gives the own last output of each sequence, from cells and stacks") {
  const auto all = nn::unroll(lstm, x, {.lengths = {3, 5, 1, 4}});
  const auto last = nn::unroll(lstm, x, {.lengths = {3, 5, 1, 4}, .last_only = true});
  const std::size_t ends[] = {2, 4, 0, 3};
  REQUIRE(last.output.shape() == ag::Shape{4, 3});
  for (std::size_t b = 0; b < 4; ++b) CHECK(same(last.output[b], all.output[ends[b]][b]));
  CHECK(same(last.output, last.state.h));
  CHECK(same(nn::unroll(nn::stack(lstm, upper), x, {.last_only = true}).output,
             nn::unroll(nn::stack(lstm, upper), x).output[4]));
  const auto reversed = nn::unroll(lstm, x, {.reverse = true, .last_only = true});
  CHECK(same(reversed.output, nn::unroll(lstm, x, {.reverse = true}).output[0]));
  CHECK(same(nn::unroll(lstm, ag::permute(x, {1, 0, 2}), {.batch_first = true, .last_only = true}).output,
             nn::unroll(lstm, x).output[4]));  // (B, H) whatever comes first
}

TEST_CASE("last_only of both directions is what each gives last") {
  const auto both = nn::bidirectional(gru, gru);
  const auto all = nn::unroll(both, x), last = nn::unroll(both, x, {.last_only = true});
  CHECK(same(last.output, ag::concat({all.state.forward, all.state.backward}, -1)));
}

TEST_CASE("lengths may be any range of integers, and equal lengths are none") {
  const Var expected = nn::unroll(gru, x, {.lengths = {3, 5, 1, 4}}).output;
  CHECK(same(nn::unroll(gru, x, {.lengths = std::vector<int>{3, 5, 1, 4}}).output, expected));
  CHECK(same(nn::unroll(gru, x, {.lengths = std::array<std::size_t, 4>{3, 5, 1, 4}}).output, expected));
  CHECK(same(nn::unroll(gru, x, {.lengths = {5, 5, 5, 5}}).output, nn::unroll(gru, x).output));
}

TEST_CASE("an xtensor expression is an input") {
  const xt::xtensor<double, 3> values = x.value();
  CHECK(same(nn::unroll(gru, values).output, nn::unroll(gru, x).output));
  CHECK(same(nn::unroll(gru, 2 * values, {.last_only = true}).output, nn::unroll(gru, 2 * x).output[4]));
  CHECK(same(nn::unroll(gru, values, ones({4, 3})).output, nn::unroll(gru, x, ones({4, 3})).output));
  const nn::GRUCell<float> single(2, 3, rng);
  CHECK(nn::unroll(single, xt::xtensor<float, 3>(xt::ones<float>({5, 4, 2}))).output.shape() ==
        ag::Shape{5, 4, 3});
}

TEST_CASE("numbers in a state go on through segments and past the ends of sequences") {
  const Clock clock;
  const nn::Evaluation evaluation;
  const auto gradient = [&](const auto& net, const nn::UnrollOptions& options) {
    ag::Tape tape;
    const auto [output, state] = nn::unroll(net, x, options);
    CHECK(state.steps == 5);
    return tape.backward(ag::sum(square(output)) + ag::sum(state.h)).array(clock.weight).copy();
  };
  for (const nn::UnrollOptions& options :
       {nn::UnrollOptions{}, {.lengths = {3, 5, 1, 4}}, {.reverse = true}, {.last_only = true}}) {
    const ag::Array<double> plain = gradient(clock, options);
    for (const std::size_t every : {1, 2, 3, 5})
      CHECK(test::difference(gradient(nn::checkpointed(clock, every), options), plain) == 0);
  }
  // The counter is the batch's, so that of a sequence is the same as alone only from the first step on.
  const auto ragged = nn::unroll(clock, x, {.lengths = {3, 5, 1, 4}});
  CHECK(close(ragged.state.h[0], nn::unroll(clock, x.slice(0, 3)).state.h[0]));
  const auto first = nn::unroll(clock, x.slice(0, 2));
  CHECK(first.state.steps == 2);
  CHECK(close(nn::unroll(clock, x.slice(2, 5), first.state).output, nn::unroll(clock, x).output.slice(2, 5)));
}

TEST_CASE("a function called after each step sees it, and changes nothing if it returns nothing") {
  const auto plain = nn::unroll(lstm, x);
  for (const bool reverse : {false, true}) {
    std::vector<std::size_t> seen;
    Var memory;
    const auto [output, state] = nn::unroll(lstm, x, {.reverse = reverse}, [&](const auto& now) {
      seen.push_back(now.t);
      CHECK(same(now.input, x[now.t]));
      CHECK(same(now.output, now.state.h));
      REQUIRE(now.memory.shape(0) == seen.size());
      CHECK(same(now.memory[reverse ? 0 : now.t], now.output));
      memory = now.memory;
    });
    CHECK(seen ==
          (reverse ? std::vector<std::size_t>{4, 3, 2, 1, 0} : std::vector<std::size_t>{0, 1, 2, 3, 4}));
    CHECK(same(output, nn::unroll(lstm, x, {.reverse = reverse}).output));
    CHECK(same(memory, output));
  }
  // From a given state.
  const auto from = nn::unroll(lstm, x, plain.state, {}, [](const auto&) {});
  CHECK(same(from.output, nn::unroll(lstm, x, plain.state).output));
}

TEST_CASE("what the function returns takes the place of the output, and the state stays the cell's") {
  const auto plain = nn::unroll(gru, x);
  const auto doubled = [](const auto& now) { return ag::concat({now.output * 2, now.input}, -1); };
  const auto replaced = nn::unroll(gru, x, {}, doubled);
  CHECK(same(replaced.output, ag::concat({plain.output * 2, x}, -1)));
  CHECK(same(replaced.state, plain.state));
  const auto last = nn::unroll(gru, x, {.last_only = true}, doubled);
  CHECK(same(last.output, replaced.output[4]));
  const auto ragged = nn::unroll(gru, x, {.lengths = {3, 5, 1, 4}}, doubled);
  CHECK(same(ragged.output[3][0], ag::zeros<double>({5})));
  CHECK(same(ragged.output[3][1], replaced.output[3][1]));
  CHECK(same(nn::unroll(gru, ag::permute(x, {1, 0, 2}), {.batch_first = true}, doubled).output,
             ag::permute(replaced.output, {1, 0, 2})));
}

TEST_CASE("the last output that the function returns is each sequence's own") {
  const auto doubled = [](const auto& now) { return now.output * 2; };
  const Var all = nn::unroll(gru, x, {.lengths = {3, 5, 1, 4}}, doubled).output;
  const Var last = nn::unroll(gru, x, {.lengths = {3, 5, 1, 4}, .last_only = true}, doubled).output;
  const std::size_t ends[] = {2, 4, 0, 3};
  for (std::size_t b = 0; b < 4; ++b) CHECK(same(last[b], all[ends[b]][b]));
}

TEST_CASE("attention over all outputs so far, and its gradients through the memory") {
  const auto attend = [](const auto& now) {
    return nn::dot_product_attention(now.output, now.memory, now.memory).output;
  };
  const Var outputs = nn::unroll(lstm, x).output;
  const Var attended = nn::unroll(lstm, x, {}, attend).output;
  for (std::size_t t = 0; t < 5; ++t) {
    const Var memory = outputs.slice(0, t + 1);
    CHECK(close(attended[t], nn::dot_product_attention(outputs[t], memory, memory).output));
  }
  for (const bool reverse : {false, true}) {
    const auto report = ag::gradcheck(
        [&] { return nn::unroll(lstm, x, {.reverse = reverse}, attend).output; }, nn::parameters(lstm));
    CHECK_MESSAGE(static_cast<bool>(report), report);
    CHECK(report.largest_error <= 1e-6);  // of differences with a step of 1e-5
  }
  // With a function, checkpoints keep all, and change nothing.
  CHECK(same(nn::unroll(nn::checkpointed(lstm, 2), x, {}, attend).output, attended));
}

TEST_CASE(
    "attention over a batch of sequences of unequal lengths is that of each alone, in both directions") {
  const std::vector<int> lengths{3, 5, 1, 4};
  const auto attend = [](const auto& now) {
    return nn::dot_product_attention(now.output, now.memory, now.memory, {.mask = now.visible}).output;
  };
  for (const bool reverse : {false, true}) {
    const Var all = nn::unroll(lstm, x, {.lengths = lengths, .reverse = reverse}, attend).output;
    for (std::size_t b = 0; b < 4; ++b) {
      const auto length = static_cast<std::size_t>(lengths[b]);
      const Var own = ag::slice(x, {{0, lengths[b]}, {static_cast<int>(b), static_cast<int>(b) + 1}});
      const Var alone = nn::unroll(lstm, own, {.reverse = reverse}, attend).output;
      for (std::size_t t = 0; t < 5; ++t)
        CHECK(close(all[t][b], t < length ? alone[t][0] : ag::zeros<double>({3})));
    }
  }
}

TEST_CASE("with lengths the batch may be any axis of a state") {
  const Remembering cell;
  const std::vector<int> lengths{3, 5, 1,
                                 4};  // of a batch that is not as large as the memory, and of one that is
  for (const std::size_t batch : {4, 2}) {
    const Var part = ag::slice(x, {{}, {0, static_cast<int>(batch)}});
    const auto all =
        nn::unroll(cell, part, {.lengths = std::vector(lengths.begin(), lengths.begin() + batch)});
    for (std::size_t b = 0; b < batch; ++b) {
      const int sequence = static_cast<int>(b);
      const auto alone = nn::unroll(cell, ag::slice(x, {{0, lengths[b]}, {sequence, sequence + 1}}));
      CHECK(close(ag::slice(all.state.memory, {{}, {sequence, sequence + 1}}), alone.state.memory));
    }
  }
}

TEST_CASE("decode with the teacher's inputs is unroll over the targets, shifted by a step") {
  const auto feed = [](const Var& y) { return ag::slice(y, {{}, {0, 2}}); };
  const auto state = lstm.initial_state(4);
  nn::Rng random(1);
  const nn::Training training(random);
  const auto decoded =
      nn::decode(lstm, x[0], state, 5, feed, {.targets = ag::concat({x.slice(1, 5), x.slice(0, 1)}, 0)});
  const auto unrolled = nn::unroll(lstm, x);
  CHECK(close(decoded.output, unrolled.output));
  CHECK(close(decoded.state.c, unrolled.state.c));
}

TEST_CASE("decode without a teacher feeds on what it gave") {
  const auto feed = [](const Var& y) { return ag::slice(y, {{}, {1, 3}}) * 2; };
  auto state = lstm.initial_state(4);
  Var input = x[0];
  std::vector<Var> outputs;
  for (std::size_t t = 0; t < 4; ++t) {
    const auto step = nn::unroll(lstm, input.reshape({1, 4, 2}), state);
    outputs.push_back(step.output[0]);
    state = step.state;
    input = feed(outputs.back());
  }
  const auto decoded = nn::decode(lstm, x[0], lstm.initial_state(4), 4, feed);
  CHECK(close(decoded.output, ag::stack(outputs)));
  CHECK(close(decoded.state.c, state.c));
  const Var targets = ones({4, 4, 2});
  // In evaluation targets are not used, and in training neither with a ratio of 0.
  CHECK(same(nn::decode(lstm, x[0], lstm.initial_state(4), 4, feed, {.targets = targets}).output,
             decoded.output));
  nn::Rng random(1);
  const nn::Training training(random);
  CHECK(
      same(nn::decode(lstm, x[0], lstm.initial_state(4), 4, feed, {.targets = targets, .teacher_forcing = 0})
               .output,
           decoded.output));
  const auto report = ag::gradcheck(
      [&] { return nn::decode(lstm, x[0], lstm.initial_state(4), 4, feed).output; }, nn::parameters(lstm));
  CHECK_MESSAGE(static_cast<bool>(report), report);
}

TEST_CASE("decode with a teacher at some steps: the same by the same seed, and as often as asked") {
  std::size_t fed = 0;
  const auto feed = [&](const Var& y) {
    ++fed;
    return ag::slice(y, {{}, {0, 2}});
  };
  const Var first = ones({1, 2}), targets = ones({2001, 1, 2});
  const auto decoded = [&](std::uint32_t seed) {
    nn::Rng random(seed);
    const nn::Training training(random);
    return nn::decode(gru, first, gru.initial_state(1), 2001, feed,
                      {.targets = targets, .teacher_forcing = 0.75})
        .output;
  };
  const Var once = decoded(1);
  CHECK(std::abs(static_cast<double>(fed) - 500) < 80);  // four times sqrt(2000 * 3/16)
  CHECK(same(decoded(1), once));
  CHECK_FALSE(same(decoded(2), once));
}

TEST_CASE("decode takes combinators, with masks that are the same at all steps") {
  const auto net = nn::variational(nn::stack(lstm, upper), {.input = 0.3, .state = 0.3, .output = 0.3});
  const auto feed = [](const Var& y) { return ag::slice(y, {{}, {0, 2}}); };
  const auto decoded = [&](std::uint32_t seed) {
    nn::Rng random(seed);
    const nn::Training training(random);
    return nn::decode(net, x[0], net.initial_state(4), 3, feed).output;
  };
  CHECK(same(decoded(1), decoded(1)));
  CHECK_FALSE(same(decoded(1), decoded(2)));
  const Var y = decoded(1);
  for (std::size_t i = 0; i < y[0].size(); ++i)  // an output that is dropped is dropped at all steps
    CHECK((y[0].array().data()[i] == 0) == (y[2].array().data()[i] == 0));
}
