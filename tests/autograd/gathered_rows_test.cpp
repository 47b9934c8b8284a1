// Weight gradients gather the rows of many products, and write the gradients of their results where they are
// gathered. A traced tape does neither: both must give the same up to rounding.
#include <doctest/doctest.h>

#include "random_arrays.hpp"

namespace ag = autograd;
using V = ag::Var<double>;
using Vars = std::vector<V>;

namespace {

constexpr std::size_t kWidth = 3;

struct Inputs {
  V weight = test::random_variable({kWidth, kWidth}, 1, -0.5, 0.5);
  V other = test::random_variable({kWidth, kWidth}, 2, -0.5, 0.5);
  V bias = test::random_variable({kWidth}, 3);
  V x = test::random_variable({1, kWidth}, 4);
  V wide = test::random_variable({5, kWidth}, 5);

  Vars all() const { return {weight, other, bias, x, wide}; }
};

// `program` gives a loss, and more values that gradients are wanted of.
template <class Program>
void check_gathered(Program&& program) {
  const Inputs in;
  const auto gradients = [&](bool at_once) {
    ag::Tape tape({.trace = at_once});
    Vars wanted = in.all();
    const V loss = program(in, wanted);
    return ag::grad(loss, wanted, {.allow_unused = true});
  };
  const Vars gathered = gradients(false), expected = gradients(true);
  REQUIRE(gathered.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(test::difference(gathered[i], expected[i]) <= 1e-12);
  }
}

V steps(V h, const V& weight, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) h = tanh(ag::linear(h, weight)) + 0.5 * h;
  return h;
}

}  // namespace

TEST_CASE("rows of one product of each step") {
  for (const std::size_t count : {1, 2, 3, 127, 128, 129, 300})
    check_gathered([&](const Inputs& in, Vars&) { return ag::sum(steps(in.x, in.weight, count)); });
}

TEST_CASE("rows of two products of a step, whose gradients arrive together") {
  check_gathered([](const Inputs& in, Vars&) {
    V h = in.x;
    for (int i = 0; i < 100; ++i) {
      const V one = ag::linear(h, in.weight), two = ag::linear(2 * h, in.weight, in.bias),
              three = ag::linear(0.3 * h, in.weight);
      h = tanh(one * three + two) + 0.5 * h;
    }
    return ag::sum(h);
  });
}

TEST_CASE("rows of products of products by the same weight") {
  check_gathered([](const Inputs& in, Vars&) {
    V h = in.x;
    for (int i = 0; i < 60; ++i)
      h = tanh(ag::linear(ag::linear(ag::linear(h, in.weight), in.weight), in.weight)) + 0.5 * h;
    return ag::sum(h);
  });
}

TEST_CASE("rows of batches of different sizes") {
  check_gathered([](const Inputs& in, Vars&) {
    V one = in.x, five = in.wide;
    for (int i = 0; i < 150; ++i) {
      if (i % 3 != 1) one = steps(one, in.weight, 1);
      if (i % 4 != 2) five = steps(five, in.weight, 1);
    }
    return ag::sum(one) + ag::sum(five * five);
  });
}

TEST_CASE("a gradient that passes on to an addend is not overwritten by later rows") {
  check_gathered([](const Inputs& in, Vars&) {
    const V early = tanh(in.x);
    (void)early.value();  // looked at, so that it is no memory to add in
    const V h = steps(in.x, in.weight, 200);
    const V late = ag::add_linear(early, h, in.weight);
    return ag::sum(steps(h, in.weight, 5)) + ag::sum(late * late);
  });
}

TEST_CASE("gradients of results in the midst are not overwritten by later rows") {
  check_gathered([](const Inputs& in, Vars& wanted) {
    V h = in.x;
    for (int i = 0; i < 300; ++i) {
      const V product = ag::linear(h, in.weight);
      if (i % 50 == 40) wanted.push_back(product);
      h = tanh(product) + 0.5 * h;
    }
    return ag::sum(h);
  });
}

TEST_CASE("rows without entries") {
  check_gathered([](const Inputs& in, Vars& wanted) {
    const V none = ag::variable(ag::Array<double>({0, kWidth}));
    wanted.push_back(none);
    V h = in.x, loss(0.0);
    for (int i = 0; i < 5; ++i) {
      h = steps(h, in.weight, 1);
      loss = loss + ag::sum(tanh(ag::linear(h, none)));
    }
    return loss + ag::sum(h);
  });
}

TEST_CASE("rows of a weight that is computed, and of one in two layouts") {
  check_gathered([](const Inputs& in, Vars&) {
    const V weight = tanh(in.weight) + in.other;
    V h = in.x;
    for (int i = 0; i < 150; ++i) {
      h = steps(h, weight, 1);
      h = tanh(ag::matmul(h, in.other)) + ag::linear(h, in.other);
    }
    return ag::sum(h);
  });
}

TEST_CASE("rows that are gathered within and without a checkpoint") {
  const auto program = [](const Inputs& in, bool checkpointed) {
    V h = in.x;
    for (int i = 0; i < 60; ++i) {
      const V product = ag::linear(h, in.weight);
      const auto part = [&](const Vars& z) -> Vars {
        return {tanh(ag::linear(steps(tanh(z[0]), in.weight, 4), in.weight, in.bias))};
      };
      h = (checkpointed ? ag::checkpoint<double>(part, {product}) : part({product}))[0];
    }
    return ag::sum(h);
  };
  const Inputs in;
  const auto gradients = [&](bool checkpointed) {
    ag::Tape tape;
    return ag::grad(program(in, checkpointed), in.all(), {.allow_unused = true});
  };
  const Vars plain = gradients(false), again = gradients(true);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(test::difference(plain[i], again[i]) <= 1e-12);
}
