// Training on several threads: each computes the gradients of a part of the batch. Not part of nn.hpp: its
// standard headers cost compiler time.
#pragma once

#include <algorithm>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "autograd/elementwise.hpp"
#include "mode.hpp"
#include "parameters.hpp"

namespace nn {

namespace detail {

// Threads that wait for work, asleep but for a moment after the last. They belong to one thread at a time.
class Workers {
 public:
  explicit Workers(std::size_t threads);
  ~Workers();
  Workers(const Workers&) = delete;

  // Calls work(i) for all i < count at the same time, 0 on this thread and each other one always on the same,
  // and waits for all. `count` is at most `threads`; work must not throw.
  using Work = std::function<void(std::size_t)>;
  void run(std::size_t count, const Work& work);

 private:
  struct Shared;
  void stop();

  std::unique_ptr<Shared> shared_;
  std::vector<std::thread> threads_;
};

// The mode of a part of a batch: that of the thread that asked for it, with random numbers of its own.
class PartMode {
 public:
  PartMode(const Mode* mode, std::uint32_t seed);

 private:
  std::optional<Rng> rng_;
  std::optional<Training> training_;
  std::optional<Evaluation> evaluation_;
};

// A seed for a part; 0 where the mode is not training.
std::uint32_t seed_of_part();

}  // namespace detail

/// The loss of a batch and its gradients.
struct BatchGradients {
  double loss;
  ag::Gradients gradients;
};

/// Computes the gradients of a batch on several threads, each of which records a tape of its own over a part
/// of the samples.
///
///     nn::DataParallel parallel;                               // a thread for each core
///     const auto [loss, gradients] = parallel.backward(batch, [&](std::size_t begin, std::size_t end) {
///       const auto inputs = ag::slice(x, {{}, {begin, end}});  // x (T, B, F)
///       return nn::mse(head(nn::unroll(cell, inputs).output), ag::slice(y, {{}, {begin, end}}));
///     });
///     adam.step(gradients);
///
/// The threads sleep between steps that are more than 50 microseconds apart. In training mode each part has
/// random numbers of its own, the same for the same generator and number of threads. Belongs to one thread at
/// a time.
class DataParallel {
 public:
  /// The threads, of which the caller's is one; 0 is one for each core. Throws Error if the system has not so
  /// many.
  explicit DataParallel(std::size_t threads = 0);
  ~DataParallel();
  DataParallel(const DataParallel&) = delete;

  std::size_t threads() const { return parts_.size(); }

  /// Of the loss of n samples
  ///
  ///     L = sum_p (end_p - begin_p) / n loss(begin_p, end_p)
  ///
  /// where the parts are as equal as can be and as many as there are threads, but none is empty: for a loss
  /// that is a mean over samples, that of the whole batch, up to rounding. The gradients are dL / d variable.
  ///
  /// `loss` is called for all parts at the same time, so it must change nothing that they share; it returns a
  /// scalar that it computes from variables and constants. Throws Error if n is 0, and what the first part
  /// throws that fails.
  template <class Loss>
  requires std::invocable<const Loss&, std::size_t, std::size_t> BatchGradients backward(std::size_t samples,
                                                                                         const Loss& loss) {
    detail::need_size("DataParallel", "samples", samples);
    const std::size_t count = std::min(samples, parts_.size());
    const detail::Mode* const mode = detail::random_context.mode;
    for (std::size_t i = 0; i < count; ++i) parts_[i].seed = detail::seed_of_part();
    const auto compute = [&](std::size_t i) {
      Part& part = parts_[i];
      part.gradients = {};  // of the last step: before memory is taken for others
      const std::size_t begin = samples * i / count, end = samples * (i + 1) / count;
      try {
        const detail::PartMode part_mode(mode, part.seed);
        ag::Tape tape;
        auto part_loss = loss(begin, end);
        using T = typename decltype(part_loss)::value_type;
        if (count > 1)
          part_loss = part_loss * T(static_cast<double>(end - begin) / static_cast<double>(samples));
        part.gradients = tape.backward(part_loss);
        part.loss = static_cast<double>(part_loss.item());
      } catch (...) {
        part.error = std::current_exception();
      }
    };
    workers_.run(count, std::cref(compute));
    return sum(count);
  }

 private:
  struct Part {
    double loss = 0;
    ag::Gradients gradients;  // in memory of the part's thread, which it gives back itself
    std::exception_ptr error;
    std::uint32_t seed = 0;
  };

  BatchGradients sum(std::size_t count);

  std::vector<Part> parts_;
  detail::Workers workers_;
};

}  // namespace nn
