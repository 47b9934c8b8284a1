// Values that no rule of the gradient reads are not kept, and are computed again for rules that read them. A
// traced tape keeps everything: both must give the same to the bit where they compute the same.
#include "autograd/restoration.hpp"

#include <doctest/doctest.h>

#include <autograd/checkpoint.hpp>
#include <autograd/derivatives.hpp>
#include <autograd/elementwise_function.hpp>
#include <autograd/map.hpp>

#include "random_arrays.hpp"

namespace ag = autograd;
using V = ag::Var<double>;
using Vars = std::vector<V>;

namespace {

constexpr std::size_t kRows = 32, kWidth = 16;  // sizes that blocks of memory have

struct Inputs {
  V weight = test::random_variable({kWidth, 3 * kWidth}, 1, -0.5, 0.5);
  V other = test::random_variable({kWidth, 3 * kWidth}, 2, -0.5, 0.5);
  V bias = test::random_variable({3 * kWidth}, 3);
  V x = test::random_variable({kRows, kWidth}, 4);
  V wide = test::random_variable({kRows, 3 * kWidth}, 5);

  Vars all() const { return {weight, other, bias, x, wide}; }
};

// A gate of each: only sigmoid's and tanh's results are needed for the gradient, and c.
V gates(const V& z, const V& c) {
  return ag::map([](auto i, auto g, auto o, auto c) { return sigmoid(o) * tanh(c * sigmoid(i) + tanh(g)); },
                 ag::chunk<3>(z), c);
}

// Of the products only the last block of the second, as in a GRU.
V reset_gate(const V& z, const V& y, const V& h) {
  return ag::map(
      [](auto zr, auto zu, auto zn, auto yr, auto yu, auto yn, auto h) {
        auto r = sigmoid(zr + yr);
        auto u = sigmoid(zu + yu);
        auto n = tanh(zn + r * yn);
        return n + u * (h - n);
      },
      ag::chunk<3>(z), ag::chunk<3>(y), h);
}

// What programs compute, with every product gone at the end of it.
template <class Program>
Vars derivatives(Program&& program, bool traced) {
  const Inputs in;
  const Vars wanted = in.all();
  Vars directions;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    directions.push_back(test::random_array(wanted[i].shape(), 20 + i));
  const ag::GradOptions keep{.keep_tape = true, .allow_unused = true};
  ag::Tape tape({.trace = traced});
  const V loss = program(in);
  Vars result = ag::grad(loss, wanted, keep);
  const auto append = [&](const Vars& more) { result.insert(result.end(), more.begin(), more.end()); };
  ag::GradOptions graph = keep;
  graph.create_graph = true;
  const Vars first = ag::grad(loss, wanted, graph);
  append(first);
  V total(0.0);
  for (const V& each : first)
    if (each.differentiable()) total = total + sum(each * each);
  append(ag::grad(total, wanted, keep));
  result.push_back(ag::jvp(loss, wanted, directions, keep));
  append(ag::hvp(loss, wanted, directions, {.allow_unused = true}));
  return result;
}

template <class Program>
void check_restored(Program&& program) {
  const Vars kept = derivatives(program, true), restored = derivatives(program, false);
  REQUIRE(kept.size() == restored.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    CAPTURE(i);
    CHECK(test::difference(kept[i], restored[i]) <= 1e-11);
  }
}

// Bytes that a program's tape keeps of what it has computed, beside its result.
template <class Program>
std::size_t kept_bytes(Program&& program) {
  const Inputs in;
  ag::release_pooled_memory();  // with what earlier tapes keep for the next one
  program(in);                  // lays the weights out, which is kept for all tapes
  ag::Tape tape;
  const std::size_t before = ag::memory_stats().live_bytes;
  const V result = program(in);
  return ag::memory_stats().live_bytes - before;
}

constexpr std::size_t kBlock = kRows * kWidth * sizeof(double);  // of one gate

struct Doubled : ag::ElementwiseFunction<Doubled> {
  [[maybe_unused]] static constexpr const char* kName = "doubled";
  static constexpr bool kCostly = false;
  template <class W>
  static W value(const W& x) {
    return x + x;
  }
  template <std::size_t, class W>
  static W slope(const W&, const W&) {
    return W(2);
  }
};

}  // namespace

