#include "trace.hpp"

#include <cmath>
#include <sstream>

namespace autograd::detail {
namespace {

double element(const void* data, std::size_t element_bytes, std::size_t i) {
  return element_bytes == sizeof(float) ? static_cast<double>(static_cast<const float*>(data)[i])
                                        : static_cast<const double*>(data)[i];
}

// The first of `size` elements that is not finite, or `size`.
std::size_t first_not_finite(const void* data, std::size_t element_bytes, std::size_t size) {
  std::size_t i = 0;
  while (i < size && std::isfinite(element(data, element_bytes, i))) ++i;
  return i;
}

std::string index_text(std::size_t entry, const Shape& shape) {
  std::string text;
  for (std::size_t axis = shape.rank(); axis-- > 0; entry /= shape[axis])
    text = std::to_string(entry % shape[axis]) + (text.empty() ? "" : ", ") + text;
  return '[' + text + ']';
}

}  // namespace

std::string path_of(const std::vector<ScopeRecord>& scopes, std::uint32_t scope) {
  std::string path;
  for (; scope != ScopeRecord::kNone; scope = scopes[scope].outer)
    path = path.empty() ? scopes[scope].name : scopes[scope].name + " / " + path;
  return path;
}

const void* value_of(const TapeStorage& tape, const Description::Value& value, std::size_t element_bytes) {
  if (value.data) return value.data;
  for (const Leaf& leaf : tape.leaves)
    if (leaf.slot == value.place.slot)
      return static_cast<const char*>(leaf.block->data()) + value.place.offset * element_bytes;
  return tape.trace->value(value.place, element_bytes);
}

Trace::~Trace() {
  for (Value& value : values_) release(value.block);
}

std::uint32_t Trace::note(const Scope* scope) {
  if (!scope) return ScopeRecord::kNone;
  if (scope->traced_by_ != tape_) {
    const std::uint32_t outer = note(scope->outer());
    scopes_.push_back({scope->name(), scope->numbered(), outer, scope->where()});
    scope->traced_by_ = tape_;
    scope->traced_as_ = static_cast<std::uint32_t>(scopes_.size() - 1);
  }
  return scope->traced_as_;
}

void Trace::begin(TapeStorage& tape, Node* node) {
  end(tape);
  entries_.push_back({node, note(context.scope), {}, {}, {}});
  open_ = true;
}

void Trace::end(TapeStorage& tape) {
  if (!std::exchange(open_, false)) return;
  Entry& entry = entries_.back();
  entry.node->type->describe(*entry.node, entry.description);
  const Clock::time_point now = Clock::now();
  entry.forward = now - op_began_;
  if (detect_anomaly_) check_values(tape, entry);
  op_began_ = Clock::now();
}

void Trace::output(Place place, std::size_t element_bytes, Block* block, const void* data) {
  if (values_.size() <= place.slot) values_.resize(place.slot + 1);
  Value& value = values_[place.slot];
  release(std::exchange(value.block, retain(block)));
  value.data = static_cast<const char*>(data) - place.offset * element_bytes;
}

const void* Trace::value(Place place, std::size_t element_bytes) const {
  if (!place.differentiable() || place.slot >= values_.size() || !values_[place.slot].block) return nullptr;
  return values_[place.slot].data + place.offset * element_bytes;
}

void Trace::before_rule() { rule_began_ = Clock::now(); }

void Trace::after_rule(TapeStorage& tape, const Node* node) {
  const Clock::time_point now = Clock::now();
  if (!next_rule_ || entries_[next_rule_ - 1].node != node) {  // a sweep begins
    next_rule_ = entries_.size();
    while (entries_[next_rule_ - 1].node != node) --next_rule_;
  }
  Entry& entry = entries_[--next_rule_];
  entry.backward += now - rule_began_;
  if (detect_anomaly_) check_gradients(tape, entry);
}

namespace {

// "log (node 3, in lstm / step 2)"
std::string node_text(const Trace& trace, const Trace::Entry& entry) {
  std::ostringstream text;
  text << entry.description.op << " (node " << &entry - trace.entries().data();
  const std::string path = path_of(trace.scopes(), entry.scope);
  if (!path.empty()) text << ", in " << path;
  text << ')';
  return text.str();
}

const char* kind_of(const TapeStorage& tape, Place place) {
  if (!place.differentiable()) return "a constant";
  for (const Leaf& leaf : tape.leaves)
    if (leaf.slot == place.slot) return "a variable";
  return "a result";
}

}  // namespace

void Trace::check_values(TapeStorage& tape, const Entry& entry) const {
  const std::size_t bytes = entry.node->type->element_bytes;
  for (const Description::Value& result : entry.description.results) {
    const void* data = value(result.place, bytes);
    const std::size_t size = result.shape.size(), at = data ? first_not_finite(data, bytes, size) : size;
    if (at == size) continue;
    std::ostringstream text;
    text << "detect_anomaly: " << node_text(*this, entry) << " gave " << element(data, bytes, at) << " at "
         << index_text(at, result.shape) << " of its result of shape " << result.shape;
    const char* separator = "; ";
    for (std::size_t i = 0; i < entry.description.operands.size(); ++i) {
      const Description::Value& operand = entry.description.operands[i];
      if (operand.place.differentiable() && operand.place == result.place) continue;  // overwritten
      const void* own = value_of(tape, operand, bytes);
      if (!own) continue;
      const std::size_t own_size = operand.shape.size(), bad = first_not_finite(own, bytes, own_size);
      text << std::exchange(separator, ", ") << "operand " << i << ", " << kind_of(tape, operand.place)
           << " of shape " << operand.shape << ", ";
      if (bad < own_size)
        text << "already held " << element(own, bytes, bad) << " at " << index_text(bad, operand.shape);
      else if (operand.shape == result.shape)
        text << "was " << element(own, bytes, at) << " there";
      else
        text << "was finite";
    }
    throw Error(text.str());
  }
}

void Trace::check_gradients(TapeStorage& tape, const Entry& entry) const {
  const std::size_t bytes = entry.node->type->element_bytes;
  for (std::size_t i = 0; i < entry.description.operands.size(); ++i) {
    const Description::Value& operand = entry.description.operands[i];
    if (!operand.place.differentiable()) continue;
    const Slot& slot = tape.slots[operand.place.slot];
    const std::size_t size = operand.shape.size();
    const std::size_t low = std::max(slot.low, operand.place.offset),
                      high = std::min(slot.high, operand.place.offset + size);
    if (!slot.gradient || low >= high) continue;
    const char* data = slot.data + low * bytes;
    const std::size_t bad = first_not_finite(data, bytes, high - low);
    if (bad == high - low) continue;
    const std::size_t at = low + bad - operand.place.offset;
    std::ostringstream text;
    text << "detect_anomaly: the rule of " << node_text(*this, entry) << " gave " << element(data, bytes, bad)
         << " at " << index_text(at, operand.shape) << " of the gradient of operand " << i << ", "
         << kind_of(tape, operand.place) << " of shape " << operand.shape;
    if (const void* own = value_of(tape, operand, bytes))
      text << ", which is " << element(own, bytes, at) << " there";
    throw Error(text.str());
  }
}

// GCC: "... [with F = nn::LSTMCell<float>::step(...) const::<lambda(auto:1)>; ...]".
// Clang: "... [F = (lambda at /directory/file.cpp:12:34)]".
std::string place_of_lambda(std::string_view type) {
  type.remove_prefix(type.find("F = ") + 4);
  if (const std::size_t at = type.find("lambda at "); at != type.npos) {
    type = type.substr(at + 10, type.find(')', at) - at - 10);
    type = type.substr(0, type.rfind(':'));  // without the column
    return std::string(type.substr(type.rfind('/') + 1));
  }
  type = type.substr(0, type.find("::<lambda"));
  // The name of the function and what is before it, without arguments of functions and templates.
  std::string name;
  int depth = 0;
  for (const char c : type) {
    if (c == '(' || c == '<') ++depth;
    if (!depth) name += c;
    if (c == ')' || c == '>') --depth;
  }
  if (const std::size_t space = name.find(" ["); space != name.npos) name.resize(space);
  if (name.ends_with(" const")) name.resize(name.size() - 6);
  const std::size_t function = name.rfind("::");
  if (function == name.npos || function == 0) return name;
  const std::size_t before = name.rfind("::", function - 1);
  return before == name.npos ? name : name.substr(before + 2);
}

void TapeStorage::trace_node(Node* node) { trace->begin(*this, node); }
void end_node(TapeStorage& tape) { tape.trace->end(tape); }
void trace_output(TapeStorage& tape, Place place, Block* block, const void* data) {
  tape.trace->output(place, tape.slots[place.slot].element_bytes, block, data);
}

}  // namespace autograd::detail
