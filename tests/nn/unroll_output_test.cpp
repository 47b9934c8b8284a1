// Cells whose output cannot simply be written into the array of all outputs. Each is unrolled several times,
// as the library learns from the first, and compared with its steps one by one.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "fixture.hpp"
#include "minimal_gated_cell.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;
using Pair = std::pair<Var, Var>;

namespace {

constexpr std::size_t kIn = 3, kHidden = 3;  // equal, so that an input can be an output

Var normal(const ag::Shape& shape, nn::Rng& rng) { return nn::init::normal<double>(shape, 0, 1, rng); }

// A cell whose step is a function of its weights, the input, the state and the number of the step.
template <class Step>
struct Scripted {
  using value_type = double;
  nn::Linear<double> x, h;
  Step body;
  mutable std::size_t count = 0;

  explicit Scripted(Step step) : Scripted(nn::Rng(1), step) {}
  Scripted(nn::Rng rng, Step step) : x(kIn, kHidden, rng), h(kHidden, kHidden, rng), body(step) {}
  auto fields(auto&& visit) { visit("x", x), visit("h", h); }
  Var initial_state(std::size_t batch) const {
    count = 0;
    return ag::zeros<double>({batch, kHidden});
  }
  Pair step(Var input, const Var& state) const { return body(*this, std::move(input), state, count++); }
};

struct Run {
  Var output;
  std::vector<ag::Array<double>> gradients;
};

// Outputs, and gradients of a loss that weighs the outputs, their sum, and the last state.
template <class C, class Unroll>
Run run(const C& cell, const Var& x, std::vector<Var> leaves, const Unroll& unroll) {
  nn::Rng rng(21);
  leaves.push_back(x);
  ag::Tape tape;
  const auto [output, state] = unroll(cell, x);
  Run result{output, {}};
  Var loss = ag::sum(output * normal(output.shape(), rng)) + ag::sum(state * normal(state.shape(), rng)) +
             ag::sum(output[output.shape(0) / 2]) * 0.3 + square(ag::sum(output));
  const ag::Gradients gradients = tape.backward(loss);
  for (const Var& leaf : leaves)
    result.gradients.push_back(gradients.contains(leaf) ? gradients.array(leaf).copy()
                                                        : ag::Array<double>(leaf.shape(), 0));
  return result;
}

template <class C>
nn::Unrolled<double, Var> by_hand(const C& cell, const Var& x) {
  Var state = cell.initial_state(x.shape(1)), inputs = x;
  std::vector<Var> outputs;
  if constexpr (requires { cell.project(x); }) inputs = cell.project(x);
  for (std::size_t t = 0; t < x.shape(0); ++t) {
    const auto result = cell.step(inputs[t], state);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(result)>, Var>)
      state = result, outputs.push_back(result);
    else
      outputs.push_back(result.first), state = result.second;
  }
  return {ag::stack(std::span<const Var>(outputs)), state};
}

template <class C>
void check_with(const C& cell, const std::vector<Var>& leaves) {
  // Shapes that grow, shrink and come again.
  struct Sizes {
    std::size_t steps, batch;
  };
  for (const Sizes& size : {Sizes{6, 2}, {6, 2}, {3, 5}, {9, 3}, {1, 1}, {9, 3}}) {
    CAPTURE(size.steps);
    CAPTURE(size.batch);
    nn::Rng rng(22);
    const Var x = ag::variable(normal({size.steps, size.batch, kIn}, rng).array());
    const Run expected = run(cell, x, leaves, [](const auto& c, const Var& in) { return by_hand(c, in); });
    const Run actual = run(cell, x, leaves, [](const auto& c, const Var& in) { return nn::unroll(c, in); });
    CHECK(test::difference(actual.output, expected.output.array()) <= 1e-12);
    CHECK(test::difference(nn::unroll(cell, x).output, expected.output.array()) <= 1e-12);
    for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
      CAPTURE(i);
      CHECK(test::difference(actual.gradients[i], expected.gradients[i]) <= 1e-11);
    }
  }
}

template <class Step>
void check(const Step& step) {
  const Scripted cell(step);
  check_with(cell, nn::parameters(cell));
}

