// What the programs that time a training step have in common: its sizes, the clock, and the line of JSON.
// C++17, for libtorch's.
#pragma once

#include <algorithm>
#include <chrono>
#include <sstream>

#include "command_line.hpp"

namespace bench {

// Number is what the program's own library counts in.
template <class Number>
struct Workload {
  std::string cell;
  Number steps, batch, in, hidden, out;
  int threads;
  double seconds;  // of timing
  bool f64;

  explicit Workload(CommandLine& line)
      : cell(line.one_of("--cell", {"rnn", "gru", "lstm", "mgu"})),
        steps(line.count<Number>("--T", 64)),
        batch(line.count<Number>("--B", 32)),
        in(line.count<Number>("--I", 64)),
        hidden(line.count<Number>("--H", 128)),
        out(line.count<Number>("--O", 64)),
        threads(line.count("--threads", 1)),
        seconds(line.number("--seconds", 1)),
        f64(line.has("--f64")) {}

  // The members of its line of JSON.
  std::string json() const {
    std::ostringstream text;
    text << "\"cell\":\"" << cell << "\",\"T\":" << steps << ",\"B\":" << batch << ",\"I\":" << in
         << ",\"H\":" << hidden << ",\"O\":" << out << ",\"threads\":" << threads << ",\"dtype\":\""
         << (f64 ? "f64" : "f32") << '"';
    return text.str();
  }
};

// For the usage of a program.
inline const std::string kWorkloadOptions =
    "--cell rnn|gru|lstm|mgu --T n --B n --I n --H n --O n --threads n --seconds s [--f64]\n";

// Microseconds.
struct Times {
  double median = 0, least = 0;
  std::size_t count = 0;

  std::string json() const {
    char text[100];
    std::snprintf(text, sizeof text, "\"us_per_step\":%.3f,\"min_us\":%.3f,\"reps\":%zu", median, least,
                  count);
    return text;
  }
};

template <class Step>
void warm_up(const Step& step) {
  for (int i = 0; i < 3; ++i) step();
}

// Calls step() for so many seconds, five times at least.
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

}  // namespace bench
