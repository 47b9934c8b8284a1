#include "restoration.hpp"

namespace autograd::detail {

Block* Restoration::block(Place place) {
  blocks_.resize(tape_.slots.size());
  BlockRef& block = blocks_[place.slot()];
  const Slot& slot = tape_.slots[place.slot()];
  if (!block) block = BlockRef(allocate_block(slot.size * slot.element_bytes));
  return block.get();
}

void restore_values(TapeStorage& tape, Node* last, const Node* after) {
  Restoration restoration(tape);
  const auto ask = [&](Node* node) {
    if (node->type->restore) node->type->restore(*node, restoration);
  };
  for (Node* node = last; node; node = node->previous) {
    if (node == after) {
      if (restoration.wanted_.empty()) return;
      restoration.in_range_ = false;
    }
    ask(node);
  }
  if (restoration.wanted_.empty()) return;
  using Phase = Restoration::Phase;
  restoration.phase_ = Phase::compute;
  for (Node* node = tape.first; node != last; node = node->next) ask(node);
  restoration.phase_ = Phase::give;
  for (Node* node = last; node != after; node = node->previous) ask(node);
}

}  // namespace autograd::detail
