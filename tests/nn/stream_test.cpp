// A stream: the steps of a cell one at a time, equal to unrolling, without the heap.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <autograd/autograd.hpp>
#include <cstring>
#include <nn/nn.hpp>
#include <thread>

#include "counting_allocator.hpp"
#include "fixture.hpp"
#include "message_of.hpp"
#include "minimal_gated_cell.hpp"

namespace ag = autograd;
using test::message_of;
using Var = ag::Var<double>;

namespace {

template <class T>
ag::Var<T> normal(const ag::Shape& shape, std::uint64_t seed) {
  nn::Rng rng(seed);
  return ag::Var<T>(nn::init::normal<T>(shape, 0, 1, rng));
}

// A stack of two cells, whose state is a nest: a pair of a struct and a list.
template <class T>
struct StackedCell {
  nn::LSTMCell<T> lower;
  nn::GRUCell<T> upper;
  using State = std::pair<typename nn::LSTMCell<T>::State, std::vector<ag::Var<T>>>;
  StackedCell(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : lower(in, hidden, rng), upper(hidden, hidden, rng) {}
  State initial_state(std::size_t batch) const {
    return {lower.initial_state(batch), {upper.initial_state(batch)}};
  }
  std::pair<ag::Var<T>, State> step(const ag::Var<T>& x, const State& state) const {
    const auto [h, below] = lower.step(lower.project(x), state.first);
    const ag::Var<T> above = upper.step(upper.project(h), state.second[0]);
    return {above, {below, {above}}};
  }
};

// Its state is the input before, as it came: y = x + 0.5 x_before.
struct DelayCell {
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 2}); }
  std::pair<Var, Var> step(const Var& x, const Var& before) const { return {x + 0.5 * before, x}; }
};

// A state that is no nest of Vars.
struct CountingCell {
  using value_type = double;
  struct State {
    Var sum;
    int steps;
  };
  State initial_state(std::size_t batch) const { return {ag::zeros<double>({batch, 1}), 0}; }
  std::pair<Var, State> step(const Var& x, const State& state) const {
    const Var sum = state.sum + ag::sum(x, 1, true);
    return {sum / (state.steps + 1), {sum, state.steps + 1}};
  }
};

template <class T>
void for_every_cell(std::size_t in, std::size_t hidden, const auto& check) {
  nn::Rng rng(2);
  check("RNN tanh", nn::RNNCell<T>(in, hidden, rng, nn::Activation::tanh));
  check("RNN relu", nn::RNNCell<T>(in, hidden, rng, nn::Activation::relu));
  check("RNN sigmoid", nn::RNNCell<T>(in, hidden, rng, nn::Activation::sigmoid));
  check("LSTM", nn::LSTMCell<T>(in, hidden, rng));
  check("LSTM without bias", nn::LSTMCell<T>(in, hidden, rng, {.bias = false}));
  check("GRU", nn::GRUCell<T>(in, hidden, rng));
  check("MGU", test::MinimalGatedCell<T>(in, hidden, rng));
  check("stack", StackedCell<T>(in, hidden, rng));
}

template <class T>
bool same_bits(const ag::Array<T>& a, const ag::Array<T>& b) {
  return a.shape() == b.shape() && !std::memcmp(a.data(), b.data(), a.size() * sizeof(T));
}

template <class T, class State>
double state_difference(const State& a, const State& b) {
  double largest = 0;
  nn::detail::for_each_var(
      [&](const ag::Var<T>& x, const ag::Var<T>& y) {
        largest = std::max(largest, test::difference(x, y.array()));
      },
      a, b);
  return largest;
}

