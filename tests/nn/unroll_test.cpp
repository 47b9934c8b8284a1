// What unrolling promises for every cell: it is the cell's steps one by one, in values and in gradients.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <cstring>
#include <nn/nn.hpp>
#include <thread>

#include "fixture.hpp"
#include "minimal_gated_cell.hpp"

namespace ag = autograd;
using test::MinimalGatedCell;

namespace {

template <class T>
std::vector<ag::Var<T>> flat(const ag::Var<T>& state) {
  return {state};
}
template <class T>
std::vector<ag::Var<T>> flat(const auto& state) requires requires {
  state.c;
}
{ return {state.h, state.c}; }

template <class T>
bool same_bits(const ag::Var<T>& a, const ag::Var<T>& b) {
  return a.shape() == b.shape() && !std::memcmp(a.array().data(), b.array().data(), a.size() * sizeof(T));
}

template <class T>
ag::Var<T> normal(const ag::Shape& shape, nn::Rng& rng) {
  return ag::Var<T>(nn::init::normal<T>(shape, 0, 1, rng));
}

// A state that is not zero.
template <class T, class C>
nn::CellState<C> random_state(const C& cell, std::size_t batch, nn::Rng& rng) {
  nn::CellState<C> state = cell.initial_state(batch);
  if constexpr (std::is_same_v<nn::CellState<C>, ag::Var<T>>)
    state = normal<T>(state.shape(), rng);
  else
    state = {normal<T>(state.h.shape(), rng), normal<T>(state.c.shape(), rng)};
  return state;
}

// The definition of unrolling: one call of the cell for each time step.
template <class T, class C>
nn::Unrolled<T, nn::CellState<C>> by_hand(const C& cell, const ag::Var<T>& x, nn::CellState<C> state) {
  std::vector<ag::Var<T>> outputs;
  for (std::size_t t = 0; t < x.shape(0); ++t) {
    ag::Var<T> input = x[t];
    if constexpr (requires { cell.project(x); }) input = cell.project(x.slice(t, t + 1))[0];
    auto result = cell.step(input, state);
    if constexpr (std::is_same_v<decltype(result), ag::Var<T>>) {
      outputs.push_back(result);
      state = result;
    } else {
      outputs.push_back(result.first);
      state = result.second;
    }
  }
  return {ag::stack(std::span<const ag::Var<T>>(outputs)), state};
}

// A scalar that depends on every output and on the last state, with a different weight for each entry.
template <class T>
ag::Var<T> weighted(const ag::Var<T>& output, const auto& state) {
  nn::Rng rng(11);
  ag::Var<T> loss = ag::sum(output * normal<T>(output.shape(), rng));
  for (const ag::Var<T>& part : flat<T>(state)) loss = loss + ag::sum(part * normal<T>(part.shape(), rng));
  return loss;
}

// Calls `check` with every kind of cell.
template <class T>
void for_every_cell(std::size_t in, std::size_t hidden, const auto& check) {
  nn::Rng rng(2);
  check("RNN tanh", nn::RNNCell<T>(in, hidden, rng, nn::Activation::tanh));
  check("RNN relu", nn::RNNCell<T>(in, hidden, rng, nn::Activation::relu));
  check("RNN sigmoid", nn::RNNCell<T>(in, hidden, rng, nn::Activation::sigmoid));
  check("RNN without bias", nn::RNNCell<T>(in, hidden, rng, nn::Activation::tanh, {.bias = false}));
  check("LSTM", nn::LSTMCell<T>(in, hidden, rng));
  check("LSTM without bias", nn::LSTMCell<T>(in, hidden, rng, {.bias = false}));
  check("GRU", nn::GRUCell<T>(in, hidden, rng));
  check("GRU without bias", nn::GRUCell<T>(in, hidden, rng, {.bias = false}));
  check("MGU", MinimalGatedCell<T>(in, hidden, rng));
}

// Values without and with a tape, and gradients, of unrolling and of the steps by hand; twice, as the second
// time the library knows which op makes the cell's output.
template <class T>
void check_is_steps(const auto& cell, std::size_t steps, std::size_t batch, std::size_t in,
                    double tolerance) {
  nn::Rng rng(3);
  const ag::Var<T> x = ag::variable(normal<T>({steps, batch, in}, rng).array());
  const auto start = random_state<T>(cell, batch, rng);
  for (int round = 0; round < 2; ++round) {
    CAPTURE(round);
    const auto expected = by_hand(cell, x, start);
    const auto silent = nn::unroll(cell, x, start);
    CHECK(test::difference(silent.output, expected.output.array()) <= tolerance);
    CHECK_FALSE(silent.output.differentiable());
    for (std::size_t i = 0; i < flat<T>(silent.state).size(); ++i)
      CHECK(test::difference(flat<T>(silent.state)[i], flat<T>(expected.state)[i].array()) <= tolerance);

    std::vector<ag::Var<T>> leaves = nn::parameters(cell);
    leaves.push_back(x);
    std::vector<ag::Array<T>> gradients;
    {
      ag::Tape tape;
      const auto [output, state] = by_hand(cell, x, start);
      const ag::Gradients g = tape.backward(weighted<T>(output, state));
      for (const ag::Var<T>& leaf : leaves) gradients.push_back(g.array(leaf).copy());
    }
    ag::Tape tape;
    const auto [output, state] = nn::unroll(cell, x, start);
    CHECK(same_bits(output, silent.output));
    for (std::size_t i = 0; i < flat<T>(state).size(); ++i)
      CHECK(same_bits(flat<T>(state)[i], flat<T>(silent.state)[i]));
    const ag::Gradients g = tape.backward(weighted<T>(output, state));
    CHECK(g.size() == leaves.size());
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      CAPTURE(i);
      CHECK(test::difference(g.array(leaves[i]), gradients[i]) <=
            tolerance * static_cast<double>(steps * batch));
    }
  }
}

}  // namespace

