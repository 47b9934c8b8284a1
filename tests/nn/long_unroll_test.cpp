// Long sequences: no recursion, and a constant number of nodes and bytes for each step.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "minimal_gated_cell.hpp"

namespace ag = autograd;

namespace {

struct Cost {
  std::size_t nodes, bytes;
};

// One training step over `steps` steps at batch 1; all gradients must be finite and some not zero.
template <class C>
Cost train(const C& cell, std::size_t steps) {
  ag::Array<float> x({steps, 1, 1});
  for (std::size_t t = 0; t < steps; ++t) x.data()[t] = static_cast<float>(t % 7) / 7;
  ag::release_pooled_memory();
  ag::reset_peak_memory();
  const std::size_t before = ag::memory_stats().live_bytes;
  ag::Tape tape;
  const ag::Var<float> loss = ag::mean(square(nn::unroll(cell, ag::Var<float>(x)).output));
  const std::size_t nodes = tape.size();
  const ag::Gradients gradients = tape.backward(loss);
  CHECK(std::isfinite(loss.item()));
  CHECK(std::isfinite(gradients.norm()));
  CHECK(gradients.norm() > 0);
  CHECK(gradients.size() == nn::parameters(cell).size());
  return {nodes, ag::memory_stats().peak_bytes - before};
}

template <class C>
void check_linear(const std::string& name, const C& cell) {
  CAPTURE(name);
  train(cell, 3);  // the first unrolling of a cell has one node more: it shows which op makes the output
  const Cost one = train(cell, 1024), two = train(cell, 2048), three = train(cell, 3072);
  CHECK(two.nodes - one.nodes == three.nodes - two.nodes);
  const Cost small = train(cell, 20'000), large = train(cell, 200'000);
  const double ratio = static_cast<double>(large.bytes) / static_cast<double>(small.bytes);
  CHECK(ratio == doctest::Approx(10).epsilon(0.1));
}

}  // namespace

TEST_CASE("200,000 steps train, at a constant cost for each step") {
  nn::Rng rng(1);
  check_linear("LSTM", nn::LSTMCell<>(1, 4, rng));
  check_linear("GRU", nn::GRUCell<>(1, 4, rng));
  check_linear("RNN", nn::RNNCell<>(1, 4, rng));
  check_linear("MGU", test::MinimalGatedCell<>(1, 4, rng));
}

TEST_CASE("a million steps of a checkpointed LSTM take at most twice the memory of a thousand plain ones") {
#ifdef UNROLL_ASAN
  constexpr std::size_t kSteps = 50'000;
#else
  constexpr std::size_t kSteps = 1'000'000;
#endif
  nn::Rng rng(1);
  const nn::LSTMCell<float> cell(1, 32, rng);
  const auto peak = [](const auto& net, std::size_t steps) {
    ag::Array<float> inputs({steps, 1, 1});
    for (std::size_t t = 0; t < steps; ++t) inputs.data()[t] = static_cast<float>(t % 7) / 7;
    const ag::Var<float> x = inputs;
    ag::release_pooled_memory();
    ag::reset_peak_memory();
    const std::size_t before = ag::memory_stats().live_bytes;
    ag::Tape tape;
    const ag::Gradients gradients = tape.backward(ag::sum(nn::unroll(net, x, {.last_only = true}).output));
    CHECK(gradients.norm() > 0);
    return ag::memory_stats().peak_bytes - before;
  };
  CHECK(peak(nn::checkpointed(cell), kSteps) <= 2 * peak(cell, 1000));
}

TEST_CASE("without a tape a long sequence takes little more than its outputs") {
  nn::Rng rng(1);
  const nn::GRUCell<float> cell(1, 4, rng);
  const auto peak = [&](std::size_t steps) {
    const ag::Var<float> x = ag::zeros<float>({steps, 1, 1});
    ag::release_pooled_memory();
    ag::reset_peak_memory();
    const std::size_t before = ag::memory_stats().live_bytes;
    nn::unroll(cell, x);
    return ag::memory_stats().peak_bytes - before;
  };
  constexpr std::size_t kSteps = 100'000;
  CHECK(peak(kSteps) <= kSteps * 4 * sizeof(float) * 3 / 2);
}
