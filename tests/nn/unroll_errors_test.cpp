// What unrolling says of a user's mistakes, word by word, and that nothing is left broken after one.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "minimal_gated_cell.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

namespace {

nn::Rng rng(1);
const nn::RNNCell<double> rnn(3, 4, rng);
const nn::LSTMCell<double> lstm(3, 4, rng);
const nn::GRUCell<double> gru(3, 4, rng);
const test::MinimalGatedCell<double> mgu(3, 4, rng);

Var ones(const ag::Shape& shape) { return ag::Array<double>(shape, 1); }

// Takes another batch from some step on, or throws.
struct Bad {
  enum What { another_shape, another_rank, empty, throws } what;
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 4}); }
  Var step(const Var& x, const Var& h) const {
    if (x.item() < 2) return tanh(h + x);
    if (what == another_shape) return ag::zeros<double>({2, 4});
    if (what == another_rank) return ag::zeros<double>({4});
    if (what == throws) throw std::runtime_error("the cell's own");
    return {};
  }
};

Var counting(std::size_t steps) {
  ag::Array<double> x({steps, 1, 1});
  for (std::size_t t = 0; t < steps; ++t) x.data()[t] = static_cast<double>(t);
  return x;
}

}  // namespace

TEST_CASE("an input that is not (time, batch, features) is named with its shape") {
  CHECK_THROWS_WITH_AS(nn::unroll(rnn, ones({5, 3})),
                       "unroll: the input has shape (5, 3); (time, batch, features) is needed", ag::Error);
  CHECK_THROWS_WITH_AS(nn::unroll(lstm, ones({5})),
                       "unroll: the input has shape (5,); (time, batch, features) is needed", ag::Error);
  CHECK_THROWS_WITH_AS(nn::unroll(gru, ones({5, 1, 3, 1}), ones({1, 4})),
                       "unroll: the input has shape (5, 1, 3, 1); (time, batch, features) is needed",
                       ag::Error);
  CHECK_THROWS_WITH_AS(nn::unroll(mgu, ones({})),
                       "unroll: the input has shape (); (time, batch, features) is needed", ag::Error);
}

TEST_CASE("an input without time steps is refused") {
  CHECK_THROWS_WITH_AS(nn::unroll(rnn, ones({0, 2, 3})),
                       "unroll: the input of shape (0, 2, 3) has no time steps; at least one is needed",
                       ag::Error);
}

TEST_CASE("an input of the wrong number of features is named by the layer that takes it") {
  const ag::Var<double> x = ones({5, 2, 7});
  const std::pair<const char*, std::function<void()>> calls[] = {
      {"RNNCell: the input ", [&] { nn::unroll(rnn, x); }},
      {"LSTMCell: the input ", [&] { nn::unroll(lstm, x); }},
      {"GRUCell: the input ", [&] { nn::unroll(gru, x); }},
      {"linear: ", [&] { nn::unroll(mgu, x); }},
  };
  for (const auto& each : calls) {
    std::string message;
    try {
      each.second();
    } catch (const ag::Error& error) {
      message = error.what();
    }
    INFO(message);
    CHECK(message.starts_with(each.first));
    CHECK(message.find("7)") != std::string::npos);    // the input's shape
    CHECK(message.find(", 3)") != std::string::npos);  // the weight's
  }
}

TEST_CASE("a state that does not fit the batch is refused") {
  for (const auto& shape : {ag::Shape{3, 4}, ag::Shape{2, 5}, ag::Shape{2, 1}, ag::Shape{}}) {
    CAPTURE(shape);
    CHECK_THROWS_AS(nn::unroll(mgu, ones({5, 2, 3}), ones(shape)),
                    ag::Error);  // a sum in it broadcasts (1, 4)
  }
}

