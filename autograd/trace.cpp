#include "trace.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
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

std::string number_text(double number) {
  if (std::isnan(number)) return "nan";  // whatever its sign
  std::ostringstream text;
  text << number;
  return text.str();
}

// " at [1, 2]", or nothing for a scalar.
std::string at_text(std::size_t entry, const Shape& shape) {
  if (!shape.rank()) return {};
  std::string text;
  for (std::size_t axis = shape.rank(); axis-- > 0; entry /= shape[axis])
    text = std::to_string(entry % shape[axis]) + (text.empty() ? "" : ", ") + text;
  return " at [" + text + ']';
}

// Which entry of `small` is broadcast to an entry of `large`, or none if the shapes do not fit.
std::optional<std::size_t> broadcast_entry(const Shape& small, const Shape& large, std::size_t entry) {
  if (small.rank() > large.rank()) return {};
  std::size_t at = 0, step = 1;
  for (std::size_t i = 1; i <= small.rank(); ++i) {
    const std::size_t extent = small[small.rank() - i], whole = large[large.rank() - i];
    if (extent != 1 && extent != whole) return {};
    if (extent != 1) at += entry % whole * step;
    entry /= whole;
    step *= extent;
  }
  return at;
}

const Leaf* variable_at(const TapeStorage& tape, Place place) {
  for (const Leaf& leaf : tape.leaves)
    if (place.differentiable() && leaf.slot == place.slot()) return &leaf;
  return nullptr;
}

double largest_magnitude(const void* data, std::size_t element_bytes, std::size_t size) {
  double largest = 0;
  for (std::size_t i = 0; i < size; ++i)
    largest = std::max(largest, std::abs(element(data, element_bytes, i)));
  return largest;
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
  if (const Leaf* variable = variable_at(tape, value.place))
    return static_cast<const char*>(variable->block->data()) + value.place.offset() * element_bytes;
  return tape.trace->value(value.place, element_bytes);
}

std::string Trace::name_of_node(std::size_t entry) const {
  const std::string path = path_of(scopes_, entries_[entry].scope), &op = entries_[entry].description.op;
  return path.empty() ? op : op + " (in " + path + ')';
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
  if (open_) end(tape);
  entries_.push_back({node, note(context.scope), {}, {}, {}});
  open_ = true;
}

void Trace::end(TapeStorage& tape) {
  if (!std::exchange(open_, false)) {
    if (entries_.empty()) op_began_ = Clock::now();  // what came before the first op is none of its time
    return;
  }
  const Clock::time_point now = Clock::now();
  Entry& entry = entries_.back();
  entry.forward = now - op_began_;
  entry.node->type->describe(*entry.node, entry.description);
  if (detect_anomaly_) check_values(tape, entry);
  op_began_ = Clock::now();
}

void Trace::output(Place place, std::size_t element_bytes, Block* block, const void* data) {
  if (values_.size() <= place.slot()) values_.resize(place.slot() + 1);
  Value& value = values_[place.slot()];
  release(std::exchange(value.block, retain(block)));
  value.data = static_cast<const char*>(data) - place.offset() * element_bytes;
}

const void* Trace::value(Place place, std::size_t element_bytes) const {
  if (!place.differentiable() || place.slot() >= values_.size() || !values_[place.slot()].block)
    return nullptr;
  return values_[place.slot()].data + place.offset() * element_bytes;
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
  if (!entry.description.detail.empty()) text << ", " << entry.description.detail;
  const std::string path = path_of(trace.scopes(), entry.scope);
  if (!path.empty()) text << ", in " << path;
  text << ')';
  return text.str();
}

// "operand 1, variable weight of shape (2, 3)"
std::string operand_text(const TapeStorage& tape, const Trace::Entry& entry, std::size_t index) {
  const Description::Value& operand = entry.description.operands[index];
  std::ostringstream text;
  text << "operand " << index << ", ";
  if (const Leaf* variable = variable_at(tape, operand.place)) {
    const std::string name = name_of(variable->block);
    text << (name.empty() ? "a variable" : "variable " + name);
  } else {
    text << (operand.place.differentiable() ? "a result" : "a constant");
  }
  text << " of shape " << operand.shape;
  return text.str();
}

}  // namespace

