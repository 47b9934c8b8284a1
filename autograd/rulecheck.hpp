// Checks the rule of one node by itself: against finite differences of its op, on the operands that it was
// recorded with. What gradcheck finds the culprit by.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>

#include "trace.hpp"

namespace autograd::detail {

// A derivative by finite differences with step h, and what it says of smoothness at the place.
struct Slopes {
  double left, right;  // one-sided, with the smallest step that was tried
  double analytic, numeric;
  bool agree;  // within the tolerance
  bool kink;   // they differ, but the function is not smooth within h of the place, and the analytic value is
               // one of those that its sides allow
};

struct Tolerance {
  double step, atol, rtol;
  bool passes(double analytic, double numeric) const;
};

// Compares a derivative with finite differences. `difference(a, b)` gives f(x + b) - f(x + a), where x + b is
// b away from the place in the direction of the derivative.
template <class Difference>
Slopes compare_slopes(double analytic, double h, const Tolerance& tolerance, Difference&& difference) {
  Slopes slopes{0, 0, analytic, difference(-h, h) / (2 * h), false, false};
  slopes.agree = tolerance.passes(analytic, slopes.numeric);
  if (slopes.agree) return slopes;
  // At a kink the one-sided slopes stay apart however small the step; where a kink is near, or the curvature
  // large, the central slope of a smaller step agrees. Neither can be said of a wrong gradient.
  const double error = std::abs(analytic - slopes.numeric), small = h / 64;
  const double wide_gap = (difference(0, h) - difference(-h, 0)) / h;
  slopes.left = difference(-small, 0) / small;
  slopes.right = difference(0, small) / small;
  const double close = (slopes.left + slopes.right) / 2, gap = slopes.right - slopes.left;
  if (std::abs(analytic - close) <=
      std::max(0.01 * error, tolerance.atol + tolerance.rtol * std::abs(close))) {
    slopes.kink = true;
  } else if (std::abs(gap) > 0.5 * std::abs(wide_gap) && std::abs(gap) > 0.1 * error) {
    const double slack = 0.01 * std::abs(gap);
    slopes.kink = analytic >= std::min(slopes.left, slopes.right) - slack &&
                  analytic <= std::max(slopes.left, slopes.right) + slack;
  }
  return slopes;
}

// A rule that is wrong.
struct RuleFault {
  std::size_t operand;
  std::size_t entry;  // the worst of the operand
  double analytic, numeric;
  bool recorded;         // the rule that create_graph uses; the other one is right
  std::string mistake;   // the likely one, or empty
  std::string function;  // of a map: the function of its body whose derivative is wrong, or empty
};

struct RuleReport {
  std::optional<RuleFault> fault;
  bool kink = false;  // its op is not smooth at one of the operands' entries
};

// `thorough` looks at every entry of every operand; otherwise only those nodes are looked at closer that are
// found wrong along random directions.
RuleReport check_rule(const TapeStorage& tape, const Trace::Entry& entry, const Tolerance& tolerance,
                      bool thorough);

}  // namespace autograd::detail
