// Streaming inference: the time of one step of nn::stream at batch 1 with one input feature, as in audio:
// median and 99.9th percentile, and the step of unroll without a tape beside it.
//
// usage: bench_stream [--steps n]
#include <algorithm>
#include <autograd/autograd.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nn/nn.hpp>
#include <string>
#include <vector>

namespace ag = autograd;

namespace {

using Clock = std::chrono::steady_clock;

double microseconds(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

// The clock itself takes some 20 ns, so several steps are timed together.
constexpr std::size_t kTogether = 8;

template <class Cell>
void time_cell(const char* name, std::size_t hidden, std::size_t steps) {
  nn::Rng rng(1);
  const Cell cell(1, hidden, rng);
  auto stream = nn::stream(cell, {.input_size = 1});
  std::vector<float> in(1), out(hidden);
  std::vector<double> times;
  for (std::size_t i = 0; i < steps / kTogether; ++i) {
    in[0] = static_cast<float>(i % 100) / 100;
    const auto start = Clock::now();
    for (std::size_t k = 0; k < kTogether; ++k) stream(in, out);
    times.push_back(microseconds(Clock::now() - start) / kTogether);
  }
  std::sort(times.begin(), times.end());
  const ag::Var<float> x = nn::init::normal<float>({1000, 1, 1}, 0, 1, rng);
  std::vector<double> unrolled;
  for (int round = 0; round < 21; ++round) {
    const auto start = Clock::now();
    nn::unroll(cell, x);
    unrolled.push_back(microseconds(Clock::now() - start) / 1000);
  }
  std::sort(unrolled.begin(), unrolled.end());
  std::printf("| %s | %zu | %.3f | %.3f | %.3f |\n", name, hidden, times[times.size() / 2],
              times[times.size() * 999 / 1000], unrolled[unrolled.size() / 2]);
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t steps = 400'000;
  if (argc == 3 && !std::strcmp(argv[1], "--steps"))
    steps = std::strtoul(argv[2], nullptr, 10);
  else if (argc != 1)
    return std::fprintf(stderr, "usage: bench_stream [--steps n]\n"), 1;
  if (steps < kTogether) return std::fprintf(stderr, "bench_stream: at least %zu steps\n", kTogether), 1;
  std::printf("| cell | H | stream, us/step | 99.9th percentile | unroll without a tape, us/step |\n");
  std::printf("|---|---|---|---|---|\n");
  for (const std::size_t hidden : {16, 32, 64}) time_cell<nn::LSTMCell<float>>("LSTM", hidden, steps);
  for (const std::size_t hidden : {16, 32, 64}) time_cell<nn::GRUCell<float>>("GRU", hidden, steps);
}
