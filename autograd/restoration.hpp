// Values that the reverse sweep does not need are not kept: the result of a product goes with the last handle
// of it, a large result of a map likewise, and an operand of a map whose value no partial derivative contains
// is not held. Rules of recorded gradients and of tangents do need them; before those run, the nodes that
// made such values compute them again.
#pragma once

#include <map>

#include "var.hpp"

namespace autograd::detail {

// Gives the nodes after `after` up to `last` what they have not kept.
void restore_values(TapeStorage& tape, Node* last, const Node* after);

// What the nodes are asked one after another.
class Restoration {
 public:
  enum class Phase {
    find,  // the last first: which slots they lack, where they are in range or a result of theirs is lacking
    compute,  // the first first: to compute what those slots lack
    give,     // those in range: to take it
  };

  explicit Restoration(const TapeStorage& tape) : tape_(tape) {}

  Phase phase() const { return phase_; }
  // Whether the node that is asked is one that takes.
  bool in_range() const { return in_range_; }
  void want(Place place) { blocks_.try_emplace(place.slot()); }
  bool wants(Place place) const { return place.differentiable() && blocks_.contains(place.slot()); }
  // Where the elements of a place are.
  template <class T>
  T* memory(Place place) {
    return static_cast<T*>(block(place)->data()) + place.offset();
  }
  template <class T>
  Value<T>* value(Place place, const Shape& shape) {
    return new_value<T>(BlockRef(retain(block(place))), memory<T>(place), shape, place, tape_.id);
  }

 private:
  friend void restore_values(TapeStorage& tape, Node* last, const Node* after);
  Block* block(Place place);  // of the whole slot

  const TapeStorage& tape_;
  Phase phase_ = Phase::find;
  bool in_range_ = true;
  std::map<SlotId, BlockRef> blocks_;  // of the wanted slots
};

}  // namespace autograd::detail
