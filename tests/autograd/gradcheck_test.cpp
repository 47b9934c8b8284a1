// gradcheck finds a wrong gradient, says where it is, and leaves everything as it was.
#include <doctest/doctest.h>

#include <nn/nn.hpp>
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
  CHECK(text(report).ends_with(", all agree within 1e-07 + 1e-05 of each"));
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
  CHECK(text(report).find(", 3 differ\n  weight[1, 2] (order 1): analytic 6, numeric 1") !=
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
  CHECK(text(report).find("\n  ... and 3 more\n") != std::string::npos);
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

TEST_CASE("an order-2 check compares the recorded gradient, too, and tells where that alone is wrong") {
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
  const auto report = ag::gradcheck(f, {V(1.0)}, {.order = 2});
  CHECK_FALSE(report);
  REQUIRE(report.culprit);
  CHECK(report.culprit->op == "map");
  CHECK(report.culprit->recorded);
  CHECK(report.culprit->mistake == "it is 1.5 times what it should be");
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

namespace {

// y = x w, where the rule for w is wrong by a factor.
V scaled(const V& x, const V& w, double factor) {
  return ag::custom_op(
      "scaled", {x, w}, [](const auto& in) { return in[0].value() * in[1].value(); },
      [factor](const auto& g, const auto& in, const auto&) {
        return std::vector{g * in[1], factor * g * in[0]};
      });
}

struct Model {
  nn::Linear<double> first, second;
  using value_type = double;
  auto fields(auto&& visit) {
    visit("first", first);
    visit("second", second);
  }
};

}  // namespace

TEST_CASE("the culprit is named with its scope, operand, entry and likely mistake") {
  const V x = test::random_variable({3, 2}, 1), w = ag::variable(xt::xtensor<double, 1>{0.5, 2});
  const auto report = ag::gradcheck(
      [](const V& x, const V& w) {
        const ag::Scope scope("head");
        V y = tanh(x);
        for (std::size_t t = 0; t < 3; ++t) {
          const ag::Scope step("step", t);
          y = scaled(y, w, t == 0 ? 1 : -1);
        }
        return sum(y);
      },
      {x, w}, {.names = {"x", "w"}});
  REQUIRE(report.culprit);
  const ag::GradcheckCulprit& culprit = *report.culprit;
  CHECK(culprit.op == "scaled");
  CHECK(culprit.detail.starts_with("gradcheck_test.cpp:"));
  CHECK(culprit.scope == "head / step 1");
  CHECK(culprit.node == 2);
  CHECK(culprit.operand == "w");
  CHECK(culprit.index.size() == 1);
  CHECK(culprit.analytic == doctest::Approx(-culprit.numeric));
  CHECK(culprit.mistake == "its sign is wrong");
  CHECK(culprit.alike == 1);
  CHECK_FALSE(culprit.recorded);
  CHECK(report.hint.empty());
  const std::string page = text(report);
  CHECK(page.find("\n  culprit: the rule of scaled (written in gradcheck_test.cpp:") != std::string::npos);
  CHECK(page.find("), node 2 in head / step 1\n    the gradient of w[") != std::string::npos);
  CHECK(page.ends_with(
      "\n    likely mistake: its sign is wrong\n    1 more of the same op behind it are wrong as well"));
}

TEST_CASE("parameters of a module are called by their paths") {
  nn::Rng rng(1);
  const Model model{{2, 3, rng}, {3, 1, rng}};
  const V x = test::random_array({4, 2}, 1);
  const auto report = nn::gradcheck(
      [&] { return sum(scaled(model.second(tanh(model.first(x))), model.second.bias, 2)); }, model);
  REQUIRE(report.culprit);
  CHECK(report.culprit->op == "scaled");
  CHECK(report.culprit->operand == "second.bias");
  CHECK(report.culprit->mistake == "it is 2 times what it should be");
}

TEST_CASE("a kink is told as one, with its slopes and its op, and is no error") {
  const V x = ag::variable(xt::xtensor<double, 1>{0.5, 0, -1});
  const auto report = ag::gradcheck(
      [](const V& x) {
        const ag::Scope scope("gate");
        return 2 * relu(x);
      },
      {x});
  CHECK(report);
  REQUIRE(report.kinks.size() == 1);
  CHECK(report.kinks[0].input == "input 0");
  CHECK(report.kinks[0].index == std::vector<std::size_t>{1});
  CHECK(report.kinks[0].analytic == 0);
  CHECK(report.kinks[0].left == 0);
  CHECK(report.kinks[0].right > 1);  // 2 times a weight of the sum
  CHECK(report.kinked_ops == std::vector<std::string>{"relu in gate"});
  CHECK(text(report).find(
            "all agree within 1e-07 + 1e-05 of each; 1 at a kink, or where only a smaller step agrees (of "
            "relu in "
            "gate)\n  kink: input 0[1] (order 1): analytic 0, from the left 0, from the right ") !=
        std::string::npos);
}

TEST_CASE("kinks of other ops, at and beside the point") {
  const auto kinks = [](const auto& f, const xt::xtensor<double, 1>& x) {
    const auto report = ag::gradcheck(f, {ag::variable(x)});
    CHECK_MESSAGE(report, report);
    return report.kinks.size();
  };
  CHECK(kinks([](const V& x) { return ag::max(x); }, {1, 3, 3}) == 2);  // a tie
  CHECK(kinks([](const V& x) { return heaviside(x); }, {0, 1}) == 1);   // a jump
  CHECK(kinks([](const V& x) { return clamp(x, -1, 1); }, {-1, 0.5, 1}) == 2);
  CHECK(kinks([](const V& x) { return relu(x); }, {3e-6, -2e-6, 1}) == 2);  // within the step
  CHECK(kinks([](const V& x) { return abs(x) + relu(x); }, {0.1, 0}) == 1);
  CHECK(kinks([](const V& x) { return tanh(x) * sigmoid(x); }, {0, 1, 2}) == 0);  // smooth
}

TEST_CASE("what neither side of a kink allows is an error") {
  const auto report = ag::gradcheck(
      [](const V& x) {
        return ag::custom_op(
            "my_relu", {x}, [](const auto& in) { return relu(in[0]).array(); },
            [](const auto& g, const auto& in, const auto&) {
              return std::vector{g * (where(in[0], 0, 3) + heaviside(in[0]))};
            });
      },
      {ag::variable(xt::xtensor<double, 1>{0.5, 0, -1})});
  CHECK_FALSE(report);
  CHECK(report.kinks.empty());
  REQUIRE(report.culprit);
  CHECK(report.culprit->op == "my_relu");
  CHECK(report.culprit->mistake == "it is wrong at 1 of 3 entries, and right at the others");
}

TEST_CASE("where every rule is right, the report says what else may be wrong") {
  const V x = test::random_variable({3}, 1), w = test::random_variable({3}, 2);
  const auto detached =
      ag::gradcheck([](const V& x, const V& w) { return x * V(w.value()); }, {x, w}, {.names = {"x", "w"}});
  CHECK_FALSE(detached);
  CHECK_FALSE(detached.culprit);
  CHECK(detached.hint ==
        "every op's rule is right by itself, and no op on the tape takes w: the function uses it outside of "
        "the "
        "tape (by value(), item(), array() or detach())");
  const auto partly = ag::gradcheck([](const V& x) { return x * x.detach(); }, {x});
  CHECK(
      partly.hint ==
      "every op's rule is right by itself: part of the function is computed outside of the tape (by value(), "
      "item(), array() or detach()), so that its gradient is lost");
  CHECK(text(partly).ends_with(partly.hint));
  const auto kinked =
      ag::gradcheck([](const V& x) { return relu(x) - relu(-x); }, {V(0.0)});  // x, with slope 0
  CHECK_FALSE(kinked);
  CHECK(
      kinked.hint ==
      "every op's rule is right by itself, but not every op is smooth here; check the function where it is");
}

TEST_CASE("the culprit is found in large inputs, along directions") {
  const V x = test::random_variable({40, 300}, 1), w = test::random_variable({300}, 2);
  const auto report = ag::gradcheck([](const V& x, const V& w) { return mean(square(scaled(x, w, 0.5))); },
                                    {x, w}, {.directions = 2});
  REQUIRE(report.culprit);
  CHECK(report.culprit->op == "scaled");
  CHECK(report.culprit->operand == "input 1");
  CHECK(report.culprit->mistake == "it is 0.5 times what it should be");
}

TEST_CASE("gradcheck of nothing is refused") {
  CHECK_THROWS_WITH_AS(
      ag::gradcheck([] { return V(1.0); }, {}),
      "gradcheck: there are no inputs to check the gradient of; give it those that the function "
      "depends on",
      ag::Error);
}
