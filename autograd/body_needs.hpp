// Which inputs of a map body its partial derivatives contain: the others need not be kept for the reverse
// sweep. d tanh(x)/dx = 1 - tanh(x)^2, for instance, contains only the result, which is in the stash.
//
// The body is called once with probes, which follow what each value is computed from.
#pragma once

#include "lanes.hpp"

namespace autograd::detail {

// One bit for each input.
using InputMask = std::uint32_t;

// What a body is called with to find out: a value of it, or of a slope.
template <class T>
struct Probe {
  using value_type = T;
  InputMask reads = 0;   // inputs that it is computed from, where it is not in the stash
  InputMask live = 0;    // inputs that it has a derivative with respect to
  InputMask needed = 0;  // inputs that these derivatives contain
  bool stashes = false;  // costly functions leave their results in the stash
  bool in_slope = false;
  bool is_stashed = false;  // it is the very result of a costly function

  Probe() = default;
  template <Number X>
  Probe(X) {}  // NOLINT(google-explicit-constructor): a constant
};

template <class T>
struct IsLane<Probe<T>> : std::true_type {};

template <class X, class T>
struct LiftedLane<X, Probe<T>> {
  static Probe<T> lift(const X&) { return {}; }
};

// What a slope is computed from.
template <class T>
InputMask reads_of(const Probe<T>& slope) {
  return slope.reads;
}
template <class T, bool kWhere>
InputMask reads_of(const Gate<Probe<T>, kWhere>& slope) {
  return slope.condition.reads;
}
template <class Tag>
InputMask reads_of(const Tag&) {
  return 0;
}

template <class F, class T, class... Rest>
Probe<T> apply(const Probe<T>& first, const Rest&... rest) {
  Probe<T> y;
  y.stashes = (first.stashes || ... || rest.stashes);
  y.in_slope = (first.in_slope || ... || rest.in_slope);
  const InputMask all = (first.reads | ... | rest.reads);
  y.is_stashed = F::kCostly && y.stashes && !y.in_slope;
  y.reads = y.is_stashed ? 0 : all;
  if (y.in_slope) return y;

  const auto in_slope = [](Probe<T> x) {
    x.in_slope = true;
    return x;
  };
  const auto pass = [&]<std::size_t kOperand>(const Probe<T>& x) {
    InputMask contained = all | y.reads;  // by the slope; that of a user's function may contain anything
    if constexpr (!UserFunction<F>) {
      const auto slope = F::template slope<kOperand>(in_slope(first), in_slope(rest)..., in_slope(y));
      if constexpr (std::is_same_v<std::remove_const_t<decltype(slope)>, Zero>) return;
      contained = reads_of(slope);
    }
    y.live |= x.live;
    if (x.live) y.needed |= x.needed | contained;
  };
  [&]<std::size_t... kI>(std::index_sequence<kI...>) {
    const Probe<T>* const x[] = {&first, &rest...};
    (pass.template operator()<kI>(*x[kI]), ...);
  }
  (std::make_index_sequence<1 + sizeof...(Rest)>{});
  return y;
}

}  // namespace autograd::detail
