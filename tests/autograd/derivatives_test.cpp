// Jacobians, Hessians and their products: against closed forms, finite differences and each other.
#include <doctest/doctest.h>

#include <nn/nn.hpp>

#include "random_arrays.hpp"

namespace ag = autograd;
using V = ag::Var<double>;

namespace {

V weights() { return test::random_variable({3, 4}, 1); }
V constant(const ag::Shape& shape, unsigned seed) { return test::random_array(shape, seed); }

// A vector function of a matrix: (3, 4) -> (5,).
V vector_function(const V& w) {
  return ag::sum(tanh(ag::matmul(constant({5, 3}, 2), w) + constant({4}, 3)) * constant({5, 4}, 4), {-1});
}

// The central difference of f in a direction.
V difference(const std::function<V(const V&)>& f, const V& x, const V& direction) {
  const double h = 1e-6;
  return (f(x.detach() + h * direction) - f(x.detach() - h * direction)) / (2 * h);
}

std::vector<double> numbers(const V& x) { return test::numbers(x); }

void check_close(const V& a, const V& b, double tolerance) {
  REQUIRE(a.shape() == b.shape());
  const auto x = numbers(a), y = numbers(b);
  for (std::size_t i = 0; i < x.size(); ++i)
    CHECK(std::abs(x[i] - y[i]) <= tolerance * std::max(1.0, std::abs(y[i])));
}

}  // namespace

TEST_CASE("the Jacobian of a matrix product is the matrix") {
  const V x = ag::variable(constant({4}, 5).array().copy()), a = constant({3, 4}, 6);
  ag::Tape tape;
  const V j = ag::jacobian(ag::matmul(a, x), x);
  check_close(j, a, 1e-15);
}

TEST_CASE(
    "the Jacobian has the axes of the output and then those of the input, and agrees with differences") {
  const V w = weights();
  ag::Tape tape;
  const V j = ag::jacobian(vector_function(w), w);
  REQUIRE(j.shape() == ag::Shape{5, 3, 4});
  for (std::size_t k = 0; k < 12; ++k) {
    ag::Array<double> unit({3, 4}, 0.0);
    unit.data()[k] = 1;
    const V column = difference(vector_function, w, unit);
    for (std::size_t i = 0; i < 5; ++i)
      CHECK(numbers(j)[i * 12 + k] == doctest::Approx(numbers(column)[i]).epsilon(1e-7));
  }
}

TEST_CASE("vjp and jvp are the Jacobian times a vector from either side") {
  const V w = weights(), u = constant({5}, 7), v = constant({3, 4}, 8);
  V j, left, right;
  {
    ag::Tape tape;
    j = ag::jacobian(vector_function(w), w).reshape({5, 12});
  }
  {
    ag::Tape tape;
    left = ag::vjp(vector_function(w), w, u);
  }
  {
    ag::Tape tape;
    right = ag::jvp(vector_function(w), w, v);
  }
  check_close(left, ag::matmul(u, j).reshape({3, 4}), 1e-13);
  check_close(right, ag::matmul(j, v.reshape({12})), 1e-13);
  check_close(right, difference(vector_function, w, v), 1e-7);
}

TEST_CASE("vjp takes several outputs and inputs") {
  const V a = ag::variable(2.0), b = ag::variable(3.0);
  ag::Tape tape;
  const auto g = ag::vjp<double>({a * b, a + b}, {a, b}, {V(10), V(1)});
  CHECK(g[0].item() == 31);
  CHECK(g[1].item() == 21);
}

TEST_CASE("inputs in braces give a vector of derivatives, a single one too") {
  const auto w = test::random_variable({2, 3}, 1), v = test::random_variable({2, 3}, 2);
  const ag::Tape tape;
  const auto y = w * w * v;
  const auto loss = sum(y);
  constexpr ag::GradOptions kKeep{.keep_tape = true};
  const auto one = ag::grad(loss, {w}, kKeep);
  CHECK(one.size() == 1);
  CHECK(one[0].shape() == ag::Shape{2, 3});
  CHECK(numbers(one[0]) == numbers(ag::grad(loss, w, kKeep)));
  CHECK(ag::grad(loss, {w, v}, kKeep).size() == 2);
  CHECK(ag::vjp({y}, {w}, {v}, kKeep).size() == 1);
  CHECK(numbers(ag::vjp({y}, {w}, {v}, kKeep)[0]) == numbers(ag::vjp(y, w, v, kKeep)));
  CHECK(ag::hvp(loss, {w}, {v}, kKeep).size() == 1);
  CHECK(numbers(ag::hvp(loss, {w}, {v}, kKeep)[0]) == numbers(ag::hvp(loss, w, v, kKeep)));
}

TEST_CASE("the Hessian of a quadratic form is its matrix, made symmetric") {
  const V x = ag::variable(constant({4}, 5).array().copy()), a = constant({4, 4}, 6);
  ag::Tape tape;
  const V h = ag::hessian(ag::dot(x, ag::matmul(a, x)), x);
  check_close(h, a + ag::transpose(a), 1e-14);
}

