// What the handles of one value share, and where its gradient lives.
#pragma once

#include <cstdint>

#include "array.hpp"

namespace autograd::detail {

using SlotId = std::uint32_t;
constexpr int kSlotBits = 28;
constexpr SlotId kConstant = (SlotId{1} << kSlotBits) - 1;  // has no gradient
constexpr SlotId kVariable = kConstant - 1;  // a variable: its block tells its slot on the active tape

// Where the gradient of a value lives: `size` elements from `offset` of a slot. One word, since places are
// copied about as often as pointers; new_slot sees to it that no slot or offset is too large for it.
class Place {
 public:
  Place() = default;
  Place(SlotId slot, std::size_t offset) : word_(std::uint64_t{offset} << kSlotBits | slot) {}

  SlotId slot() const { return static_cast<SlotId>(word_ & kConstant); }
  std::size_t offset() const { return word_ >> kSlotBits; }
  bool differentiable() const { return slot() < kVariable; }
  // So many elements on.
  Place operator+(std::size_t elements) const { return {slot(), offset() + elements}; }
  friend bool operator==(const Place&, const Place&) = default;

 private:
  std::uint64_t word_ = kConstant;
};

// What the handles of one value share: Var<T> is a reference to one, see var.hpp. It is counted as a block
// is.
struct ValueBase {
  std::uint32_t references = 1;
  bool published;
  bool fresh = false;           // no op has used the value yet, and nobody has looked at it
  bool kept : 1 = false;        // by the node that made it
  bool lasting : 1 = false;     // and so on the next tape, if the node is repeated
  bool owned : 1 = false;       // the record is its node's: with the last handle only the memory goes back
  bool restorable : 1 = false;  // nodes can compute it again from what they hold, see restoration.hpp
  std::uint8_t element_bytes;
  Place place;
  std::uint64_t tape;  // that recorded it; 0 for constants and variables

  ValueBase(bool is_published, std::size_t bytes, Place where, std::uint64_t recorded_by)
      : published(is_published),
        element_bytes(static_cast<std::uint8_t>(bytes)),
        place(where),
        tape(recorded_by) {}
};

// Others may see the elements from here on. (A write only where it changes something: variables, which
// threads share, are never fresh.)
inline void share(ValueBase* value) {
  if (value->fresh) value->fresh = false;
}

inline ValueBase* retain(ValueBase* value) {
  if (value) add_reference(value->references, value->published);
  return value;
}

void free_value(ValueBase* value);  // no reference left

inline void release(ValueBase* value) {
  if (value && remove_reference(value->references, value->published)) free_value(value);
}

}  // namespace autograd::detail
