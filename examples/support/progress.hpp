// A progress bar with the loss and the time left.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

namespace support {

/// Shows how far a run of `total` equal parts has come: on a terminal as one line that is drawn over,
/// elsewhere (a file, a pipe) as a plain line at each quarter.
///
///     Progress progress("training", epochs);
///     for (...) progress.advance(loss);
class Progress {
 public:
  Progress(std::string title, std::size_t total)
      : title_(std::move(title)),
        total_(std::max<std::size_t>(total, 1)),
        terminal_(isatty(STDOUT_FILENO) == 1) {}
  Progress(const Progress&) = delete;
  ~Progress() {
    if (terminal_ && done_ > 0 && done_ < total_) std::puts("");  // an exception ended the run in mid-line
  }

  /// One part more is done, and this is the loss now.
  void advance(double loss) {
    const std::size_t quarter = 4 * done_ / total_;
    done_ = std::min(done_ + 1, total_);
    const bool end = done_ == total_;
    const auto now = Clock::now();
    if (terminal_ ? !end && now - drawn_ < std::chrono::milliseconds(50) : 4 * done_ / total_ == quarter)
      return;
    drawn_ = now;

    constexpr std::size_t kWidth = 24;
    const std::size_t filled = kWidth * done_ / total_;
    const std::string bar =
        terminal_ ? "[" + std::string(filled, '#') + std::string(kWidth - filled, '.') + "]  " : "";
    const double elapsed = std::chrono::duration<double>(now - start_).count();
    const double left = elapsed * static_cast<double>(total_ - done_) / static_cast<double>(done_);
    std::printf("%s%-22s %s%3zu %%  loss %.4f  %5.1f s%s%s", terminal_ ? "\r" : "", title_.c_str(),
                bar.c_str(), 100 * done_ / total_, loss, end ? elapsed : left,
                end ? (terminal_ ? "     " : "") : " left", terminal_ && !end ? "" : "\n");
    std::fflush(stdout);
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::string title_;
  std::size_t total_, done_ = 0;
  bool terminal_;
  Clock::time_point start_ = Clock::now(), drawn_{};
};

}  // namespace support
