// Ops of a user's own: a value computed by any code, and the rule of its gradient.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "var.hpp"

namespace autograd {

/// The value of an op, given its inputs.
template <class T>
using Forward = std::function<Array<T>(const std::vector<Var<T>>& inputs)>;

/// The rule of an op: what arrives at each input, given what has arrived at the output (of its shape). It is
/// written with ops on Vars, so that it serves the gradient and, recorded, derivatives of any order. An empty
/// Var stands for no gradient; one of a shape to which the input broadcasts is summed over the broadcast
/// axes.
template <class T>
using Rule = std::function<std::vector<Var<T>>(const Var<T>& gradient, const std::vector<Var<T>>& inputs,
                                               const Var<T>& output)>;

/// An op of one's own on these inputs: how its value is computed, and the rule of its gradient; one node of
/// the tape.
///
///     // y = x^3, computed by a routine of one's own;  dL/dx = 3 x^2 dL/dy
///     ag::Var<double> cube(const ag::Var<double>& x) {
///       return ag::custom_op("cube", {x}, [](const auto& in) { return my_cube(in[0].value()); },
///                            [](const auto& g, const auto& in, const auto&) {
///                              return std::vector{3 * square(in[0]) * g};
///                            });
///     }
///
/// Both functions may be called after this returns, for as long as the tape lives (the forward one by
/// gradcheck, which checks every op by itself): capture by value. Throws Error if an input or the value is
/// empty, and in the sweep if the rule gives another number of gradients or one of a wrong shape.
template <class T>
Var<T> custom_op(std::string name, const std::vector<Var<T>>& inputs,
                 std::type_identity_t<Forward<T>> forward, std::type_identity_t<Rule<T>> rule,
                 detail::SourceLocation where = {__builtin_FILE(), __builtin_LINE()});
template <class T>
Var<T> custom_op(std::string name, std::initializer_list<Var<T>> inputs,
                 std::type_identity_t<Forward<T>> forward, std::type_identity_t<Rule<T>> rule,
                 detail::SourceLocation where = {__builtin_FILE(), __builtin_LINE()}) {
  return custom_op(std::move(name), std::vector<Var<T>>(inputs), std::move(forward), std::move(rule), where);
}

}  // namespace autograd
