// jvp and hvp by sweeps that carry tangents: against finite differences, against vjp, and against the same
// computed by recording the gradient and differentiating it.
#include <doctest/doctest.h>

#include <nn/nn.hpp>

#include "gradient_rows.hpp"
#include "random_arrays.hpp"

using test::difference;
using test::kAny;
using test::kNonzero;
using test::numbers;
using test::random_array;
using test::Row;
using test::Vars;
using V = ag::Var<double>;

namespace {

constexpr ag::GradOptions kForward{.allow_unused = true};
constexpr ag::GradOptions kRecorded{.create_graph = true, .allow_unused = true};

template <class T = double>
Vars<T> inputs_of(const Row& row, const test::Shapes& shapes) {
  Vars<T> inputs;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    auto array =
        random_array<float>(shapes[i], static_cast<unsigned>(i + 1), row.domain == kAny ? -1.5 : 0.5, 2);
    if (row.domain == kNonzero)
      for (std::size_t k = 1; k < array.size(); k += 2) array.data()[k] *= -1;
    inputs.push_back(ag::variable<T>(array.view()));
  }
  return inputs;
}

template <class T>
Vars<T> directions_of(const Vars<T>& inputs) {
  Vars<T> directions;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    directions.push_back(random_array<T>(inputs[i].shape(), static_cast<unsigned>(50 + i)));
  return directions;
}

template <class T>
std::vector<double> joined(const Vars<T>& arrays) {
  std::vector<double> all;
  for (const Var<T>& array : arrays)
    for (double each : numbers(array)) all.push_back(each);
  return all;
}

template <class T>
using Function = std::function<Var<T>(const Vars<T>&)>;

template <class T>
std::vector<double> tangent(const Function<T>& f, const Vars<T>& inputs, const Vars<T>& directions,
                            ag::GradOptions options) {
  const ag::Tape tape;
  const Var<T> y = f(inputs);
  if (!y.differentiable()) return std::vector<double>(y.size());
  return numbers(ag::jvp(y, inputs, directions, options));
}

template <class T>
std::vector<double> hessian_product(const Function<T>& f, const Vars<T>& inputs, const Vars<T>& directions,
                                    ag::GradOptions options) {
  const ag::Tape tape;
  const Var<T> y = f(inputs);
  return joined(ag::hvp(ag::sum(y * y) + ag::sum(y), inputs, directions, options));
}

Vars<double> moved(const Vars<double>& inputs, const Vars<double>& directions, double h) {
  Vars<double> result;
  for (std::size_t i = 0; i < inputs.size(); ++i) result.push_back(inputs[i].detach() + h * directions[i]);
  return result;
}

std::string message(auto&& call) {
  try {
    call();
  } catch (const ag::Error& error) {
    return error.what();
  }
  return "(no error)";
}

}  // namespace

TEST_CASE("jvp of every op agrees with finite differences, with vjp and with the recorded way") {
  for (const Row& row : test::table())
    for (const test::Shapes& shapes : row.cases) {
      std::ostringstream what;
      what << row.name << " of";
      for (const Shape& shape : shapes) what << ' ' << shape;
      CAPTURE(what.str());
      const Vars<double> inputs = inputs_of(row, shapes), directions = directions_of(inputs);
      const std::vector<double> forward = tangent(row.in_double, inputs, directions, kForward);
      CHECK(difference(forward, tangent(row.in_double, inputs, directions, kRecorded)) <= 1e-12);
      const double h = 1e-6;
      const V up = row.in_double(moved(inputs, directions, h)),
              down = row.in_double(moved(inputs, directions, -h));
      CHECK(difference(forward, numbers((up - down) / (2 * h))) <= 1e-6);
      // u . J v = v . J^T u
      const ag::Tape tape;
      const V y = row.in_double(inputs), u = random_array(y.shape(), 99);
      const Vars<double> back = ag::vjp<double>({y}, inputs, {u}, {.allow_unused = true});
      double left = 0, right = 0;
      for (std::size_t i = 0; i < forward.size(); ++i) left += numbers(u)[i] * forward[i];
      for (std::size_t i = 0; i < inputs.size(); ++i) right += ag::sum(back[i] * directions[i]).item();
      CHECK(left == doctest::Approx(right).epsilon(1e-11));
    }
}

