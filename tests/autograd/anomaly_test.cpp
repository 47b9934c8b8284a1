// What detect_anomaly says of a value or a gradient that is not finite, word by word: which node made it, in
// which scope and step, at which entry, from what, and what to do. Each case is planted in the midst of other
// ops, and without the option it passes.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <functional>
#include <limits>
#include <nn/nn.hpp>

#include "message_of.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Tape;
using V = ag::Var<double>;
using F = ag::Var<float>;

using test::message_of;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity(),
                 kNaN = std::numeric_limits<double>::quiet_NaN();

using Vector = xt::xtensor<double, 1>;
using Matrix = xt::xtensor<double, 2>;

template <class E>
V named(const char* name, const E& values) {
  V x = ag::variable(values);
  x.set_name(name);
  return x;
}

// What a step of training says, forward and backward.
std::string message(const auto& loss, ag::TapeOptions options) {
  return message_of([&] {
    Tape tape(options);
    tape.backward(ag::sum(loss()));
  });
}

void check_that_a_step_works() {
  const V w = ag::variable(Matrix{{1, 2}, {3, 4}});
  Tape tape({.detect_anomaly = true});
  const ag::Gradients g = tape.backward(ag::sum(square(ag::linear(V(Matrix{{1, -1}}), w))));
  CHECK(test::numbers(g.array(w)) == std::vector<double>{-2, 2, -2, 2});
}

// DETAIL in the message stands for what nodes() tells of the first node: where a body or an op of one's own
// was written, which depends on the compiler.
void check(const auto& loss, std::string wanted) {
  if (const std::size_t at = wanted.find("DETAIL"); at != wanted.npos) {
    const Tape tape;
    loss();
    REQUIRE(!ag::nodes(tape)[0].detail.empty());
    wanted.replace(at, 6, ag::nodes(tape)[0].detail);
  }
  CHECK(message(loss, {.detect_anomaly = true}) == "detect_anomaly: " + wanted);
  check_that_a_step_works();
  CHECK(message(loss, {}) == "(no error)");
  CHECK(message(loss, {.trace = true}) == "(no error)");
}

// h' = tanh(h w + x), with the step's number x; where it is `at`, the op that is planted.
struct Cell {
  V weight;
  std::function<V(const V&)> planted;
  double at;
  V initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 2}); }
  V step(const V& x, const V& h) const {
    const V z = ag::matmul(h, weight) + x;
    return tanh(x.item() == at ? planted(z) : z);
  }
};

V counting(std::size_t steps) {
  ag::Array<double> x({steps, 1, 1});
  for (std::size_t t = 0; t < steps; ++t) x.data()[t] = static_cast<double>(t);
  return x;
}

const std::string kUndefined =
    "; keep the operands where the op is defined, for example with clamp, or with where before it";
const std::string kTooLarge =
    "; the numbers grew too large, or a divisor or an argument was 0: keep the operands in range, for "
    "example "
    "with clamp, a smaller scale, or an epsilon";
const std::string kAlready = "; look at where this value comes from";
const std::string kVariable = "; look at what set the variable: its initial value, or the update before";
const std::string kSteep =
    " in magnitude: keep the operand away from there before the op, for example with clamp, or with where (a "
    "where after the op leaves 0 times inf)";
const std::string kGrown =
    " in magnitude, so gradients grew on the way to here: scale the loss or the weights down, or unroll over "
    "fewer steps";

}  // namespace

TEST_CASE("values: an op outside of where it is defined, and what it was given there") {
  const V x = named("x", Vector{2, -1, 3}), zero = named("zero", Vector{0, 0, 1});
  check([&] { return log(2 * x); },
        "log (node 1) gave nan at [1] of its result of shape (3,); operand 0, a result of shape (3,), was -2 "
        "at [1]" +
            kUndefined);
  check(
      [&] {
        const V root = sqrt(x);
        return root * log(x);
      },
      "sqrt (node 0) gave nan at [1] of its result of shape (3,); operand 0, variable x of shape (3,), was "
      "-1 at [1]" +
          kUndefined);
  check(
      [&] {
        const V one = exp(zero);
        return one + zero / zero;
      },
      "divide (node 1) gave nan at [0] of its result of shape (3,); operand 0, variable zero of shape "
      "(3,), was 0 at [0]; operand 1, variable zero of shape (3,), was 0 at [0]" +
          kUndefined);
  check([&] { return 1 / zero; },
        "divide (node 0) gave inf at [0] of its result of shape (3,); operand 0, a constant of shape (), was "
        "1; operand 1, variable zero of shape (3,), was 0 at [0]" +
            kTooLarge);
  check([&] { return rsqrt(zero); },
        "rsqrt (node 0) gave inf at [0] of its result of shape (3,); operand 0, variable zero of shape (3,), "
        "was 0 at [0]" +
            kTooLarge);
  check([&] { return pow(x, 1.0 / 3); },
        "pow (node 0) gave nan at [1] of its result of shape (3,); operand 0, variable x of shape (3,), was "
        "-1 at [1]; operand 1, a constant of shape (), was 0.333333" +
            kUndefined);
  check([&] { return ag::slice(log1p(ag::sum(x) - 6), {}); },
        "log1p (node 2) gave nan; operand 0, a result of shape (), was -2" + kUndefined);
}