// What a stream of x gives, by step and by the noexcept call.
template <class T, class C>
void check_is_unroll(const C& cell, std::size_t steps, std::size_t batch, std::size_t in, double tolerance) {
  const ag::Var<T> x = normal<T>({steps, batch, in}, 3);
  const auto expected = nn::unroll(cell, x);
  auto by_step = nn::stream(cell, {.batch = batch});
  auto by_span = nn::stream(cell, {.batch = batch, .input_size = in});
  std::vector<T> y(batch * by_span.output_size());
  for (std::size_t t = 0; t < steps; ++t) {
    CAPTURE(t);
    const ag::Array<T> wanted = expected.output[t].array(), input = x[t].array();
    const ag::Var<T> output = by_step.step(x[t]);
    CHECK(
        (tolerance == 0 ? same_bits(output.array(), wanted) : test::difference(output, wanted) <= tolerance));
    by_span({input.data(), input.size()}, y);
    CHECK(!std::memcmp(y.data(), output.array().data(), y.size() * sizeof(T)));
  }
  CHECK(state_difference<T>(by_step.state(), expected.state) <= tolerance);
  CHECK(state_difference<T>(by_span.state(), expected.state) <= tolerance);
}

// What std::terminate is called with, in a process of its own.
std::string last_words(const std::function<void()>& call) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    static int out;
    out = ends[1];
    std::set_terminate([] {
      std::string message = "(no error)";
      try {
        throw;
      } catch (const ag::Error& error) {
        message = error.what();
      }
      _exit(write(out, message.data(), message.size()) < 0);
    });
    call();
    _exit(0);
  }
  close(ends[1]);
  std::string message(4096, '\0');
  const ssize_t size = read(ends[0], message.data(), message.size());
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return message.substr(0, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
}

}  // namespace

TEST_CASE("a stream is unrolling, bit by bit where the products are the same") {
  for_every_cell<double>(5, 17, [&](const std::string& name, const auto& cell) {
    CAPTURE(name);
    check_is_unroll<double>(cell, 12, 60, 5, 0);
    check_is_unroll<double>(cell, 12, 100, 5, 0);
    for (const std::size_t batch : {1u, 2u, 8u}) check_is_unroll<double>(cell, 12, batch, 5, 1e-15);
  });
  for_every_cell<float>(3, 16, [&](const std::string& name, const auto& cell) {
    CAPTURE(name);
    check_is_unroll<float>(cell, 12, 1, 3, 1e-6);
  });
}

TEST_CASE("a cell may keep its input in its state, and states may be no nests") {
  const Var x = normal<double>({6, 3, 2}, 1);
  auto delay = nn::stream(DelayCell(), {.batch = 3});
  auto delay_spans = nn::stream(DelayCell(), {.batch = 3});
  auto counting = nn::stream(CountingCell(), {.batch = 3});
  const Var delayed = nn::unroll(DelayCell(), x).output, counted = nn::unroll(CountingCell(), x).output;
  for (std::size_t t = 0; t < 6; ++t) {
    CHECK(same_bits(delay.step(x[t]).array(), delayed[t].array()));
    CHECK(same_bits(counting.step(x[t]).array(), counted[t].array()));
    double y[6];
    delay_spans(std::span(x[t].array().data(), 6), y);
    CHECK(!std::memcmp(y, delayed[t].array().data(), sizeof y));
  }
  CHECK(counting.state().steps == 6);
}

TEST_CASE("steps of a stream allocate nothing after the first") {
  const auto check = [&](const std::string& name, const auto& cell) {
    CAPTURE(name);
    using T = typename std::remove_cvref_t<decltype(nn::stream(cell))>::value_type;
    for (const std::size_t batch : {1u, 4u, 40u}) {
      CAPTURE(batch);
      ag::release_pooled_memory();
      const ag::Var<T> x = normal<T>({batch, 3}, 1);
      std::vector<T> out(batch * 9);
      auto by_span = nn::stream(cell, {.batch = batch});
      by_span({x.array().data(), x.size()}, out);
      std::size_t heap = test::heap_allocations(), pool = ag::memory_stats().heap_requests;
      for (int k = 0; k < 100; ++k) by_span({x.array().data(), x.size()}, out);
      CHECK(test::heap_allocations() - heap == 0);
      CHECK(ag::memory_stats().heap_requests - pool == 0);

      ag::release_pooled_memory();
      auto by_step = nn::stream(cell, {.batch = batch, .input_size = 3});
      heap = test::heap_allocations(), pool = ag::memory_stats().heap_requests;
      ag::Var<T> y = by_step.step(x);
      for (int k = 0; k < 100; ++k) y = by_step.step(x);
      by_step({x.array().data(), x.size()}, out);
      CHECK(test::heap_allocations() - heap == 0);
      CHECK(ag::memory_stats().heap_requests - pool == 0);
    }
  };
  nn::Rng rng(1);
  check("RNN", nn::RNNCell<float>(3, 9, rng));
  check("LSTM", nn::LSTMCell<float>(3, 9, rng));
  check("LSTM double", nn::LSTMCell<double>(3, 9, rng));
  check("GRU", nn::GRUCell<float>(3, 9, rng));
  check("MGU", test::MinimalGatedCell<float>(3, 9, rng));
}

