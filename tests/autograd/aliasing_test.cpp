// Gradients share memory: of slices with their whole, of sums with their terms, of weights over many
// products. Random graphs that provoke every way of it are checked against the recorded gradient, which
// shares nothing, and numbers.
#include <doctest/doctest.h>

#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Shape;
using V = ag::Var<double>;
using Vars = std::vector<V>;

namespace {

constexpr std::size_t kWidth = 4;

Vars make_inputs(unsigned seed, std::size_t rows) {
  const auto make = [&](const Shape& shape, unsigned i) {
    return test::random_variable(shape, 10 * seed + i, -0.4, 0.4);
  };
  return {make({rows, kWidth}, 0), make({3, kWidth}, 1), make({kWidth, kWidth}, 2),
          make({kWidth}, 3),       make({40}, 4),        make({2, kWidth}, 5)};
}

// A graph that depends on nothing but the seed. All values of its pool are matrices of four columns.
class Graph {
 public:
  Graph(unsigned seed, const Vars& inputs) : generator_(seed), in_(inputs), pool_{inputs[0], inputs[1]} {
    const std::size_t count = 5 + draw(26);
    for (std::size_t i = 0; i < count; ++i) {
      V y = op(draw(18));
      if (y.shape(0) <= 400) pool_.push_back(std::move(y));
    }
  }

  V loss() {
    V total = ag::sum(pool_.back());
    for (std::size_t i = 0; i < 3; ++i) total = total + ag::sum(square(some()) * 0.5);
    return total;
  }

  // Values from the midst of the graph, and windows of them.
  Vars intermediates() {
    Vars result;
    for (std::size_t i = 0; i < 3; ++i) result.push_back(some());
    result.push_back(part(some()));
    result.push_back(some()[0]);
    return result;
  }

 private:
  std::size_t draw(std::size_t count) { return generator_() % count; }
  const V& some() { return pool_[draw(pool_.size())]; }
  V part(const V& x) {
    const std::size_t begin = draw(x.shape(0)), count = 1 + draw(x.shape(0) - begin);
    return x.slice(begin, begin + count);
  }

  // A weight: a variable, a window of one, or computed.
  V weight() {
    switch (draw(6)) {
      case 0:
        return in_[4].slice(0, 16).reshape({kWidth, kWidth});
      case 1:
        return in_[4].slice(8, 24).reshape({kWidth, kWidth});  // overlaps the one before
      case 2:
        return tanh(in_[2]);
      case 3:
        return shared_weight();
      default:
        return in_[2];
    }
  }
  V bias() {
    switch (draw(5)) {
      case 0:
        return in_[4].slice(30, 34);
      case 1:
        return some()[0];  // of the graph, and mostly used elsewhere, too
      case 2:
        return square(in_[3]);
      default:
        return in_[3];
    }
  }
  V shared_weight() {
    if (!weight_.defined()) weight_ = ag::concat(std::span<const V>(Vars{in_[5], in_[5] * in_[5]}));
    return weight_;
  }

  // Rows of x one by one (or two by two, or backwards) through one weight, as a recurrent layer does.
  V steps(const V& x, std::size_t kind) {
    const V w = weight(), b = bias();
    Vars outputs;
    V h = x.slice(0, 1);
    const std::size_t step = kind == 1 ? 2 : 1;
    for (std::size_t i = 0; i + step <= x.shape(0); i += step) {
      const std::size_t at = kind == 2 ? x.shape(0) - step - i : i;
      if (kind == 3)
        h = tanh(ag::add_linear(ag::linear(x.slice(at, at + 1), w, b), h, w));
      else
        h = ag::linear(x.slice(at, at + step), w, b);
      outputs.push_back(h);
    }
    if (outputs.empty()) return x;
    return ag::concat(std::span<const V>(outputs));
  }