TEST_CASE("values: numbers that grow too large") {
  const F steep = ag::variable<float>(Vector{1, 100});
  check([&] { return exp(steep); },
        "exp (node 0) gave inf at [1] of its result of shape (2,); operand 0, a variable of shape (2,), was "
        "100 at [1]" +
            kTooLarge);
  const V same = ag::variable(Vector{1, 100});  // which double holds
  CHECK(message([&] { return exp(same); }, {.detect_anomaly = true}) == "(no error)");

  const V a = named("a", Matrix{{1e200, 1}, {2, 3}, {4, 5}}), b = named("b", Matrix{{1, 1e200}, {6, 7}});
  check([&] { return ag::matmul(a, b); },
        "matmul (node 0) gave inf at [0, 1] of its result of shape (3, 2); operand 0, variable a of shape "
        "(3, 2), was at most 1e+200 in magnitude; operand 1, variable b of shape (2, 2), was at most 1e+200 "
        "in magnitude" +
            kTooLarge);
  check([&] { return ag::norm(a); },
        "square (node 0, in norm) gave inf at [0, 0] of its result of shape (3, 2); operand 0, variable a of "
        "shape (3, 2), was 1e+200 at [0, 0]" +
            kTooLarge);
  check([&] { return ag::prod(a * 1e100); },
        "multiply (node 1, in prod) gave inf at [0, 0] of its result of shape (3, 1); operand 0, a result of "
        "shape (3, 1), was 1e+300 at [0, 0]; operand 1, a result of shape (3, 1), was 3e+100 at [0, 0]" +
            kTooLarge);
  check(
      [&] {
        return ag::sum(b * V(Matrix{{1, 1e108}, {0, 2e307}}));
      },
      "sum (node 1) gave inf; operand 0, a result of shape (2, 2), was at most 1.4e+308 in magnitude" +
          kTooLarge);  // the last op, seen by backward
}

TEST_CASE("values: what was not finite before the op") {
  const V x = named("x", Matrix{{1, 2}, {3, 4}});
  const V data(Matrix{{1, 2}, {kNaN, 4}}), infinite(Vector{0, kInf});
  check([&] { return ag::linear(data, x); },
        "linear (node 0) gave nan at [1, 0] of its result of shape (2, 2); operand 0, a constant of shape "
        "(2, 2), was nan already at [1, 0]; operand 1, variable x of shape (2, 2), was 3 at [1, 0]" +
            kAlready);
  const V weight = named("cell.weight_hh", Matrix{{1, -kInf}, {3, 4}});
  check(
      [&] { return tanh(ag::linear(x, weight)); },
      "linear (node 0) gave -inf at [0, 0] of its result of shape (2, 2); operand 0, variable x of shape (2, "
      "2), was 1 at [0, 0]; operand 1, variable cell.weight_hh of shape (2, 2), was -inf already at [0, 1]" +
          kVariable);
  check([&] { return ag::softmax(weight); },
        "subtract (node 0, in softmax) gave -inf at [0, 1] of its result of shape (2, 2); operand 0, "
        "variable cell.weight_hh of shape (2, 2), was -inf already at [0, 1]; operand 1, a constant of shape "
        "(2, 1), was 1 at [0, 0]" +
            kVariable);
  check(
      [&] { return nn::mse(x, data); },
      "map (node 0, DETAIL, in mse) gave nan at [1, 0] of its result of shape (2, 2); operand 0, variable x "
      "of shape (2, 2), was 3 at [1, 0]; operand 1, a constant of shape (2, 2), was nan already at [1, 0]" +
          kAlready);
  check([&] { return ag::map([](auto x, auto c) { return (x + c) - (x - c) * c; }, x, infinite); },
        "map (node 0, DETAIL) gave inf at [0, 1] of its result of shape (2, 2); operand 0, "
        "variable x of shape (2, 2), was 2 at [0, 1]; operand 1, a constant of shape (2,), was inf already "
        "at [1]" +
            kAlready);
}

