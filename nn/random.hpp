// Rng: the seeded generator that everything random takes as an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace nn {

/// Pseudo-random numbers, the same on every machine for the same seed, and the same as NumPy's legacy
/// RandomState
/// (`numpy.random.seed(s)`): MT19937 (Matsumoto and Nishimura 1998), doubles of 53 bits from two draws,
/// normals by Marsaglia's polar method, which makes two at a time.
class Rng {
 public:
  explicit Rng(std::uint32_t seed) : engine_(seed) {}

  /// Uniform in [0, 1), as `random_sample`.
  double uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Standard normal, as `randn`.
  double normal();
  /// Uniform integer in [0, bound). Throws Error for bound 0.
  std::size_t below(std::size_t bound);
  /// 0, ..., n - 1 in random order (Fisher and Yates).
  std::vector<std::size_t> permutation(std::size_t n);

 private:
  std::mt19937 engine_;
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace nn