TEST_CASE("what a map's rule needs of its inputs") {
  const auto planned = []<class F, std::size_t... kBlocks>(F f, ag::detail::Inputs<kBlocks...>) {
    return ag::detail::MapKernel<double, F, ag::detail::Inputs<kBlocks...>>::plan(f, false);
  };
  using Two = ag::detail::Inputs<0, 0>;
  using Three = ag::detail::Inputs<0, 0, 0>;
  CHECK(planned([](auto a, auto b) { return a + b; }, Two{}).unread == 0b11);
  CHECK(planned([](auto a, auto b) { return a - 2.0 * b; }, Two{}).unread == 0b11);
  CHECK(planned([](auto a, auto b) { return a * b; }, Two{}).unread == 0b00);
  CHECK(planned([](auto a, auto b) { return a + square(b); }, Two{}).unread == 0b01);
  CHECK(planned([](auto a, auto b) { return relu(a) + b; }, Two{}).unread == 0b10);
  CHECK(planned([](auto a, auto b) { return where(a > 0, 2.0 * b, b); }, Two{}).unread == 0b10);
  CHECK(planned([](auto a, auto b) { return maximum(a, b); }, Two{}).unread == 0b00);
  CHECK(planned([](auto a, auto b) { return a / b; }, Two{}).unread == 0b00);
  CHECK(planned([](auto a, auto b) { return tanh(a) + sigmoid(a + b); }, Two{}).unread == 0b11);
  CHECK(planned([](auto a, auto b) { return tanh(a) * b; }, Two{}).unread == 0b01);
  CHECK(planned([](auto a, auto b) { return log(a) + b; }, Two{}).unread == 0b10);
  CHECK(planned([](auto a, auto b, auto c) { return tanh(a * c) + b; }, Three{}).unread == 0b010);
  CHECK(planned([](auto a, auto b, auto c) { return std::tuple{a + b, b * c}; }, Three{}).unread == 0b001);
  // Its derivative may contain anything, as far as is known.
  CHECK(planned([](auto a, auto b) { return Doubled{}(a) + b; }, Two{}).unread == 0b10);

  using Columns = ag::detail::Inputs<3, 3, 0>;
  const auto gru = planned(
      [](auto zr, auto zu, auto zn, auto yr, auto yu, auto yn, auto h) {
        auto r = sigmoid(zr + yr);
        auto u = sigmoid(zu + yu);
        auto n = tanh(zn + r * yn);
        return n + u * (h - n);
      },
      Columns{});
  CHECK(gru.stashed == 3);
  CHECK(gru.saved == 0b0100000);
  CHECK(gru.unread == 0b001);  // and the second one, where it is saved
}

TEST_CASE("results of products that no rule reads are not kept") {
  CHECK(kept_bytes([](const Inputs& in) { return tanh(ag::affine(in.x, in.weight, in.bias)); }) ==
        3 * kBlock);
  CHECK(kept_bytes([](const Inputs& in) { return tanh(ag::affine(in.x, in.weight, 2.0 * in.bias)); }) <=
        3 * kBlock + 512);  // and the bias
  CHECK(kept_bytes([](const Inputs& in) { return gates(ag::affine(in.x, in.weight), in.x); }) == 5 * kBlock);
  CHECK(kept_bytes([](const Inputs& in) {
          V z = ag::affine(in.x, in.weight);
          return gates(ag::add_linear(std::move(z), in.x, ag::transpose(in.other)), in.x);
        }) == 5 * kBlock + 3 * kWidth * kWidth * sizeof(double));  // the transpose
  // Three results of functions, one block of a product, the result.
  CHECK(kept_bytes([](const Inputs& in) {
          return reset_gate(ag::affine(in.x, in.weight), ag::affine(in.x, in.other), in.x);
        }) == 5 * kBlock);
  CHECK(kept_bytes([](const Inputs& in) {
          return ag::affine(in.x, in.weight) + ag::affine(in.x, in.other);
        }) == 3 * kBlock);
}

