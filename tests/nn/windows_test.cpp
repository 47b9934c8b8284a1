// Truncated backpropagation through time: windows of a sequence, and the state that goes on from one to the
// next.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
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

Var normal(const ag::Shape& shape, std::uint64_t seed) {
  nn::Rng rng(seed);
  return nn::init::normal<double>(shape, 0, 1, rng);
}

// The scopes that are open now.
std::string scopes() {
  return message_of([] { ag::detail::fail(""); });
}

double difference(const auto& a, const auto& b) {
  double largest = 0;
  const auto compare = [&](const Var& x, const Var& y) {
    largest = std::max(largest, test::difference(x, y.array()));
  };
  nn::detail::for_each_var(compare, a, b);
  return largest;
}

void for_every_cell(const auto& check) {
  nn::Rng rng(2);
  check("RNN", nn::RNNCell<double>(2, 3, rng));
  check("LSTM", nn::LSTMCell<double>(2, 3, rng));
  check("GRU", nn::GRUCell<double>(2, 3, rng));
  check("MGU", test::MinimalGatedCell<double>(2, 3, rng));
}

}  // namespace

TEST_CASE("windows follow each other, and the last has what is left") {
  struct Expected {
    std::size_t steps, length;
    std::vector<std::size_t> bounds;
  };
  for (const Expected& e :
       {Expected{10, 4, {0, 4, 8, 10}}, {8, 4, {0, 4, 8}}, {3, 50, {0, 3}}, {2, 1, {0, 1, 2}}, {0, 4, {0}}}) {
    CAPTURE(e.steps);
    std::vector<std::size_t> bounds{0};
    const nn::Windows windows = nn::windows(e.steps, e.length);
    CHECK(windows.size() + 1 == e.bounds.size());
    for (const nn::Window& window : windows) {
      CHECK(window.index + 1 == bounds.size());
      CHECK(window.begin == bounds.back());
      CHECK(window.size() == window.end - window.begin);
      bounds.push_back(window.end);
    }
    CHECK(bounds == e.bounds);
  }
  CHECK(message_of([] { nn::windows(5, 0); }) ==
        "windows: the length of a window is 0; it must be at least 1");
}

TEST_CASE("a window is a scope, which ends with the loop by whatever way") {
  const ag::Scope epoch("epoch", 7);
  const std::string outside = " (in epoch 7)";
  for (const nn::Window& window : nn::windows(6, 2))
    CHECK(scopes() == " (in epoch 7 / window " + std::to_string(window.index) + ')');
  CHECK(scopes() == outside);

  const nn::Windows windows = nn::windows(6, 2);  // which lives on
  for (const nn::Window& window : windows)
    if (window.index == 1) break;
  CHECK(scopes() == outside);

  CHECK(message_of([&] {
          for (const nn::Window& window : windows)
            if (window.index == 2) ag::detail::fail("stop");
        }) == "stop (in epoch 7 / window 2)");
  CHECK(scopes() == outside);

  const auto leave = [&] {
    for (const nn::Window& window : windows)
      if (window.index == 1) return scopes();
    return std::string();
  };
  CHECK(leave() == " (in epoch 7 / window 1)");
  CHECK(scopes() == outside);

  for (const nn::Window& outer : windows)
    for (const nn::Window& inner : windows)
      CHECK(scopes() == " (in epoch 7 / window " + std::to_string(outer.index) + " / window " +
                            std::to_string(inner.index) + ')');
  CHECK(scopes() == outside);
}

TEST_CASE("the nodes of a traced tape tell their window") {
  nn::Rng rng(1);
  nn::Stateful net(nn::GRUCell<double>(2, 3, rng));
  for (const nn::Window& window : nn::windows(6, 2)) {
    ag::Tape tape({.trace = true});
    net(normal({2, 1, 2}, 1));
    using Scopes = std::vector<std::string>;
    CHECK(ag::nodes(tape).back().scopes ==
          Scopes{"window " + std::to_string(window.index), "GRUCell", "step 1"});
  }
}

