// Dropout.
#pragma once

#include "autograd/composites.hpp"
#include "mode.hpp"

namespace nn {

namespace ag = autograd;

namespace detail {

// Throws Error unless 0 <= p < 1.
void check_probability(const char* who, double p);

}  // namespace detail

/// In training each entry is 0 with probability p and x / (1 - p) otherwise; in evaluation it is x
/// (Srivastava et al. 2014). See Training. Throws Error unless 0 <= p < 1, and if a tape records and no mode
/// was chosen.
template <class T>
ag::Var<T> dropout(const ag::Var<T>& x, double p) {
  detail::check_probability("dropout", p);
  if (p == 0 || !detail::training("dropout")) return x;
  detail::SiteRandom random;
  return ag::dropout(x, p, random);
}

/// dropout as a layer.
struct Dropout {
  double p;

  /// Throws Error unless 0 <= p < 1.
  explicit Dropout(double probability) : p(probability) { detail::check_probability("Dropout", p); }

  template <class T>
  ag::Var<T> operator()(const ag::Var<T>& x) const {
    return dropout(x, p);
  }
};

}  // namespace nn
