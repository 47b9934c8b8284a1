// A tape that repeats the one before it gives what a new one would, whatever has changed in between.
#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "autograd/replay.hpp"
#include "message_of.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Tape;
using V = ag::Var<double>;
using test::numbers;
using test::random_array;
using test::random_variable;
using Numbers = std::vector<double>;

namespace {

std::size_t replayed() { return ag::detail::current_tape()->replayed; }

void append(Numbers& to, const auto& values) {
  const Numbers more = numbers(values);
  to.insert(to.end(), more.begin(), more.end());
}

// Replay as it is set, for a scope.
class Replay {
 public:
  explicit Replay(bool on) { ag::set_replay(on); }
  ~Replay() { ag::set_replay(true); }
  Replay(const Replay&) = delete;
};

// All that the passes of a program give is the same with replay and without.
void check_same(const std::function<void(std::size_t pass, Numbers& results)>& program, std::size_t passes) {
  Numbers results[2];
  for (const bool on : {false, true}) {
    const Replay replay(on);
    for (std::size_t pass = 0; pass < passes; ++pass) program(pass, results[on]);
  }
  REQUIRE(results[0].size() == results[1].size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < results[0].size(); ++i) different += results[0][i] != results[1][i];
  CHECK(different == 0);
}

}  // namespace

TEST_CASE("from the second tape on, all nodes of a training step are repeated") {
  const V w = random_variable({3, 3}, 1), b = random_variable({3}, 2), x = random_array({2, 3}, 3);
  double last = 0;
  for (int pass = 0; pass < 4; ++pass) {
    Tape tape;
    const V h = tanh(ag::linear(x, w, b)), c = ag::map([](auto a, auto b) { return sigmoid(a) * b; }, h, b);
    const V loss = ag::mean(ag::add_linear(ag::linear(h, w), c, w) * 2);
    CHECK(tape.size() == 7);
    CHECK(replayed() == (pass ? 7 : 0));
    const ag::Gradients gradients = tape.backward(loss);
    CHECK(loss.item() != last);
    last = loss.item();
    ag::Var<double>(w).update([&](auto& values) { values -= 0.1 * gradients[w]; });
  }
}

TEST_CASE("the first op that differs ends the replay") {
  const V w = random_variable({3, 3}, 1), x = random_array({2, 3}, 2);
  const auto pass = [&](int change) {
    Tape tape;
    V h = ag::linear(x, w);
    h = change == 1 ? sigmoid(h) : tanh(h);
    if (change == 2) h = h * h;
    h = change == 3 ? w * ag::sum(h) : ag::linear(h, w);
    const V loss = ag::sum(h);
    const std::size_t result = replayed();
    tape.backward(loss);
    return result;
  };
  pass(0);
  CHECK(pass(0) == 4);
  CHECK(pass(1) == 1);
  CHECK(pass(1) == 4);
  CHECK(pass(0) == 1);
  CHECK(pass(2) == 2);
  CHECK(pass(3) == 2);
  CHECK(pass(3) == 5);
}

TEST_CASE("operands are told apart by where they come from") {
  const V a = random_variable({3}, 1), b = random_variable({3}, 2);
  check_same(
      [&](std::size_t pass, Numbers& results) {
        Tape tape;
        const V s = tanh(a), t = tanh(b);
        const V u = pass % 2 ? s - t : t - s;                              // results
        const V v = pass % 3 ? a / b : b / a;                              // variables
        const V w = pass % 4 < 2 ? u.detach() * v : u * v.detach();        // constants and results
        const V y = pass % 5 ? w.reshape({3, 1}) + u : w + u.slice(0, 3);  // windows
        const ag::Gradients gradients = tape.backward(ag::sum(y));
        for (const V& each : {a, b}) append(results, gradients.array(each));
        append(results, y);
      },
      40);
}

TEST_CASE("a captured number may change") {
  const V a = random_variable({3}, 1);
  check_same(
      [&](std::size_t pass, Numbers& results) {
        Tape tape;
        const double factor = pass % 3 ? 2.5 : 0.5;
        const V y = ag::map([factor](auto x) { return factor * tanh(x); }, a * static_cast<double>(pass));
        append(results, tape.backward(ag::sum(y)).array(a));
      },
      9);
}

TEST_CASE("values that are held keep their elements") {
  const V w = random_variable({3}, 1);
  V held, window;
  ag::Array<double> array;
  ag::ArrayView<double> view = ag::zeros<double>({1}).value();
  Numbers before;
  for (int pass = 0; pass < 6; ++pass) {
    Tape tape;
    const V a = tanh(w * static_cast<double>(pass + 1)), b = exp(a), c = sigmoid(b), d = c * a;
    const V loss = ag::sum(d);
    tape.backward(loss);
    if (pass > 2) {
      Numbers now;
      for (const auto& each : {numbers(held), numbers(window), numbers(array)})
        now.insert(now.end(), each.begin(), each.end());
      now.insert(now.end(), view.begin(), view.end());
      CHECK(now == before);
    }
    if (pass < 2) continue;
    held = a;
    window = b.slice(1, 3);
    array = c.array();
    view.operator=(d.value());
    before = numbers(held);
    append(before, window);
    append(before, array);
    before.insert(before.end(), view.begin(), view.end());
  }
}

