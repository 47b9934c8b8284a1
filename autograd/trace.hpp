// What a tape notes of its nodes if it is asked to (TapeOptions): what each is, where it was recorded, how
// long it took, and that it is finite. The tape knows of it only that it may be there.
#pragma once

#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "description.hpp"

namespace autograd::detail {

// A scope as the tape saw it.
struct ScopeRecord {
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::string name;
  bool numbered;
  std::uint32_t outer;  // index of its record, or kNone
  SourceLocation where;
};

class Trace {
 public:
  struct Entry {
    Node* node;
    std::uint32_t scope;
    Description description;
    std::chrono::nanoseconds forward{}, backward{};
  };

  Trace(std::uint64_t tape, bool detect_anomaly) : tape_(tape), detect_anomaly_(detect_anomaly) {}
  ~Trace();
  Trace(const Trace&) = delete;

  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<ScopeRecord>& scopes() const { return scopes_; }
  // Its op and its scopes: "linear (in LSTMCell / step 3)".
  std::string name_of_node(std::size_t entry) const;

  void begin(TapeStorage& tape, Node* node);  // it is on the tape, but not yet filled in
  void end(TapeStorage& tape);                // it is filled in, and its results are computed
  void output(Place place, std::size_t element_bytes, Block* block, const void* data);

  // The elements of a value that an op has made, as they are now; null if no op has.
  const void* value(Place place, std::size_t element_bytes) const;

  // Around the rule of a node. Rules run from the last node to the first, more than once if the tape is kept.
  void before_rule();
  void after_rule(TapeStorage& tape, const Node* node);

 private:
  using Clock = std::chrono::steady_clock;
  struct Value {
    Block* block = nullptr;
    const char* data = nullptr;  // of element 0 of the slot
  };

  std::uint32_t note(const Scope* scope);
  void check_values(TapeStorage& tape, const Entry& entry) const;
  void check_gradients(TapeStorage& tape, const Entry& entry) const;

  std::uint64_t tape_;
  bool detect_anomaly_;
  bool open_ = false;  // the last entry's node is not yet complete
  std::vector<Entry> entries_;
  std::vector<ScopeRecord> scopes_;
  std::vector<Value> values_;  // by slot
  Clock::time_point op_began_ = Clock::now(), rule_began_;
  std::size_t next_rule_ = 0;  // entries before this one are still to come in this sweep
};

// The elements of an operand or a result, as far as the tape or its node holds them; else null.
const void* value_of(const TapeStorage& tape, const Description::Value& value, std::size_t element_bytes);

// The scope of a record, outermost first: "a / b / step 3".
std::string path_of(const std::vector<ScopeRecord>& scopes, std::uint32_t scope);

}  // namespace autograd::detail
