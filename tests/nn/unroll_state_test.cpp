// States of any make, and values that somebody keeps while unrolling goes on.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>
#include <optional>
#include <thread>

#include "fixture.hpp"
#include "minimal_gated_cell.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

namespace {

Var normal(const ag::Shape& shape, nn::Rng& rng) { return nn::init::normal<double>(shape, 0, 1, rng); }

std::vector<double> values(const Var& v) { return {v.array().data(), v.array().data() + v.size()}; }

// Two cells on top of each other; the state is a struct of their states, a counter and a vector.
struct Stacked {
  using value_type = double;
  nn::LSTMCell<double> lower;
  nn::GRUCell<double> upper;
  struct State {
    struct {
      nn::LSTMCell<double>::State lower;
      Var upper;
    } cells;
    int steps = 0;
    std::vector<Var> history;
  };
  auto fields(auto&& visit) { visit("lower", lower), visit("upper", upper); }
  State initial_state(std::size_t batch) const {
    return {{lower.initial_state(batch), upper.initial_state(batch)}, 0, {}};
  }
  std::pair<Var, State> step(const Var& x, const State& s) const {
    const auto [h, below] = lower.step(lower.project(x), s.cells.lower);
    const Var above = upper.step(upper.project(h), s.cells.upper);
    State next{{below, above}, s.steps + 1, s.history};
    next.history.push_back(above);
    return {s.history.size() < 2 ? above : above + s.history[s.history.size() - 2], next};
  }
};

// The minimum: a state that is no Var at all.
struct Stateless {
  using value_type = double;
  struct State {};
  State initial_state(std::size_t) const { return {}; }
  std::pair<Var, State> step(const Var& x, const State&) const { return {tanh(x), {}}; }
};

// Keeps looking at its projected input, and at its own product, while a sum is made in their memory.
struct Looking {
  using value_type = double;
  nn::Linear<double> x, h;
  struct Seen {
    ag::ArrayView<double> view;
    std::vector<double> copy;
  };
  mutable std::vector<Seen> seen;
  mutable bool look = true;

  explicit Looking(nn::Rng& rng) : x(3, 3, rng), h(3, 3, rng) {}
  auto fields(auto&& visit) { visit("x", x), visit("h", h); }
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 3}); }
  void note(const Var& v) const {
    if (look) seen.push_back({v.value(), values(v)});
  }
  Var project(const Var& xs) const {
    Var result = x(xs);
    note(result);
    return result;
  }
  Var step(Var input, const Var& state) const {
    note(input);
    Var z = ag::add_linear(std::move(input), state, h.weight);
    note(z);
    return tanh(ag::add_linear(std::move(z), state, h.weight));
  }
};

}  // namespace

TEST_CASE("a state may be a struct of structs, with counters and a growing history") {
  nn::Rng rng(1);
  const Stacked cell{{2, 3, rng}, {3, 3, rng}};
  const Var x = normal({5, 2, 2}, rng);
  for (int round = 0; round < 2; ++round) {
    const auto [output, state] = nn::unroll(cell, x);
    CHECK(state.steps == 5);
    CHECK(state.history.size() == 5);
    const Var by_layers = nn::unroll(cell.upper, nn::unroll(cell.lower, x).output).output;
    CHECK(test::difference(state.history[4], by_layers[4].array()) <= 1e-12);
    CHECK(test::difference(output[4], (by_layers[4] + by_layers[2]).array()) <= 1e-12);
  }
  const auto report =
      ag::gradcheck([&] { return nn::unroll(cell, x).output; }, nn::parameters(cell), {.order = 2});
  CHECK_MESSAGE(static_cast<bool>(report), report);
}

TEST_CASE("a cell may have no state and no parameters") {
  nn::Rng rng(1);
  const Var x = ag::variable(normal({5, 2, 3}, rng).array());
  for (int round = 0; round < 3; ++round) {
    ag::Tape tape;
    const Var output = nn::unroll(Stateless{}, x).output;
    CHECK(test::difference(output, tanh(x).array()) <= 1e-15);
    CHECK(test::difference(tape.backward(ag::sum(output)).array(x), (1 - square(output.detach())).array()) <=
          1e-15);
  }
}

TEST_CASE("a value that somebody looks at never changes") {
  nn::Rng rng(2);
  const Looking cell(rng);
  const Var x = normal({4, 2, 3}, rng);
  for (const bool taped : {false, true}) {
    std::optional<ag::Tape> tape;
    if (taped) tape.emplace();
    for (int round = 0; round < 2; ++round) nn::unroll(cell, x);
    for (const Looking::Seen& seen : cell.seen)
      CHECK(std::equal(seen.copy.begin(), seen.copy.end(), seen.view.storage().begin()));
    cell.seen.clear();
  }
}