TEST_CASE("results of costly functions that are results of a map are kept once") {
  const auto both = [](const Inputs& in) {
    const auto [gate, y] = ag::map(
        [](auto z, auto w) {
          auto f = sigmoid(z);
          return std::tuple{f, f * tanh(w)};
        },
        ag::affine(in.x, in.weight), in.wide);
    return gate * y;
  };
  // gate, y, tanh(w), and the lane that the stash is longer by
  const std::size_t lane = ag::detail::Batch<double>::size * sizeof(double);
  CHECK(kept_bytes([&](const Inputs& in) { return both(in); }) <= 4 * 3 * kBlock + 8 * lane + 3 * kBlock / 4);
  check_restored([&](const Inputs& in) { return sum(both(in)); });
  // Widths that are no multiple of a lane; a function whose results come in another order than the values.
  check_restored([](const Inputs& in) {
    const V x = ag::columns(in.wide, 0, 5).var(), y = ag::columns(in.wide, 5, 5).var();
    const auto [a, b, c] = ag::map(
        [](auto x, auto y) {
          auto s = sigmoid(x);
          auto t = tanh(y);
          auto e = exp(s * t);
          return std::tuple{t, e, s};
        },
        x, y);
    return sum(a * b * c);
  });
}

TEST_CASE("results of products that a rule reads are kept") {
  CHECK(kept_bytes([](const Inputs& in) { return square(ag::affine(in.x, in.weight)); }) == 6 * kBlock);
  CHECK(kept_bytes([](const Inputs& in) { return ag::affine(in.x, in.weight) * in.wide; }) == 6 * kBlock);
  // An addend that is not at hand any more cannot be added again.
  CHECK(kept_bytes([](const Inputs& in) {
          return tanh(ag::add_linear(in.wide, in.x, ag::transpose(in.weight)));
        }) >= 6 * kBlock);
}

TEST_CASE("derivatives beyond the gradient, of products that were not kept") {
  check_restored([](const Inputs& in) { return sum(tanh(ag::affine(in.x, in.weight, in.bias))); });
  check_restored([](const Inputs& in) { return sum(tanh(ag::affine(in.x, in.weight, exp(in.bias)))); });
  check_restored([](const Inputs& in) {  // large sums, which no rule reads
    const V z = ag::affine(in.x, in.weight) + in.wide;
    return sum(tanh(z + in.wide) * sigmoid(z));
  });
  check_restored([](const Inputs& in) { return sum(gates(ag::affine(in.x, in.weight), in.x)); });
  check_restored([](const Inputs& in) {
    return sum(reset_gate(ag::affine(in.x, in.weight), ag::affine(in.x, in.other, in.bias), in.x));
  });
  check_restored([](const Inputs& in) {
    return sum(square(ag::affine(in.x, in.weight) - 3.0 * ag::affine(in.x, in.other)));
  });
}

TEST_CASE("derivatives beyond the gradient, of windows that products were added to") {
  check_restored([](const Inputs& in) {
    V h = in.x.slice(0, 1), c = h;
    const V xs = ag::affine(in.x, in.weight, in.bias);
    const V transposed = ag::transpose(in.other);
    for (std::size_t t = 0; t < 5; ++t) {
      V z = ag::affine(in.x.slice(t, t + 1), in.weight, in.bias);
      z = ag::add_linear(std::move(z), h, transposed);
      h = gates(z, c);
      h = h + reset_gate(xs.slice(t, t + 1), ag::affine(h, in.other).reshape({1, 3 * kWidth}), c);
    }
    return sum(h * h);
  });
}

TEST_CASE("derivatives beyond the gradient, across checkpoints") {
  check_restored([](const Inputs& in) {
    const V z = ag::affine(in.x, in.weight, in.bias);
    const auto f = [&](const Vars& x) -> Vars {
      return {gates(x[0], x[1]) + gates(ag::affine(x[1], x[2]), x[1])};
    };
    return sum(square(ag::checkpoint<double>(f, {z, in.x, in.other})[0]));
  });
}

TEST_CASE("a result that is still held when the next tape begins keeps its value") {
  const Inputs in;
  V held[3];
  ag::Array<double> copies[3];
  for (int i = 0; i < 3; ++i) {
    ag::Tape tape;
    held[i] = ag::affine(in.x, in.weight, in.bias);
    copies[i] = held[i].array().copy();
    tape.backward(sum(gates(held[i], in.x)));
    V weight = in.weight;
    weight.update([](auto& w) { w *= 1.5; });
  }
  for (int i = 0; i < 3; ++i)
    CHECK(std::equal(copies[i].data(), copies[i].data() + copies[i].size(), held[i].array().data()));
  CHECK(held[0].array().data() != held[1].array().data());
}
