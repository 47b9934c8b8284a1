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
    auto array = random_array<float>(shapes[i], static_cast<unsigned>(i + 1), row.domain == kAny ? -1.5 : 0.5, 2);
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
      const V up = row.in_double(moved(inputs, directions, h)), down = row.in_double(moved(inputs, directions, -h));
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
