// Training and evaluation: when something is random, by which numbers, and what it is on average.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <cmath>
#include <nn/nn.hpp>
#include <set>
#include <thread>

#include "message_of.hpp"

namespace ag = autograd;
using test::message_of;
using Var = ag::Var<double>;

namespace {

using Values = std::vector<double>;

Values values(const Var& v) { return {v.array().data(), v.array().data() + v.size()}; }
Var ones(const ag::Shape& shape) { return ag::Array<double>(shape, 1); }
double mean(const Values& all) {
  double sum = 0;
  for (const double each : all) sum += each;
  return sum / static_cast<double>(all.size());
}
double share_of(const Values& all, double value) {
  return static_cast<double>(std::count(all.begin(), all.end(), value)) / static_cast<double>(all.size());
}

// Gives out its input.
struct Echo {
  using value_type = double;
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 1}); }
  std::pair<Var, Var> step(const Var& x, const Var& h) const { return {x, h}; }
};

// Gives out the state (h, c) that it gets, and leaves ones.
struct Mirror {
  using value_type = double;
  std::size_t size;
  struct State {
    Var h, c;
  };
  State initial_state(std::size_t batch) const { return {ones({batch, size}), ones({batch, size})}; }
  std::pair<Var, State> step(const Var& x, const State& state) const {
    return {ag::concat({state.h, state.c}, -1), initial_state(x.shape(0))};
  }
};

// Counts its steps: h' = h + 1, which is the output as well, and c' = c + 1.
struct Counter {
  using value_type = double;
  std::size_t size;
  struct State {
    Var h, c;
  };
  State initial_state(std::size_t batch) const {
    return {ag::zeros<double>({batch, size}), ag::zeros<double>({batch, size})};
  }
  std::pair<Var, State> step(const Var&, const State& state) const {
    const Var h = state.h + 1;
    return {h, {h, state.c + 1}};
  }
};

const std::string kForgotten =
    ": a tape records, but neither training nor evaluation was chosen; put `nn::Training training(rng);` "
    "beside the tape, or `nn::Evaluation evaluation;`";

// The outputs of a network in training with a seed.
Values trained(const auto& net, const Var& x, std::uint32_t seed = 1) {
  nn::Rng rng(seed);
  const nn::Training training(rng);
  return values(nn::unroll(net, x).output);
}

}  // namespace

TEST_CASE("a forgotten mode is an error where a tape records, word by word") {
  nn::Rng rng(1);
  const nn::LSTMCell<double> cell(2, 3, rng);
  const Var x = ones({4, 2, 2});
  const ag::Tape tape;
  CHECK(message_of([&] { (void)nn::dropout(x, 0.5); }) == "dropout" + kForgotten);
  CHECK(message_of([&] { (void)nn::Dropout(0.5)(x); }) == "dropout" + kForgotten);
  CHECK(message_of([&] { nn::unroll(nn::dropout(cell, {.input = 0.5}), x); }) ==
        "dropout" + kForgotten + " (in DropoutAround)");
  CHECK(message_of([&] { nn::unroll(nn::variational(cell, {.output = 0.5}), x); }) ==
        "variational" + kForgotten + " (in Variational)");
  CHECK(message_of([&] { nn::unroll(nn::variational(cell, {.state = 0.5}), x); }) ==
        "recurrent_dropout" + kForgotten + " (in Variational / StateDropout / step 0)");
  CHECK(message_of([&] { nn::unroll(nn::recurrent_dropout(cell, 0.5), x); }) ==
        "recurrent_dropout" + kForgotten + " (in StateDropout / step 0)");
  CHECK(message_of([&] { nn::unroll(nn::zoneout(cell, 0.5), x); }) ==
        "zoneout" + kForgotten + " (in Zoneout / step 0)");
  CHECK(message_of([&] {
          nn::unroll(nn::stack(nn::StackOptions{.dropout = 0.5}, cell, nn::GRUCell<double>(3, 3, rng)), x);
        }) == "dropout" + kForgotten + " (in layer 1)");
  CHECK(message_of([&] { nn::LSTM<double>(2, 3, rng, {.num_layers = 2, .dropout = 0.5})(x); }) ==
        "dropout" + kForgotten + " (in LSTM / layer 1)");
  CHECK(message_of([&] {
          nn::decode(cell, x[0], cell.initial_state(2), 4,
                     [](const Var&) {
                       return ones({2, 2});
                     },
                     {.targets = x});
        }) == "decode" + kForgotten);
  CHECK(message_of([&] { (void)nn::dropout(x, 0); }) == "(no error)");  // nothing is random
}

TEST_CASE("without a tape nothing is random, and nothing need be chosen") {
  nn::Rng rng(1);
  const nn::LSTMCell<double> cell(3, 3, rng);
  const auto net = nn::dropout(nn::zoneout(nn::stack(nn::StackOptions{.dropout = 0.5}, cell, cell), 0.5),
                               {.input = 0.5, .output = 0.5});
  const Var x = nn::init::uniform<double>({4, 2, 3}, -1, 1, rng);
  const Values silent = values(nn::unroll(net, x).output);
  CHECK(values(nn::unroll(net, x).output) == silent);
  const nn::Evaluation evaluation;
  const ag::Tape tape;
  CHECK(values(nn::unroll(net, x).output) == silent);
}