Var next(const auto& cell, const Var& x, const Var& h) { return tanh(cell.x(x) + cell.h(h)); }

}  // namespace

TEST_CASE("an output that is made before the state") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var y = sigmoid(cell.h(h)) * x;
    return {y, next(cell, x, h)};
  });
}

TEST_CASE("an output that is used again in the step") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var y = next(cell, x, h);
    return {y, y * h + square(y)};
  });
}

TEST_CASE("an output that is the input") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair { return {x, next(cell, x, h)}; });
}

TEST_CASE("an output that is the state from before") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair { return {h, next(cell, x, h)}; });
}

TEST_CASE("a state that never changes") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair { return {next(cell, x, h), h}; });
}

TEST_CASE("a state that is the input") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair { return {next(cell, x, h), x}; });
}

TEST_CASE("an output that is the same at every step") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    return {cell.x.weight, next(cell, x, h)};
  });
}

TEST_CASE("an output that is a constant") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    return {ag::zeros<double>(x.shape()) + 2, next(cell, x, h)};
  });
}

TEST_CASE("an output that is a constant at some steps") {
  check([](const auto& cell, Var x, const Var& h, std::size_t t) -> Pair {
    const Var y = next(cell, x, h);
    return {t % 3 == 1 ? Var(ag::zeros<double>(y.shape())) : y, y};
  });
}

TEST_CASE("an output that is detached at some steps gets no gradient there") {
  check([](const auto& cell, Var x, const Var& h, std::size_t t) -> Pair {
    const Var y = next(cell, x, h);
    return {t % 3 == 1 ? y.detach() : y, y};
  });
}

TEST_CASE("a state that is detached at some steps cuts the gradient there") {
  check([](const auto& cell, Var x, const Var& h, std::size_t t) -> Pair {
    const Var y = next(cell, x, h);
    const Var kept = t % 3 == 1 ? y.detach() : y;
    return {kept, kept};
  });
}

TEST_CASE("a detached output beside a state that is not") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var y = next(cell, x, h);
    return {y.detach(), y};
  });
}

TEST_CASE("an output made by another branch at some steps") {
  for (const std::size_t period : {2, 3, 5})
    check([period](const auto& cell, Var x, const Var& h, std::size_t t) -> Pair {
      if (t % period == period - 1) return {relu(x) * h, sigmoid(cell.h(h))};
      const Var a = cell.x(x), b = tanh(a + h);
      return {b, a - b};
    });
}

TEST_CASE("branches that make their output with different numbers of ops") {
  check([](const auto& cell, Var x, const Var& h, std::size_t t) -> Pair {
    Var y = next(cell, x, h);
    for (std::size_t k = 0; k < t % 4; ++k) y = tanh(y);
    return {y, y};
  });
}

TEST_CASE("outputs that change places with another result of the step") {
  check([](const auto& cell, Var x, const Var& h, std::size_t t) -> Pair {
    const Var a = tanh(cell.x(x)), b = tanh(cell.h(h));
    return t % 2 ? Pair{a, b} : Pair{b, a};
  });
}

TEST_CASE("an output that is a reshape of a larger result's slice") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var both[] = {next(cell, x, h), cell.h(h)};
    const Var stacked = ag::stack(std::span<const Var>(both));
    return {stacked[0], stacked[1]};
  });
}

TEST_CASE("an output that is the tail of a longer result") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var both[] = {h, next(cell, x, h)};
    const Var joined = ag::concat(std::span<const Var>(both));
    return {joined.slice(h.shape(0), 2 * h.shape(0)), joined.slice(h.shape(0), 2 * h.shape(0))};
  });
}

TEST_CASE("an output of another shape than the state") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var y = next(cell, x, h);
    return {ag::sum(y, {-1}), y};
  });
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var y = next(cell, x, h);
    return {ag::sum(y), y};
  });
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var y = next(cell, x, h);
    return {y.reshape({y.shape(0), 1, kHidden, 1}), y};
  });
}

TEST_CASE("an output whose batch is not its first axis") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var y = next(cell, x, h);
    return {ag::transpose(y), y};
  });
}

