// Checkpoints: what is recorded again in the sweep gives the gradients of what was recorded once.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <cstring>
#include <random>

#include "message_of.hpp"

namespace ag = autograd;
using ag::Array;
using test::message_of;

namespace {

template <class T>
Array<T> random(const ag::Shape& shape, unsigned seed, double scale = 1) {
  std::mt19937 generator(seed);
  Array<T> array(shape);
  for (std::size_t i = 0; i < array.size(); ++i)
    array.data()[i] = static_cast<T>(scale * (generator() / 4294967296.0 - 0.5));
  return array;
}

template <class T>
bool same_bits(const Array<T>& a, const Array<T>& b) {
  return a.shape() == b.shape() && !std::memcmp(a.data(), b.data(), a.size() * sizeof(T));
}

// A recurrent network by hand: three steps a segment, of h' = tanh(x U + h W + b) with W used through a
// product that is made anew in each segment, too.
template <class T>
struct Network {
  ag::Var<T> u = ag::variable(random<T>({3, 5}, 1)), w = ag::variable(random<T>({5, 5}, 2)),
             b = ag::variable(random<T>({5}, 3)), x = ag::variable(random<T>({12, 2, 3}, 4));

  std::vector<ag::Var<T>> segment(std::size_t begin, const std::vector<ag::Var<T>>& state) const {
    ag::Var<T> h = state[0], sum = state[1];
    const ag::Var<T> own = w * 2;  // a weight that a segment has made
    std::vector<ag::Var<T>> all;
    for (std::size_t t = begin; t < begin + 3; ++t) {
      h = tanh(ag::matmul(x[t], u) + ag::matmul(h, w) + b) + ag::linear(h, own) / 8;
      sum = sum + h * h;
      all.push_back(h);
    }
    return {h, sum, ag::stack(all)};
  }