TEST_CASE("modes nest, the innermost holds, and an exception ends one") {
  nn::Rng rng(1);
  const Var x = ones({100});
  const auto random = [&] { return values(nn::dropout(x, 0.5)) != values(x); };
  CHECK_FALSE(random());
  {
    const nn::Training training(rng);
    CHECK(random());
    {
      const nn::Evaluation evaluation;
      CHECK_FALSE(random());
      {
        const nn::Training inner(rng);
        CHECK(random());
      }
      CHECK_FALSE(random());
    }
    CHECK(random());
    try {
      const nn::Evaluation evaluation;
      throw 1;
    } catch (int) {
    }
    CHECK(random());
    bool elsewhere = true;
    std::thread([&] { elsewhere = random(); }).join();
    CHECK_FALSE(elsewhere);  // a mode is its thread's
  }
  CHECK_FALSE(random());
}

TEST_CASE("dropout drops with its probability, and leaves the mean") {
  nn::Rng rng(3);
  const nn::Training training(rng);
  // Of n = 200000 entries a share p is off by sqrt(p (1 - p) / n), at most 0.0011; 0.005 is over four of it.
  for (const double p : {0.1, 0.3, 0.5, 0.9}) {
    CAPTURE(p);
    const Values dropped = values(nn::dropout(ones({200000}), p));
    CHECK(std::abs(share_of(dropped, 0) - p) < 0.005);
    CHECK(std::abs(share_of(dropped, 1 / (1 - p)) - (1 - p)) < 0.005);
    CHECK(share_of(dropped, 0) + share_of(dropped, 1 / (1 - p)) == doctest::Approx(1).epsilon(1e-12));
    CHECK(std::abs(mean(dropped) - 1) < 0.005 / (1 - p));
  }
}

TEST_CASE("the same seed draws the same masks, another one others, and so does the next unrolling") {
  nn::Rng init(1);
  const nn::GRUCell<double> cell(3, 3, init);
  const Var x = nn::init::uniform<double>({6, 4, 3}, -1, 1, init);
  const auto check = [&](const auto& net) {
    CHECK(trained(net, x, 1) == trained(net, x, 1));
    CHECK(trained(net, x, 1) != trained(net, x, 2));
    nn::Rng rng(1);
    const nn::Training training(rng);
    const Values first = values(nn::unroll(net, x).output);
    CHECK(first == trained(net, x, 1));
    CHECK(values(nn::unroll(net, x).output) != first);
  };
  check(nn::dropout(cell, {.input = 0.5}));
  check(nn::dropout(cell, {.output = 0.5}));
  check(nn::recurrent_dropout(cell, 0.5));
  check(nn::zoneout(cell, 0.5));
  check(nn::variational(cell, {.input = 0.5}));
  check(nn::variational(cell, {.state = 0.5}));
  check(nn::variational(cell, {.output = 0.5}));
  check(nn::stack(nn::StackOptions{.dropout = 0.5}, cell, cell));
}

TEST_CASE("dropout around a cell has a new mask at each step and for each sequence") {
  for (const nn::DropoutOptions& options : {nn::DropoutOptions{.input = 0.5}, {.output = 0.5}}) {
    const Values y = trained(nn::dropout(Echo{}, options), ones({5, 4, 64}));
    std::set<Values> masks;
    for (std::size_t row = 0; row < 20; ++row)
      masks.emplace(y.begin() + static_cast<std::ptrdiff_t>(64 * row),
                    y.begin() + static_cast<std::ptrdiff_t>(64 * (row + 1)));
    CHECK(masks.size() == 20);
    CHECK(share_of(y, 0) + share_of(y, 2) == 1);
    CHECK(std::abs(share_of(y, 0) - 0.5) < 0.06);  // four times sqrt(1/4 / 1280)
  }
}

TEST_CASE("variational dropout has one mask for all steps, and another one for each sequence") {
  const auto check = [](const auto& net, std::size_t width) {
    const Values y = trained(net, ones({5, 4, 64}));
    std::set<Values> masks;
    for (std::size_t b = 0; b < 4; ++b)
      for (std::size_t t = 0; t < 5; ++t) {
        const auto begin = y.begin() + static_cast<std::ptrdiff_t>((t * 4 + b) * width);
        masks.emplace(begin, begin + 64);
      }
    CHECK(masks.size() == 4);
    for (const Values& mask : masks) {
      CHECK(share_of(mask, 0) + share_of(mask, 2) == 1);
      CHECK(std::abs(share_of(mask, 0) - 0.5) < 0.25);  // four times sqrt(1/4 / 64)
    }
  };
  check(nn::variational(Echo{}, {.input = 0.5}), 64);
  check(nn::variational(Echo{}, {.output = 0.5}), 64);
  check(nn::variational(Mirror{64}, {.state = 0.5}), 128);
}