TEST_CASE("an output that an op makes in the memory of its operand") {
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    const Var y = ag::add_linear(cell.x(x), h, cell.h.weight, cell.h.bias);
    return {y, y};
  });
  check([](const auto& cell, Var x, const Var& h, std::size_t) -> Pair {
    Var y = ag::add_linear(cell.x(x), h, cell.h.weight);
    return {y, tanh(y)};
  });
}

TEST_CASE("a step that unrolls another cell over its own input") {
  nn::Rng rng(9);
  const test::MinimalGatedCell<double> inner(kIn, kHidden, rng);
  const Scripted cell([&](const auto& self, Var x, const Var& h, std::size_t) -> Pair {
    const Var both[] = {x, x * h};
    const auto [output, state] = nn::unroll(inner, ag::stack(std::span<const Var>(both)), h);
    return {next(self, output[0], state), state};
  });
  check_with(cell, nn::parameters(cell, inner));
}

TEST_CASE("a step whose output is the last state of another cell") {
  nn::Rng rng(9);
  const nn::GRUCell<double> inner(kIn, kHidden, rng);
  const Scripted cell([&](const auto&, Var x, const Var& h, std::size_t t) -> Pair {
    const Var both[] = {x, x * h, x};
    const auto [output, state] = nn::unroll(inner, ag::stack(std::span<const Var>(both, 1 + t % 3)), h);
    return {state, output[0]};
  });
  check_with(cell, nn::parameters(cell, inner));
}

namespace {

// Unrolls itself inside of its step, down to a depth.
struct Recursive {
  using value_type = double;
  std::vector<nn::Linear<double>> layers;
  mutable std::size_t depth = 0;
  explicit Recursive(nn::Rng& rng) : layers(3, nn::Linear<double>(kIn, kHidden, rng)) {}
  auto fields(auto&& visit) { visit("layers", layers); }
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, kHidden}); }
  Var step(const Var& x, const Var& h) const {
    if (depth == 2) return tanh(layers[2](x) + h);
    const Var mine = layers[depth](x) * 0.5;
    ++depth;
    const Var both[] = {mine, x};
    const auto [output, state] = nn::unroll(*this, ag::stack(std::span<const Var>(both)), h);
    --depth;
    return depth ? state + output[0] : tanh(output[0] - state);
  }
};

// Projects by something that keeps its result, where a sum in place would change it.
template <int kKind>
struct OddProject {
  using value_type = double;
  nn::Linear<double> x, h;
  explicit OddProject(nn::Rng& rng) : x(kIn, kHidden, rng), h(kHidden, kHidden, rng) {}
  auto fields(auto&& visit) { visit("x", x), visit("h", h); }
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, kHidden}); }
  Var project(const Var& xs) const {
    if constexpr (kKind == 0) return tanh(x(xs));
    if constexpr (kKind == 1) return xs;
    if constexpr (kKind == 2) return x(xs).reshape({xs.shape(0), xs.shape(1), kHidden});
    if constexpr (kKind == 3) return ag::zeros<double>({xs.shape(0), xs.shape(1), kHidden});
    const Var a = x(xs);
    return a * 2 + square(a);
  }
  Var step(Var projected, const Var& state) const {
    return tanh(ag::add_linear(std::move(projected), state, h.weight));
  }
};

}  // namespace

TEST_CASE("a cell that unrolls itself") {
  nn::Rng rng(10);
  const Recursive cell(rng);
  check_with(cell, nn::parameters(cell));
}

TEST_CASE("inputs projected by anything but a linear layer") {
  nn::Rng rng(10);
  const OddProject<0> of_tanh(rng);
  check_with(of_tanh, nn::parameters(of_tanh));
  const OddProject<1> of_nothing(rng);
  check_with(of_nothing, nn::parameters(of_nothing));
  const OddProject<2> of_window(rng);
  check_with(of_window, nn::parameters(of_window));
  const OddProject<3> of_zeros(rng);
  check_with(of_zeros, nn::parameters(of_zeros));
  const OddProject<4> of_ops(rng);
  check_with(of_ops, nn::parameters(of_ops));
}
