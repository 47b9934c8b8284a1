// Derivatives beyond the gradient of a scalar: products with the Jacobian from either side, whole Jacobians,
// and second derivatives. All are of values that the active tape recorded, and all take GradOptions: with
// create_graph they can be differentiated again, with keep_tape the tape stays for another call.
//
// jvp and hvp are sweeps that carry tangents and record nothing. With create_graph, and on a traced tape,
// whose nodes show all that is computed, they are recorded gradients of recorded gradients instead: the same
// numbers up to rounding, at several times the cost.
#pragma once

#include <initializer_list>
#include <vector>

#include "grad.hpp"

namespace autograd {

/// Vector-Jacobian products: the gradients of sum_k sum(outputs[k] cotangents[k]) for each input, by one
/// reverse sweep. Throws Error if a cotangent has not its output's shape, and as grad does.
template <class T>
std::vector<Var<T>> vjp(const std::vector<Var<T>>& outputs, const std::vector<Var<T>>& inputs,
                        const std::vector<Var<T>>& cotangents, GradOptions options = {});
template <class T>
Var<T> vjp(const Var<T>& output, const Var<T>& input, const Var<T>& cotangent, GradOptions options = {});
/// In braces: a vector, of one entry too.
template <class T>
std::vector<Var<T>> vjp(std::initializer_list<Var<T>> outputs, std::initializer_list<Var<T>> inputs,
                        std::initializer_list<Var<T>> cotangents, GradOptions options = {}) {
  return vjp(std::vector(outputs), std::vector(inputs), std::vector(cotangents), options);
}

/// Jacobian-vector product: the derivative of the output in the direction of the tangents,
///
///     sum_i d output / d inputs[i] . tangents[i]
///
/// of the output's shape, by one sweep from the first node to the last (forward mode, Wengert 1964) at the
/// cost, recording included, of some four to six evaluations. With create_graph it comes from two reverse
/// sweeps: u -> u^T J is linear, and its own vector-Jacobian product with the tangents is J v. Throws Error
/// if a tangent has not its input's shape, and as grad does.
template <class T>
Var<T> jvp(const Var<T>& output, const std::vector<Var<T>>& inputs, const std::vector<Var<T>>& tangents,
           GradOptions options = {});
template <class T>
Var<T> jvp(const Var<T>& output, const Var<T>& input, const Var<T>& tangent, GradOptions options = {});

/// The Jacobian, d output / d input, of shape (output's axes..., input's axes...): one reverse sweep for each
/// entry of the output. Throws Error if that are more axes than a Shape has, and as grad does.
template <class T>
Var<T> jacobian(const Var<T>& output, const Var<T>& input, GradOptions options = {});

/// The Hessian of a scalar, of shape (input's axes..., input's axes...): one reverse sweep for each entry of
/// the input.
template <class T>
Var<T> hessian(const Var<T>& output, const Var<T>& input, GradOptions options = {});

/// Hessian-vector products of a scalar: for each input i
///
///     sum_j d^2 output / (d inputs[i] d inputs[j]) . vectors[j]
///
/// by one sweep forwards, for the tangents of all values, and one backwards that carries every gradient and
/// its tangent (Pearlmutter 1994, "Fast exact multiplication by the Hessian"). It costs some four or five
/// gradients, however many entries there are; with create_graph it is the gradient of a recorded gradient.
/// Inputs on which the gradient does not depend have zeros. Throws Error if a vector has not its input's
/// shape, and as grad does.
template <class T>
std::vector<Var<T>> hvp(const Var<T>& output, const std::vector<Var<T>>& inputs,
                        const std::vector<Var<T>>& vectors, GradOptions options = {});
template <class T>
Var<T> hvp(const Var<T>& output, const Var<T>& input, const Var<T>& vector, GradOptions options = {});
/// In braces: a vector, of one entry too.
template <class T>
std::vector<Var<T>> hvp(const Var<T>& output, std::initializer_list<Var<T>> inputs,
                        std::initializer_list<Var<T>> vectors, GradOptions options = {}) {
  return hvp(output, std::vector(inputs), std::vector(vectors), options);
}

}  // namespace autograd
