// Rng: the seeded generator that everything random takes as an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace nn {

/// Pseudo-random numbers, the same on every machine for the same seed, and bit for bit those of NumPy's
/// legacy generator (`numpy.random.seed(s)`): 32-bit draws a, b, ... by MT19937 (Matsumoto and Nishimura
/// 1998), of which are made
///
///     uniform   u = (2^26 floor(a / 2^5) + floor(b / 2^6)) / 2^53
///     normal    n1 = v f,  n2 = w f    f = sqrt(-2 ln(r) / r),  r = v^2 + w^2
///
/// where w and v are uniforms scaled to [-1, 1), drawn in this order and anew until 0 < r < 1: the polar
/// method of Marsaglia and Bray (1964). n2 waits for the next call.
class Rng {
 public:
  explicit Rng(std::uint32_t seed) : engine_(seed) {}

  /// Uniform in [0, 1), as `random_sample` and `rand`.
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
