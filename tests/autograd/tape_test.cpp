// What a tape records, for how long, and what gradients mean at the edges of it.
#include <doctest/doctest.h>

#include <functional>
#include <thread>

#include "message_of.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Tape;
using V = ag::Var<double>;
using Vars = std::vector<V>;
using test::numbers;
using test::random_variable;
using Numbers = std::vector<double>;

TEST_CASE("without a tape nothing is recorded") {
  const V w = random_variable({3}, 1);
  const V y = ag::sum(w * w);
  CHECK_FALSE(y.differentiable());
  CHECK(y.tape_id() == 0);
  const Tape tape;
  CHECK(tape.size() == 0);
  const V z = y + 1;  // of constants
  CHECK(tape.size() == 0);
  CHECK_FALSE(z.differentiable());
  CHECK((w * 2).differentiable());
  CHECK(tape.size() == 1);
}

TEST_CASE("slices and reshapes cost no node") {
  const V w = random_variable({4, 3}, 1);
  const Tape tape;
  const V x = w * 2;
  (void)x.slice(1, 3).reshape({3, 2})[0];
  CHECK(tape.size() == 1);
}

TEST_CASE("backward gives the gradients of all variables that took part") {
  const V a = random_variable({3}, 1), b = random_variable({3}, 2), unused = random_variable({3}, 3);
  Tape tape;
  const V y = a * b;
  (void)(unused * 2);
  const ag::Gradients gradients = tape.backward(ag::sum(y));
  CHECK(numbers(gradients.array(a)) == numbers(b));
  CHECK(numbers(gradients.array(b)) == numbers(a));
  CHECK(gradients.size() == 2);
  CHECK_FALSE(gradients.contains(unused));
  CHECK_FALSE(gradients.contains(V(1.0)));
}

TEST_CASE("a kept tape gives the same gradients twice") {
  const V w = random_variable({5, 4}, 1), x = test::random_array({200, 4}, 2), b = random_variable({5}, 3);
  Tape tape;
  const V loss = ag::sum(tanh(ag::linear(x, w, b)) * ag::linear(x.slice(0, 200), w * w));
  const ag::Gradients first = tape.backward(loss, {.keep_tape = true});
  const V third = ag::grad(loss, w, {.keep_tape = true});
  const ag::Gradients second = tape.backward(loss);
  CHECK(numbers(first.array(w)) == numbers(second.array(w)));
  CHECK(numbers(first.array(b)) == numbers(second.array(b)));
  CHECK(numbers(third) == numbers(second.array(w)));
}

TEST_CASE("a kept tape gives the gradients of several losses, which do not mix") {
  const V a = random_variable({3}, 1);
  Tape tape;
  const V y = a * 2, sum = ag::sum(y), squares = ag::sum(y * y);
  CHECK(numbers(tape.backward(sum, {.keep_tape = true}).array(a)) == Numbers{2, 2, 2});
  CHECK(test::difference(tape.backward(squares).array(a), (8 * a).array()) == 0);
}

TEST_CASE("a consumed tape records no more, and its values stay") {
  const V w = random_variable({3}, 1);
  Tape tape;
  const V y = w * 2;
  const auto view = y.value();
  tape.backward(ag::sum(y));
  const V later = y * 3;
  CHECK_FALSE(later.differentiable());
  CHECK(numbers(later) == numbers(6 * w));
  CHECK(view(2) == y.value()(2));
}

TEST_CASE("values and gradients outlive the tape and the variables") {
  Numbers expected;
  V y;
  ag::ArrayView<double> gradient = [&] {
    const V w = random_variable({3}, 1);
    expected = numbers(w);
    Tape tape;
    y = w * 2;
    return tape.backward(ag::sum(w * w * 0.5))[w];
  }();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(y.value()(i) == 2 * expected[i]);
    CHECK(gradient(i) == expected[i]);
  }
}

