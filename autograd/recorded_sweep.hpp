// The reverse sweep whose rules write to the tape, so that gradients can be differentiated again.
#pragma once

#include <vector>

#include "sweep.hpp"
#include "var.hpp"

namespace autograd::detail {

// Gradients as Vars. What arrives at windows of a slot is kept in pieces and put together when it is asked
// for.
template <class T>
class RecordedSweep {
 public:
  explicit RecordedSweep(TapeStorage& tape) : tape_(tape), pieces_(tape.slots.size()) {}

  // The gradient that has arrived at a value, of its shape; an empty Var if none has.
  Var<T> gradient(Place place, const Shape& shape);

  // Whether a gradient has arrived at any part of a slot.
  bool reached(SlotId slot) { return !pieces(slot).empty(); }

  // Adds to the gradient of an input of this shape. A gradient of a larger shape is summed over the axes
  // along which the input was broadcast.
  void add(Place place, const Shape& shape, const Var<T>& gradient);

  // Runs the rules of the nodes from `from` back to, not including, `until`.
  void run(Node* from, const Node* until);

 private:
  struct Piece {
    std::size_t offset;
    Var<T> value;  // flat
  };

  std::vector<Piece>& pieces(SlotId slot) {
    if (slot >= pieces_.size()) pieces_.resize(tape_.slots.size());
    return pieces_[slot];
  }

  TapeStorage& tape_;
  std::vector<std::vector<Piece>> pieces_;  // by slot
};

extern template class RecordedSweep<float>;
extern template class RecordedSweep<double>;

}  // namespace autograd::detail