TEST_CASE("unrolling is the cell's steps one by one, with and without a tape") {
  struct Sizes {
    std::size_t steps, batch, in, hidden;
  };
  for (const Sizes& size : {Sizes{1, 1, 1, 1}, {4, 3, 2, 5}, {7, 1, 3, 8}, {20, 9, 5, 17}, {130, 2, 1, 3}}) {
    CAPTURE(size.steps);
    CAPTURE(size.batch);
    for_every_cell<double>(size.in, size.hidden, [&](const std::string& name, const auto& cell) {
      CAPTURE(name);
      check_is_steps<double>(cell, size.steps, size.batch, size.in, 1e-12);
    });
  }
}

TEST_CASE("unrolling in single precision is the cell's steps one by one") {
  for_every_cell<float>(5, 17, [&](const std::string& name, const auto& cell) {
    CAPTURE(name);
    check_is_steps<float>(cell, 20, 9, 5, 1e-5);
  });
}

TEST_CASE("a sequence in two pieces is the sequence in one") {
  for_every_cell<double>(2, 5, [&](const std::string& name, const auto& cell) {
    CAPTURE(name);
    nn::Rng rng(4);
    const ag::Var<double> x = normal<double>({9, 3, 2}, rng);
    const auto whole = nn::unroll(cell, x);
    const auto first = nn::unroll(cell, x.slice(0, 4));
    const auto second = nn::unroll(cell, x.slice(4, 9), first.state);
    CHECK(test::difference(first.output, whole.output.slice(0, 4).array()) <= 1e-12);
    CHECK(test::difference(second.output, whole.output.slice(4, 9).array()) <= 1e-12);
  });
}

