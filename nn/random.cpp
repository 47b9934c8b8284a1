#include "random.hpp"

#include <cmath>
#include <numeric>
#include <utility>

#include "autograd/error.hpp"

namespace nn {

double Rng::uniform() {
  const std::uint32_t high = engine_() >> 5, low = engine_() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

double Rng::normal() {
  if (std::exchange(has_spare_, false)) return spare_;
  double x = 0, y = 0, r2 = 0;
  do {
    x = 2 * uniform() - 1;
    y = 2 * uniform() - 1;
    r2 = x * x + y * y;
  } while (r2 >= 1 || r2 == 0);
  const double scale = std::sqrt(-2 * std::log(r2) / r2);
  spare_ = scale * x;
  has_spare_ = true;
  return scale * y;
}

std::size_t Rng::below(std::size_t bound) {
  if (bound == 0) autograd::detail::fail("Rng::below: the bound is 0; it must be at least 1");
  // Draws above the largest multiple of the bound are dropped, so that all results are equally likely.
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  for (;;) {
    const std::uint64_t draw = std::uint64_t{engine_()} << 32 | engine_();
    if (draw < limit) return draw % bound;
  }
}

std::vector<std::size_t> Rng::permutation(std::size_t n) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[below(i)]);
  return order;
}

}  // namespace nn