TEST_CASE("grad of intermediate values") {
  const V a = random_variable({2, 3}, 1);
  for (bool create_graph : {false, true}) {
    Tape tape;
    const V y = a * 2, z = y + y, loss = ag::sum(z * z);
    const Vars g = ag::grad(loss, Vars{y, z, a, y[1], z.slice(0, 1)}, {.create_graph = create_graph});
    CHECK(test::difference(g[0], 8 * y) <= 1e-15);
    CHECK(test::difference(g[1], 2 * z) <= 1e-15);
    CHECK(test::difference(g[2], 32 * a) <= 1e-15);
    CHECK(test::difference(g[3], 8 * y[1]) <= 1e-15);
    CHECK(test::difference(g[4], 2 * z.slice(0, 1)) <= 1e-15);
    CHECK(g[3].shape() == ag::Shape{3});
  }
}

TEST_CASE("grad of windows of a variable, whatever part of it was used") {
  const V w = random_variable({4}, 1);
  for (bool create_graph : {false, true}) {
    Tape tape;
    const V loss = ag::sum(square(w.slice(0, 1)) + square(w.slice(2, 3)));
    const Vars g =
        ag::grad(loss, Vars{w, w.slice(0, 1), w.slice(1, 3), w.slice(2, 4)}, {.create_graph = create_graph});
    const Numbers v = numbers(w);
    CHECK(numbers(g[0]) == Numbers{2 * v[0], 0, 2 * v[2], 0});
    CHECK(numbers(g[1]) == Numbers{2 * v[0]});
    CHECK(numbers(g[2]) == Numbers{0, 2 * v[2]});
    CHECK(numbers(g[3]) == Numbers{2 * v[2], 0});
  }
}

TEST_CASE("a window that nothing used has zeros if its neighbours were used, in either mode") {
  const V w = random_variable({3}, 1), unused = random_variable({3}, 2);
  for (bool create_graph : {false, true}) {
    Tape tape;
    const V loss = ag::sum(w.slice(0, 1) * w.slice(2, 3));
    const ag::GradOptions options{.create_graph = create_graph, .keep_tape = true};
    CHECK(ag::grad(loss, w.slice(1, 2), options).item() == 0);
    CHECK_THROWS_AS(ag::grad(loss, unused.slice(1, 2), options), ag::Error);
  }
}

TEST_CASE("grad of a value with respect to itself is one") {
  const V w = random_variable({}, 1);
  Tape tape;
  CHECK(ag::grad(w, w, {.keep_tape = true}).item() == 1);
  const V y = w * w;
  CHECK(ag::grad(y, y, {.create_graph = true}).item() == 1);
  CHECK(ag::grad(y, y).item() == 1);
}

TEST_CASE("allow_unused gives zeros of the input's shape") {
  const V a = random_variable({2}, 1), b = random_variable({2, 3}, 2);
  for (bool create_graph : {false, true}) {
    Tape tape;
    const Vars g = ag::grad(ag::sum(a * a), Vars{a, b}, {.create_graph = create_graph, .allow_unused = true});
    CHECK(numbers(g[1]) == Numbers(6, 0.0));
    CHECK(g[1].shape() == b.shape());
  }
}

