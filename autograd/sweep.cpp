// The reverse sweep: where gradients arrive, how those of weights are gathered, and the walk itself.
#include "sweep.hpp"

#include <algorithm>
#include <cstring>

#include "blas.hpp"
#include "denormals.hpp"
#include "trace.hpp"

namespace autograd::detail {

const char* Sweep::arrived(Place place, std::size_t size) {
  if (!place.differentiable()) return nullptr;
  Slot& slot = slots_[place.slot()];
  if (slot.pending) flush(place.slot());
  const std::size_t begin = place.offset(), end = begin + size;
  static const char empty = 0;
  if (!size) return &empty;  // a gradient without entries is always complete
  if (slot.low == slot.high || end <= slot.low || begin >= slot.high) return nullptr;
  const std::size_t bytes = slot.element_bytes;
  if (begin < slot.low) {
    std::memset(slot.data + begin * bytes, 0, (slot.low - begin) * bytes);
    slot.low = begin;
  }
  if (end > slot.high) {
    std::memset(slot.data + slot.high * bytes, 0, (end - slot.high) * bytes);
    slot.high = end;
  }
  return slot.data + begin * bytes;
}

char* Sweep::writable(Place place, std::size_t size, bool& accumulate) {
  Slot& slot = slots_[place.slot()];
  const std::size_t bytes = slot.element_bytes, begin = place.offset(), end = begin + size;
  if (!slot.gradient) {
    slot.gradient = allocate_block(slot.size * bytes);
    slot.data = static_cast<char*>(slot.gradient->data());
  } else if (slot.shared) {
    if (slot.gradient->references > 1) {
      Block* own = allocate_block(slot.size * bytes);
      std::memcpy(static_cast<char*>(own->data()) + slot.low * bytes, slot.data + slot.low * bytes,
                  (slot.high - slot.low) * bytes);
      release(slot.gradient);
      slot.gradient = own;
      slot.data = static_cast<char*>(own->data());
    }
    slot.shared = false;
  }
  char* data = slot.data + begin * bytes;
  if (slot.low == slot.high) {  // the first to arrive
    slot.low = begin;
    slot.high = end;
    accumulate = false;
  } else if (begin >= slot.low && end <= slot.high) {
    accumulate = true;
  } else if (end <= slot.low) {  // below: close the gap, if any
    std::memset(data + size * bytes, 0, (slot.low - end) * bytes);
    slot.low = begin;
    accumulate = false;
  } else if (begin >= slot.high) {  // above
    std::memset(slot.data + slot.high * bytes, 0, (begin - slot.high) * bytes);
    slot.high = end;
    accumulate = false;
  } else {  // overlaps the edge of what is there
    if (begin < slot.low) std::memset(data, 0, (slot.low - begin) * bytes);
    if (end > slot.high) std::memset(slot.data + slot.high * bytes, 0, (end - slot.high) * bytes);
    slot.low = std::min(slot.low, begin);
    slot.high = std::max(slot.high, end);
    accumulate = true;
  }
  return data;
}

bool Sweep::share(Place from, Place to, std::size_t size) {
  Slot& target = slots_[to.slot()];
  if (target.gradient || to.offset() != 0 || size != target.size || target.keep) return false;
  const Slot& source = slots_[from.slot()];
  if (source.gathered && deferred_[source.gathered - 1].g.block == source.gradient)
    return false;  // overwritten soon
  target.gradient = retain(source.gradient);
  target.data = source.data + from.offset() * source.element_bytes;
  target.low = 0;
  target.high = size;
  target.shared = true;
  return true;
}

template <class T>
void Sweep::pass(Place from, Place to, std::size_t size) {
  const T* g = gradient<T>(from, size);
  if (!g || !to.differentiable() || share(from, to, size)) return;
  const Sink<T> s = sink<T>(to, size);
  if (!s.accumulate) {
    std::memcpy(s.data, g, size * sizeof(T));
    return;
  }
  for (std::size_t i = 0; i < size; ++i) s.data[i] += g[i];
}

template void Sweep::pass<float>(Place, Place, std::size_t);
template void Sweep::pass<double>(Place, Place, std::size_t);

namespace {

template <class T>
void add_product(Sweep& sweep, const Deferred& d, const T* a, const T* g, std::size_t rows) {
  if (d.weight.differentiable()) {
    const Sink<T> w = sweep.sink<T>(d.weight, d.in * d.out);
    if (d.out_by_in)
      gemm<T>(Transpose::yes, Transpose::no, d.out, d.in, rows, g, d.out, a, d.in, w.accumulate, nullptr,
              w.data, d.in);
    else
      gemm<T>(Transpose::yes, Transpose::no, d.in, d.out, rows, a, d.in, g, d.out, w.accumulate, nullptr,
              w.data, d.out);
  }
  if (d.bias.differentiable()) {
    T* b = sweep.accumulator<T>(d.bias, d.out);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t j = 0; j < d.out; ++j) b[j] += g[r * d.out + j];
  }
}

bool has_room(const GatheredRows& rows, std::size_t bytes) { return rows.first >= rows.begin() + bytes; }

template <class T>
void flush_rows(Sweep& sweep, Deferred& d) {
  if (!d.rows) return;
  const std::size_t rows = std::exchange(d.rows, 0);
  add_product(sweep, d, reinterpret_cast<const T*>(d.a.first), reinterpret_cast<const T*>(d.g.first), rows);
  for (GatheredRows* each : {&d.a, &d.g})
    if (!each->packed) release(std::exchange(each->block, nullptr));
}

// Puts rows of `width` bytes before `pending` ones; there is room for `most` in all.
void gather(GatheredRows& to, const char* from, Block* block, std::size_t rows, std::size_t pending,
            std::size_t most, std::size_t width) {
  if (to.block == block && from + rows * width == to.first) {  // where they are to be: nothing to copy
    to.first = from;
    return;
  }
  if (!to.packed) {
    if (!pending) {
      to.first = from;
      to.block = retain(block);
      return;
    }
    Block* const own = allocate_block(most * width);
    char* const at = static_cast<char*>(own->data()) + (most - pending) * width;
    std::memcpy(at, to.first, pending * width);
    release(to.block);
    to = {at, own, true};
  } else if (!pending) {
    to.first = to.begin() + most * width;
  }
  to.first -= rows * width;
  std::memcpy(const_cast<char*>(to.first), from, rows * width);
}

}  // namespace