TEST_CASE("the gradient of a window is that from a detached state") {
  for_every_cell([](const std::string& name, const auto& cell) {
    CAPTURE(name);
    const Var x = normal({11, 3, 2}, 1), y = normal({11, 3, 3}, 2);
    const std::vector<Var> parameters = nn::parameters(cell);
    nn::Stateful net(cell);
    auto state = cell.initial_state(3);
    for (const nn::Window& window : nn::windows(11, 4)) {
      CAPTURE(window.index);
      const Var piece = x.slice(window.begin, window.end), target = y.slice(window.begin, window.end);
      std::vector<ag::Array<double>> expected;
      {
        ag::Tape tape;
        auto by_hand = nn::unroll(cell, piece, state);
        const ag::Gradients g = tape.backward(nn::mse(by_hand.output, target));
        for (const Var& w : parameters) expected.push_back(g.array(w).copy());
        state = nn::detach(by_hand.state);
      }
      ag::Tape tape;
      const auto result = net(piece);
      CHECK(result.output.differentiable());
      const ag::Gradients g = tape.backward(nn::mse(result.output, target));
      for (std::size_t i = 0; i < parameters.size(); ++i)
        CHECK(test::difference(g.array(parameters[i]), expected[i]) <= 1e-15);
      CHECK(difference(net.state(), state) == 0);
      nn::detail::for_each_var([](const Var& part) { CHECK_FALSE(part.differentiable()); }, net.state());
    }
  });
}

TEST_CASE("a sequence in pieces, evaluated with kept state, is the sequence in one") {
  for_every_cell([](const std::string& name, const auto& cell) {
    CAPTURE(name);
    const Var x = normal({11, 3, 2}, 1);
    const auto whole = nn::unroll(cell, x);
    nn::Stateful net(cell);
    for (int round = 0; round < 2; ++round) {
      for (const nn::Window& window : nn::windows(11, 4))
        CHECK(test::difference(net(x.slice(window.begin, window.end)).output,
                               whole.output.slice(window.begin, window.end).array()) <= 1e-14);
      CHECK(difference(net.state(), whole.state) <= 1e-14);
      net.reset();
      CHECK_FALSE(net.has_state());
    }
    net.set_state(nn::unroll(cell, x.slice(0, 5)).state);
    CHECK(test::difference(net(x.slice(5, 11)).output, whole.output.slice(5, 11).array()) <= 1e-14);
  });
}

TEST_CASE("Stateful refuses what goes both ways, wherever it is in a network") {
  nn::Rng rng(1);
  const nn::GRUCell<double> cell(2, 2, rng), upper(4, 2, rng);
  const auto refused = [](auto&& make) {
    return message_of(make).starts_with("Stateful: the network goes over its inputs in both directions");
  };
  const auto both = nn::bidirectional(cell, cell);
  CHECK(refused([&] { nn::Stateful net(both); }));
  CHECK(refused([&] { nn::Stateful net(nn::stack(cell, nn::dropout(both, {.output = 0.1}), upper)); }));
  CHECK(refused([&] { nn::Stateful net(nn::GRU<double>(2, 2, rng, {.bidirectional = true})); }));
  CHECK_FALSE(refused([&] { nn::Stateful net(nn::stack(cell, nn::residual(cell))); }));
}

TEST_CASE("what Stateful refuses") {
  nn::Rng rng(1);
  nn::Stateful net(nn::LSTMCell<double>(2, 3, rng));
  CHECK(message_of([&] { net.state(); }) ==
        "Stateful: there is no state before the first call or after reset(); call, or set_state()");
  CHECK(message_of([&] {
          net(normal({5, 2}, 1));
        }) == "unroll: the input has shape (5, 2); (time, batch, features) is needed");
  const Var x = normal({4, 2, 2}, 1);
  net(x);
  const auto state = net.state();
  CHECK(message_of([&] {
          net(normal({5, 3, 2}, 1));
        }) ==
        "Stateful: the input of shape (5, 3, 2) has a batch of 3, and the state that was kept is one of 2; "
        "call reset() where other sequences begin");
  CHECK(difference(net.state(), state) == 0);
  net.set_state(state);
  CHECK(message_of([&] {
          net(normal({5, 3, 2}, 1));
        }) == "unroll: the given state[0] has shape (2, 3); for a batch of 3 it must be (3, 3)");
  net.reset();
  net(normal({5, 3, 2}, 1));
}

