// Ops of a user's own, written as a user writes them: with public headers only.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <autograd/elementwise_function.hpp>
#include <string>
#include <xtensor/xmath.hpp>

#include "message_of.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;

using test::message_of;

namespace {

// a b^3 by xtensor, where a may broadcast along the rows of b.
template <class T>
ag::Var<T> scaled_cube(const ag::Var<T>& a, const ag::Var<T>& b) {
  return ag::custom_op(
      "scaled_cube", {a, b},
      [](const auto& in) -> ag::Array<T> {
        return in[0].value() * in[1].value() * in[1].value() * in[1].value();
      },
      [](const auto& g, const auto& in, const auto&) {
        return std::vector{g * in[1] * square(in[1]), 3 * g * in[0] * square(in[1])};
      });
}

// e^x, with a rule that uses the output.
ag::Var<double> my_exp(const ag::Var<double>& x, double wrong = 1) {
  return ag::custom_op(
      "my_exp", {x}, [](const auto& in) { return xt::exp(in[0].value()); },
      [wrong](const auto& g, const auto&, const auto& y) { return std::vector{wrong * g * y}; });
}

ag::Array<double> first(const std::vector<ag::Var<double>>& in) { return in[0].array(); }

// log(1 + e^(a b)), with a derivative of one's own.
struct LogOnePlusExp : ag::ElementwiseFunction<LogOnePlusExp> {
  static constexpr const char* kName = "log_one_plus_exp";
  static constexpr bool kCostly = true;
  template <class B>
  static B value(const B& a, const B& b) {
    return xsimd::log1p(xsimd::exp(a * b));
  }
  template <std::size_t kOperand, class X>
  static X slope(const X& a, const X& b, const X& y) {
    return (X(1) - exp(-y)) * (kOperand == 0 ? b : a);
  }
};
inline constexpr LogOnePlusExp log_one_plus_exp;

}  // namespace

TEST_CASE("an op of one's own passes gradcheck to second order, also where an input broadcasts") {
  for (const ag::Shape& shape : {ag::Shape{4}, ag::Shape{3, 4}, ag::Shape{3, 1}, ag::Shape{}}) {
    CAPTURE(shape);
    const auto report = ag::gradcheck(
        [](const ag::Var<double>& a, const ag::Var<double>& b) { return my_exp(scaled_cube(a, b)) * b; },
        {test::random_array(shape, 1), test::random_array({3, 4}, 2)}, {.order = 2});
    CHECK_MESSAGE(report, report);
  }
}

TEST_CASE("it has derivatives of any order") {
  const auto x = ag::variable(0.3);
  ag::Tape tape;
  ag::Var<double> y = my_exp(2 * x);
  for (int order = 0; order < 4; ++order) y = ag::grad(y, x, {.create_graph = true});
  CHECK(y.item() == doctest::Approx(16 * std::exp(0.6)).epsilon(1e-14));
}

TEST_CASE("it works in float, is one node, and is a plain value without a tape") {
  const auto a = ag::variable(xt::xtensor<float, 1>{1, 2}), b = ag::variable(xt::xtensor<float, 1>{2, 3});
  CHECK_FALSE(scaled_cube(a, b).differentiable());
  CHECK(test::numbers(scaled_cube(a, b)) == std::vector<double>{8, 54});
  ag::Tape tape;
  const auto y = scaled_cube(a, b);
  CHECK(tape.size() == 1);
  const auto g = tape.backward(ag::sum(y));
  CHECK(test::numbers(g.array(a)) == std::vector<double>{8, 27});
  CHECK(test::numbers(g.array(b)) == std::vector<double>{12, 54});
}

TEST_CASE("an empty Var stands for no gradient") {
  const auto x = ag::variable(2.0), label = ag::variable(5.0);
  ag::Tape tape;
  const auto y = ag::custom_op("identity", {x, label}, first, [](const auto& g, const auto&, const auto&) {
    return std::vector{g, ag::Var<double>()};
  });
  const auto g = ag::grad(y, std::vector{x, label}, {.allow_unused = true});
  CHECK(g[0].item() == 1);
  CHECK(g[1].item() == 0);
}

