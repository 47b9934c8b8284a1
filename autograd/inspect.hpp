// Looking at a tape: its nodes, what they cost, and a picture of them.
#pragma once

#include <string>
#include <vector>

#include "var.hpp"

namespace autograd {

/// An operand or a result of a node.
struct ValueInfo {
  enum class Kind { constant, variable, result };
  Kind kind;
  Shape shape;
  std::string name;  ///< of a variable, if it has one
  /// Of an operand that is a result: the nodes that made it (more than one where they wrote it in parts); of
  /// a variable: its number among those that the tape has met.
  std::vector<std::size_t> sources;
};

/// A node of a tape. Scopes and times are known of a tape made with {.trace = true}.
struct NodeInfo {
  std::string op;      ///< as the user called it: "linear", "tanh", "map"
  std::string detail;  ///< of the op: for a map the function that its body is written in (with Clang: file
                       ///< and line), for a custom_op where it was called
  std::vector<std::string> scopes;     ///< from the outermost to the innermost
  std::vector<std::size_t> scope_ids;  ///< a number for each, since scopes of one name may not be the same
  std::ptrdiff_t step = -1;            ///< the innermost scope with a number, as an index into `scopes`
  std::vector<ValueInfo> operands, results;
  std::size_t value_bytes = 0;  ///< of the results, but for those that were written over an operand
  std::size_t stash_bytes = 0;  ///< kept for the backward sweep besides operands and results
  double forward_seconds = 0;   ///< from the call of the op to that of the next one
  double backward_seconds = 0;  ///< in its rule, summed over all sweeps; the deferred weight gradients of a
                                ///< traced tape are computed in the rule
};

/// The nodes of a tape in the order in which they were recorded. Throws Error if the tape was consumed and
/// not traced, so that its nodes are gone.
std::vector<NodeInfo> nodes(const Tape& tape);

/// A variable that a tape has met, and the first node that takes it.
struct VariableInfo {
  std::string name;                 ///< if it has one
  Shape shape;                      ///< as the node takes it, which may be a window of it
  std::string op;                   ///< of the node
  std::vector<std::string> scopes;  ///< of the node, if the tape was traced
};

/// As text: "head.weight of shape (2, 3), taken by linear in encoder / step 0".
std::ostream& operator<<(std::ostream& out, const VariableInfo& variable);

/// The variables that nodes of a tape take and that are not among these, in the order of recording; without
/// those that are only used detached. Throws Error where nodes() does.
template <class T>
std::vector<VariableInfo> other_variables(const Tape& tape, const std::vector<Var<T>>& known);

/// How summary() makes its table.
struct SummaryOptions {
  /// A row for each scope, with all that is inside of it, instead of one for each op. Scopes that differ only
  /// in their number, such as the steps of an unrolled network, are one row.
  bool by_scope = false;
};

/// A table for people: for each op the number of its nodes, the bytes of their values and of what they keep
/// besides for the backward sweep (the stash), and, of a tape made with {.trace = true}, the time they took
/// forward and backward. What took longest comes first; where no times are known, what holds most.
///
/// Throws Error where nodes() does, and for rows by scope of a tape that was not traced.
std::string summary(const Tape& tape, SummaryOptions options = {});

/// The nodes and variables of a tape as a graph in the language of Graphviz, `dot -Tsvg` draws it: computed
/// from left to right, with a frame around each scope. Time steps are scopes, so they lie side by side. A
/// variable is drawn as a box in each scope that uses it; where an edge has a shape, only that part of the
/// value is used. Throws Error where nodes() does.
std::string to_dot(const Tape& tape);

namespace detail {

// nodes(), for a call that errors name; and a name as one line of text.
std::vector<NodeInfo> nodes_for(const char* call, const Tape& tape);
std::string one_line(std::string name);

}  // namespace detail

}  // namespace autograd
