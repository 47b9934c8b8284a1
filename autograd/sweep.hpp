// The reverse sweep over a tape, as the rules of its nodes see it.
#pragma once

#include <algorithm>

#include "tape.hpp"

namespace autograd::detail {

// Where a rule writes a gradient: `accumulate` tells whether to add to what is there or to overwrite garbage.
template <class T>
struct Sink {
  T* data;
  bool accumulate;
};

// The reverse sweep in progress, as a rule sees it.
class Sweep {
 public:
  explicit Sweep(TapeStorage& tape) : Sweep(tape.slots, tape.deferred, tape.trace) {}
  // Over arrays of one's own, one for each slot of a tape. `at_once` computes products when they come.
  Sweep(Slots& slots, std::vector<Deferred>& deferred, bool at_once)
      : slots_(slots), deferred_(deferred), at_once_(at_once) {}

  // The gradient that has arrived at a value, complete; null if none has.
  template <class T>
  [[gnu::always_inline]] const T* gradient(Place place, std::size_t size) {
    if (!place.differentiable()) return nullptr;
    const Slot& slot = slots_[place.slot()];
    if (!slot.pending && size && slot.low <= place.offset() && place.offset() + size <= slot.high) [[likely]]
      return reinterpret_cast<const T*>(slot.data) + place.offset();
    return reinterpret_cast<const T*>(arrived(place, size));
  }

  // Where to write the gradient of an input of `size` elements.
  template <class T>
  [[gnu::always_inline]] Sink<T> sink(Place place, std::size_t size) {
    Slot& slot = slots_[place.slot()];
    if (!slot.gradient && size == slot.size) {  // the first to arrive, and all of it
      if (!slot.gathered || !reserve_rows(slot)) {
        slot.gradient = allocate_block(size * sizeof(T));
        slot.data = static_cast<char*>(slot.gradient->data());
      }
      slot.high = size;
      return {reinterpret_cast<T*>(slot.data), false};
    }
    if (slot.low <= place.offset() && place.offset() + size <= slot.high && size && !slot.shared)
      return {reinterpret_cast<T*>(slot.data) + place.offset(), true};
    bool accumulate = false;
    char* data = writable(place, size, accumulate);
    return {reinterpret_cast<T*>(data), accumulate};
  }

  // The same for a rule that cannot overwrite: zeros where nothing has arrived.
  template <class T>
  T* accumulator(Place place, std::size_t size) {
    const Sink<T> s = sink<T>(place, size);
    if (!s.accumulate) std::fill_n(s.data, size, T(0));
    return s.data;
  }

  // Adds the gradient of an output to that of an input of the same size; shares the memory where it can.
  template <class T>
  void pass(Place from, Place to, std::size_t size);

  // Adds G^T A (or its transpose, and the column sums of G) to a weight's (and a bias') gradient, sooner or
  // later. The memory of A is that of a value, the memory of G that of the slot `g_place`, and both are
  // final.
  template <class T>
  void product(std::uint32_t index, const T* a, Block* a_block, Place g_place, std::size_t rows) {
    if (const T* g = gradient<T>(g_place, rows * deferred_[index - 1].out))
      product(index, a, a_block, g, slot(g_place.slot()).gradient, rows);
  }
  template <class T>
  void product(std::uint32_t index, const T* a, Block* a_block, const T* g, Block* g_block, std::size_t rows);

  Slot& slot(SlotId id) { return slots_[id]; }
  void flush(SlotId id);

 private:
  void list_pending(std::uint32_t index);
  const char* arrived(Place place, std::size_t size);
  char* writable(Place place, std::size_t size, bool& accumulate);
  bool reserve_rows(Slot& slot);
  bool share(Place from, Place to, std::size_t size);

  Slots& slots_;
  std::vector<Deferred>& deferred_;
  bool at_once_;
};

extern template void Sweep::pass<float>(Place, Place, std::size_t);
extern template void Sweep::pass<double>(Place, Place, std::size_t);
extern template void Sweep::product(std::uint32_t, const float*, Block*, const float*, Block*, std::size_t);
extern template void Sweep::product(std::uint32_t, const double*, Block*, const double*, Block*, std::size_t);

// A gradient to start the sweep from. Null data stands for 1.
struct Seed {
  Place place;
  std::size_t size;
  const void* data;
};

// Runs the rules backwards from the seeds. With `consume`, every node gives back what it holds as soon as its
// rule has run, and the tape is at its end.
void run_sweep(TapeStorage& tape, std::span<const Seed> seeds, bool consume);

// What becomes of a node once its rule has run.
enum class After { keep, release, rest };

// Its walk: runs the rules from the last node back to, not including, `until`.
void sweep_nodes(TapeStorage& tape, Sweep& sweep, const Node* until, After after);

}  // namespace autograd::detail
