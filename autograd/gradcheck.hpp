// gradcheck: gradients against finite differences, entry by entry.
#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "inspect.hpp"

namespace autograd {

/// How gradcheck works.
struct GradcheckOptions {
  double step = 1e-5;  ///< h of the central difference, times max(1, |x|)
  double atol = 1e-7;  ///< an entry passes if |analytic - numeric| <= atol + rtol |numeric|
  double rtol = 1e-5;
  int order = 1;  ///< 1: the gradient; 2: the gradient and, by differentiating it again, the Hessian
  std::size_t directions =
      0;  ///< 0: every entry by itself; k: only along k random directions, for large inputs
  std::vector<std::string> names{};  ///< what the report calls the inputs; "input 0", ... where none is given
};

/// One entry where the two gradients differ.
struct GradcheckMismatch {
  std::string input;               ///< its name, or "direction k"
  int order;                       ///< 1 or 2: which derivative it was
  std::string kind;                ///< "create_graph" if it is the recorded gradient that differs, else empty
  std::vector<std::size_t> index;  ///< of the entry in the input
  double analytic, numeric;
};

/// An entry where the function has no derivative, or none that a step of this size can tell (relu at 0, a tie
/// in max), and the analytic gradient is one of those that its two sides allow.
struct GradcheckKink {
  std::string input;
  int order;
  std::vector<std::size_t> index;
  double analytic, left, right;  ///< the gradient, and the one-sided differences
};

/// The first op, in the order of recording, whose rule is wrong by itself: on the operands that it was
/// recorded with, whatever comes before and after it.
struct GradcheckCulprit {
  std::string op;                  ///< as the user called it
  std::string detail;              ///< where its body or its call is written, if that is known
  std::string function;            ///< of a map: the function of its body that has the wrong derivative
  std::string scope;               ///< "encoder / LSTMCell / step 3"
  std::size_t node;                ///< its number on the tape
  std::string operand;             ///< the name of the operand with the wrong gradient, or "operand 1"
  std::vector<std::size_t> index;  ///< of the worst entry
  double analytic, numeric;        ///< of a weighted sum of its results
  bool recorded;                   ///< the rule for create_graph is wrong, the other one is right
  std::string mistake;             ///< "its sign is wrong", where that can be told
  std::size_t alike;               ///< nodes of the same op behind it that are wrong as well
};

/// What gradcheck found. Converts to true if all entries agree; prints as a page for people.
struct GradcheckReport {
  std::size_t checked = 0;                    ///< entries (or directions) compared
  double largest_error = 0;                   ///< of |analytic - numeric|, without kinks
  double atol = 0, rtol = 0;                  ///< as the options said
  std::vector<GradcheckMismatch> mismatches;  ///< the worst first
  std::vector<GradcheckKink> kinks;           ///< no errors
  std::vector<std::string> kinked_ops;        ///< the ops that are at a kink, with their scopes
  std::optional<GradcheckCulprit> culprit;    ///< of the mismatches
  std::string hint;                           ///< where there are mismatches and no rule is wrong
  /// Variables that f takes and that are not among the inputs. Of a module: those that its fields() leaves
  /// out, which are neither checked nor trained nor saved.
  std::vector<VariableInfo> unchecked;

  explicit operator bool() const { return mismatches.empty(); }
};

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report);

using CheckedFunction = std::function<Var<double>(const std::vector<Var<double>>&)>;

/// Compares the gradient of f with central differences, (f(x + h) - f(x - h)) / 2h, at every entry of every
/// input; or, with {.directions = k}, along k random directions of length 1 through all inputs, which takes 2
/// k calls of f however many entries there are, and misses an error only if it is orthogonal to all of them.
///
/// If they differ, every op that f recorded is checked by itself, and the report names the culprit.
///
/// f takes the inputs and returns a Var of any shape (more than a scalar is reduced with fixed random
/// weights). Inputs that are variables, such as the parameters of a module that f captures, are changed in
/// place during the check and set back after it, also if f throws; others become variables first. Throws
/// Error if an input or the output is empty, if the output is not finite, or if two calls of f differ.
GradcheckReport gradcheck(const CheckedFunction& f, std::vector<Var<double>> inputs,
                          GradcheckOptions options = {});

/// The same for a function of one to four Vars, called with the inputs, or of none, which captures them.
template <class F>
requires(!std::is_convertible_v<F, CheckedFunction>) GradcheckReport
    gradcheck(const F& f, std::vector<Var<double>> inputs, GradcheckOptions options = {}) {
  using V = const Var<double>&;
  const auto need = [count = inputs.size()](std::size_t wanted) {
    if (count != wanted)
      detail::fail("gradcheck: the function takes ", wanted, " inputs and got ", count, "; give it as many");
  };
  if constexpr (std::is_invocable_v<F>) {
    return gradcheck(CheckedFunction([&](const auto&) { return f(); }), std::move(inputs),
                     std::move(options));
  } else if constexpr (std::is_invocable_v<F, V>) {
    need(1);
    return gradcheck(CheckedFunction([&](const auto& x) { return f(x[0]); }), std::move(inputs),
                     std::move(options));
  } else if constexpr (std::is_invocable_v<F, V, V>) {
    need(2);
    return gradcheck(CheckedFunction([&](const auto& x) { return f(x[0], x[1]); }), std::move(inputs),
                     std::move(options));
  } else if constexpr (std::is_invocable_v<F, V, V, V>) {
    need(3);
    return gradcheck(CheckedFunction([&](const auto& x) { return f(x[0], x[1], x[2]); }), std::move(inputs),
                     std::move(options));
  } else {
    static_assert(std::is_invocable_v<F, V, V, V, V>,
                  "gradcheck: f must take a vector of Vars, or up to four Vars");
    need(4);
    return gradcheck(CheckedFunction([&](const auto& x) { return f(x[0], x[1], x[2], x[3]); }),
                     std::move(inputs), std::move(options));
  }
}

}  // namespace autograd
