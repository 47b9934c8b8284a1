// Training and evaluation: whether dropout and its like are at work.
#pragma once

#include <cstdint>

#include "random.hpp"

namespace nn {

namespace detail {

// What the innermost Training or Evaluation of this thread says.
struct Mode {
  bool training;
  Rng* rng;  // null in evaluation, and in a step that is computed again
};

// The random numbers of the steps of one unrolling. They depend on nothing but the seed, the step, and how
// many sites of the step have drawn before, so that a step that is computed again draws the same.
struct StepRandomness {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::uint64_t sites = 0, fixed_sites = 0;  // that have drawn in this step

  void begin_step(std::size_t t) {
    step = t;
    sites = fixed_sites = 0;
  }
};

struct RandomContext {
  const Mode* mode = nullptr;
  StepRandomness* steps = nullptr;  // of the innermost unrolling
};
extern thread_local constinit RandomContext random_context;

// Sets a part of the thread's context for as long as it lives.
template <class X>
class Bound {
 public:
  Bound(X& variable, X value) : variable_(variable), saved_(variable) { variable = value; }
  ~Bound() { variable_ = saved_; }
  Bound(const Bound&) = delete;

 private:
  X& variable_;
  X saved_;
};

}  // namespace detail

/// Training mode, for as long as it lives, on its thread: dropout, zoneout and teacher forcing take their
/// random numbers from `rng`.
///
///     ag::Tape tape;
///     nn::Training training(rng);
///     auto loss = ...;
///
/// Modes nest; the innermost holds. Without one nothing is random, but what would be then throws Error while
/// a tape records: a training that has forgotten its mode would train another network than is meant.
class Training {
 public:
  [[nodiscard]] explicit Training(Rng& rng)
      : mode_{true, &rng}, bound_(detail::random_context.mode, &mode_) {}
  Training(Rng&&) = delete;

 private:
  detail::Mode mode_;
  detail::Bound<const detail::Mode*> bound_;
};

/// Evaluation mode, for as long as it lives, on its thread: dropout passes everything, zoneout takes the
/// mean. Needed only where a tape records, to check gradients for example, or within a Training.
class Evaluation {
 public:
  [[nodiscard]] Evaluation() : bound_(detail::random_context.mode, &mode_) {}

 private:
  detail::Mode mode_{false, nullptr};
  detail::Bound<const detail::Mode*> bound_;
};

namespace detail {

// Whether the mode is training. Throws Error, for `who`, if a tape records and no mode was chosen.
bool training(const char* who);

// Uniform random numbers in [0, 1) of one site: the stream of SplitMix64 (Steele et al. 2014).
class SiteRandom {
 public:
  // Of the next site of the step that is computed, or, outside of steps, of the mode's generator. In
  // training.
  SiteRandom();
  // The same for all steps of an unrolling; for `who`, which needs one.
  explicit SiteRandom(const char* who);

  double uniform() { return static_cast<double>(mixed(state_ += 0x9E3779B97F4A7C15u) >> 11) * 0x1p-53; }
  static std::uint64_t mixed(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

// A seed for the steps of an unrolling that begins; 0 where the mode is not training.
std::uint64_t seed_of_steps();

}  // namespace detail
}  // namespace nn
