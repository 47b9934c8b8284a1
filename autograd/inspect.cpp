#include "inspect.hpp"

#include <algorithm>
#include <set>

#include "trace.hpp"

namespace autograd {

using namespace detail;

namespace {

std::vector<Trace::Entry> entries_of(TapeStorage& tape, const char* call) {
  if (tape.trace) {
    tape.trace->end(tape);
    return tape.trace->entries();
  }
  if (tape.consumed)
    fail(call,
         ": this tape was consumed by backward and its nodes are gone; make it with Tape tape({.trace = "
         "true}), or look at it before");
  std::vector<Trace::Entry> entries;
  for (Node* node = tape.last; node; node = node->previous) {
    entries.push_back({node, ScopeRecord::kNone, {}, {}, {}});
    node->type->describe(*node, entries.back().description);
  }
  std::reverse(entries.begin(), entries.end());
  return entries;
}

// A part of a slot and the node that has written it.
struct Window {
  std::size_t begin, end, node;
};

// The nodes that have written to [begin, end) last, the earliest first.
std::vector<std::size_t> sources(const std::vector<Window>& written, std::size_t begin, std::size_t end) {
  std::vector<std::size_t> result;
  std::vector<std::pair<std::size_t, std::size_t>> open{{begin, end}}, left;
  for (auto window = written.rbegin(); window != written.rend() && !open.empty(); ++window) {
    left.clear();
    for (const auto& [low, high] : open) {
      if (window->begin >= high || low >= window->end) {
        left.emplace_back(low, high);
        continue;
      }
      if (result.empty() || result.back() != window->node) result.push_back(window->node);
      if (low < window->begin) left.emplace_back(low, window->begin);
      if (window->end < high) left.emplace_back(window->end, high);
    }
    open.swap(left);
  }
  std::reverse(result.begin(), result.end());
  return result;
}

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

// Whether a result was written over an operand.
bool in_place(const Description& description, const Description::Value& result) {
  return std::any_of(description.operands.begin(), description.operands.end(), [&](const auto& operand) {
    return operand.place.differentiable() && operand.place == result.place;
  });
}

}  // namespace

std::vector<NodeInfo> nodes(const Tape& tape) { return detail::nodes_for("nodes", tape); }

std::vector<NodeInfo> detail::nodes_for(const char* call, const Tape& tape) {
  TapeStorage& storage = storage_of(tape);
  const std::vector<Trace::Entry> entries = entries_of(storage, call);
  // The variables, and for every other slot the windows that have been written, with their nodes.
  std::vector<std::ptrdiff_t> leaf(storage.slots.size(), -1);
  for (std::size_t i = 0; i < storage.leaves.size(); ++i)
    leaf[storage.leaves[i].slot] = static_cast<std::ptrdiff_t>(i);
  std::vector<std::vector<Window>> written(storage.slots.size());

  std::vector<NodeInfo> result;
  for (const Trace::Entry& entry : entries) {
    NodeInfo& info = result.emplace_back();
    const Description& description = entry.description;
    info.op = description.op;
    info.detail = description.detail;
    if (storage.trace) {
      const std::vector<ScopeRecord>& scopes = storage.trace->scopes();
      for (std::uint32_t scope = entry.scope; scope != ScopeRecord::kNone; scope = scopes[scope].outer) {
        if (info.step < 0 && scopes[scope].numbered)
          info.step = static_cast<std::ptrdiff_t>(info.scopes.size());
        info.scopes.push_back(scopes[scope].name);
        info.scope_ids.push_back(scope);
      }
      std::reverse(info.scopes.begin(), info.scopes.end());
      std::reverse(info.scope_ids.begin(), info.scope_ids.end());
      if (info.step >= 0) info.step = static_cast<std::ptrdiff_t>(info.scopes.size()) - 1 - info.step;
    }
    for (const Description::Value& operand : description.operands) {
      ValueInfo& value = info.operands.emplace_back();
      value.shape = operand.shape;
      if (!operand.place.differentiable()) {
        value.kind = ValueInfo::Kind::constant;
        continue;
      }
      if (const std::ptrdiff_t number = leaf[operand.place.slot()]; number >= 0) {
        value.kind = ValueInfo::Kind::variable;
        value.sources = {static_cast<std::size_t>(number)};
        value.name = name_of(storage.leaves[value.sources[0]].block);
      } else {
        value.kind = ValueInfo::Kind::result;
        const std::size_t begin = operand.place.offset();
        value.sources = sources(written[operand.place.slot()], begin, begin + operand.shape.size());
      }
    }
    const std::size_t bytes = entry.node->type->element_bytes;
    for (const Description::Value& made : description.results) {
      info.results.push_back({ValueInfo::Kind::result, made.shape, {}, {}});
      if (!in_place(description, made)) info.value_bytes += made.shape.size() * bytes;
      written[made.place.slot()].push_back(
          {made.place.offset(), made.place.offset() + made.shape.size(), result.size() - 1});
    }
    info.stash_bytes = description.stash_bytes;
    info.forward_seconds = seconds(entry.forward);
    info.backward_seconds = seconds(entry.backward);
  }
  return result;
}

template <class T>
std::vector<VariableInfo> other_variables(const Tape& tape, const std::vector<Var<T>>& known) {
  const std::vector<Leaf>& leaves = storage_of(tape).leaves;
  std::set<const Block*> seen;
  for (const Var<T>& variable : known) seen.insert(variable.array().block());
  std::vector<VariableInfo> result;
  for (const NodeInfo& node : nodes_for("other_variables", tape))
    for (const ValueInfo& operand : node.operands)
      if (operand.kind == ValueInfo::Kind::variable && seen.insert(leaves[operand.sources[0]].block).second)
        result.push_back({operand.name, operand.shape, node.op, node.scopes});
  return result;
}

template std::vector<VariableInfo> other_variables(const Tape&, const std::vector<Var<float>>&);
template std::vector<VariableInfo> other_variables(const Tape&, const std::vector<Var<double>>&);

std::ostream& operator<<(std::ostream& out, const VariableInfo& variable) {
  out << (variable.name.empty() ? "a variable" : variable.name) << " of shape " << variable.shape
      << ", taken by " << variable.op;
  for (std::size_t i = 0; i < variable.scopes.size(); ++i) out << (i ? " / " : " in ") << variable.scopes[i];
  return out;
}

}  // namespace autograd