TEST_CASE("a built-in cell refuses a state of the wrong shape and names it") {
  for (const auto& shape :
       {ag::Shape{3, 4}, ag::Shape{2, 5}, ag::Shape{1, 4}, ag::Shape{4}, ag::Shape{2, 1}, ag::Shape{}}) {
    std::ostringstream printed;
    printed << shape;
    const std::string text = printed.str();
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(nn::unroll(rnn, ones({5, 2, 3}), ones(shape)), doctest::Contains(text.c_str()),
                         ag::Error);
    CHECK_THROWS_WITH_AS(nn::unroll(gru, ones({5, 2, 3}), ones(shape)), doctest::Contains(text.c_str()),
                         ag::Error);
    CHECK_THROWS_WITH_AS(nn::unroll(lstm, ones({5, 2, 3}), {ones(shape), ones({2, 4})}),
                         doctest::Contains(text.c_str()), ag::Error);
    CHECK_THROWS_WITH_AS(nn::unroll(lstm, ones({5, 2, 3}), {ones({2, 4}), ones(shape)}),
                         doctest::Contains(text.c_str()), ag::Error);
  }
}

TEST_CASE("an empty input or state is refused") {
  CHECK_THROWS_AS(nn::unroll(rnn, Var{}), ag::Error);
  CHECK_THROWS_AS(nn::unroll(rnn, ones({5, 2, 3}), Var{}), ag::Error);
  CHECK_THROWS_AS(nn::unroll(lstm, ones({5, 2, 3}), {ones({2, 4}), Var{}}), ag::Error);
}

TEST_CASE("a cell that changes the shape of its output is told the step and both shapes") {
  for (int round = 0; round < 2; ++round) {
    nn::unroll(Bad{}, counting(2));
    CHECK_THROWS_WITH_AS(
        nn::unroll(Bad{Bad::another_shape}, counting(4)),
        "unroll: the output of step 2 has shape (2, 4), that of the steps before it (1, 4); a cell "
        "must give one shape (in Bad / step 2)",
        ag::Error);
    CHECK_THROWS_WITH_AS(
        nn::unroll(Bad{Bad::another_rank}, counting(4)),
        "unroll: the output of step 2 has shape (4,), that of the steps before it (1, 4); a cell must "
        "give one shape (in Bad / step 2)",
        ag::Error);
    CHECK_THROWS_WITH_AS(nn::unroll(Bad{Bad::empty}, counting(4)),
                         "unroll: an operand is an empty Var; assign it a value first (in Bad / step 2)",
                         ag::Error);
  }
}

TEST_CASE("after a step has thrown, ops and unrolling work as before") {
  const Var x = ag::variable(ones({6, 2, 3}).array());
  const auto gradient = [&] {
    ag::Tape tape;
    return tape.backward(ag::sum(square(nn::unroll(rnn, x).output))).array(x).copy();
  };
  const ag::Array<double> expected = gradient();
  for (int round = 0; round < 3; ++round) {
    {
      ag::Tape tape;
      CHECK_THROWS_WITH_AS(nn::unroll(Bad{Bad::throws}, counting(4)), "the cell's own", std::runtime_error);
      const Var after = tanh(ag::zeros<double>({1, 4}));  // of the size of the cell's output
      CHECK(after.array().data()[0] == 0);
    }
    const ag::Array<double> actual = gradient();
    CHECK(std::equal(actual.data(), actual.data() + actual.size(), expected.data()));
  }
}

namespace {

// project must give one row for each time step.
struct BadProject {
  std::size_t rows;
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 4}); }
  Var project(const Var&) const { return ones({rows, 2, 4}); }
  Var step(const Var& x, const Var& h) const { return tanh(x + h); }
};

}  // namespace

TEST_CASE("a project that gives another number of time steps is refused") {
  CHECK_NOTHROW(nn::unroll(BadProject{5}, ones({5, 2, 3})));
  CHECK_THROWS_WITH_AS(nn::unroll(BadProject{4}, ones({5, 2, 3})), doctest::Contains("project"), ag::Error);
  CHECK_THROWS_WITH_AS(nn::unroll(BadProject{6}, ones({5, 2, 3})), doctest::Contains("project"), ag::Error);
}

TEST_CASE("a state from a tape that has ended is refused with the remedy") {
  const Var x = ones({3, 2, 3});
  Var state;
  {
    ag::Tape tape;
    state = nn::unroll(rnn, x).state;
  }
  ag::Tape tape;
  CHECK_THROWS_WITH_AS(nn::unroll(rnn, x, state), doctest::Contains("state = state.detach()"), ag::Error);
  CHECK_NOTHROW(nn::unroll(rnn, x, state.detach()));
}