void Trace::check_values(TapeStorage& tape, const Entry& entry) const {
  const std::size_t bytes = entry.node->type->element_bytes;
  const Description& description = entry.description;
  for (const Description::Value& result : description.results) {
    const void* data = value(result.place, bytes);
    const std::size_t size = result.shape.size(), at = data ? first_not_finite(data, bytes, size) : size;
    if (at == size) continue;
    const double found = element(data, bytes, at);
    std::ostringstream text;
    text << "detect_anomaly: " << node_text(*this, entry) << " gave " << number_text(found);
    if (result.shape.rank()) {
      text << at_text(at, result.shape) << " of its result ";
      if (description.results.size() > 1) text << &result - description.results.data() << ' ';
      text << "of shape " << result.shape;
    }
    const char* remedy =
        std::isnan(found)
            ? "keep the operands where the op is defined, for example with clamp, or with where before it"
            : "the numbers grew too large, or a divisor or an argument was 0: keep the operands in range, "
              "for "
              "example with clamp, a smaller scale, or an epsilon";
    const bool elementwise = std::all_of(
        description.operands.begin(), description.operands.end(),
        [&](const auto& operand) { return broadcast_entry(operand.shape, result.shape, at).has_value(); });
    for (std::size_t i = 0; i < description.operands.size(); ++i) {
      const Description::Value& operand = description.operands[i];
      if (operand.place.differentiable() && operand.place == result.place) continue;  // overwritten
      const void* own = value_of(tape, operand, bytes);
      if (!own) continue;
      const std::size_t own_size = operand.shape.size(), bad = first_not_finite(own, bytes, own_size);
      text << "; " << operand_text(tape, entry, i) << ", ";
      if (bad < own_size) {
        text << "was " << number_text(element(own, bytes, bad)) << " already" << at_text(bad, operand.shape);
        remedy = variable_at(tape, operand.place)
                     ? "look at what set the variable: its initial value, or the update before"
                     : "look at where this value comes from";
      } else if (elementwise || own_size == 1) {
        const std::size_t there = elementwise ? *broadcast_entry(operand.shape, result.shape, at) : 0;
        text << "was " << number_text(element(own, bytes, there)) << at_text(there, operand.shape);
      } else {
        text << "was at most " << number_text(largest_magnitude(own, bytes, own_size)) << " in magnitude";
      }
    }
    text << "; " << remedy;
    throw Error(text.str());
  }
}

void Trace::check_gradients(TapeStorage& tape, const Entry& entry) const {
  const std::size_t bytes = entry.node->type->element_bytes;
  const Description& description = entry.description;
  // The elements of the gradient that has arrived at a value: how many, from which one on.
  struct Arrived {
    const char* data = nullptr;
    std::size_t count = 0, first = 0;
  };
  const auto arrived = [&](const Description::Value& value) -> Arrived {
    if (!value.place.differentiable()) return {};
    const Slot& slot = tape.slots[value.place.slot()];
    const std::size_t low = std::max(slot.low, value.place.offset()),
                      high = std::min(slot.high, value.place.offset() + value.shape.size());
    if (!slot.gradient || low >= high) return {};
    return {slot.data + low * bytes, high - low, low - value.place.offset()};
  };
  for (std::size_t i = 0; i < description.operands.size(); ++i) {
    const Description::Value& operand = description.operands[i];
    const Arrived gradient = arrived(operand);
    const std::size_t bad = first_not_finite(gradient.data, bytes, gradient.count);
    if (bad == gradient.count) continue;
    const std::size_t at = gradient.first + bad;
    std::ostringstream text;
    text << "detect_anomaly: the rule of " << node_text(*this, entry) << " gave "
         << number_text(element(gradient.data, bytes, bad)) << at_text(at, operand.shape)
         << " for the gradient of " << operand_text(tape, entry, i);
    if (const void* own = value_of(tape, operand, bytes))
      text << ", which is " << number_text(element(own, bytes, at)) << (operand.shape.rank() ? " there" : "");
    double largest = 0;
    for (const Description::Value& result : description.results) {
      const Arrived from = arrived(result);
      if (first_not_finite(from.data, bytes, from.count) < from.count) largest = INFINITY;
      largest = std::max(largest, largest_magnitude(from.data, bytes, from.count));
    }
    // Where two of that size overflow when they are multiplied, it is no single derivative that did it.
    const double large =
        std::sqrt(bytes == sizeof(float) ? static_cast<double>(std::numeric_limits<float>::max())
                                         : std::numeric_limits<double>::max());
    if (largest == INFINITY)
      text << "; the gradient that it was given was not finite: look at where that comes from";
    else if (largest > large)
      text << "; the gradient that it was given was at most " << number_text(largest)
           << " in magnitude, so gradients grew on the way to here: scale the loss or the weights down, or "
              "unroll over fewer steps";
    else
      text
          << "; the gradient that it was given was at most " << number_text(largest)
          << " in magnitude: keep the operand away from there before the op, for example with clamp, or with "
             "where (a where after the op leaves 0 times inf)";
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
  tape.trace->output(place, tape.slots[place.slot()].element_bytes, block, data);
}

}  // namespace autograd::detail
