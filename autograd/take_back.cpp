#include "take_back.hpp"

namespace autograd::detail {

TakeBack::TakeBack(TapeStorage& tape)
    : tape_(tape),
      last_(tape.last),
      slots_at_last_(tape.slots_at_last),
      nodes_(tape.nodes),
      slots_(tape.slots.size()),
      leaves_(tape.leaves.size()),
      deferred_(tape.deferred.size()),
      chunk_(tape.chunk),
      cursor_(tape.cursor),
      limit_(tape.limit) {
  tape.slots_at_last = static_cast<SlotId>(slots_);  // slots before belong to nodes before
}

TakeBack::~TakeBack() {
  for (; tape_.last != last_; tape_.last = tape_.last->previous) tape_.last->type->release(*tape_.last);
  (last_ ? last_->next : tape_.first) = nullptr;
  tape_.nodes = nodes_;
  tape_.slots_at_last = slots_at_last_;
  if (cursor_) {
    tape_.chunk = chunk_;
    tape_.cursor = cursor_;
    tape_.limit = limit_;
  }
  if (tape_.slots.size() == slots_) return;
  keep_leaves();
  keep_products();
  tape_.slots.resize(slots_ + tape_.leaves.size() - leaves_);
}

// Moves the slots of new variables to where the others end.
void TakeBack::keep_leaves() {
  std::size_t leaf = leaves_;
  for (std::size_t old = slots_; old < tape_.slots.size(); ++old) {
    Slot& slot = tape_.slots[old];
    if (leaf == tape_.leaves.size() || tape_.leaves[leaf].slot != old) {
      release(std::exchange(slot.gradient, nullptr));
      continue;
    }
    const std::size_t now = slots_ + leaf - leaves_;
    if (now != old) tape_.slots[now] = std::exchange(slot, Slot{});
    ++leaf;
  }
}

// Forgets the deferred products of values that are gone, and renames the slots of new variables in the
// others. None of them has rows that wait.
void TakeBack::keep_products() {
  const auto slot_of_leaf = [&](std::size_t leaf) { return static_cast<SlotId>(slots_ + leaf - leaves_); };
  const auto rename = [&](Place& place) {
    if (!place.differentiable() || place.slot() < slots_) return true;
    for (std::size_t leaf = leaves_; leaf < tape_.leaves.size(); ++leaf)
      if (tape_.leaves[leaf].slot == place.slot()) {
        place = {slot_of_leaf(leaf), place.offset()};
        return true;
      }
    return false;
  };
  std::size_t kept = deferred_;
  for (std::size_t i = deferred_; i < tape_.deferred.size(); ++i) {
    Deferred& d = tape_.deferred[i];
    if (rename(d.weight) && rename(d.bias)) {
      if (kept != i) std::swap(tape_.deferred[kept], d);
      ++kept;
    } else {
      d.drop();
    }
  }
  for (std::size_t leaf = leaves_; leaf < tape_.leaves.size(); ++leaf)
    tape_.leaves[leaf].slot = slot_of_leaf(leaf);
  if (tape_.deferred.size() == deferred_) return;
  tape_.deferred.resize(kept);
  tape_.link_deferred();
}

}  // namespace autograd::detail
