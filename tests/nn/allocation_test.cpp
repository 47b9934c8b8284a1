// A steady training step takes nothing from the heap.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "counting_allocator.hpp"
#include "minimal_gated_cell.hpp"

namespace ag = autograd;

namespace {

// Two hundred steps of training; counts what steps 3 to 200 take.
template <class T, class C>
void check_steady(const std::string& name, const C& cell, std::size_t hidden, std::size_t steps,
                  std::size_t batch) {
  CAPTURE(name);
  CAPTURE(steps);
  CAPTURE(batch);
  nn::Rng rng(2);
  const nn::Linear<T> head(hidden, 2, rng);
  const ag::Var<T> x = nn::init::normal<T>({steps, batch, 3}, 0, 1, rng);
  const ag::Var<T> y = nn::init::normal<T>({steps, batch, 2}, 0, 1, rng);
  nn::Adam<T> adam(nn::parameters(cell, head));
  std::size_t heap = 0, pool = 0;
  for (int k = 1; k <= 200; ++k) {
    if (k == 3) heap = test::heap_allocations(), pool = ag::memory_stats().heap_requests;
    ag::Tape tape;
    const auto [output, state] = nn::unroll(cell, x);
    const ag::Var<T> loss = nn::mse(head(output), y);
    ag::Gradients gradients = tape.backward(loss);
    nn::clip_grad_norm(gradients, 0.1);
    adam.step(gradients);
  }
  CHECK(test::heap_allocations() - heap == 0);
  CHECK(ag::memory_stats().heap_requests - pool == 0);
}

template <class T>
void check_every_cell() {
  constexpr std::size_t kHidden = 9;
  for (const auto& [steps, batch] : {std::pair<std::size_t, std::size_t>{20, 4}, {1, 1}, {150, 1}, {5, 40}}) {
    nn::Rng rng(1);
    check_steady<T>("RNN", nn::RNNCell<T>(3, kHidden, rng), kHidden, steps, batch);
    check_steady<T>("LSTM", nn::LSTMCell<T>(3, kHidden, rng), kHidden, steps, batch);
    check_steady<T>("GRU", nn::GRUCell<T>(3, kHidden, rng), kHidden, steps, batch);
    check_steady<T>("MGU", test::MinimalGatedCell<T>(3, kHidden, rng), kHidden, steps, batch);
  }
}

}  // namespace

TEST_CASE("steps 3 to 200 of training allocate nothing, for every cell") {
  check_every_cell<float>();
  check_every_cell<double>();
}