TEST_CASE("variational dropout drops the last output as it drops all") {
  const auto net = nn::variational(Echo{}, {.output = 0.5});
  nn::Rng rng(1), same(1);
  const Var x = ones({5, 4, 64});
  const auto last = [&](nn::Rng& generator, bool last_only) {
    const nn::Training training(generator);
    const Var output = nn::unroll(net, x, {.last_only = last_only}).output;
    return values(last_only ? output : output[4]);
  };
  CHECK(last(rng, true) == last(same, false));
}

TEST_CASE("a step of variational dropout by itself is told that it belongs to no sequence") {
  nn::Rng rng(1);
  const nn::Training training(rng);
  const auto net = nn::variational(Echo{}, {.input = 0.5});
  CHECK(message_of([&] {
          net.step(ones({2, 3}), net.initial_state(2));
        }) ==
        "variational: it keeps one mask for all steps of a sequence, and this step belongs to none; run it "
        "by unroll, or in evaluation mode");
}

TEST_CASE("recurrent dropout drops h by a new mask at each step, and leaves c") {
  constexpr std::size_t kSize = 64;
  const Values y = trained(nn::recurrent_dropout(Mirror{kSize}, 0.25), ones({5, 4, 1}));
  std::set<Values> masks;
  Values h, c;
  for (std::size_t row = 0; row < 20; ++row) {
    const auto begin = y.begin() + static_cast<std::ptrdiff_t>(row * 2 * kSize);
    masks.emplace(begin, begin + kSize);
    h.insert(h.end(), begin, begin + kSize);
    c.insert(c.end(), begin + kSize, begin + 2 * kSize);
  }
  CHECK(masks.size() == 20);
  CHECK(share_of(h, 0) + share_of(h, 1 / 0.75) == 1);
  CHECK(std::abs(share_of(h, 0) - 0.25) < 0.05);  // four times sqrt(3/16 / 1280)
  CHECK(share_of(c, 1) == 1);
}

TEST_CASE("zoneout takes the mean in evaluation") {
  const auto [output, state] = nn::unroll(nn::zoneout(Counter{3}, {0.25, 0.5}), ones({8, 2, 1}));
  for (std::size_t t = 0; t < 8; ++t)
    CHECK(values(output[t]) == Values(6, 0.75 * static_cast<double>(t + 1)));  // the output is zoned, as h is
  CHECK(values(state.h) == Values(6, 6));
  CHECK(values(state.c) == Values(6, 4));
}

TEST_CASE("zoneout in training keeps entries of the state with its probability, anew at each step") {
  constexpr std::size_t kSteps = 8, kSize = 4000;
  nn::Rng rng(5);
  const nn::Training training(rng);
  const auto [output, state] = nn::unroll(nn::zoneout(Counter{kSize}, {0.25, 0.5}), ones({kSteps, 1, 1}));
  std::set<Values> masks;
  Values before(kSize, 0);
  for (std::size_t t = 0; t < kSteps; ++t) {
    const Values now = values(output[t]);
    Values moved(kSize);
    for (std::size_t i = 0; i < kSize; ++i) moved[i] = now[i] - before[i];
    CHECK(share_of(moved, 0) + share_of(moved, 1) == 1);
    CHECK(std::abs(share_of(moved, 0) - 0.25) < 0.03);  // four times sqrt(3/16 / 4000)
    masks.insert(moved);
    before = now;
  }
  CHECK(masks.size() == kSteps);
  CHECK(values(state.h) == before);
  CHECK(std::abs(mean(values(state.h)) - 6) < 0.08);  // four times sqrt(8 * 3/16 / 4000)
  CHECK(std::abs(mean(values(state.c)) - 4) < 0.1);   // four times sqrt(8 / 4 / 4000)
}

TEST_CASE("the dropout of a stack is between layers only, by masks of their own") {
  const auto two = nn::stack(nn::StackOptions{.dropout = 0.5}, Echo{}, Echo{});
  const Values once = trained(two, ones({5, 4, 64}));
  CHECK(share_of(once, 0) + share_of(once, 2) == 1);
  const Values twice = trained(nn::stack(std::vector<Echo>(3), {.dropout = 0.5}), ones({5, 4, 64}));
  CHECK(share_of(twice, 0) + share_of(twice, 4) == 1);
  CHECK(std::abs(share_of(twice, 4) - 0.25) < 0.05);  // it would be 0.5 with one mask
}

TEST_CASE("both directions draw masks of their own") {
  const auto cell = nn::recurrent_dropout(Mirror{64}, 0.5);
  const Values y = trained(nn::bidirectional(cell, cell), ones({1, 1, 1}));
  CHECK(Values(y.begin(), y.begin() + 64) != Values(y.begin() + 128, y.begin() + 192));
}
