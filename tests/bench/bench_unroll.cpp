// Times a training step: forward, linear readout at every step, mean squared error, backward, SGD. The same
// workload, arguments and output line as the hand-written program, for cells written by a user (custom) and
// the library's (builtin). Beside the time it tells the memory and the heap allocations of a steady step.
#include <sys/resource.h>

#include <functional>

#include "allocations.hpp"
#include "cells.hpp"
#include "nn/data_parallel.hpp"
#include "workload.hpp"

namespace ag = autograd;

// The guard has callgrind count within this function.
[[gnu::noinline]] void counted_steps(const std::function<void()>& step, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) step();
}

namespace {

const std::string kUsage =
    "usage: bench_unroll " + bench::kWorkloadOptions +
    "                    [--impl custom|builtin] [--evaluation] [--steps n]\n"
    "  --evaluation   the forward pass and the loss, without a tape\n"
    "  --steps n      after warming up takes n steps, in counted_steps(), without a clock\n";

struct Arguments : bench::Workload<std::size_t> {
  std::string impl;
  bool evaluation;
  std::size_t repetitions;  // 0: as many as fit into `seconds`

  explicit Arguments(bench::CommandLine& line)
      : Workload(line),
        impl(line.one_of("--impl", {"custom", "builtin"})),
        evaluation(line.has("--evaluation")),
        repetitions(line.count<std::size_t>("--steps", 0)) {
    line.end();
  }
};

struct Memory {
  std::size_t kept = 0, peak = 0;  // bytes of values at the end of the forward pass, and most in the step
};

// Runs the steps that were asked for and prints what they took. `step` is given a Memory to fill, or null.
void report(const Arguments& a, const auto& step, const double& loss) {
  bench::warm_up([&] { step(nullptr); });
  const std::size_t heap_before = ag::memory_stats().heap_requests;
  bench::Times times{0, 0, a.repetitions};
  if (a.repetitions)
    counted_steps([&] { step(nullptr); }, a.repetitions);
  else
    times = bench::time_steps([&] { step(nullptr); }, a.seconds);
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
      "{\"impl\":\"%s\",\"mode\":\"%s\",%s,%s,\"loss\":%.6g,\"kept_bytes\":%zu,\"peak_bytes\":%zu,"
      "\"pool_heap_requests\":%zu,\"allocations_per_step\":%g,\"library_allocations_per_step\":%g,"
      "\"peak_rss_mb\":%.1f,\"blas\":\"%s\",\"runtime\":\"%s\",\"compiler\":\"" __VERSION__ "\"}\n",
      a.impl.c_str(), a.evaluation ? "evaluation" : "training", a.json().c_str(), times.json().c_str(), loss,
      memory.kept, memory.peak, heap_requests, static_cast<double>(allocations.own) / kCounted,
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

}  // namespace

int main(int argc, char** argv) {
  bench::CommandLine line(argc, argv, kUsage);
  const Arguments a(line);
  ag::set_num_threads(a.evaluation ? a.threads : 1);  // training takes the threads for parts of the batch
#ifndef BENCH_GUARD  // which has custom cells in float alone, and compiles in a third of the time
  if (a.f64) return run<double>(a), 0;
#endif
  run<float>(a);
}
