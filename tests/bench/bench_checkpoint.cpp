// What checkpoints cost and save: a training step (forward, sum of the squares of the last output or of all,
// backward) of an LSTM over ever longer sequences, plain and checkpointed at the square root of the steps.
#include <algorithm>
#include <autograd/autograd.hpp>
#include <cstdio>
#include <ctime>
#include <nn/nn.hpp>

#include "command_line.hpp"

namespace ag = autograd;

namespace {

constexpr const char* kUsage =
    "usage: bench_checkpoint [--all] [--longest T]\n"
    "  --all   the loss takes all outputs, not the last alone\n";

constexpr std::size_t kFeatures = 4, kHidden = 32;

struct Cost {
  double us_per_step, megabytes, norm;
};

// Processor time and memory beyond the input's; the least time of some rounds, of which the first takes
// memory from the heap.
template <class Net>
Cost train(const Net& net, const ag::Var<float>& x, bool all) {
  Cost cost{1e300, 0, 0};
  ag::release_pooled_memory();
  ag::reset_peak_memory();
  const std::size_t before = ag::memory_stats().live_bytes;
  const std::size_t rounds = 5 + 200'000 / x.shape(0);
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::clock_t start = std::clock();
    {
      ag::Tape tape;
      const auto output = nn::unroll(net, x, {.last_only = !all}).output;
      const auto gradients = tape.backward(ag::sum(square(output)));
      cost.norm = gradients.norm();
    }
    const double us = 1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    cost.us_per_step = std::min(cost.us_per_step, us / static_cast<double>(x.shape(0)));
  }
  cost.megabytes = static_cast<double>(ag::memory_stats().peak_bytes - before) / 1e6;
  return cost;
}

}  // namespace

int main(int argc, char** argv) {
  bench::CommandLine line(argc, argv, kUsage);
  const bool all = line.has("--all");
  const std::size_t longest = line.count<std::size_t>("--longest", 1'000'000);
  line.end();
  nn::Rng rng(1);
  const nn::LSTMCell<float> cell(kFeatures, kHidden, rng);
  std::printf(
      "| T | plain us/step | checkpointed us/step | ratio | plain MB | checkpointed MB | gradients |\n");
  std::printf("|---|---|---|---|---|---|---|\n");
  for (std::size_t steps = 1000; steps <= longest; steps *= 10) {
    const ag::Var<float> x = nn::init::normal<float>({steps, 1, kFeatures}, 0, 1, rng);
    const Cost plain = train(cell, x, all), checkpointed = train(nn::checkpointed(cell), x, all);
    std::printf("| %zu | %.2f | %.2f | %.2f | %.2f | %.2f | %s |\n", steps, plain.us_per_step,
                checkpointed.us_per_step, checkpointed.us_per_step / plain.us_per_step, plain.megabytes,
                checkpointed.megabytes, plain.norm == checkpointed.norm ? "equal" : "DIFFERENT");
  }
}
