// gradcheck finds a wrong gradient, says where it is, and leaves everything as it was.
#include <doctest/doctest.h>

#include <sstream>

#include "random_arrays.hpp"

namespace ag = autograd;
using V = ag::Var<double>;
using Vars = std::vector<V>;

namespace {

std::string text(const ag::GradcheckReport& report) {
  std::ostringstream out;
  out << report;
  return out.str();
}

}  // namespace

TEST_CASE("a right gradient passes") {
  const auto report =
      ag::gradcheck([](const V& x) { return tanh(x); }, {test::random_array({2, 3}, 1)}, {.order = 2});
  CHECK(report);
  CHECK(report.checked == 12);
  CHECK(report.largest_error < 1e-9);
  CHECK(text(report).starts_with("gradcheck: 12 entries, largest error "));
  CHECK(text(report).ends_with(", all agree"));
}

TEST_CASE("a use that was detached is found, with its input, index and both numbers") {
  const V a = test::random_variable({3}, 1);
  const V b = ag::variable(xt::xarray<double>{{1, 2, 3}, {4, 5, 6}});
  const auto f = [](const V&, const V& y) {
    return ag::sum(y * ag::concat(std::span<const V>(Vars{y.slice(0, 1), y.slice(1, 2).detach()})));
  };
  const auto report = ag::gradcheck(f, {a, b}, {.names = {"a", "weight"}});
  CHECK_FALSE(report);
  CHECK(report.checked == 9);
  REQUIRE(report.mismatches.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {  // the worst first: of y^2 the gradient is 2y, and here y
    const ag::GradcheckMismatch& m = report.mismatches[i];
    CHECK(m.input == "weight");
    CHECK(m.order == 1);
    CHECK(m.index == std::vector<std::size_t>{1, 2 - i});
    CHECK(m.analytic == 6 - static_cast<double>(i));
    CHECK(m.numeric == doctest::Approx(12 - 2 * static_cast<double>(i)).epsilon(1e-9));
  }
  CHECK(report.largest_error == doctest::Approx(6).epsilon(1e-8));
  CHECK(text(report).find(", 3 differ\n  weight[1, 2] (order 1): analytic 6.0000000000e+00, numeric 1.2") !=
        std::string::npos);
}

TEST_CASE("inputs without a name are counted, and a scalar has an empty index") {
  const auto report = ag::gradcheck([](const V& x, const V& y) { return x * y.detach(); }, {V(2.0), V(3.0)},
                                    {.names = {"x"}});
  REQUIRE(report.mismatches.size() == 1);
  CHECK(report.mismatches[0].input == "input 1");
  CHECK(report.mismatches[0].index.empty());
  CHECK(text(report).find("input 1[] (order 1)") != std::string::npos);
}

TEST_CASE("an error of the second derivative is found at order 2 only") {
  // Its value and gradient are those of x^2 / 2, but the gradient's own derivative is lost.
  const auto f = [](const V& x) { return ag::sum(x * x.detach() - 0.5 * square(x.detach())); };
  const V x = test::random_variable({3}, 1);
  CHECK(ag::gradcheck(f, {x}));
  const auto report = ag::gradcheck(f, {x}, {.order = 2});
  REQUIRE(report.mismatches.size() == 3);
  for (const auto& m : report.mismatches) {
    CHECK(m.order == 2);
    CHECK(m.analytic == 0);
  }
  CHECK(text(report).find("(order 2)") != std::string::npos);
}

TEST_CASE("at most ten entries are printed") {
  const auto report =
      ag::gradcheck([](const V& x) { return x * x.detach(); }, {test::random_array({13}, 1, 1, 2)});
  CHECK(report.mismatches.size() == 13);
  CHECK(text(report).ends_with("\n  ... and 3 more"));
}

TEST_CASE("a tolerance may be asked for") {
  const auto f = [](const V& x) { return x + 0.01 * (x - x.detach()) * x.detach(); };
  CHECK_FALSE(ag::gradcheck(f, {V(1.0)}));
  CHECK(ag::gradcheck(f, {V(1.0)}, {.atol = 0.02}));
  CHECK(ag::gradcheck(f, {V(1.0)}, {.rtol = 0.02}));
}

TEST_CASE("variables are set back, also if the function throws") {
  const V w = test::random_variable({3}, 1);
  const std::vector<double> before = test::numbers(w);
  CHECK(ag::gradcheck([&] { return square(w); }, {w}));
  CHECK(test::numbers(w) == before);
  int calls = 0;
  CHECK_THROWS_WITH_AS(ag::gradcheck(
                           [&]() -> V {
                             if (++calls == 4) throw std::runtime_error("stop");
                             return square(w);
                           },
                           {w}),
                       "stop", std::runtime_error);
  CHECK(calls == 4);
  CHECK(test::numbers(w) == before);
}

TEST_CASE("constants are copied before they are changed") {
  const V x = test::random_array({3}, 1);
  const std::vector<double> before = test::numbers(x);
  CHECK_THROWS_AS(ag::gradcheck([](const V& y) { return log(y - 10); }, {x}), ag::Error);
  CHECK(ag::gradcheck([](const V& y) { return square(y); }, {x}));
  CHECK(test::numbers(x) == before);
  CHECK_FALSE(x.differentiable());
}

TEST_CASE("functions of up to four inputs, of a vector, and of what they capture") {
  const V a = test::random_variable({2}, 1), b = test::random_variable({2}, 2);
  CHECK(ag::gradcheck([](const V& x, const V& y, const V& z) { return x * y * z; }, {a, b, V(2.0)}).checked ==
        5);
  CHECK(ag::gradcheck([](const V& x, const V& y, const V& z, const V& v) { return x * y * z * v; },
                      {a, b, a, b})
            .checked == 8);
  CHECK(ag::gradcheck([](const Vars& x) { return x[0] / x[1]; }, {a, b}).checked == 4);
  CHECK(ag::gradcheck([&] { return a / b; }, {a, b}).checked == 4);
  CHECK(ag::gradcheck([&] { return a * 2; }, {b}));  // independent of its input
  CHECK(ag::gradcheck([](const V&) { return V(2.0); }, {a}, {.order = 2}));
}

TEST_CASE("one variable as several inputs, and windows of one") {
  const V w = test::random_variable({4}, 1);
  CHECK(ag::gradcheck([](const V& x, const V& y) { return ag::sum(x * x) * ag::sum(y); },
                      {w.slice(0, 2), w.slice(1, 4)}, {.order = 2}));
}

TEST_CASE("gradcheck within a tape of the caller's leaves that tape alone") {
  const V w = test::random_variable({3}, 1), x = test::random_variable({3}, 2);
  ag::Tape tape;
  const V loss = ag::sum(w * w);
  const std::size_t size = tape.size();
  CHECK(ag::gradcheck([](const V& y) { return tanh(y); }, {x}, {.order = 2}));
  CHECK(tape.size() == size);
  CHECK(test::difference(tape.backward(loss).array(w), (2 * w).array()) == 0);
}

TEST_CASE("an order-2 check compares the recorded gradient, too") {
  // A body that is another function on Vars than on lanes: the gradient is 2, the recorded one 3, and its own
  // derivative is 0 either way.
  const auto f = [](const V& x) {
    return ag::map(
        [](auto y) {
          if constexpr (ag::detail::VarType<decltype(y)>)
            return 3 * y;
          else
            return 2 * y;
        },
        x);
  };
  CHECK(ag::gradcheck(f, {V(1.0)}));
  CHECK_FALSE(ag::gradcheck(f, {V(1.0)}, {.order = 2}));
}

TEST_CASE("along random directions a right gradient passes and a wrong one is found, at any size") {
  const V x = test::random_variable({20, 30}, 1);
  const auto right = [](const V& x) { return ag::sum(square(tanh(x))); };
  const auto report = ag::gradcheck(right, {x}, {.order = 2, .directions = 5});
  CHECK_MESSAGE(report, report);
  CHECK(report.checked == 10);
  CHECK(test::numbers(x) == test::numbers(test::random_variable({20, 30}, 1)));  // set back

  const auto wrong = [](const V& x) { return ag::sum(square(tanh(x))) + ag::sum(x.detach()); };
  const auto found = ag::gradcheck(wrong, {x}, {.directions = 3});
  CHECK_FALSE(found);
  CHECK(found.mismatches.size() == 3);
  CHECK(found.mismatches[0].input.starts_with("direction "));
  CHECK(text(found).find("\n  direction 1 (order 1): analytic ") != std::string::npos);
}

TEST_CASE("a function that is not the same each time is refused") {
  double calls = 0;
  const V x = ag::variable(1.0);
  CHECK_THROWS_WITH_AS(
      ag::gradcheck([&](const V& x) { return x * ++calls; }, {x}),
      "gradcheck: two calls of the function with the same inputs gave 1 and 2; it must do the same "
      "each time, so seed what is random in it",
      ag::Error);
  CHECK_THROWS_WITH_AS(ag::gradcheck([](const V& x) { return x; }, {x}, {.step = 0}),
                       "gradcheck: the step is 0; it must be positive and finite", ag::Error);
}