TEST_CASE("derivatives of higher order") {
  const V x = ag::variable(xt::xarray<double>{0.5, -1.25, 2});
  const auto derivative = [&](const V& y) { return ag::grad(ag::sum(y), x, {.create_graph = true}); };
  Tape tape;
  SUBCASE("x^4") {
    const V first = derivative(x * x * x * x), second = derivative(first), third = derivative(second);
    CHECK(test::difference(first, 4 * x * x * x) <= 1e-15);
    CHECK(test::difference(second, 12 * x * x) <= 1e-15);
    CHECK(test::difference(third, 24 * x) <= 1e-15);
    CHECK(numbers(derivative(third)) == Numbers{24, 24, 24});
    CHECK(numbers(tape.backward(ag::sum(third)).array(x)) == Numbers{24, 24, 24});
  }
  SUBCASE("tanh, as an op and in a map") {
    for (const bool mapped : {false, true}) {
      const V y = mapped ? ag::map([](auto a) { return tanh(a); }, x) : tanh(x);
      const V first = derivative(y), second = derivative(first), third = derivative(second);
      const V t = y.detach(), slope = 1 - t * t;
      CHECK(test::difference(first, slope) <= 1e-15);
      CHECK(test::difference(second, -2 * t * slope) <= 1e-15);
      CHECK(test::difference(third, slope * (6 * t * t - 2)) <= 1e-15);
    }
  }
  SUBCASE("matrix products") {  // y = |x x^T x|^2 summed has degree 6: six times y by Euler, 30, 120
    const V m = ag::variable(test::random_array({3, 3}, 5));
    V y = ag::sum(square(ag::matmul(ag::matmul(m, ag::transpose(m)), m)));
    const double value = y.item();
    double factor = 1;
    for (int order = 0; order < 4; ++order) {
      y = ag::sum(ag::grad(y, m, {.create_graph = true}) * m.detach());
      factor *= 6 - order;
      CHECK(y.item() == doctest::Approx(factor * value).epsilon(1e-13));
    }
  }
}

TEST_CASE("detach stops the gradient and shares the elements") {
  const V a = random_variable({3}, 1);
  Tape tape;
  const V y = a * a;
  const V d = y.detach();
  CHECK(d.array().data() == y.array().data());
  CHECK_FALSE(d.differentiable());
  CHECK(test::difference(tape.backward(ag::sum(y * d)).array(a), (2 * a * d).array()) <= 1e-15);
}

TEST_CASE("nested tapes: the innermost records, and variables belong to all") {
  const V w = random_variable({3}, 1);
  Tape outer;
  const V y = ag::sum(w * w);
  {
    Tape inner;
    const V z = ag::sum(w * 3);
    CHECK(outer.size() == 2);
    CHECK(inner.size() == 2);
    CHECK(numbers(inner.backward(z).array(w)) == Numbers{3, 3, 3});
  }
  CHECK(test::difference(outer.backward(y + ag::sum(w)).array(w), (2 * w + 1).array()) <= 1e-15);
}

TEST_CASE("tapes may end in any order") {
  const V w = random_variable({3}, 1);
  auto outer = std::make_unique<Tape>();
  auto inner = std::make_unique<Tape>();
  const V y = ag::sum(w * w);
  outer.reset();
  CHECK(test::difference(inner->backward(y).array(w), (2 * w).array()) == 0);
  inner.reset();
  CHECK_FALSE((w * 2).differentiable());
}

TEST_CASE("copies of a variable are one variable") {
  V w = random_variable({3}, 1);
  V copy = w;
  copy.assign(xt::xarray<double>{1, 2, 3});
  CHECK(numbers(w) == Numbers{1, 2, 3});
  Tape tape;
  const ag::Gradients g = tape.backward(ag::sum(w * copy));
  CHECK(g.size() == 1);
  CHECK(numbers(g.array(w)) == Numbers{2, 4, 6});
  CHECK(numbers(g.array(copy)) == Numbers{2, 4, 6});
  CHECK(numbers(g.array(copy.slice(1, 2))) == Numbers{4});
}

TEST_CASE("slices of a variable: disjoint, overlapping, and beside the whole") {
  const V w = random_variable({3}, 1);
  const Numbers v = numbers(w);
  const auto gradient = [&](const auto& f) {
    Tape tape;
    return numbers(tape.backward(ag::sum(f())).array(w));
  };
  CHECK(gradient([&] { return w.slice(0, 1) * w.slice(2, 3); }) == Numbers{v[2], 0, v[0]});
  CHECK(gradient([&] { return w.slice(2, 3) * 5; }) == Numbers{0, 0, 5});
  CHECK(gradient([&] { return w.slice(0, 2) * w.slice(1, 3); }) == Numbers{v[1], v[0] + v[2], v[1]});
  CHECK(gradient([&] { return w * w[1]; }) == Numbers{v[1], v[0] + v[1] + v[2] + v[1], v[1]});
  CHECK(gradient([&] { return w.slice(1, 2) + ag::sum(w) + w.slice(1, 2); }) == Numbers{1, 3, 1});
}