TEST_CASE("hvp of every op agrees with the recorded way") {
  for (const Row& row : test::table())
    for (const test::Shapes& shapes : row.cases) {
      std::ostringstream what;
      what << row.name << " of";
      for (const Shape& shape : shapes) what << ' ' << shape;
      CAPTURE(what.str());
      const Vars<double> inputs = inputs_of(row, shapes), directions = directions_of(inputs);
      CHECK(difference(hessian_product(row.in_double, inputs, directions, kForward),
                       hessian_product(row.in_double, inputs, directions, kRecorded)) <= 1e-12);
    }
}

TEST_CASE("in float both give what they give in double") {
  for (const Row& row : test::table()) {
    const test::Shapes& shapes = row.cases.back();
    const std::string what = row.name;
    CAPTURE(what);
    const Vars<double> in_double = inputs_of(row, shapes);
    const Vars<float> in_float = inputs_of<float>(row, shapes);
    CHECK(difference(tangent(row.in_float, in_float, directions_of(in_float), kForward),
                     tangent(row.in_double, in_double, directions_of(in_double), kForward)) <= 1e-4);
    CHECK(difference(hessian_product(row.in_float, in_float, directions_of(in_float), kForward),
                     hessian_product(row.in_double, in_double, directions_of(in_double), kForward)) <= 1e-4);
  }
}

namespace {

// A recurrent layer of 5 inputs and 7 units over `steps` steps, a batch of 3, its input a variable, too.
template <class Cell>
void check_cell(const Cell& cell, std::size_t steps) {
  CAPTURE(steps);
  Vars<double> inputs = nn::parameters(cell);
  inputs.push_back(test::random_variable({steps, 3, 5}, 7));
  const V x = inputs.back(), weights = random_array({steps, 3, 7}, 8);
  const Function<double> outputs = [&](const Vars<double>&) { return nn::unroll(cell, x).output; };
  const Vars<double> directions = directions_of(inputs);
  CHECK(difference(tangent(outputs, inputs, directions, kForward),
                   tangent(outputs, inputs, directions, kRecorded)) <= 1e-12);
  const Function<double> loss = [&](const Vars<double>&) {
    return tanh(nn::unroll(cell, x).output) * weights;
  };
  CHECK(difference(hessian_product(loss, inputs, directions, kForward),
                   hessian_product(loss, inputs, directions, kRecorded)) <= 1e-12);
}

// A cell of a user's own, whose steps are products, an op of its own, windows and a concatenation.
struct PatchworkCell {
  using value_type = double;
  nn::Linear<double> in, out;
  explicit PatchworkCell(nn::Rng& rng) : in(5, 7, rng), out(14, 7, rng) {}
  auto fields(auto&& visit) { visit("in", in), visit("out", out); }
  V initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 7}); }
  V step(const V& x, const V& h) const {
    const V z = ag::custom_op(
        "gate", {in(x), h}, [](const auto& v) { return v[0].value() * xt::tanh(v[1].value()); },
        [](const auto& g, const auto& v, const auto&) {
          return std::vector{g * tanh(v[1]), g * v[0] * (1 - square(tanh(v[1])))};
        });
    return out(ag::concat({sin(z), ag::flip(h + in(x), -1)}, -1));
  }
};

}  // namespace

TEST_CASE("both agree with the recorded way for every cell, over several numbers of steps") {
  nn::Rng rng(3);
  for (const std::size_t steps : {1u, 2u, 9u}) {
    for (const auto activation : {nn::Activation::tanh, nn::Activation::sigmoid, nn::Activation::relu})
      check_cell(nn::RNNCell<double>(5, 7, rng, activation), steps);
    for (const bool bias : {true, false}) {
      check_cell(nn::LSTMCell<double>(5, 7, rng, {.bias = bias}), steps);
      check_cell(nn::GRUCell<double>(5, 7, rng, {.bias = bias}), steps);
    }
    check_cell(PatchworkCell(rng), steps);
  }
}

TEST_CASE("hvp through many rows, whose products are gathered, agrees with the recorded way") {
  nn::Rng rng(3);
  check_cell(nn::LSTMCell<double>(5, 7, rng), 150);
}

