// Looking at a tape: its nodes, what they cost, and a picture of them.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "tape.hpp"

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
  std::vector<std::string> scopes;  ///< from the outermost to the innermost
  std::ptrdiff_t step = -1;         ///< the innermost scope with a number, as an index into `scopes`
  std::vector<ValueInfo> operands, results;
  std::size_t value_bytes = 0;  ///< of the results
  std::size_t stash_bytes = 0;  ///< kept for the backward sweep besides operands and results
  double forward_seconds = 0;   ///< from the call of the op to that of the next one
  double backward_seconds = 0;  ///< in its rule, summed over all sweeps; the deferred weight gradients of a
                                ///< traced tape are computed in the rule
};

/// The nodes of a tape in the order in which they were recorded. Throws Error if the tape was consumed and
/// not traced, so that its nodes are gone.
std::vector<NodeInfo> nodes(const Tape& tape);

}  // namespace autograd
