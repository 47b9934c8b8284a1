// A steady training step takes nothing from the heap.
#include <doctest/doctest.h>

#include "counting_allocator.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;

namespace {

// Heap allocations of steps 3 to 300.
template <class Step>
std::size_t steady_allocations(Step&& step) {
  for (int i = 0; i < 2; ++i) step();
  const std::size_t before = test::heap_allocations();
  const std::size_t requests = ag::memory_stats().heap_requests;
  for (int i = 2; i < 300; ++i) step();
  CHECK(ag::memory_stats().heap_requests == requests);
  return test::heap_allocations() - before;
}

template <class T>
void descend(ag::Var<T>& w, const ag::Gradients& gradients) {
  const ag::Array<T> g = gradients.array(w);
  w.update_elements([&](T* elements) {
    for (std::size_t i = 0; i < g.size(); ++i) elements[i] -= T(0.01) * g.data()[i];
  });
}

}  // namespace

TEST_CASE("the counter counts") {
  if (!test::counts_allocations()) return;
  const std::size_t before = test::heap_allocations();
  ::operator delete(::operator new(8));  // by name: a compiler may leave out a new-expression
  CHECK(test::heap_allocations() == before + 1);
}

TEST_CASE_TEMPLATE("a training step of products, maps and reductions", T, float, double) {
  for (const std::size_t batch : {1u, 5u, 150u}) {
    CAPTURE(batch);
    const ag::Var<T> x = test::random_array<T>({batch, 20}, 1), target = test::random_array<T>({batch, 8}, 2);
    ag::Var<T> w = test::random_variable<T>({32, 20}, 3), u = test::random_variable<T>({32, 8}, 4);
    ag::Var<T> b = test::random_variable<T>({32}, 5), h0 = test::random_variable<T>({batch, 8}, 6);
    double last = 0;
    const std::size_t allocations = steady_allocations([&] {
      ag::Tape tape;
      ag::Var<T> h = h0, c = h0;
      for (int t = 0; t < 6; ++t) {
        auto [next_h, next_c] = ag::map(
            [](auto i, auto f, auto g, auto o, auto c) {
              auto next = sigmoid(f) * c + sigmoid(i) * tanh(g);
              return std::make_tuple(sigmoid(o) * tanh(next), next);
            },
            ag::chunk<4>(ag::add_linear(ag::linear(x, w, b), h, u)), c);
        h = next_h;
        c = next_c;
      }
      const ag::Var<T> loss = ag::mean(square(h - target)) + T(0.01) * ag::sum(w * w);
      last = loss.item();
      ag::Gradients g = tape.backward(loss);
      if (g.norm() > 1) g.scale(1 / g.norm());
      for (ag::Var<T>* each : {&w, &u, &b, &h0}) descend(*each, g);
    });
    CHECK(allocations == 0);
    CHECK(std::isfinite(last));
  }
}

TEST_CASE("a training step of every other op") {
  const ag::Var<> x = test::random_array<float>({6, 12}, 1);
  ag::Var<> w = test::random_variable<float>({12, 12}, 2), v = test::random_variable<float>({6, 1}, 3);
  const ag::Indices labels(xt::xarray<int>{0, 1, 2, -1, -2, 3});
  const std::size_t allocations = steady_allocations([&] {
    ag::Tape tape;
    const ag::Var<> y = ag::matmul(x, ag::transpose(w)) + v;
    const ag::Var<> parts[] = {y.slice(0, 3), ag::broadcast_to(y[1], {2, 12}),
                               ag::columns(y, 0, 12).var().slice(1, 2)};
    const ag::Var<> joined = ag::concat(std::span<const ag::Var<>>(parts)).reshape({6, 12});
    const ag::Var<> entropy = ag::mean(ag::pick(ag::log_softmax(joined), labels));
    const ag::Var<> rest = ag::sum(ag::softmax(ag::sum(y, {0})) * ag::mean(relu(y), {-2}));
    const ag::Gradients g = tape.backward(entropy + rest);
    descend(w, g);
    descend(v, g);
  });
  CHECK(allocations == 0);
}