TEST_CASE("a value that others hold is not overwritten by a consuming op") {
  const V x = test::random_array({2, 3}, 1), w = test::random_array({4, 3}, 2);
  for (const bool recorded : {false, true}) {
    std::unique_ptr<Tape> tape = recorded ? std::make_unique<Tape>() : nullptr;
    const V weight = recorded ? ag::variable(w.array()) : w;
    V c = ag::linear(x, weight);
    const auto view = c.value();
    const Numbers before = numbers(c);
    const V sum = ag::add_linear(std::move(c), x, weight);
    CHECK(Numbers(view.begin(), view.end()) == before);
    CHECK(test::difference(sum, 2 * ag::linear(x, weight)) <= 1e-15);
  }
}

TEST_CASE("a detached variable that changes cannot spoil a gradient in silence") {
  const V a = random_variable({1}, 1);
  V w = random_variable({1}, 2);
  Tape tape;
  const V loss = ag::sum(a * w.detach());
  w.update([](auto&& elements) { elements *= 10; });
  CHECK_THROWS_AS(tape.backward(loss), ag::Error);
}

TEST_CASE("an update that throws half-way counts as an update") {
  V w = random_variable({20, 30}, 1);
  const V x = test::random_array({2, 30}, 2);
  const V before = ag::linear(x, w);
  Tape tape;
  const V loss = ag::sum(w * w);
  CHECK_THROWS_AS(w.update([](auto&& elements) {
    elements *= 2;
    throw 1;
  }),
                  int);
  CHECK(test::difference(ag::linear(x, w.detach()), 2 * before) <= 1e-15);
  CHECK_THROWS_AS(tape.backward(loss), ag::Error);
}

TEST_CASE("one weight in several shapes") {
  const V w = random_variable({20, 30}, 1);
  const V x = test::random_array({2, 20}, 2);
  (void)ag::linear(V(test::random_array({2, 30}, 3)), w);
  const V turned = w.reshape({30, 20});
  // A constant weight is not transposed before, so that the sums may be taken in another order.
  CHECK(test::difference(ag::linear(x, turned), ag::linear(x, V(turned.array().copy()))) <= 1e-15);
  const V half = w.slice(0, 10).reshape({15, 20});
  CHECK(test::difference(ag::linear(x, half), ag::linear(x, V(half.array().copy()))) <= 1e-15);
}

TEST_CASE("threads share variables, each with a tape of its own") {
  V w = random_variable({20, 20}, 1);
  const V b = random_variable({20}, 2);
  const auto gradient = [&](unsigned seed) {
    Tape tape;
    const V x = test::random_array({3, 20}, seed);
    const V y = tanh(ag::linear(x, w, b)) * w.slice(0, 3) + w.detach()[0];
    (void)w.value();
    return numbers(tape.backward(ag::sum(y)).array(w));
  };
  std::vector<Numbers> expected, found(4);
  for (unsigned i = 0; i < 4; ++i) expected.push_back(gradient(i));
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int k = 0; k < 50; ++k) found[i] = gradient(i);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(found == expected);
}

TEST_CASE("threads share constants and gradients, however they were made") {
  ag::Array<double> filled(ag::Shape{20, 20});
  for (std::size_t i = 0; i < filled.size(); ++i) filled.data()[i] = static_cast<double>(i % 7);
  const V w = random_variable({20, 20}, 1), by_hand = filled;
  const V gradient = [&] {
    Tape tape;
    return V(tape.backward(ag::sum(w * w)).array(w));
  }();
  for (const V& each : {by_hand, gradient, V(filled.copy()), V(filled.slice(0, 3)), V(2.0)})
    CHECK(each.array().block()->published);
  // What is counted without locks by several threads at once comes out wrong sooner or later.
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 20'000; ++k) {
        const V copy = by_hand, window = gradient.slice(0, 2);
        const ag::Array<double> array = filled;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(by_hand.array().block()->references == 2);  // and `filled`
}