  template <class Run>
  ag::Var<T> loss(Run&& run) const {
    std::vector<ag::Var<T>> state{ag::zeros<T>({2, 5}), ag::zeros<T>({2, 5})};
    ag::Var<T> loss(0);
    for (std::size_t begin = 0; begin < 12; begin += 3) {
      const auto f = [*this, begin](const std::vector<ag::Var<T>>& in) { return segment(begin, in); };
      state = run(f, state);
      loss = loss + ag::mean(exp(state[2]));
      state.pop_back();
    }
    return loss + ag::mean(state[0] * state[1]);
  }
  ag::Var<T> plain() const {
    return loss([](const auto& f, const auto& state) { return f(state); });
  }
  ag::Var<T> checkpointed() const {
    return loss([](const auto& f, const auto& state) { return ag::checkpoint<T>(f, state); });
  }
  std::vector<ag::Var<T>> variables() const { return {u, w, b, x}; }
};

template <class T>
void check_bits() {
  const Network<T> network;
  std::vector<Array<T>> expected;
  T loss = 0;
  {
    ag::Tape tape;
    const ag::Var<T> plain = network.plain();
    loss = plain.item();
    const ag::Gradients gradients = tape.backward(plain);
    for (const auto& each : network.variables()) expected.push_back(gradients.array(each).copy());
  }
  for (const bool keep : {false, true}) {
    CAPTURE(keep);
    ag::Tape tape;
    const ag::Var<T> checkpointed = network.checkpointed();
    CHECK(checkpointed.item() == loss);
    for (int sweep = 0; sweep < (keep ? 2 : 1); ++sweep) {
      const ag::Gradients gradients = tape.backward(checkpointed, {.keep_tape = keep});
      const auto variables = network.variables();
      for (std::size_t i = 0; i < variables.size(); ++i)
        CHECK(same_bits(gradients.array(variables[i]), expected[i]));
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("gradients through checkpoints are those without, to the bit", T, float, double) {
  check_bits<T>();
}

TEST_CASE("a checkpoint keeps only its results") {
  const auto x = ag::variable(random<double>({1000}, 1));
  const auto f = [](const std::vector<ag::Var<double>>& in) {
    ag::Var<double> y = in[0];
    for (int i = 0; i < 50; ++i) y = tanh(y);
    return std::vector{y};
  };
  ag::Tape tape;
  const std::size_t before = ag::memory_stats().live_bytes;
  ag::Var<double> y = x;
  for (int i = 0; i < 20; ++i) y = ag::checkpoint<double>(f, {y})[0];
  CHECK(ag::memory_stats().live_bytes - before < 25 * 8200);  // plain, 1000 arrays of 8000 bytes
  CHECK(tape.size() == 20);
  ag::reset_peak_memory();
  const ag::Gradients gradients = tape.backward(ag::sum(y));
  CHECK(gradients.contains(x));
  CHECK(ag::memory_stats().peak_bytes - before < 190 * 8200);
}

TEST_CASE("what is computed again comes out as before where the sweep flushes denormal numbers") {
  const auto x = ag::variable(Array<float>({1}, 1e-20f));
  const auto f = [](const std::vector<ag::Var<float>>& in) { return std::vector{in[0] * in[0], in[0] + 1}; };
  ag::Tape tape;
  const auto y = ag::checkpoint<float>(f, {x});
  REQUIRE(y[0].item() > 0);
  CHECK(tape.backward(ag::sum(y[0] + y[1])).array(x).item() == 1);
}

TEST_CASE("a checkpoint passes through inputs, variables and constants") {
  const auto x = ag::variable(random<double>({2, 3}, 1)), w = ag::variable(random<double>({3}, 2));
  const auto f = [w](const std::vector<ag::Var<double>>& in) {
    const auto y = in[0] * w;
    return std::vector<ag::Var<double>>{in[0], w, ag::zeros<double>({4}), y, y[1], y[0]};
  };
  const auto loss = [](const std::vector<ag::Var<double>>& y) {
    return ag::sum(y[0] * y[0]) + ag::sum(exp(y[1])) + ag::sum(y[2]) + ag::sum(exp(y[3])) +
           ag::sum(y[4] * y[5]);
  };
  Array<double> dx, dw;
  {
    ag::Tape tape;
    const auto gradients = tape.backward(loss(f({x})));
    dx = gradients.array(x).copy();
    dw = gradients.array(w).copy();
  }
  ag::Tape tape;
  const auto y = ag::checkpoint<double>(f, {x});
  CHECK(y[1].is_variable());
  CHECK_FALSE(y[2].differentiable());
  const auto gradients = tape.backward(loss(y));
  CHECK(same_bits(gradients.array(x), dx));
  CHECK(same_bits(gradients.array(w), dw));
}

TEST_CASE("checkpoints nest, and may be within what another one computes") {
  const Network<double> network;
  const auto nested = [&] {
    return network.loss([](const auto& f, const auto& state) {
      return ag::checkpoint<double>(
          [f](const auto& in) {
            const auto inner = ag::checkpoint<double>(f, in);
            return std::vector{inner[0] * 1.0, inner[1], inner[2]};
          },
          state);
    });
  };
  CHECK(ag::gradcheck([&](const auto&) { return nested(); }, network.variables()));
}

TEST_CASE("checkpoints can be differentiated twice, recorded and by sweeps of tangents") {
  const Network<double> network;
  std::vector<ag::Var<double>> vectors;
  for (const auto& each : network.variables()) vectors.push_back(random<double>(each.shape(), 9));
  const auto close = [](const ag::Var<double>& a, const ag::Var<double>& b) {
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
      most = std::max(most, std::abs(a.array().data()[i] - b.array().data()[i]));
    return most < 1e-12;
  };
  std::vector<ag::Var<double>> product, recorded_product;
  ag::Var<double> directional;
  {
    ag::Tape tape;
    product = ag::hvp(network.plain(), network.variables(), vectors);
  }
  {
    ag::Tape tape;
    directional = ag::jvp(network.plain(), network.variables(), vectors);
  }
  {
    ag::Tape tape;
    const auto again = ag::hvp(network.checkpointed(), network.variables(), vectors);
    for (std::size_t i = 0; i < again.size(); ++i) CHECK(close(again[i], product[i]));
  }
  {
    ag::Tape tape;
    CHECK(close(ag::jvp(network.checkpointed(), network.variables(), vectors), directional));
  }
  {
    ag::Tape tape;
    const auto again = ag::hvp(network.checkpointed(), network.variables(), vectors, {.create_graph = true});
    for (std::size_t i = 0; i < again.size(); ++i) CHECK(close(again[i], product[i]));
  }
  CHECK(
      ag::gradcheck([&](const auto&) { return network.checkpointed(); }, network.variables(), {.order = 2}));
}

TEST_CASE("a checkpoint of what is not repeatable is refused, and the tape can be left") {
  const auto x = ag::variable(random<double>({3}, 1));
  int calls = 0;
  ag::Tape tape;
  const auto y = ag::checkpoint<double>(
      [&calls](const std::vector<ag::Var<double>>& in) { return std::vector{in[0] * ++calls}; }, {x});
  CHECK(
      message_of([&] { (void)tape.backward(ag::sum(y[0])); }) ==
      "checkpoint: computed again for the reverse sweep, the function gave other results than before, so the "
      "gradients would be wrong; does it draw random numbers, or change a value that it captured?");
  CHECK(message_of([&] {
          (void)ag::checkpoint<double>([](const auto&) { return std::vector<ag::Var<double>>(1); }, {x});
        }).starts_with("checkpoint: an operand is an empty Var"));
  CHECK(message_of([&] { (void)ag::checkpoint<double>({}, {x}); }) ==
        "checkpoint: the function is empty; give one that computes results from the inputs");
}

TEST_CASE("on a traced tape a checkpoint is what it computes") {
  const Network<double> network;
  ag::Tape tape({.trace = true});
  const auto loss = network.checkpointed();
  CHECK(ag::summary(tape).find("checkpoint") == std::string::npos);
  CHECK(tape.backward(loss).contains(network.w));
}