TEST_CASE("a value of the last tape is still refused") {
  const V w = random_variable({3}, 1);
  V old;
  for (int pass = 0; pass < 4; ++pass) {
    Tape tape;
    const V a = tanh(w);
    if (pass > 1)
      CHECK(test::message_of([&] { (void)(old * 2); }).find("a tape that has ended") != std::string::npos);
    const V y = a * 2;
    tape.backward(ag::sum(y));
    old = a;
  }
}

TEST_CASE("an empty Var is still refused") {
  const V w = random_variable({3, 3}, 1), x = random_array({2, 3}, 2), empty;
  const auto train = [&](const auto& product) {
    Tape tape;
    (void)tape.backward(ag::sum(product()));
  };
  const auto refuses = [&](const auto& product) {
    Tape tape;
    CHECK(test::message_of([&] { (void)product(); }).find("empty Var") != std::string::npos);
  };
  train([&] { return ag::linear(x, w); });
  refuses([&] { return ag::linear(x, w, empty); });
  train([&] { return ag::linear(x, w); });
  refuses([&] { return ag::linear(empty, w); });
  train([&] { return ag::linear(x, w); });
  refuses([&] { return ag::add_linear(empty, x, w); });
  train([&] { return ag::matmul(x, w); });
  refuses([&] { return ag::matmul(x, empty); });
  train([&] { return ag::map([](auto a) { return a * 2; }, w); });
  refuses([&] { return ag::map([](auto a) { return a * 2; }, empty); });
}

TEST_CASE("variables may be others, and updated") {
  check_same(
      [&](std::size_t pass, Numbers& results) {
        const V w = random_variable({3, 3}, static_cast<int>(pass)), b = random_variable({3}, 2);
        Tape tape;
        const V y = ag::linear(ag::linear(w, w, b), w);
        const ag::Gradients gradients = tape.backward(ag::sum(y * y));
        for (const V& each : {w, b}) append(results, gradients.array(each));
      },
      6);
  V w = random_variable({3}, 1);
  for (int pass = 0; pass < 4; ++pass) {
    Tape tape;
    const V y = tanh(w);
    if (pass % 2) w.update([](auto& values) { values *= 2; });
    const V loss = ag::sum(y * w);
    if (pass % 2)
      CHECK(test::message_of([&] { tape.backward(loss); }).find("was updated") != std::string::npos);
    else
      CHECK(tape.backward(loss).contains(w));
  }
}

TEST_CASE("a replay may stop early, fail, or be left without a sweep") {
  const V w = random_variable({3}, 1), x = random_variable({2}, 2);
  check_same(
      [&](std::size_t pass, Numbers& results) {
        Tape tape;
        V y = tanh(w);
        if (pass % 4 == 1) CHECK_THROWS_AS((void)(y + x), ag::Error);
        const V z = exp(y * w);
        if (pass % 5 == 4) return;
        if (pass % 3) y = z / w;
        const V loss = ag::sum(y);
        if (pass % 7 == 3) append(results, tape.backward(loss, {.keep_tape = true}).array(w));
        if (pass % 7 == 5)
          append(results, ag::grad(loss, w));
        else
          append(results, tape.backward(loss).array(w));
      },
      70);
}

TEST_CASE("tapes nest, and other threads have tapes of their own") {
  const V w = random_variable({3}, 1);
  check_same(
      [&](std::size_t pass, Numbers& results) {
        Tape outer;
        const V y = tanh(w);
        {
          Tape inner;
          const V z = tanh(exp(w));
          append(results, inner.backward(ag::sum(pass % 3 ? z : z * w)).array(w));
        }
        append(results, outer.backward(ag::sum(exp(y))).array(w));
      },
      9);
}

TEST_CASE("what rests is counted as pooled and can be given back") {
  ag::release_pooled_memory();
  const V w = random_variable({64}, 1);
  const std::size_t live = ag::memory_stats().live_bytes;
  const auto pass = [&] {
    Tape tape;
    tape.backward(ag::sum(tanh(exp(w))));
  };
  pass();
  CHECK(ag::memory_stats().live_bytes == live);
  const std::size_t heap = ag::memory_stats().heap_requests;
  for (int i = 0; i < 10; ++i) pass();
  CHECK(ag::memory_stats().heap_requests == heap);
  CHECK(ag::memory_stats().live_bytes == live);
  CHECK(ag::memory_stats().pooled_bytes > 2 * 64 * sizeof(double));
  ag::release_pooled_memory();
  CHECK(ag::memory_stats().pooled_bytes == 0);
  CHECK(ag::memory_stats().live_bytes == live);
  pass();
}