TEST_CASE("a training step gives all its memory back to the pool") {
  V w = random_variable({20, 20}, 1), b = random_variable({20}, 2);
  const V x = test::random_array({3, 20}, 3);
  const auto step = [&] {
    Tape tape;
    V h = x;
    for (int t = 0; t < 5; ++t)
      h = ag::map([](auto a, auto c) { return tanh(a) * c; }, ag::linear(h, w, b), h);
    const ag::Gradients g = tape.backward(ag::mean(h * h));
    w.update([&](auto&& elements) { elements -= 0.1 * g[w]; });
    b.update([&](auto&& elements) { elements -= 0.1 * g[b]; });
  };
  step();
  const ag::MemoryStats before = ag::memory_stats();
  for (int i = 0; i < 5; ++i) step();
  const ag::MemoryStats after = ag::memory_stats();
  CHECK(after.live_bytes == before.live_bytes);
  CHECK(after.pooled_bytes == before.pooled_bytes);
  CHECK(after.heap_requests == before.heap_requests);
}

TEST_CASE("the elements of a gradient are found by the variable or by a window of it, or not at all") {
  const ag::Var<double> w = ag::variable(xt::xarray<double>{{1, 2}, {3, 4}}), other = ag::variable(1.5);
  ag::Tape tape;
  const ag::Gradients g = tape.backward(ag::sum(square(w)));
  CHECK(g.data(w) == g.array(w).data());
  CHECK(g.data(w)[3] == 8);
  CHECK(g.data(w[1])[0] == 6);
  CHECK(g.data(other) == nullptr);
  CHECK(other.rank() == 0);
  CHECK(other.is_variable());
}

TEST_CASE("a variable may be gone before backward: the tape keeps it") {
  Tape tape;
  V loss, x = random_variable({3}, 1);
  {
    const V w = random_variable({3}, 2);
    loss = ag::sum(x * w * ag::map([](auto a, auto b) { return a * b; }, w, w.slice(0, 3)));
  }
  const V w = random_variable({3}, 2);  // its twin
  CHECK(test::difference(tape.backward(loss).array(x), w * w * w) <= 1e-15);
}

TEST_CASE("an addend is written over only if nobody else has a handle, a copy or a window of it") {
  const V w = random_variable({4, 3}, 1), x = random_variable({2, 3}, 2);
  const ag::Array<double> sum = (ag::linear(x, w) + ag::linear(x, w)).array();
  const auto add = [&](V c) { return ag::add_linear(std::move(c), x, w); };
  V alone = ag::linear(x, w);
  const double* memory = alone.shared()->array.data();  // without a look that others would have to know of
  CHECK(add(std::move(alone)).shared()->array.data() == memory);
  for (const auto& share : std::vector<std::function<V(const V&)>>{
           [](const V& c) { return c; }, [](const V& c) { return c[0]; },
           [](const V& c) { return c.detach(); }, [](const V& c) { return V(c.array()); }}) {
    V shared = ag::linear(x, w);
    const V other = share(shared);
    const ag::Array<double> before = other.array().copy();
    CHECK(test::difference(add(std::move(shared)), sum) <= 1e-15);
    CHECK(test::difference(other, before) == 0);
  }
}

TEST_CASE("a tape has limits that it tells") {
  const Tape tape;
  CHECK(test::message_of([&] { ag::detail::storage_of(tape).check_slot(std::size_t{1} << 36); }) ==
        "tape: 0 values, and another of 68719476736 elements, are more than a tape can hold, which is "
        "268435454 "
        "values of 68719476736 elements; compute in parts, each with a tape of its own");
}
