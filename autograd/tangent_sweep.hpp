// Forward mode, and forward over reverse: sweeps over what a tape recorded that carry tangents.
//
// The tangent of a value is its derivative along a direction through the inputs. A TangentSweep goes from the
// first node to the last and gives every result its tangent. A DualSweep goes back and carries, with every
// gradient g, the tangent of g: seeded with a scalar's gradient, what arrives at an input is its row of the
// Hessian times the direction (Pearlmutter 1994). Both work on arrays; nothing is recorded.
#pragma once

#include <span>
#include <vector>

#include "body_program.hpp"
#include "sweep.hpp"
#include "var.hpp"

namespace autograd::detail {

// One array for each slot of a tape, beside the gradients of the tape itself.
class SlotArrays {
 public:
  explicit SlotArrays(const TapeStorage& tape) { grow(tape); }
  ~SlotArrays();
  SlotArrays(const SlotArrays&) = delete;

  // Takes in the slots that the tape has got since.
  void grow(const TapeStorage& tape);
  // Gives back the arrays of the slots [from, to), but for those that are to be kept.
  void drop(std::size_t from, std::size_t to);

  Slots slots;
  std::vector<Deferred> deferred;
};

class TangentSweep {
 public:
  TangentSweep(TapeStorage& tape, std::size_t inputs)
      : tape_(tape),
        arrays_(tape),
        sweep_(arrays_.slots, arrays_.deferred, true),
        words_((inputs + 63) / 64),
        reached_by_(tape.slots.size() * words_),
        current_(words_) {}

  // Starts from a tangent of an input.
  template <class T>
  void seed(std::size_t input, Place place, std::size_t size, const T* tangent);

  // Runs the rules of the nodes of T after, not including, `after`.
  template <class T>
  void run(const Node* after = nullptr);

  // The same, of nodes that a rule has recorded on a value without a node, given its tangent.
  template <class T>
  void run_on(const Node* after, Place value, const Array<T>& tangent) {
    grow();
    add(value, tangent);
    run<T>(after);
  }

  // The tangent of a value; null if it is zero.
  template <class T>
  const T* tangent(Place place, std::size_t size) {
    const T* data = sweep_.gradient<T>(place, size);
    if (data)
      for (std::size_t i = 0; i < words_; ++i) current_[i] |= reached_by_[place.slot() * words_ + i];
    return data;
  }
  // The memory that it is in.
  Block* block(Place place) { return arrays_.slots[place.slot()].gradient; }
  // The same as a constant of a shape; empty if it is zero.
  template <class T>
  Var<T> tangent_var(Place place, const Shape& shape);

  // Where a rule writes the tangent of a result. What is already there is added to: the tangent of an addend
  // that became the result, or of a result that is an input itself.
  template <class T>
  Sink<T> result(Place place, std::size_t size) {
    for (std::size_t i = 0; i < words_; ++i) reached_by_[place.slot() * words_ + i] |= current_[i];
    return sweep_.sink<T>(place, size);
  }
  // Adds a tangent of a result.
  template <class T>
  void add(Place place, const Array<T>& tangent);

  // Whether a value depends on an input. Windows of one slot count as one value.
  bool reached(Place place, std::size_t input) const {
    return place.differentiable() && (reached_by_[place.slot() * words_ + input / 64] >> input % 64 & 1);
  }

  // The program of the body at hand; see MapNode.
  template <class T>
  BodyProgram<T>& program() {
    if constexpr (std::is_same_v<T, float>)
      return float_program_;
    else
      return double_program_;
  }

  TapeStorage& tape() { return tape_; }
  // Takes in the slots that the tape has got since.
  void grow() {
    arrays_.grow(tape_);
    reached_by_.resize(tape_.slots.size() * words_);
  }

 private:
  TapeStorage& tape_;
  SlotArrays arrays_;
  Sweep sweep_;  // its gradients are our tangents
  // One bit for each input: which of them reach a slot, and the operands of the node whose rule runs.
  std::size_t words_;
  std::vector<std::uint64_t> reached_by_, current_;
  BodyProgram<float> float_program_;
  BodyProgram<double> double_program_;
};

class DualSweep {
 public:
  // Of a tape whose tangents are known.
  DualSweep(TapeStorage& tape, TangentSweep& values);

  // Runs the rules of all nodes of T back from a scalar. What has arrived at the kept places stays.
  template <class T>
  void run(Place scalar, std::span<const Place> kept);

  // The gradients, and their tangents.
  Sweep& gradients() { return gradients_; }
  Sweep& tangents() { return tangents_; }
  // The tangents of the values.
  TangentSweep& values() { return values_; }

  // The same for nodes that a rule has recorded, from `from` back to, not including, `until`, with the slots
  // from `slots` on: what has arrived at their results goes on to their operands.
  template <class T>
  void run_back(Node* from, const Node* until, std::size_t slots);

  // Whether the gradient at a place is of use to a rule: that of a variable is not, only its tangent is.
  bool flows_on(Place place) const { return place.differentiable() && !tape_.slots[place.slot()].keep; }

  // G^T A, gathered as by Sweep::product, where G is the gradient of a result and A the tangent of a value.
  template <class T>
  void cross_product(std::uint32_t index, const T* a, Block* a_block, Place g_place, std::size_t rows);

 private:
  TapeStorage& tape_;
  TangentSweep& values_;
  SlotArrays gradient_arrays_, tangent_arrays_;
  Sweep gradients_, tangents_;
  std::uint32_t products_;  // deferred products of the tape; the cross products follow them
};

// The rules of a node whose results are linear in its operands: `again` on the tangents, and `backward`
// twice.
template <class T>
struct LinearNode : Node {
  void tangent(TangentSweep& sweep);
  void backward_dual(DualSweep& sweep) {
    type->backward(*this, sweep.gradients());
    type->backward(*this, sweep.tangents());
  }
};

extern template struct LinearNode<float>;
extern template struct LinearNode<double>;

}  // namespace autograd::detail
