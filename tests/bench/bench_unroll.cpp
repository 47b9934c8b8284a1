// Times a training step: forward, linear readout at every step, mean squared error, backward, SGD. The same
// workload, arguments and output line as the hand-written program, for cells written by a user (custom) and
// the library's (builtin). Beside the time it tells the memory and the heap allocations of a steady step.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <string>

#include "allocations.hpp"
#include "cells.hpp"
#include "nn/data_parallel.hpp"

namespace ag = autograd;

// The guard has callgrind count within this function.
[[gnu::noinline]] void counted_steps(const std::function<void()>& step, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) step();
}

namespace {

constexpr const char* kUsage =
    "usage: bench_unroll --cell rnn|gru|lstm|mgu --impl custom|builtin --T n --B n --I n --H n --O n\n"
    "                    --threads n --seconds s [--f64] [--evaluation] [--steps n]\n"
    "  --evaluation   the forward pass and the loss, without a tape\n"
    "  --steps n      after warming up takes n steps, in counted_steps(), without a clock\n";

struct Arguments {
  std::string cell = "rnn", impl = "custom";
  std::size_t steps = 64, batch = 32, in = 64, hidden = 128, out = 64;
  int threads = 1;
  double seconds = 1;
  bool f64 = false, evaluation = false;
  std::size_t repetitions = 0;  // 0: as many as fit into `seconds`
};

struct Memory {
  std::size_t kept = 0, peak = 0;  // bytes of values at the end of the forward pass, and most in the step
};

struct Times {
  double median = 0, least = 0;
  std::size_t count = 0;
};

template <class Step>
Times time_steps(const Step& step, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  std::vector<double> us;
  const auto start = Clock::now();
  while (since(start) < seconds || us.size() < 5) {
    const auto begin = Clock::now();
    step();
    us.push_back(since(begin) * 1e6);
  }
  std::sort(us.begin(), us.end());
  return {us[us.size() / 2], us[0], us.size()};
}

// Runs the steps that were asked for and prints what they took. `step` is given a Memory to fill, or null.
void report(const Arguments& a, const auto& step, const double& loss) {
  for (int i = 0; i < 3; ++i) step(nullptr);
  const std::size_t heap_before = ag::memory_stats().heap_requests;
  Times times;
  if (a.repetitions)
    counted_steps([&] { step(nullptr); }, a.repetitions);
  else
    times = time_steps([&] { step(nullptr); }, a.seconds);
  const std::size_t heap_requests = ag::memory_stats().heap_requests - heap_before;

  constexpr std::size_t kCounted = 4;
  const std::size_t live = ag::memory_stats().live_bytes;
  ag::reset_peak_memory();
  Memory memory;
  bench::Allocations allocations;
  {
    const bench::CountAllocations count;
    for (std::size_t i = 0; i < kCounted; ++i) step(&memory);
    allocations = count.so_far();
  }
  memory.peak = ag::memory_stats().peak_bytes - live;

  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::ostringstream runtime;
  runtime << ag::runtime_info();
  std::printf(
      "{\"impl\":\"%s\",\"mode\":\"%s\",\"cell\":\"%s\",\"T\":%zu,\"B\":%zu,\"I\":%zu,\"H\":%zu,"
      "\"O\":%zu,\"threads\":%d,\"dtype\":\"%s\",",
      a.impl.c_str(), a.evaluation ? "evaluation" : "training", a.cell.c_str(), a.steps, a.batch, a.in,
      a.hidden, a.out, a.threads, a.f64 ? "f64" : "f32");
  if (a.repetitions)
    std::printf("\"reps\":%zu,", a.repetitions);
  else
    std::printf("\"us_per_step\":%.3f,\"min_us\":%.3f,\"reps\":%zu,", times.median, times.least, times.count);
  std::printf(
      "\"loss\":%.6g,\"kept_bytes\":%zu,\"peak_bytes\":%zu,\"pool_heap_requests\":%zu,"
      "\"allocations_per_step\":%g,\"library_allocations_per_step\":%g,\"peak_rss_mb\":%.1f,"
      "\"blas\":\"%s\",\"runtime\":\"%s\",\"compiler\":\"" __VERSION__ "\"}\n",
      loss, memory.kept, memory.peak, heap_requests, static_cast<double>(allocations.own) / kCounted,
      static_cast<double>(allocations.libraries) / kCounted, static_cast<double>(usage.ru_maxrss) / 1024,
      ag::runtime_info().blas_kernel.c_str(), runtime.str().c_str());
}

template <class T, class Cell>
void run(const Arguments& a, nn::Rng& rng, Cell cell) {
  nn::Linear<T> head(a.hidden, a.out, rng);
  const ag::Var<T> x = nn::init::normal<T>({a.steps, a.batch, a.in}, 0, 1, rng);
  const ag::Var<T> y = nn::init::normal<T>({a.steps, a.batch, a.out}, 0, 1, rng);
  nn::SGD<T> sgd(nn::parameters(cell, head), {.lr = 0.01});
  double loss_value = 0;
  nn::DataParallel parallel(static_cast<std::size_t>(a.threads));
  const auto train_in_parts = [&](Memory*) {
    const auto [loss, gradients] = parallel.backward(a.batch, [&](std::size_t begin, std::size_t end) {
      const auto part = [&](const ag::Var<T>& all) {
        return end - begin == a.batch ? all : ag::slice(all, {{}, {begin, end}});
      };
      return nn::mse(head(nn::unroll(cell, part(x)).output), part(y));
    });
    sgd.step(gradients);
    loss_value = loss;
  };
  const auto train = [&](Memory* memory) {
    const std::size_t before = memory ? ag::memory_stats().live_bytes : 0;
    ag::Tape tape;
    const auto [output, state] = nn::unroll(cell, x);
    const auto loss = nn::mse(head(output), y);
    if (memory) memory->kept = ag::memory_stats().live_bytes - before;
    sgd.step(tape.backward(loss));
    loss_value = static_cast<double>(loss.item());
  };
  const auto evaluate = [&](Memory*) {
    loss_value = static_cast<double>(nn::mse(head(nn::unroll(cell, x).output), y).item());
  };
  if (a.evaluation)
    report(a, evaluate, loss_value);
  else if (a.threads > 1)
    report(a, train_in_parts, loss_value);
  else
    report(a, train, loss_value);
}

template <class T>
void run(const Arguments& a) {
  nn::Rng rng(1);
  const auto either = [&]<class Custom, class Builtin>() {
#ifndef BENCH_GUARD
    if (a.impl == "builtin") return run<T>(a, rng, Builtin(a.in, a.hidden, rng));
#endif
    run<T>(a, rng, Custom(a.in, a.hidden, rng));
  };
  if (a.cell == "rnn")
    either.template operator()<bench::MyRNN<T>, nn::RNNCell<T>>();
  else if (a.cell == "gru")
    either.template operator()<bench::MyGRU<T>, nn::GRUCell<T>>();
  else if (a.cell == "lstm")
    either.template operator()<bench::MyLSTM<T>, nn::LSTMCell<T>>();
  else
    either.template operator()<bench::MyMGU<T>, nn::MGUCell<T>>();
}

int usage(const std::string& why) {
  std::fprintf(stderr, "bench_unroll: %s\n%s", why.c_str(), kUsage);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments a;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--f64" || key == "--evaluation") {
      (key == "--f64" ? a.f64 : a.evaluation) = true;
      continue;
    }
    if (i + 1 == argc) return usage("no value for " + key);
    const std::string value = argv[++i];
    const auto number = [&] { return static_cast<std::size_t>(std::max(1L, std::atol(value.c_str()))); };
    if (key == "--cell" && (value == "rnn" || value == "gru" || value == "lstm" || value == "mgu"))
      a.cell = value;
    else if (key == "--impl" && (value == "custom" || value == "builtin"))
      a.impl = value;
    else if (key == "--T")
      a.steps = number();
    else if (key == "--B")
      a.batch = number();
    else if (key == "--I")
      a.in = number();
    else if (key == "--H")
      a.hidden = number();
    else if (key == "--O")
      a.out = number();
    else if (key == "--threads")
      a.threads = static_cast<int>(number());
    else if (key == "--seconds")
      a.seconds = std::atof(value.c_str());
    else if (key == "--steps")
      a.repetitions = number();
    else
      return usage("unknown option " + key + " " + value);
  }
  ag::set_num_threads(a.evaluation ? a.threads : 1);  // training takes the threads for parts of the batch
#ifndef BENCH_GUARD  // which has custom cells in float alone, and compiles in a third of the time
  if (a.f64) return run<double>(a), 0;
#endif
  run<float>(a);
}