TEST_CASE("a stream records nothing, and sees the weights that an optimiser has changed") {
  nn::Rng rng(1);
  const nn::GRUCell<double> cell(2, 3, rng);
  auto stream = nn::stream(cell);
  const Var x = ag::variable(normal<double>({1, 2}, 4).array());
  nn::SGD<double> sgd(nn::parameters(cell), {.lr = 0.5});
  ag::Tape tape;
  const Var loss = ag::sum(cell.step(cell.project(x.reshape({1, 1, 2}))[0], cell.initial_state(1)));
  const std::size_t nodes = tape.size();
  const Var before = stream.step(tanh(x));
  CHECK(tape.size() == nodes + 1);  // the tanh
  CHECK_FALSE(before.differentiable());
  sgd.step(tape.backward(loss));
  stream.reset();
  const Var after = stream.step(tanh(x));
  CHECK(test::difference(after, before.array()) > 1e-3);
  CHECK(same_bits(after.array(), nn::stream(cell).step(tanh(x)).array()));
}

TEST_CASE("the state of a stream can be read, set, reset and copied") {
  nn::Rng rng(1);
  const StackedCell<double> cell(2, 3, rng);
  const Var x = normal<double>({8, 2, 2}, 5);
  const auto whole = nn::unroll(cell, x);
  auto stream = nn::stream(cell, {.batch = 2});
  CHECK(stream.input_size() == 0);
  {
    ag::Tape tape;
    stream.set_state(nn::unroll(cell, x.slice(0, 5)).state);  // attached
  }
  CHECK(test::difference(stream.step(x[5]), whole.output[5].array()) <= 1e-15);
  CHECK(stream.batch() == 2);
  CHECK(stream.input_size() == 2);
  CHECK(stream.output_size() == 3);
  auto copy = stream;
  CHECK(test::difference(stream.step(x[6]), whole.output[6].array()) <= 1e-15);
  const auto state = stream.state();
  for (const std::size_t t : {6u, 7u})
    CHECK(test::difference(copy.step(x[t]), whole.output[t].array()) <= 1e-15);
  CHECK(state_difference<double>(stream.state(), state) == 0);
  stream.reset();
  CHECK(state_difference<double>(stream.state(), cell.initial_state(2)) == 0);
  CHECK(test::difference(stream.step(x[0]), whole.output[0].array()) <= 1e-15);
}

