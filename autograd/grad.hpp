// grad: derivatives with respect to chosen values, of any order.
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "var.hpp"

namespace autograd {

/// How grad works.
struct GradOptions {
  bool create_graph = false;  ///< record the gradients themselves, so that they can be differentiated again
  bool keep_tape = false;     ///< keep the tape for another sweep; create_graph implies it
  bool allow_unused =
      false;  ///< give zeros for an input that the output does not depend on, instead of an Error
};

/// d output / d inputs[i], each of the shape of its input, for a scalar output. Inputs are variables or
/// recorded values (also intermediate ones) of the active tape.
///
/// Throws Error if no tape is active or it was consumed, if the output is not a scalar or was not recorded on
/// it, if an input is a constant, or if the output does not depend on it (unless allow_unused; a window of a
/// value that is in use has zeros). The tape is then as before.
template <class T>
std::vector<Var<T>> grad(const Var<T>& output, std::span<const Var<T>> inputs, GradOptions options = {});

/// The same for one input.
template <class T>
Var<T> grad(const Var<T>& output, const Var<T>& input, GradOptions options = {}) {
  return grad(output, std::span<const Var<T>>(&input, 1), options)[0];
}
/// The same for a vector of inputs, such as nn::parameters gives.
template <class T>
std::vector<Var<T>> grad(const Var<T>& output, const std::vector<Var<T>>& inputs, GradOptions options = {}) {
  return grad(output, std::span<const Var<T>>(inputs), options);
}
/// The same for inputs in braces: a vector, of one entry too.
template <class T>
std::vector<Var<T>> grad(const Var<T>& output, std::initializer_list<Var<T>> inputs,
                         GradOptions options = {}) {
  return grad(output, std::span<const Var<T>>(inputs.begin(), inputs.size()), options);
}

}  // namespace autograd
