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

// Times, by how often each number of nanoseconds was taken. A list of them would be written to memory anew
// all the while, which the steps feel: the 99.9th percentile of the shortest is twice as long then
// (measured).
class Times {
 public:
  void add(Clock::duration time) {
    const auto nanoseconds = static_cast<std::size_t>(std::chrono::nanoseconds(time).count());
    if (nanoseconds < counts_.size())
      ++counts_[nanoseconds];
    else
      longer_.push_back(nanoseconds);
    ++total_;
  }
  // In microseconds.
  double quantile(double q) {
    auto rank = static_cast<std::size_t>(q * static_cast<double>(total_ - 1));
    for (std::size_t nanoseconds = 0; nanoseconds < counts_.size(); rank -= counts_[nanoseconds++])
      if (rank < counts_[nanoseconds]) return static_cast<double>(nanoseconds) / 1000;
    std::sort(longer_.begin(), longer_.end());
    return static_cast<double>(longer_[rank]) / 1000;
  }

 private:
  std::vector<std::size_t> counts_ = std::vector<std::size_t>(1 << 16), longer_;
  std::size_t total_ = 0;
};

// What f takes, `count` times.
Times take_times(std::size_t count, auto&& f) {
  Times result;
  for (std::size_t i = 0; i < count; ++i) {
    const auto start = Clock::now();
    f();
    result.add(Clock::now() - start);
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
  Times clock = take_times(10'000, [] {});
  Times together = take_times(steps / kTogether, [&] {
    for (std::size_t k = 0; k < kTogether; ++k) step();
  });
  Times single = take_times(steps, step);
  const ag::Var<float> x = nn::init::normal<float>({1000, 1, 1}, 0, 1, rng);
  Times unrolled = take_times(21, [&] { nn::unroll(cell, x); });
  const double clock_us = clock.quantile(0.5);
  std::printf(
      "{\"cell\":\"%s\",\"H\":%zu,\"us_per_step\":%.4f,\"p99_9_us\":%.4f,\"unroll_us\":%.4f,\"clock_us\":%."
      "4f,"
      "\"steps\":%zu}\n",
      name, hidden, together.quantile(0.5) / kTogether, single.quantile(0.999) - clock_us,
      unrolled.quantile(0.5) / 1000, clock_us, steps);
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