TEST_CASE("hvp is the Hessian times the vector") {
  const V x = test::random_variable({3, 4}, 1), v = random_array({3, 4}, 2);
  const auto f = [&] { return ag::sum(exp(ag::matmul(x, ag::transpose(x)) * 0.3)) * ag::mean(tanh(x)); };
  const ag::Tape tape;
  const V y = f();
  const V product = ag::hvp(y, x, v, {.keep_tape = true});
  CHECK(difference(product, ag::matmul(ag::hessian(y, x).reshape({12, 12}), v.reshape({12}))) <= 1e-12);
}

TEST_CASE("inputs may be windows, repeated, intermediate, unused, 0-d and empty") {
  const V x = test::random_variable({4, 3}, 1), s = ag::variable(0.7),
          none = test::random_variable({0, 3}, 2), unused = test::random_variable({2}, 3);
  const auto check = [&](ag::GradOptions forward, ag::GradOptions recorded) {
    Vars<double> results[4];
    for (const bool second : {false, true}) {
      const ag::Tape tape;
      const V window = x[1], rows = x.slice(1, 3), middle = tanh(x * s), part = middle[2];
      const V y = ag::sum(exp(middle) * part) + ag::sum(square(window)) * s + ag::sum(none * none);
      const V vector = middle * x + ag::sum(none);
      const Vars<double> inputs{window, rows, x, x, middle, part, s, none, unused};
      const Vars<double> directions = directions_of(inputs);
      const ag::GradOptions options = second ? recorded : forward;
      ag::GradOptions kept = options;
      kept.keep_tape = true;
      results[second] = ag::hvp(y, inputs, directions, kept);
      results[2 + second] = {ag::jvp(vector, inputs, directions, options)};
    }
    CHECK(results[0][8].shape() == ag::Shape{2});
    CHECK(difference(joined(results[0]), joined(results[1])) <= 1e-12);
    CHECK(difference(joined(results[2]), joined(results[3])) <= 1e-12);
  };
  check(kForward, kRecorded);
}

TEST_CASE("jvp of an output of several entries and of several that share a body") {
  const V a = test::random_variable({17}, 1), b = test::random_variable({17}, 2), u = random_array({17}, 3);
  const auto outputs = [&] {
    return ag::map([](auto a, auto b) { return std::make_tuple(a * tanh(b), a, 3 * b, exp(a)); }, a, b);
  };
  const ag::Tape tape;
  const auto [p, q, r, s] = outputs();
  const ag::GradOptions kept{.keep_tape = true, .allow_unused = true};
  CHECK(difference(ag::jvp(p, b, u, kept), a.detach() * (1 - square(tanh(b.detach()))) * u) <= 1e-14);
  CHECK(difference(ag::jvp(q, a, u, kept), u) == 0);
  CHECK(difference(ag::jvp(r, b, u, kept), 3 * u) <= 1e-15);
  CHECK(difference(ag::jvp(s, a, u, kept), exp(a.detach()) * u) <= 1e-15);
  CHECK(difference(ag::jvp(q, b, u, kept), 0 * u) == 0);
}

TEST_CASE("a kept tape gives the same gradients and products again; others are consumed") {
  nn::Rng rng(1);
  const nn::LSTMCell<double> cell(2, 3, rng);
  const V x = random_array({4, 2, 2}, 11);
  const Vars<double> parameters = nn::parameters(cell), directions = directions_of(parameters);
  ag::Tape tape;
  const V output = nn::unroll(cell, x).output, loss = ag::sum(square(output));
  const std::size_t nodes = tape.size();
  const auto before = joined(ag::grad(loss, parameters, {.keep_tape = true}));
  const auto product = joined(ag::hvp(loss, parameters, directions, {.keep_tape = true}));
  const auto along = numbers(ag::jvp(output, parameters, directions, {.keep_tape = true}));
  CHECK(tape.size() == nodes);
  CHECK(joined(ag::hvp(loss, parameters, directions, {.keep_tape = true})) == product);
  CHECK(numbers(ag::jvp(output, parameters, directions, {.keep_tape = true})) == along);
  const ag::Gradients gradients = tape.backward(loss, {.keep_tape = true});
  std::vector<double> after;
  for (const V& p : parameters)
    for (double each : numbers(gradients.array(p))) after.push_back(each);
  CHECK(after == before);
  ag::jvp(output, parameters, directions);
  CHECK(message([&] { ag::hvp(loss, parameters, directions); }).starts_with("grad: the tape was consumed"));
}

