// Streaming inference: the time of one step of nn::stream at batch 1 with one input feature, as in audio, and
// the step of unroll without a tape beside it. A line of JSON for each cell and size:
//
//   us_per_step     median, of eight steps timed together
//   p99_9_us        99.9th percentile of single steps, less what reading the clock twice takes (clock_us)
//   unroll_us       a step of unroll, median of passes over 1000 steps
#include <algorithm>
#include <autograd/autograd.hpp>
#include <chrono>
#include <cstdio>
#include <nn/nn.hpp>

#include "command_line.hpp"

namespace ag = autograd;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kTogether = 8;  // next to one step, the clock's own time would count

double quantile(std::vector<double>& values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

// Microseconds that f takes, `count` times.
std::vector<double> times(std::size_t count, auto&& f) {
  std::vector<double> result(count);
  for (double& time : result) {
    const auto start = Clock::now();
    f();
    time = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  }
  return result;
}

template <class Cell>
void time_cell(const char* name, std::size_t hidden, std::size_t steps) {
  nn::Rng rng(1);
  const Cell cell(1, hidden, rng);
  auto stream = nn::stream(cell, {.input_size = 1});
  std::vector<float> in(1), out(hidden);
  std::size_t taken = 0;
  const auto step = [&] {
    in[0] = static_cast<float>(++taken % 100) / 100;
    stream(in, out);
  };
  std::vector<double> clock = times(10'000, [] {});
  std::vector<double> together = times(steps / kTogether, [&] {
    for (std::size_t k = 0; k < kTogether; ++k) step();
  });
  std::vector<double> single = times(steps, step);
  const ag::Var<float> x = nn::init::normal<float>({1000, 1, 1}, 0, 1, rng);
  std::vector<double> unrolled = times(21, [&] { nn::unroll(cell, x); });
  const double clock_us = quantile(clock, 0.5);
  std::printf(
      "{\"cell\":\"%s\",\"H\":%zu,\"us_per_step\":%.4f,\"p99_9_us\":%.4f,\"unroll_us\":%.4f,\"clock_us\":%."
      "4f,"
      "\"steps\":%zu}\n",
      name, hidden, quantile(together, 0.5) / kTogether, quantile(single, 0.999) - clock_us,
      quantile(unrolled, 0.5) / 1000, clock_us, steps);
}

}  // namespace

int main(int argc, char** argv) {
  bench::CommandLine line(argc, argv, "usage: bench_stream [--steps n]\n");
  const std::size_t steps = line.count<std::size_t>("--steps", 400'000);
  line.end();
  if (steps < kTogether) line.fail("--steps: at least " + std::to_string(kTogether));
  for (const std::size_t hidden : {16, 32, 64}) time_cell<nn::LSTMCell<float>>("lstm", hidden, steps);
  for (const std::size_t hidden : {16, 32, 64}) time_cell<nn::GRUCell<float>>("gru", hidden, steps);
}
