// Replay: a tape that does what the one before it did makes no new nodes.
//
// When a reverse sweep has consumed a tape of small values, its nodes rest: each keeps its place, and the
// memory of what it has made. On the thread's next tape an op asks whether the node that comes next is its
// own: of the same type, on operands of the same shapes that come from the same places. If so it computes
// into what the node has kept, unless somebody still holds that. The first op that differs, or that does not
// ask, ends the replay: the nodes from there on are given back, and ops are recorded as ever. Every op is
// verified as it runs, so that shapes and control flow are free to change at any time, and values and
// gradients are the same to the bit.
#pragma once

#include "var.hpp"

namespace autograd {

/// Turns replay on or off for this thread (it is on): for a test that both give the same.
void set_replay(bool on);

namespace detail {

// The node that comes next, if it is of this type.
template <class N>
N* next_in_replay(const TapeStorage* tape) {
  return tape && tape->replay && tape->replay->type == &node_type<N> && !context.log
             ? static_cast<N*>(tape->replay)
             : nullptr;
}

// Makes it the last one of the tape.
inline void advance(TapeStorage& tape, Node& node) {
  tape.last = &node;
  tape.replay = node.next;
  ++tape.nodes;
  ++tape.replayed;
}

// How an operand comes from the place where one came from on the last tape.
enum class Return : std::uint8_t {
  none,     // it does not
  kept,     // and is kept: a result by its node, a variable by the tape
  unmet,    // a variable that the tape may have yet to meet
  to_hold,  // and the node has to hold it
};

// The same of a value, or of none.
template <class T>
[[gnu::always_inline]] inline Return returning(TapeStorage& tape, const Value<T>* value, Place place) {
  if (!value) return Return::none;
  if (value->place.differentiable()) {
    if (value->place != place || value->tape != tape.id) return Return::none;
    return value->kept ? Return::kept : Return::to_hold;
  }
  Block* const block = value->array.block();
  if (value->place.slot() == kConstant)
    return place.differentiable() || block->variable_id ? Return::none : Return::to_hold;
  const T* const variable = static_cast<const T*>(block->data());
  if (!place.differentiable() || place.offset() != static_cast<std::size_t>(value->array.data() - variable))
    return Return::none;
  if (tape.slots[place.slot()].holder == value) return Return::kept;
  return tape.leaf_returns(block, place.slot()) ? Return::unmet : Return::none;
}

// Whether x is the very value, a result of this tape, that an operand was on the last one: of its shape then,
// too.
template <class T>
[[gnu::always_inline]] inline bool is_same_value(const TapeStorage& tape, const Value<T>* x,
                                                 const Value<T>* value, Place place) {
  return x == value && tape.same_values && value && value->lasting && value->tape == tape.id &&
         value->place == place;
}

// Takes it as an operand that returns so; whether the node needs a reference of its own to it.
template <class T>
[[gnu::always_inline]] inline bool take_again(TapeStorage& tape, Value<T>* value, Place place, Return how) {
  share(value);
  if (how != Return::unmet) return how == Return::to_hold;
  const Slot& slot = tape.slots[place.slot()];
  if (!slot.holder) tape.meet(*tape.find_leaf(value->array.block()), value);
  return slot.holder != value;
}

// Whether a node keeps the memory of a result that its rule does not read: it is there for the next tape, and
// while this one lives. Otherwise the record alone is kept, and the memory goes with the last handle.
enum class Memory { kept, transient };

// A result of a node.
template <class T>
struct Result {
  Value<T>* value = nullptr;
  bool at_destination = false;  // it lies where the context's destination was

  // Of an op that is recorded: the output of this number.
  void keep(TapeStorage& tape, const Var<T>& x, std::uint64_t output, Memory memory = Memory::kept) {
    at_destination = context.destination.at == output && context.destination.taken;
    hold(x.shared(), memory);
    if (memory == Memory::kept) tape.result_bytes += value->array.size() * sizeof(T);
  }

  void release() {
    if (!value) return;
    value->lasting = false;
    if (value->owned) {
      value->owned = false;
      if (!value->references) free_value(value);
    } else {
      value->kept = false;
      --value->array.block()->kept;
      detail::release(value);
    }
    value = nullptr;
  }

  std::size_t bytes() const {
    return value && value->kept && !at_destination ? value->array.block()->capacity : 0;
  }

  // Whether it would be made in the same memory again, as this output of the thread.
  bool stays(Place place, std::uint64_t output) const {
    const Destination& to = context.destination;
    const bool meant = output == to.at && to.bytes == value->array.size() * sizeof(T);
    return meant == at_destination && (!meant || to.place == place);
  }

  // The result to write anew.
  [[gnu::always_inline]] Var<T> renew(TapeStorage& tape) {
    ++context.outputs;
    if (at_destination) context.destination.taken = context.destination.recorded = true;
    if (value->owned && !value->references)
      take_memory();
    else if (!reusable()) [[unlikely]]
      replace(tape);
    value->tape = tape.id;
    value->fresh = false;
    return Var<T>::of(value);
  }

 private:
  void hold(Value<T>* x, Memory memory) {
    value = x;
    value->lasting = true;
    if (memory == Memory::transient) {
      value->owned = true;
      return;
    }
    value->kept = true;
    retain(value);
    ++value->array.block()->kept;
  }
  bool reusable() const {
    const Block* const block = value->array.block();
    if (value->owned || __atomic_load_n(&value->references, __ATOMIC_ACQUIRE) != 1) return false;
    if (!at_destination) return __atomic_load_n(&block->references, __ATOMIC_ACQUIRE) == block->kept;
    return reinterpret_cast<const char*>(value->array.data()) == context.destination.data;
  }
  void take_memory() {
    const Destination& to = context.destination;
    BlockRef block(at_destination ? retain(to.block) : allocate_block(value->array.size() * sizeof(T)));
    T* const data = at_destination ? reinterpret_cast<T*>(to.data) : static_cast<T*>(block->data());
    value->array.set_memory(std::move(block), data);
  }
  void replace(TapeStorage& tape);
};

extern template struct Result<float>;
extern template struct Result<double>;

// Memory of a slot, for results of which each is told to take a window of it (see Destination).
struct Stack {
  SlotId slot;
  BlockRef block;
};
// On the current tape, which records; of so many elements.
Stack stack_on_tape(std::size_t size, std::size_t element_bytes);

}  // namespace detail
}  // namespace autograd