TEST_CASE("the rules of custom ops leave nothing on a kept tape") {
  nn::Rng rng(3);
  const PatchworkCell cell(rng);
  const Vars<double> parameters = nn::parameters(cell), directions = directions_of(parameters);
  ag::Tape tape;
  const V loss = ag::sum(square(nn::unroll(cell, V(random_array({4, 3, 5}, 7))).output));
  const std::size_t nodes = tape.size();
  const auto first = joined(ag::hvp(loss, parameters, directions, {.keep_tape = true}));
  CHECK(tape.size() == nodes);
  const auto gradient = joined(ag::grad(loss, parameters, {.keep_tape = true}));
  const V more = square(loss);  // goes on where the rules had recorded
  CHECK(joined(ag::hvp(loss, parameters, directions, {.keep_tape = true})) == first);
  CHECK(joined(ag::grad(loss, parameters, {.keep_tape = true})) == gradient);
  Vars<double> scaled;
  for (const V& g : ag::grad(more, parameters, {.keep_tape = true}))
    scaled.push_back(g / (2 * loss.detach()));
  CHECK(difference(joined(scaled), gradient) <= 1e-14);
  CHECK(difference(joined(ag::hvp(loss, parameters, directions, kRecorded)), first) <= 1e-12);
}

TEST_CASE("what depends on constants alone is not touched by infinite slopes") {
  const V x = ag::variable(V(xt::xtensor<double, 1>{-2, 0, 3}).array().copy()),
          v = ag::Array<double>({3}, 1.0);
  const ag::Tape tape;
  const V cube = pow(x, 3);  // log(x) is not finite, but nobody asks for the derivative by the exponent
  CHECK(numbers(ag::jvp(cube, x, v, {.keep_tape = true})) == std::vector<double>{12, 0, 27});
  CHECK(numbers(ag::hvp(ag::sum(cube), x, v)) == std::vector<double>{-12, 0, 18});
}

TEST_CASE("a traced tape goes the recorded way, so that anomalies are found") {
  const V x = ag::variable(0.0);
  ag::Tape tape({.detect_anomaly = true});
  const V y = ag::sum(sqrt(x));
  CHECK(message([&] { ag::jvp(y, x, V(1)); }).starts_with("detect_anomaly: "));
}

TEST_CASE("misuse is refused, and leaves the tape as it was") {
  const V x = test::random_variable({3}, 1), other = test::random_variable({2}, 2);
  const V v = random_array({3}, 3), u = random_array({2}, 4);
  ag::Tape tape;
  const V y = ag::sum(exp(x));
  CHECK(message([&] {
          ag::jvp<double>(y, {x, other}, {v, u});
        }) ==
        "jvp: the output does not depend on input 1 of shape (2,); remove it, or ask for zeros with "
        "{.allow_unused = true}");
  CHECK(message([&] {
          ag::hvp<double>(y, {other, x}, {u, v});
        }) ==
        "hvp: the output does not depend on input 0 of shape (2,); remove it, or ask for zeros with "
        "{.allow_unused = true}");
  CHECK(message([&] { ag::hvp(exp(x), x, v); }).find("reduce it to a scalar") != std::string::npos);
  CHECK(message([&] { ag::jvp(y, v, v); }).find("is a constant") != std::string::npos);
  CHECK(message([&] { ag::jvp(V(1), x, v); }).find("does not depend on input 0") != std::string::npos);
  CHECK(message([&] { ag::jvp(V(), x, v); }).find("empty Var") != std::string::npos);
  CHECK(ag::hvp(y, x, v, {.keep_tape = true}).shape() == ag::Shape{3});
  V(x).assign(v.value());
  CHECK(message([&] { ag::jvp(y, x, v); }).starts_with("jvp: a variable of 3 elements was updated"));
}