TEST_CASE("without a state a cell starts from its initial state") {
  for_every_cell<double>(2, 5, [&](const std::string& name, const auto& cell) {
    CAPTURE(name);
    nn::Rng rng(4);
    const ag::Var<double> x = normal<double>({3, 4, 2}, rng);
    CHECK(same_bits(nn::unroll(cell, x).output, nn::unroll(cell, x, cell.initial_state(4)).output));
  });
}

TEST_CASE("gradients through four steps agree with finite differences to second order") {
  for_every_cell<double>(2, 3, [&](const std::string& name, const auto& cell) {
    CAPTURE(name);
    nn::Rng rng(6);
    const auto start = flat<double>(random_state<double>(cell, 2, rng));
    std::vector<ag::Var<double>> inputs = nn::parameters(cell);
    const std::size_t count = inputs.size();
    inputs.push_back(normal<double>({4, 2, 2}, rng));
    inputs.insert(inputs.end(), start.begin(), start.end());
    const auto f = [&](const std::vector<ag::Var<double>>& in) {
      auto state = cell.initial_state(2);
      if constexpr (requires { state.c; })
        state = {in[count + 1], in[count + 2]};
      else
        state = in[count + 1];
      const auto [output, last] = nn::unroll(cell, in[count], state);
      return weighted<double>(output, last);
    };
    const ag::GradcheckReport report = ag::gradcheck(ag::CheckedFunction(f), inputs, {.order = 2});
    CHECK_MESSAGE(static_cast<bool>(report), report);
    CHECK(report.checked >= 2 * (nn::parameter_count(cell) + 4 * 2 * 2 + 2 * 3));
  });
}

TEST_CASE("the gradient flows to a state that is a result of the same tape") {
  nn::Rng rng(7);
  const nn::GRUCell<double> cell(2, 3, rng);
  const nn::Linear<double> encoder(2, 3, rng);
  const ag::Var<double> x = normal<double>({4, 2, 2}, rng);
  const auto f = [&] { return nn::unroll(cell, x, tanh(encoder(x[0]))).output; };
  const ag::GradcheckReport report = ag::gradcheck(f, nn::parameters(encoder, cell), {.order = 2});
  CHECK_MESSAGE(static_cast<bool>(report), report);
}

TEST_CASE("a kept tape gives the same gradients twice") {
  for_every_cell<double>(2, 5, [&](const std::string& name, const auto& cell) {
    CAPTURE(name);
    nn::Rng rng(8);
    const ag::Var<double> x = normal<double>({70, 3, 2}, rng);
    ag::Tape tape;
    const auto [output, state] = nn::unroll(cell, x);
    const ag::Var<double> loss = weighted<double>(output, state);
    const ag::Gradients first = tape.backward(loss, {.keep_tape = true});
    const ag::Gradients second = tape.backward(loss);
    for (const ag::Var<double>& parameter : nn::parameters(cell))
      CHECK(test::difference(second.array(parameter), first.array(parameter)) == 0);
  });
}

TEST_CASE("gradients do not depend on what the thread has unrolled before, to the bit") {
  for_every_cell<double>(2, 5, [&](const std::string& name, const auto& cell) {
    CAPTURE(name);
    nn::Rng rng(9);
    const ag::Var<double> x = ag::variable(normal<double>({6, 3, 2}, rng).array());
    std::vector<std::vector<ag::Var<double>>> gradients;
    std::thread([&] {  // one that knows nothing of the cell yet
      for (int round = 0; round < 3; ++round) {
        ag::Tape tape;
        const auto [output, state] = nn::unroll(cell, x);
        const ag::Gradients g = tape.backward(weighted<double>(output, state));
        gradients.emplace_back();
        for (const ag::Var<double>& leaf : nn::parameters(cell))
          gradients.back().push_back(g.array(leaf).copy());
        gradients.back().push_back(g.array(x).copy());
      }
    })
        .join();
    for (int round = 1; round < 3; ++round)
      for (std::size_t i = 0; i < gradients[0].size(); ++i)
        CHECK(same_bits(gradients[round][i], gradients[0][i]));
  });
}
