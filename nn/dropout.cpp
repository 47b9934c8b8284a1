#include "dropout.hpp"

namespace nn::detail {

void check_probability(const char* who, double p) {
  if (!(p >= 0 && p < 1)) autograd::detail::fail(who, ": the probability is ", p, "; it must be in [0, 1)");
}

}  // namespace nn::detail