TEST_CASE("values: a map of several results, a broadcast operand, an op of one's own") {
  const V x = named("x", Vector{4, -1}), y = ag::variable(Matrix{{1}, {2}});
  check(
      [&] {
        return std::get<0>(ag::map([](auto x, auto y) { return std::tuple{x * y, sqrt(x)}; }, x, y));
      },
      "map (node 0, DETAIL) gave nan at [0, 1] of its result 1 of shape (2, 2); operand 0, "
      "variable x of shape (2,), was -1 at [1]; operand 1, a variable of shape (2, 1), was 1 at [0, 0]" +
          kUndefined);
  check(
      [&] {
        return ag::custom_op(
            "reciprocal", {x},
            [](const auto&) -> ag::Array<double> {
              return Vector{1, kNaN};
            },
            [](const auto& g, const auto&, const auto&) { return std::vector{g}; });
      },
      "reciprocal (node 0, DETAIL) gave nan at [1] of its result of shape (2,); operand 0, "
      "variable x of shape (2,), was -1 at [1]" +
          kUndefined);
}

TEST_CASE("values: in scopes and in a step of an unrolled network") {
  const V x = named("x", Vector{-1, 1});
  check(
      [&] {
        const ag::Scope encoder("encoder"), layer("layer", 2);
        return log(x);
      },
      "log (node 0, in encoder / layer 2) gave nan at [0] of its result of shape (2,); operand 0, variable x "
      "of shape (2,), was -1 at [0]" +
          kUndefined);
  const Cell cell{named("weight", Matrix{{1, 0.5}, {-1, 2}}), [](const V& z) { return log(z - 9); }, 2};
  check([&] { return nn::unroll(cell, counting(5)).output; },
        "log (node 10, in Cell / step 2) gave nan at [0, 0] of its result of shape (1, 2); operand 0, a "
        "result of shape (1, 2), was -7 at [0, 0]" +
            kUndefined);
}

TEST_CASE("gradients: a derivative that is not finite") {
  const V x = named("x", Vector{4, 0}), small = named("small", Vector{1, 1e-160}),
          tiny = ag::variable(1e-310);
  check([&] { return 3 * sqrt(x); },
        "the rule of sqrt (node 0) gave inf at [1] for the gradient of operand 0, variable x of shape (2,), "
        "which is 0 there; the gradient that it was given was at most 3" +
            kSteep);
  check([&] { return 1 / small; },
        "the rule of divide (node 0) gave -inf at [1] for the gradient of operand 1, variable small of shape "
        "(2,), which is 1e-160 there; the gradient that it was given was at most 1" +
            kSteep);
  check([&] { return log(tiny); },
        "the rule of log (node 0) gave inf for the gradient of operand 0, a variable of shape (), which is "
        "1e-310; the gradient that it was given was at most 1" +
            kSteep);
  check([&] { return pow(x, 0.5); },
        "the rule of pow (node 0) gave inf at [1] for the gradient of operand 0, variable x of shape (2,), "
        "which is 0 there; the gradient that it was given was at most 1" +
            kSteep);
  check(
      [&] {
        return ag::std(ag::variable(Vector{2, 2, 2}));
      },
      "the rule of sqrt (node 5, in std) gave inf for the gradient of operand 0, a result of shape (), which "
      "is 0; the gradient that it was given was at most 1" +
          kSteep);
  check([&] { return ag::map([](auto x, auto s) { return sqrt(x) * s; }, x, small); },
        "the rule of map (node 0, DETAIL) gave inf at [1] for the gradient of operand 0, "
        "variable x of shape (2,), which is 0 there; the gradient that it was given was at most 1" +
            kSteep);
}

TEST_CASE("gradients: numbers that grow too large on the way back") {
  const F x = ag::variable<float>(Vector{1e-30, 1e-30});
  check([&] { return (x * 1e25F) * 1e25F; },
        "the rule of multiply (node 0) gave inf at [0] for the gradient of operand 0, a variable of shape "
        "(2,), which is 1e-30 there; the gradient that it was given was at most 1e+25" +
            kGrown);
}

TEST_CASE("gradients: a rule of one's own, and a step of an unrolled network") {
  const V x = named("x", Vector{4, 1});
  check(
      [&] {
        return square(ag::custom_op(
            "identity", {x}, [](const auto& in) { return in[0].array(); },
            [](const auto& g, const auto&, const auto&) {
              return std::vector{g * V(Vector{kNaN, 1})};
            }));
      },
      "the rule of identity (node 0, DETAIL) gave nan at [0] for the gradient of operand 0, "
      "variable x of shape (2,), which is 4 there; the gradient that it was given was at most 8" +
          kSteep);
  const Cell cell{named("weight", Matrix{{1, 0.5}, {-1, 2}}), [](const V& z) { return sqrt(z * 0); }, 1};
  check([&] { return nn::unroll(cell, counting(4)).output; },
        "the rule of sqrt (node 7, in Cell / step 1) gave inf at [0, 0] for the gradient of operand 0, a "
        "result of shape (1, 2), which is 0 there; the gradient that it was given was at most 1.10633" +
            kSteep);
}