template <class T>
void Sweep::product(std::uint32_t index, const T* a, Block* a_block, const T* g, Block* g_block,
                    std::size_t rows) {
  Deferred& d = deferred_[index - 1];
  const std::size_t a_row = d.in * sizeof(T), g_row = d.out * sizeof(T);
  const char *const a_rows = reinterpret_cast<const char*>(a), *const g_rows =
                                                                   reinterpret_cast<const char*>(g);
  const bool in_place = d.reserved && d.g.block == g_block && g_rows + rows * g_row == d.g.first;
  if (rows >= d.enough_rows() || !rows || at_once_ || (d.reserved && !in_place))
    return add_product(*this, d, a, g, rows);
  if (!in_place && (d.rows + rows > d.most_rows() || (d.g.packed && !has_room(d.g, rows * g_row))))
    flush_rows<T>(*this, d);
  d.reserved = false;
  d.flush = flush_rows<T>;
  list_pending(index);
  gather(d.a, a_rows, a_block, rows, d.rows, d.most_rows(), a_row);
  gather(d.g, g_rows, g_block, rows, d.rows, d.most_rows(), g_row);
  d.rows += rows;
}

template void Sweep::product(std::uint32_t, const float*, Block*, const float*, Block*, std::size_t);
template void Sweep::product(std::uint32_t, const double*, Block*, const double*, Block*, std::size_t);

// Gives the gradient of a product's result the memory where the rows that it is would be gathered.
bool Sweep::reserve_rows(Slot& slot) {
  Deferred& d = deferred_[slot.gathered - 1];
  if (!d.g.packed || d.reserved || at_once_ || slot.keep || !slot.size) return false;
  const std::size_t rows = slot.size == d.out ? 1 : slot.size / d.out, bytes = slot.size * slot.element_bytes;
  if (rows >= d.enough_rows()) return false;
  if (d.rows && (d.rows + rows > d.most_rows() || !has_room(d.g, bytes))) d.flush(*this, d);
  if (!d.rows) d.g.first = d.g.begin() + d.most_rows() * d.out * slot.element_bytes;
  slot.gradient = retain(d.g.block);
  slot.data = const_cast<char*>(d.g.first) - bytes;
  return d.reserved = true;
}

