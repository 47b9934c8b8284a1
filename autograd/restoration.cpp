#include "restoration.hpp"

namespace autograd::detail {

Block* Restoration::block(Place place) {
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
  Node* first = nullptr;  // of those that have made what is lacking
  for (Node* node = last; node; node = node->previous) {
    restoration.in_range_ &= node != after;
    const auto lowest = restoration.blocks_.begin();
    if (!restoration.in_range_ &&
        (lowest == restoration.blocks_.end() || (first && lowest->first >= first->first_slot)))
      break;
    ask(node);
    first = node;
  }
  if (restoration.blocks_.empty()) return;
  restoration.phase_ = Restoration::Phase::compute;
  for (Node* node = first; node != last; node = node->next) ask(node);
  restoration.phase_ = Restoration::Phase::give;
  for (Node* node = last; node != after; node = node->previous) ask(node);
}

}  // namespace autograd::detail