TEST_CASE("gradients of gradients: whose they are") {
  const V x = named("x", Vector{4, 0});
  check(
      [&] {
        const ag::Scope scope("penalty");
        return ag::grad(ag::sum(sqrt(x)), x, {.create_graph = true});
      },
      "divide (node 3, in penalty / gradient of sqrt (in penalty)) gave inf at [1] of its result of shape "
      "(2,); operand 0, a constant of shape (), was 0.5; operand 1, a result of shape (2,), was 0 at [1]" +
          kTooLarge);
}

TEST_CASE("the first node is named, not one that it spoils: the first recorded, and the first of the sweep") {
  const V x = named("x", Vector{0, 1}), y = named("y", Vector{0, 1});
  check(
      [&] {
        const V first = log(x), second = log(y);
        return first + second * sqrt(y);
      },
      "log (node 0) gave -inf at [0] of its result of shape (2,); operand 0, variable x of shape (2,), was 0 "
      "at [0]" +
          kTooLarge);
  check(
      [&] {
        const V first = sqrt(x), second = sqrt(y);
        return first + 2 * second;
      },
      "the rule of sqrt (node 1) gave inf at [0] for the gradient of operand 0, variable y of shape (2,), "
      "which is 0 there; the gradient that it was given was at most 2" +
          kSteep);
}

TEST_CASE("only what the loss depends on has a gradient that can fail") {
  const V x = named("x", Vector{0, 1});
  Tape tape({.detect_anomaly = true});
  const V root = sqrt(x), y = ag::sum(square(x));
  CHECK(test::numbers(tape.backward(y, {.keep_tape = true}).array(x)) == std::vector<double>{0, 2});
  CHECK(message_of([&] { tape.backward(ag::sum(root), {.keep_tape = true}); }).substr(0, 44) ==
        "detect_anomaly: the rule of sqrt (node 0) ga");
  // A sweep that has failed leaves nothing to the next one.
  CHECK(test::numbers(tape.backward(y, {.keep_tape = true}).array(x)) == std::vector<double>{0, 2});
  CHECK(test::numbers(ag::grad(y, x)) == std::vector<double>{0, 2});
}

TEST_CASE("a failed grad keeps no gradient of what it was asked for") {
  const V x = named("x", Vector{0, 1});
  Tape tape({.detect_anomaly = true});
  const V h = 2 * x, root = ag::sum(sqrt(h)), y = ag::sum(square(h));
  CHECK_THROWS_AS(ag::grad(root, h, {.keep_tape = true}), ag::Error);
  for (int i = 0; i < 2; ++i)
    CHECK(test::numbers(tape.backward(y, {.keep_tape = true}).array(x)) == std::vector<double>{0, 8});
}

TEST_CASE("what is computed besides a tape that detects anomalies is not watched") {
  const V x = ag::variable(Vector{-1, 4});
  Tape tape({.detect_anomaly = true});
  const V y = square(x);
  {
    Tape inner;
    CHECK(message_of([&] { inner.backward(ag::sum(log(x))); }) == "(no error)");
  }
  const V constant = log(x.detach());  // not on the tape
  CHECK(test::numbers(tape.backward(ag::sum(y)).array(x)) == std::vector<double>{-2, 8});
}

TEST_CASE("an anomaly of an inner tape leaves the outer one as it was") {
  const V x = ag::variable(Vector{-1, 4});
  Tape tape;
  const V y = square(x);
  CHECK(message([&] { return log(x); }, {.detect_anomaly = true}).substr(0, 32) ==
        "detect_anomaly: log (node 0) gav");
  CHECK(test::numbers(tape.backward(ag::sum(y)).array(x)) == std::vector<double>{-2, 8});
}

TEST_CASE("values without entries, and a gradient that does not arrive, are no anomaly") {
  const V x = ag::variable(ag::Array<double>({0, 3}));
  CHECK(message([&] { return log(x); }, {.detect_anomaly = true}) == "(no error)");
  const V y = ag::variable(Vector{1, 2});
  CHECK(message([&] { return where(y > 1, 3.0, y.detach()) + 0 * y; }, {.detect_anomaly = true}) ==
        "(no error)");
}
