// TakeBack: what is recorded only for a while.
#pragma once

#include "tape.hpp"

namespace autograd::detail {

// Takes back what is recorded while it is alive: nodes that only a sweep wants to see, or that are recorded
// again when it comes. Variables that the tape has met meanwhile stay known to it, with what has arrived at
// them, and so does which products gather the gradients of weights.
class TakeBack {
 public:
  explicit TakeBack(TapeStorage& tape);
  ~TakeBack();
  TakeBack(const TakeBack&) = delete;

  // What was there before: the last node, and the numbers of slots and of deferred products.
  Node* last() const { return last_; }
  std::size_t slots() const { return slots_; }
  std::size_t deferred() const { return deferred_; }

 private:
  void keep_leaves();
  void keep_products();

  TapeStorage& tape_;
  Node* last_;
  SlotId slots_at_last_;
  std::size_t nodes_, slots_, leaves_, deferred_, chunk_;
  std::byte *cursor_, *limit_;
};

}  // namespace autograd::detail