void Sweep::flush(SlotId id) {
  std::uint32_t i = std::exchange(slots_[id].pending, 0);
  while (i) {
    Deferred& d = deferred_[i - 1];
    const std::size_t list = d.weight.slot() == id ? 0 : 1;
    i = std::exchange(d.next_pending[list], 0);
    d.listed[list] = false;
    if (d.rows) d.flush(*this, d);
  }
}

// Puts a product that has rows on the lists of the slots that they are for.
void Sweep::list_pending(std::uint32_t index) {
  Deferred& d = deferred_[index - 1];
  const Place places[] = {d.weight, d.bias};
  for (std::size_t list = 0; list < 2; ++list) {
    if (!places[list].differentiable() || d.listed[list]) continue;
    if (list == 1 && d.bias.slot() == d.weight.slot()) continue;  // one list serves both
    d.listed[list] = true;
    d.next_pending[list] = std::exchange(slots_[places[list].slot()].pending, index);
  }
}

namespace {

void drop_gradient(Slot& slot) {
  release(std::exchange(slot.gradient, nullptr));
  slot.low = slot.high = 0;
  slot.shared = false;
}

}  // namespace

void clear_gradients(TapeStorage& tape) {
  for (Slot& slot : tape.slots) drop_gradient(slot);
}

namespace {

// Forgets the deferred products and, if it ends by an exception, all gradients.
class SweepEnd {
 public:
  explicit SweepEnd(TapeStorage& tape) : tape_(tape) {}
  SweepEnd(const SweepEnd&) = delete;
  ~SweepEnd() {
    for (Deferred& d : tape_.deferred) {
      d.drop();
      d.listed[0] = d.listed[1] = false;
      for (const Place& place : {d.weight, d.bias})
        if (place.differentiable()) tape_.slots[place.slot()].pending = 0;
    }
    if (std::uncaught_exceptions() > exceptions_) clear_gradients(tape_);
  }

 private:
  TapeStorage& tape_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace

namespace {

void rest(TapeStorage& tape, Node& node) {
  if (node.type->rest) {
    tape.resting_bytes += node.type->rest(node);
    return;
  }
  node.type->release(node);
  tape.unrepeatable = &node;
  tape.resting_bytes = 0;  // those after it will not rest for long
}

}  // namespace

void sweep_nodes(TapeStorage& tape, Sweep& sweep, const Node* until, After after) {
  std::size_t end = tape.slots.size();
  for (Node* node = tape.last; node != until; node = node->previous) {
    if (tape.trace) [[unlikely]]
      tape.trace->before_rule();
    node->type->backward(*node, sweep);
    if (tape.trace) [[unlikely]]
      tape.trace->after_rule(tape, node);
    if (after == After::rest)
      rest(tape, *node);
    else if (after == After::release)
      node->type->release(*node);
    for (; end > node->first_slot; --end)
      if (Slot& slot = tape.slots[end - 1]; !slot.keep) drop_gradient(slot);
  }
}

void run_sweep(TapeStorage& tape, std::span<const Seed> seeds, bool consume) {
  [[maybe_unused]] const FlushDenormals flush_denormals;
  const SweepEnd end_of_sweep(tape);
  if (tape.trace) tape.trace->end(tape);
  tape.consumed = consume;
  Sweep sweep(tape);
  for (const Seed& seed : seeds) {
    const auto start = [&]<class T>(T) {
      T* data = sweep.accumulator<T>(seed.place, seed.size);
      for (std::size_t i = 0; i < seed.size; ++i)
        data[i] += seed.data ? static_cast<const T*>(seed.data)[i] : T(1);
    };
    tape.slots[seed.place.slot()].element_bytes == sizeof(float) ? start(float{}) : start(double{});
  }
  const bool rests = consume && tape.may_rest();
  tape.unrepeatable = nullptr;
  tape.resting_bytes = 0;
  sweep_nodes(tape, sweep, nullptr, rests ? After::rest : consume ? After::release : After::keep);
  if (consume) tape.last = nullptr;
  // What nobody has asked for yet: the deferred products of variables.
  for (Deferred& d : tape.deferred)
    if (d.rows) d.flush(sweep, d);
  tape.resting = rests;
  if (rests) rest(tape.resting_bytes);
}

}  // namespace autograd::detail