TEST_CASE("looking at values does not change the result") {
  nn::Rng rng(2);
  const Looking cell(rng);
  const Var x = normal({4, 2, 3}, rng);
  const auto gradient = [&](bool look) {
    cell.look = look;
    ag::Tape tape;
    const auto gradients = tape.backward(ag::sum(square(nn::unroll(cell, x).output)));
    return gradients.array(cell.h.weight).copy();
  };
  CHECK(test::difference(gradient(true), gradient(false)) <= 1e-14);
}

TEST_CASE("outputs and states outlive the tape, the cell and later unrollings") {
  nn::Rng rng(3);
  Var output, state;
  std::vector<double> before, last;
  {
    const nn::RNNCell<double> cell(2, 3, rng);
    {
      ag::Tape tape;
      auto result = nn::unroll(cell, normal({4, 2, 2}, rng));
      output = result.output, state = result.state.detach();
      before = values(output), last = values(state);
    }
    for (int k = 0; k < 3; ++k) {
      ag::Tape tape;
      tape.backward(ag::sum(nn::unroll(cell, normal({4, 2, 2}, rng)).output));
    }
  }
  CHECK(values(output) == before);
  CHECK(values(state) == last);
}

TEST_CASE("cells of one type and different sizes take turns") {
  nn::Rng rng(4);
  const nn::GRUCell<double> small(2, 3, rng), large(2, 6, rng);
  const Var x = normal({5, 4, 2}, rng), half = x.reshape({10, 2, 2});
  const auto expected_small = values(nn::unroll(small, x).output),
             expected_large = values(nn::unroll(large, half).output);
  for (int k = 0; k < 3; ++k) {
    CHECK(values(nn::unroll(small, x).output) == expected_small);
    CHECK(values(nn::unroll(large, half).output) == expected_large);  // as many numbers for each step
  }
}

TEST_CASE("the gradient with respect to the outputs of unrolling, and through them") {
  nn::Rng rng(5);
  const nn::LSTMCell<double> cell(2, 3, rng);
  const Var x = ag::variable(normal({4, 2, 2}, rng).array()), w = normal({4, 2, 3}, rng);
  for (int round = 0; round < 2; ++round) {
    ag::Tape tape;
    const auto [output, state] = nn::unroll(cell, x);
    const Var loss = ag::sum(output * w);
    const std::vector<Var> g = ag::grad(loss, std::vector<Var>{output, x}, {.create_graph = true});
    CHECK(test::difference(g[0].slice(3, 4), w.slice(3, 4).array()) <=
          1e-15);  // nothing comes after the last
    CHECK(g[1].differentiable());
  }
}

TEST_CASE("a batch of none gives outputs of none") {
  nn::Rng rng(6);
  const nn::GRUCell<double> cell(2, 3, rng);
  const Var x = ag::zeros<double>({4, 0, 2});
  for (int round = 0; round < 2; ++round) {
    ag::Tape tape;
    const auto [output, state] = nn::unroll(cell, x);
    CHECK(output.shape() == ag::Shape{4, 0, 3});
    CHECK(state.shape() == ag::Shape{0, 3});
    const ag::Gradients gradients = tape.backward(ag::sum(output));
    if (gradients.contains(cell.weight_hh)) CHECK(gradients.norm() == 0);
  }
}

TEST_CASE("threads unroll one cell at the same time") {
  nn::Rng rng(7);
  const nn::LSTMCell<double> cell(2, 5, rng);
  const Var x = normal({30, 3, 2}, rng);
  const auto expected = values(nn::unroll(cell, x).output);
  std::vector<std::thread> threads;
  std::array<bool, 4> same{};
  for (std::size_t i = 0; i < same.size(); ++i)
    threads.emplace_back([&, i] {
      bool all = true;
      for (int k = 0; k < 50; ++k) {
        ag::Tape tape;
        const auto output = nn::unroll(cell, x).output;
        all = all && values(output) == expected && std::isfinite(tape.backward(ag::sum(output)).norm());
      }
      same[i] = all;
    });
  for (std::thread& thread : threads) thread.join();
  for (const bool each : same) CHECK(each);
}

TEST_CASE("what unroll has returned without a tape may be used by several threads") {
  nn::Rng rng(7);
  const nn::LSTMCell<double> cell(2, 5, rng);
  const Var x = normal({6, 3, 2}, rng);
  const auto [output, state] = nn::unroll(cell, x);
  const auto [last, same_state] = nn::unroll(cell, x, cell.initial_state(3), {.last_only = true});
  for (const Var& var : {output, state.h, state.c, last, same_state.c}) {
    const std::uint32_t handles = var.shared()->references;
    const auto use = [&] {
      for (int i = 0; i < 200'000; ++i) {
        const Var copy = var;
        const ag::Array<double> elements = copy.array();
      }
    };
    std::thread other(use);
    use();
    other.join();
    CHECK(var.shared()->references == handles);  // counts that threads change without locks come out wrong
  }
}