TEST_CASE("what streams refuse") {
  nn::Rng rng(1);
  const nn::LSTMCell<double> cell(3, 4, rng);
  auto stream = nn::stream(cell);
  const auto ones = [](const ag::Shape& shape) { return Var(ag::Array<double>(shape, 1)); };
  const auto check = [](const std::function<void()>& call, const std::string& message) {
    CHECK(message_of(call) == message);
  };
  const std::string batch =
      "; a stream takes the batch that it was made with, {.batch = ...}, and the features of its first input";
  check([&] { nn::stream(cell, {.batch = 0}); }, "stream: batch is 0; it must be at least 1");
  check([&] { stream.step(Var()); }, "stream: an operand is an empty Var; assign it a value first");
  check([&] { stream.step(ones({3})); },
        "stream: the input has shape (3,); it must be (1, features)" + batch);
  check(
      [&] {
        stream.step(ones({2, 3}));
      },
      "stream: the input has shape (2, 3); it must be (1, features)" + batch);
  check(
      [&] {
        stream.step(ones({1, 2}));
      },
      "LSTMCell: the input of shape (1, 1, 2) has 2 features, and the cell was made for 3 (weight_ih has "
      "shape "
      "(16, 3)); make them equal (in LSTMCell)");
  check([&] { nn::stream(cell, {.input_size = 2}); },
        "LSTMCell: the input of shape (1, 1, 2) has 2 features, and the cell was made for 3 (weight_ih has "
        "shape "
        "(16, 3)); make them equal (in LSTMCell)");
  const Var first = stream.step(ones({1, 3}));
  check([&] { stream.step(ones({1, 2})); }, "stream: the input has shape (1, 2); it must be (1, 3)" + batch);
  check(
      [&] {
        stream.set_state({ones({1, 4}), ones({2, 4})});
      },
      "stream: state[1] has shape (2, 4); it must be (1, 4), as in the state that it replaces");
  // A step that throws has changed nothing.
  auto again = nn::stream(cell);
  again.step(ones({1, 3}));
  CHECK(same_bits(stream.step(ones({1, 3})).array(), again.step(ones({1, 3})).array()));

  struct LosesBatch {
    Var initial_state(std::size_t) const { return ag::zeros<double>({2}); }
    Var step(const Var& x, const Var& h) const { return ag::sum(x, 0) + h; }
  };
  check(
      [&] { nn::stream(LosesBatch(), {.batch = 3, .input_size = 2}); },
      "stream: the output has shape (2,) for a batch of 3; its first axis must be the batch (in LosesBatch / "
      "step 0)");
  struct Growing {
    Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 1}); }
    Var step(const Var& x, const Var& h) const { return ag::concat({h, x}, 1); }
  };
  check([&] { nn::stream(Growing(), {.batch = 3, .input_size = 2}).step(ones({3, 2})); }, "(no error)");
  check(
      [&] {
        auto growing = nn::stream(Growing(), {.batch = 3, .input_size = 2});
        for (int k = 0; k < 2; ++k) growing.step(ones({3, 2}));
      },
      "stream: the output has shape (3, 5), of 5 features, and before had 3; a cell must give one shape (in "
      "Growing / step 1)");
}

TEST_CASE("a span of a wrong size ends the program, and says why") {
  nn::Rng rng(1);
  const nn::LSTMCell<float> cell(3, 4, rng);
  float in[8] = {}, out[16] = {};
  const auto check = [&](std::size_t in_size, std::size_t out_size, nn::StreamOptions options,
                         const std::string& message) {
    CHECK(last_words([&] {
            auto stream = nn::stream(cell, options);
            stream(std::span<const float>(in, in_size), std::span<float>(out, out_size));
          }) == message);
  };
  check(3, 4, {}, "");
  check(6, 8, {.batch = 2, .input_size = 3}, "");
  check(4, 4, {.input_size = 3},
        "stream: the input is a span of 4 numbers; it must have 3, for a batch of 1 with 3 features");
  check(6, 4, {.batch = 2},
        "stream: the output is a span of 4 numbers; it must have 8, for a batch of 2 with 4 features");
  check(5, 8, {.batch = 2},
        "stream: the input is a span of 5 numbers; it must have a multiple of the batch, 2");
  check(4, 4, {},
        "LSTMCell: the input of shape (1, 1, 4) has 4 features, and the cell was made for 3 (weight_ih has "
        "shape "
        "(16, 3)); make them equal (in LSTMCell)");
  static_assert(noexcept(
      std::declval<nn::Stream<nn::LSTMCell<float>>&>()(std::span<const float>(), std::span<float>())));
}

TEST_CASE("what a stream has given out may be used by several threads") {
  nn::Rng rng(1);
  auto stream = nn::stream(nn::LSTMCell<float>(2, 3, rng));
  const ag::Var<float> y = stream.step(normal<float>({1, 2}, 1));
  const auto copied = stream;  // before anybody has asked for the state
  (void)stream.step(normal<float>({1, 2}, 2));
  for (const ag::Var<float>& var :
       {y, stream.state().h, stream.state().c, copied.state().h, copied.state().c}) {
    const std::uint32_t handles = var.shared()->references;
    const auto use = [&] {
      for (int i = 0; i < 200'000; ++i) {
        const ag::Var<float> copy = var;
        const ag::Array<float> elements = copy.array();
      }
    };
    std::thread other(use);
    use();
    other.join();
    CHECK(var.shared()->references == handles);  // counts that threads change without locks come out wrong
  }
}