TEST_CASE("a state that was not detached: the error tells the window that it comes from") {
  nn::Rng rng(1);
  const nn::GRUCell<double> cell(2, 3, rng);
  const Var x = normal({20, 1, 2}, 1);
  const std::string remedy =
      ", so its gradient would be lost; detach() what is carried over, at the end of each tape: state = "
      "state.detach() (of a struct, nn::detach(state))";
  const auto message = [&](const auto& stale) {
    return message_of([&] {
      Var state = cell.initial_state(1);
      for (const nn::Window& window : nn::windows(20, 4)) {
        ag::Tape tape;
        const Var next = nn::unroll(cell, x.slice(window.begin, window.end), state).state;
        state = stale(window.index) ? next : next.detach();
      }
    });
  };
  CHECK(message([](std::size_t) { return false; }) == "(no error)");
  CHECK(message([](std::size_t window) { return window == 2; }) ==
        "linear: an operand of shape (1, 3) was recorded on a tape that has ended, that of window 2" +
            remedy + " (in window 3 / GRUCell / step 0)");

  // The innermost scope of the tape, however long its name; without one, the text says what else it may be.
  const auto message_from = [&](const auto& record) {
    const Var stale = record();
    ag::Tape tape;
    return message_of([&] { ag::sum(stale); });
  };
  const Var w = ag::variable(1.0);
  const auto square = [&] {
    ag::Tape tape;
    return w * w;
  };
  const std::string begin = "sum: an operand of shape () was recorded on a tape that has ended";
  CHECK(message_from(square) == begin + " (or is another thread's)" + remedy);
  const std::string name(100, 'x');
  CHECK(message_from([&] {
          const ag::Scope outer("epoch", 3), inner{std::string_view(name)};
          return square();
        }) == begin + ", that of " + name.substr(0, 55) + remedy);
  CHECK(message_from([&] {
          const ag::Scope scope(std::string_view(name).substr(0, 53), 1234);
          return square();
        }) == begin + ", that of " + name.substr(0, 53) + ' ' + remedy);
  // Only the latest are remembered, and those of this thread.
  Var oldest;
  for (int k = 0; k < 20; ++k) {
    const ag::Scope scope("round", static_cast<std::size_t>(k));
    const Var y = square();
    if (k == 3) oldest = y;
    if (k == 4)
      std::thread([&] {
        CHECK(message_from([&] { return y; }) == begin + " (or is another thread's)" + remedy);
      }).join();
    if (k == 19) CHECK(message_from([&] { return y; }).find(begin + ", that of round 19") == 0);
  }
  CHECK(message_from([&] { return oldest; }) == begin + " (or is another thread's)" + remedy);
}

TEST_CASE("training in windows allocates nothing from the third epoch on") {
  nn::Rng rng(1);
  const nn::LSTMCell<float> cell(2, 9, rng);
  const ag::Var<float> x = nn::init::normal<float>({23, 4, 2}, 0, 1, rng);
  const ag::Var<float> y = nn::init::normal<float>({23, 4, 9}, 0, 1, rng);
  nn::Adam<float> adam(nn::parameters(cell));
  nn::Stateful net(cell);
  std::size_t heap = 0, pool = 0;
  for (int epoch = 1; epoch <= 20; ++epoch) {
    if (epoch == 3) heap = test::heap_allocations(), pool = ag::memory_stats().heap_requests;
    net.reset();
    for (const nn::Window& window : nn::windows(23, 5)) {
      ag::Tape tape;
      const auto [output, state] = net(x.slice(window.begin, window.end));
      adam.step(tape.backward(nn::mse(output, y.slice(window.begin, window.end))));
    }
  }
  CHECK(test::heap_allocations() - heap == 0);
  CHECK(ag::memory_stats().heap_requests - pool == 0);
}