namespace {

// A random program of ops on matrices (2, 3), which changes a little from pass to pass.
class RandomProgram {
 public:
  explicit RandomProgram(unsigned seed) : rng_(seed) {
    for (int i = 0; i < 14; ++i) steps_.push_back(random_step());
    for (int i = 0; i < 3; ++i) {
      variables_.push_back(random_variable({2, 3}, i));
      variables_.push_back(random_variable({3, 3}, i + 10));
      variables_.push_back(random_variable({3}, i + 20));
    }
  }

  void operator()(Numbers& results) {
    if (one_in(2)) steps_[below(steps_.size())] = random_step();
    if (one_in(6))
      steps_.insert(steps_.begin() + static_cast<std::ptrdiff_t>(below(steps_.size())), random_step());
    if (one_in(6) && steps_.size() > 4)
      steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(below(steps_.size())));
    if (one_in(8)) variables_[below(9) / 3 * 3] = random_variable({2, 3}, static_cast<int>(below(100)));
    const bool fails = one_in(8), left = one_in(10), holds = one_in(4), twice = one_in(8);
    const std::size_t failing = below(steps_.size());
    Tape tape;
    std::vector<V> x{variables_[0], variables_[3], variables_[6],
                     random_array({2, 3}, static_cast<int>(below(3)))};
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (fails && i == failing) CHECK_THROWS_AS((void)(x.back() + random_variable({5}, 1)), ag::Error);
      x.push_back(run(steps_[i], x));
    }
    if (left) return;
    V loss = ag::sum(x.back() * x[x.size() - 2]);
    if (!loss.differentiable()) return;
    if (one_in(6)) {  // a second order
      const V g =
          ag::grad(loss, std::vector<V>{variables_[0]}, {.create_graph = true, .allow_unused = true})[0];
      loss = loss + ag::sum(g * g);
    }
    if (twice) append_gradients(results, tape.backward(loss, {.keep_tape = true}));
    append_gradients(results, tape.backward(loss));
    results.push_back(loss.item());
    for (const V& each : held_) append(results, each);
    held_.clear();
    if (holds) held_ = {x[below(x.size())], x[below(x.size())].detach(), loss};
  }

 private:
  struct Step {
    std::size_t op, a, b, w;
  };

  std::size_t below(std::size_t n) { return rng_() % n; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  Step random_step() { return {below(15), below(1000), below(1000), below(3)}; }

  V run(const Step& s, const std::vector<V>& x) const {
    const V &a = x[x.size() - 1 - s.a % std::min<std::size_t>(4, x.size())], &b = x[s.b % x.size()];
    const V &matrix = variables_[3 * s.w + 1], &bias = variables_[3 * s.w + 2];
    switch (s.op) {
      case 0:
        return a + b;
      case 1:
        return a * b;
      case 2:
        return tanh(a);
      case 3:
        return a - 0.5 * b;
      case 4:
        return ag::linear(a, matrix, bias);
      case 5:
        return ag::add_linear(ag::linear(a, matrix), b, matrix);
      case 6:
        return ag::add_linear(a, b, matrix);
      case 7:
        return std::get<0>(ag::map([](auto p, auto q) { return std::tuple{tanh(p) * q, p}; }, a, b));
      case 8:
        return ag::map([](auto p, auto q, auto r) { return sigmoid(p) * q + r; }, a, bias, b);
      case 9:
        return ag::matmul(a, matrix);
      case 10:
        return a.detach();
      case 11:
        return ag::softmax(a, 1);
      case 12:
        return a * ag::mean(b, 1, true);
      case 13:
        return (a.slice(0, 1) * b[1]).reshape({1, 3}) + b;
      default:
        return sin(a) * b.slice(1, 2);
    }
  }

  void append_gradients(Numbers& results, const ag::Gradients& gradients) const {
    for (const V& each : variables_)
      if (gradients.contains(each)) append(results, gradients.array(each));
  }

  std::mt19937 rng_;
  std::vector<Step> steps_;
  std::vector<V> variables_, held_;
};

}  // namespace

TEST_CASE("random programs that change from tape to tape") {
  Numbers results[2];
  for (unsigned seed = 0; seed < 40; ++seed)
    for (const bool on : {false, true}) {
      const Replay replay(on);
      RandomProgram program(seed);
      for (int pass = 0; pass < 40; ++pass) program(results[on]);
    }
  REQUIRE(results[0].size() == results[1].size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < results[0].size(); ++i)
    different +=
        !(results[0][i] == results[1][i] || (std::isnan(results[0][i]) && std::isnan(results[1][i])));
  CHECK(different == 0);
  MESSAGE(results[0].size(), " numbers");
}