  V op(std::size_t kind) {
    const V x = some();
    const std::size_t rows = x.shape(0);
    switch (kind) {
      case 0: {  // one slice twice
        const V s = part(x);
        return s + s;
      }
      case 1: {  // overlapping slices, and the whole
        const std::size_t n = 1 + draw(rows);
        return ag::concat(std::span<const V>(Vars{x.slice(0, n) * x.slice(rows - n, rows), x}));
      }
      case 2:
        return tanh(x.reshape({1, rows * kWidth})).reshape({rows, kWidth});
      case 3:
        return x + x[draw(rows)];  // a suffix that is part of the same value
      case 4:
        return x + tanh(x);
      case 5: {  // addition passes its gradient on as it is
        const V y = x + x;
        return y + x;
      }
      case 6: {
        V c = ag::linear(x, weight(), bias());
        return ag::add_linear(std::move(c), x, weight());
      }
      case 7: {  // not fresh: a copy is held
        V c = ag::linear(x, weight());
        const V held = c;
        return ag::add_linear(std::move(c), tanh(held), weight(), bias()) + held;
      }
      case 8:
        return ag::concat(std::span<const V>(Vars{part(x), part(x), part(some())}));
      case 9: {  // disjoint columns, which cover all
        const auto [p, q] = ag::map([](auto a, auto b) { return std::make_tuple(a * tanh(b), a - b); },
                                    ag::columns(x, 0, 2), ag::columns(x, 2, 2));
        return ag::matmul(p + q, in_[5]);
      }
      case 10: {  // columns that repeat or overlap, or leave some out
        const V y = ag::map([](auto a, auto b) { return a * tanh(b); }, ag::columns(x, draw(3), 2),
                            ag::columns(x, draw(3), 2));
        return ag::matmul(y, in_[5]);
      }
      case 11: {
        const V y =
            ag::map([](auto a, auto b, auto c, auto d) { return a * b + c * tanh(d); }, ag::chunk<4>(x));
        return x * y;
      }
      case 12:
        return steps(x, draw(4));
      case 13:
        return ag::map([](auto a, auto b, auto c) { return a * c + tanh(b); }, x, x, x[draw(rows)]);
      case 14:
        return ag::map([](auto a, auto b) { return tanh(a) * b; }, part(x), x[rows - 1].slice(1, 2));
      case 15:
        return ag::matmul(ag::matmul(x, ag::transpose(x)).slice(0, std::min<std::size_t>(rows, 5)), x) * 0.2;
      case 16: {  // terms of one sum, used again
        const V y = some();
        const V s = ag::sum(x, {0}) * 0.1 + y;
        return s + y;
      }
      default:
        return ag::linear(x, weight(), bias());
    }
  }

  std::mt19937 generator_;
  const Vars& in_;
  Vars pool_;
  V weight_;
};

Vars directions(const Vars& inputs, unsigned seed) {
  Vars result;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    result.push_back(test::random_array(inputs[i].shape(), seed + static_cast<unsigned>(i)));
  return result;
}

double along(const Vars& gradients, const Vars& directions) {
  double total = 0;
  for (std::size_t i = 0; i < gradients.size(); ++i)
    for (std::size_t k = 0; k < gradients[i].size(); ++k)
      total += gradients[i].array().data()[k] * directions[i].array().data()[k];
  return total;
}

// d/de of value() at inputs + e directions, by a central difference.
double numeric(Vars& inputs, const Vars& directions, auto&& value) {
  const double h = 1e-5;
  const auto move = [&](double by) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      inputs[i].update([&](auto&& elements) { elements += by * directions[i].value(); });
  };
  move(h);
  const double above = value();
  move(-2 * h);
  const double below = value();
  move(h);
  return (above - below) / (2 * h);
}

void check_graph(unsigned seed, std::size_t rows, bool second_order) {
  CAPTURE(seed);
  CAPTURE(rows);
  Vars inputs = make_inputs(seed, rows);
  const Vars direction = directions(inputs, seed + 7);

  ag::Tape tape;
  Graph graph(seed, inputs);
  const V loss = graph.loss();
  Vars wanted = graph.intermediates();
  wanted.insert(wanted.begin(), inputs.begin(), inputs.end());
  const Vars recorded = ag::grad(loss, wanted, {.create_graph = true, .allow_unused = true});
  const Vars plain = ag::grad(loss, wanted, {.keep_tape = true, .allow_unused = true});
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CAPTURE(i);
    CHECK(test::difference(plain[i], recorded[i]) <= 1e-12);
  }
  const ag::Gradients gradients = tape.backward(loss, {.keep_tape = true});
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (gradients.contains(inputs[i]))
      CHECK(test::difference(gradients.array(inputs[i]), plain[i].array()) <= 1e-14);

  const Vars first(plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(inputs.size()));
  const double slope = numeric(inputs, direction, [&] { return Graph(seed, inputs).loss().item(); });
  CHECK(along(first, direction) == doctest::Approx(slope).epsilon(1e-7).scale(std::abs(loss.item())));
  if (!second_order) return;

  // The Hessian times the directions, forward over reverse by numbers.
  const auto directional = [&] {
    const V total = Graph(seed, inputs).loss();
    const Vars g = ag::grad(total, inputs, {.create_graph = true, .allow_unused = true});
    V sum(0);
    for (std::size_t i = 0; i < inputs.size(); ++i) sum = sum + ag::sum(g[i] * direction[i]);
    return sum;
  };
  Vars hessian;
  {
    const ag::Tape inner;
    hessian = ag::grad(directional(), inputs, {.allow_unused = true});
  }
  const double curvature = numeric(inputs, direction, [&] {
    const ag::Tape inner;
    return directional().item();
  });
  CHECK(along(hessian, direction) == doctest::Approx(curvature).epsilon(1e-6).scale(std::abs(loss.item())));
}

}  // namespace

TEST_CASE("gradients of random graphs whose values share memory") {
  for (unsigned seed = 1; seed <= 300; ++seed) check_graph(seed, 1 + seed % 7, seed % 3 == 0);
}

TEST_CASE("gradients of random graphs whose weights gather more rows than one product takes") {
  const std::size_t sizes[] = {64, 127, 128, 129, 200};
  for (unsigned seed = 301; seed <= 360; ++seed) check_graph(seed, sizes[seed % 5], false);
}