TEST_CASE("hvp is the Hessian times a vector, over several inputs") {
  const V w = weights(), c = test::random_variable({4}, 9), v = constant({3, 4}, 8), d = constant({4}, 10);
  const auto f = [](const V& w, const V& c) {
    return ag::sum(square(vector_function(w))) * ag::sum(exp(c)) + ag::sum(w * c);
  };
  V full, cross, both;
  std::vector<V> product;
  {
    ag::Tape tape;
    full = ag::hessian(f(w, c), w).reshape({12, 12});
  }
  {
    ag::Tape tape;
    cross = ag::jacobian(ag::grad(f(w, c), w, {.create_graph = true}), c).reshape({12, 4});
  }
  {
    ag::Tape tape;
    both = ag::hessian(f(w, c), c);
  }
  {
    ag::Tape tape;
    product = ag::hvp<double>(f(w, c), {w, c}, {v, d});
  }
  const V flat = v.reshape({12});
  check_close(product[0].reshape({12}), ag::matmul(full, flat) + ag::matmul(cross, d), 1e-12);
  check_close(product[1], ag::matmul(flat, cross) + ag::matmul(both, d), 1e-12);
}

TEST_CASE("all of them can be differentiated again") {
  const V x = ag::variable(0.7), one = 1;
  ag::Tape tape;
  const ag::GradOptions again{.create_graph = true};
  const V y = tanh(x) * x;
  // y' = tanh + x s,  y'' = 2 s - 2 x t s,  y''' = -6 t s + x (6 t^2 - 2) s       t = tanh x, s = 1 - t^2
  const double t = std::tanh(0.7), s = 1 - t * t;
  const double second = 2 * s - 2 * 0.7 * t * s, third = -6 * t * s + 0.7 * (6 * t * t - 2) * s;
  CHECK(ag::grad(ag::jvp(y, x, one, again), x, again).item() == doctest::Approx(second).epsilon(1e-12));
  CHECK(ag::grad(ag::vjp(y, x, one, again), x, again).item() == doctest::Approx(second).epsilon(1e-12));
  CHECK(ag::grad(ag::jacobian(y, x, again), x, again).item() == doctest::Approx(second).epsilon(1e-12));
  CHECK(ag::grad(ag::hessian(y, x, again), x, again).item() == doctest::Approx(third).epsilon(1e-12));
  CHECK(ag::grad(ag::hvp(y, x, one, again), x, again).item() == doctest::Approx(third).epsilon(1e-12));
}

TEST_CASE("what is linear has a Hessian of zeros") {
  const V x = ag::variable(constant({3}, 5).array().copy()), v = constant({3}, 6);
  {
    ag::Tape tape;
    CHECK(numbers(ag::hessian(ag::sum(2 * x), x)) == std::vector<double>(9));
  }
  {
    ag::Tape tape;
    CHECK(numbers(ag::hvp(ag::sum(2 * x), x, v)) == std::vector<double>(3));
  }
}

TEST_CASE("hvp through an unrolled LSTM agrees with the difference of two gradients") {
  nn::Rng rng(1);
  const nn::LSTMCell<double> cell(2, 3, rng);
  const V x = constant({4, 2, 2}, 11);
  const auto parameters = nn::parameters(cell);
  const auto loss = [&] { return ag::sum(square(nn::unroll(cell, x).output)); };
  std::vector<V> directions, products;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    directions.push_back(constant(parameters[i].shape(), unsigned(20 + i)));
  {
    ag::Tape tape;
    products = ag::hvp(loss(), parameters, directions);
  }
  const auto gradients_at = [&](double h) {
    std::vector<V> start, result;
    for (const V& p : parameters) start.push_back(p.array().copy());
    for (std::size_t i = 0; i < parameters.size(); ++i)
      V(parameters[i]).assign(start[i].value() + h * directions[i].value());
    {
      ag::Tape tape;
      result = ag::grad(loss(), parameters);
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) V(parameters[i]).assign(start[i].value());
    return result;
  };
  const auto up = gradients_at(1e-6), down = gradients_at(-1e-6);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    check_close(products[i], (up[i] - down[i]) / 2e-6, 1e-7);
}

TEST_CASE("wrong vectors are refused with their shapes") {
  const V w = weights(), u = constant({4}, 7);
  ag::Tape tape;
  const V y = vector_function(w);
  const auto message = [](auto&& call) -> std::string {
    try {
      call();
    } catch (const ag::Error& error) {
      return error.what();
    }
    return "(no error)";
  };
  CHECK(message([&] { ag::vjp(y, w, u); }) == "vjp: cotangent 0 has shape (4,); that of its output is (5,)");
  CHECK(message([&] { ag::jvp(y, w, u); }) == "jvp: tangent 0 has shape (4,); that of its input is (3, 4)");
  CHECK(message([&] { ag::hvp(ag::sum(y), w, u); }) ==
        "hvp: vector 0 has shape (4,); that of its input is (3, 4)");
  CHECK(message([&] { ag::hvp(ag::sum(y), std::vector<V>{w}, std::vector<V>{}); }) ==
        "hvp: there are 0 vectors and 1 inputs; give one for each");
  CHECK(message([&] { ag::hessian(y, w); }) ==
        "grad: the output has shape (5,); reduce it to a scalar, for example with sum");
  CHECK(message([&] { ag::jacobian(y, u); }) ==
        "grad: input 0 of shape (4,) is a constant; make it a variable with variable()");
}