TEST_CASE("gradcheck finds a wrong rule") {
  CHECK_FALSE(
      ag::gradcheck([](const ag::Var<double>& x) { return my_exp(x, 1.01); }, {test::random_array({3}, 1)}));
}

TEST_CASE("what a tape keeps of it is given back, also without a sweep") {
  const ag::Var<double> x = test::random_variable({100}, 1);
  const std::size_t before = ag::memory_stats().live_bytes;
  for (const bool sweep : {false, true}) {
    ag::Tape tape;
    const auto y = ag::sum(my_exp(x));
    if (sweep) tape.backward(y);
  }
  CHECK(ag::memory_stats().live_bytes == before);
}

TEST_CASE("a rule that does not fit is refused by the op's name") {
  const ag::Var<double> x = test::random_variable({3}, 1);
  const auto with_rule = [&](ag::Rule<double> rule) {
    return message_of([&] {
      ag::Tape tape;
      tape.backward(ag::sum(ag::custom_op("mine", {x}, first, rule)));
    });
  };
  CHECK(with_rule([](const auto& g, const auto&, const auto&) {
          return std::vector{g, g};
        }) ==
        "mine: the rule gave 2 gradients for 1 inputs; give one for each, an empty Var where there is none");
  CHECK(with_rule([](const auto& g, const auto&, const auto&) { return std::vector{g.slice(0, 2)}; }) ==
        "mine: the rule gave input 0 of shape (3,) a gradient of shape (2,); give it the input's shape, or "
        "one that the "
        "input broadcasts to");
  CHECK(with_rule(nullptr) ==
        "mine: the rule is empty; give a function of the gradient, the inputs and the output");
  CHECK(message_of([&] {
          ag::custom_op(
              "mine", {x}, [](auto&) { return ag::Array<double>(); },
              [](auto& g, auto&, auto&) { return std::vector{g}; });
        }) == "mine: the value is an empty array; compute it from the inputs");
  CHECK(message_of([&] {
          ag::custom_op("mine", {ag::Var<double>()}, first,
                        [](auto& g, auto&, auto&) { return std::vector{g}; });
        }) == "mine: an operand is an empty Var; assign it a value first");
}

TEST_CASE("an elementwise function of one's own is an op, and serves in the bodies of map") {
  const ag::Var<double> a = test::random_variable({3, 17}, 1), b = test::random_variable({17}, 2);
  const auto alone = [](const ag::Var<double>& a, const ag::Var<double>& b) {
    return log_one_plus_exp(a, b) * a;
  };
  const auto report = ag::gradcheck(alone, {a, b}, {.order = 2});
  CHECK_MESSAGE(report, report);
  CHECK(test::difference(alone(a, b), softplus(a * b) * a) < 1e-14);
  const auto in_body = [](const ag::Var<double>& a, const ag::Var<double>& b) {
    return ag::map([](auto x, auto y) { return tanh(log_one_plus_exp(x, 2 * y)) * x; }, a, b);
  };
  const auto of_body = ag::gradcheck(in_body, {a, b}, {.order = 2});
  CHECK_MESSAGE(of_body, of_body);
  CHECK(test::difference(in_body(a, b), tanh(softplus(2 * a * b)) * a) < 1e-14);
  CHECK(test::difference(log_one_plus_exp(a, 2), softplus(2 * a)) < 1e-14);  // a number among the operands
}

TEST_CASE("an elementwise function of one's own has tangents and Hessian-vector products") {
  const ag::Var<double> a = test::random_variable({3, 5}, 1), b = test::random_variable({5}, 2);
  const ag::Var<double> va = test::random_array({3, 5}, 3), vb = test::random_array({5}, 4);
  const auto results = [&](bool create_graph) {
    ag::Tape tape;
    const auto y =
        log_one_plus_exp(a, b) + ag::map([](auto x, auto y) { return log_one_plus_exp(x * y, x); }, a, b);
    const ag::GradOptions options{.create_graph = create_graph, .keep_tape = true};
    auto all = ag::hvp(ag::sum(y), {a, b}, {va, vb}, options);
    all.push_back(ag::jvp(y, {a, b}, {va, vb}, options));
    return all;
  };
  const auto swept = results(false), recorded = results(true);
  for (std::size_t i = 0; i < swept.size(); ++i) CHECK(test::difference(swept[i], recorded[i]) < 1e-13);
}
