#include "restoration.hpp"

namespace autograd::detail {

Block* Restoration::block(Place place) {
  blocks_.resize(tape_.slots.size());
  BlockRef& block = blocks_[place.slot()];
  const Slot& slot = tape_.slots[place.slot()];
  if (!block) block = BlockRef(allocate_block(slot.size * slot.element_bytes));
  return block.get();
}

Block* Restoration::variable_block(Place place) const {
  for (const Leaf& leaf : tape_.leaves)
    if (leaf.slot == place.slot()) return leaf.block;
  return nullptr;
}

void restore_values(TapeStorage& tape, Node* last, const Node* after) {
  if (last == after) return;
  Restoration restoration(tape);
  const auto ask = [&](Restoration::Phase phase, Node* from, const Node* to) {
    restoration.phase_ = phase;
    for (Node* node = from;; node = node->next) {
      if (node->type->restore) node->type->restore(*node, restoration);
      if (node == to) break;
    }
  };
  Node* const first = after ? after->next : tape.first;
  ask(Restoration::Phase::find, first, last);
  if (restoration.wanted_.empty()) return;
  ask(Restoration::Phase::compute, tape.first, last);
  ask(Restoration::Phase::give, first, last);
}

}  // namespace autograd::detail
