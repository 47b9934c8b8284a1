#include "tape.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>

#include "sweep.hpp"
#include "trace.hpp"
#include "var.hpp"

namespace autograd {
namespace detail {

thread_local constinit Context context;

namespace {

// Storages of ended tapes, for the next ones of this thread.
thread_local std::vector<std::unique_ptr<TapeStorage>> idle;
std::atomic<std::uint64_t> last_id{0};

// The latest tapes of this thread that have ended and were made in a scope.
constexpr std::size_t kRemembered = 16;
thread_local constinit TapeOrigin ended[kRemembered];
thread_local constinit std::size_t ended_count = 0;

std::size_t hash(const Block* block) {
  return (reinterpret_cast<std::uintptr_t>(block) >> 6) * 0x9E3779B97F4A7C15u >> 32;
}

}  // namespace

void free_value(ValueBase* value) {
  const auto free = [](auto* whole) {
    if (whole->owned) return whole->array.set_memory({}, nullptr);
    std::destroy_at(whole);
    free_record(whole);
  };
  value->element_bytes == sizeof(float) ? free(static_cast<Value<float>*>(value))
                                        : free(static_cast<Value<double>*>(value));
}

TapeStorage::~TapeStorage() {
  wake();
  reset();
  for (const Chunk& each : chunks) heap_free(each.memory, each.size, Pages::large);
}

void TapeStorage::rehash_leaves(std::size_t size) {  // of a power of two
  leaf_table.assign(size, 0);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    std::size_t at = hash(leaves[i].block) & (size - 1);
    while (leaf_table[at]) at = (at + 1) & (size - 1);
    leaf_table[at] = static_cast<std::uint32_t>(i + 1);
  }
}

Leaf* TapeStorage::find_leaf(const Block* block) {
  if (leaf_table.empty()) return nullptr;
  const std::size_t mask = leaf_table.size() - 1;
  for (std::size_t at = hash(block) & mask; leaf_table[at]; at = (at + 1) & mask) {
    Leaf& leaf = leaves[leaf_table[at] - 1];
    if (leaf.block == block) return &leaf;
  }
  return nullptr;
}

void TapeStorage::meet(Leaf& leaf, ValueBase* value) {
  leaf.value = retain(value);
  leaf.variable_id = leaf.block->variable_id;
  leaf.version = leaf.block->version;
  Slot& slot = slots[leaf.slot];
  slot.size = leaf.block->variable_size;
  slot.element_bytes = value->element_bytes;
  slot.keep = true;
  slot.holder = value;
}

SlotId TapeStorage::leaf_slot(ValueBase* value, Block* block) {
  if (const Leaf* leaf = find_leaf(block); leaf && leaf->value) return leaf->slot;
  leave_replay();
  Leaf* leaf = find_leaf(block);  // still there if an op met it on the last tape and failed
  if (!leaf) {
    leaf = &leaves.emplace_back();
    leaf->block = block;
    leaf->slot = new_slot(block->variable_size, value->element_bytes);
    rehash_leaves(std::max<std::size_t>(64, std::bit_ceil(leaves.size() * 2)));
  }
  meet(*leaf, value);
  return leaf->slot;
}

std::uint32_t TapeStorage::deferred_product(Place weight, Place bias, std::size_t in, std::size_t out,
                                            bool out_by_in) {
  constexpr int kMostLooked = 32;  // where one slot has more weights than that, each use gathers for itself
  std::uint32_t& latest = slots[weight.differentiable() ? weight.slot() : bias.slot()].deferred;
  int looked = 0;
  for (std::uint32_t i = latest; i && looked < kMostLooked; i = deferred[i - 1].next, ++looked) {
    const Deferred& d = deferred[i - 1];
    if (d.weight == weight && d.bias == bias && d.in == in && d.out == out && d.out_by_in == out_by_in)
      return i;
  }
  Deferred& entry = deferred.emplace_back();
  entry.weight = weight;
  entry.bias = bias;
  entry.in = in;
  entry.out = out;
  entry.out_by_in = out_by_in;
  entry.node = nodes;
  entry.next = latest;
  return latest = static_cast<std::uint32_t>(deferred.size());
}

// Lists the deferred products of each weight anew.
void TapeStorage::link_deferred() {
  for (Slot& slot : slots) slot.deferred = 0;
  for (std::size_t i = 0; i < deferred.size(); ++i) {
    Deferred& d = deferred[i];
    std::uint32_t& latest = slots[d.weight.differentiable() ? d.weight.slot() : d.bias.slot()].deferred;
    d.next = std::exchange(latest, static_cast<std::uint32_t>(i + 1));
  }
}

void TapeStorage::fail_of_slot(std::size_t size) const {
  fail("tape: ", slots.size(), " values, and another of ", size,
       " elements, are more than a tape can hold, which is ", kVariable, " values of ",
       std::size_t{1} << (64 - kSlotBits), " elements; compute in parts, each with a tape of its own");
}

void TapeStorage::next_chunk(std::size_t bytes) {
  if (cursor) ++chunk;
  while (chunk < chunks.size() && chunks[chunk].size < bytes) ++chunk;
  if (chunk == chunks.size()) {
    const std::size_t size =
        std::max<std::size_t>(bytes, std::size_t{64 * 1024} << std::min<std::size_t>(chunk, 6));
    chunks.reserve(chunk + 1);
    chunks.push_back({static_cast<std::byte*>(heap_allocate(size, Pages::large)), size});
  }
  cursor = chunks[chunk].memory;
  limit = cursor + chunks[chunk].size;
}

void TapeStorage::release_nodes() {
  for (Node* node = last; node; node = node->previous) node->type->release(*node);
  first = last = nullptr;
}

void TapeStorage::reset() {
  if (resting) return end_rest();
  leave_replay();
  release_nodes();
  for (Slot& slot : slots) release(slot.gradient);
  for (Leaf& leaf : leaves) release(leaf.value);
  for (Deferred& d : deferred) d.drop();
  if (!leaves.empty()) std::fill(leaf_table.begin(), leaf_table.end(), 0);
  slots.clear();
  leaves.clear();
  deferred.clear();
  slots_at_last = 0;
  nodes = replayed = result_bytes = 0;
  delete std::exchange(trace, nullptr);
  consumed = false;
  chunk = 0;
  cursor = limit = nullptr;
  if (!chunks.empty()) {
    cursor = chunks[0].memory;
    limit = cursor + chunks[0].size;
  }
}

void check_versions(const TapeStorage& tape, const char* call) {
  for (const Leaf& leaf : tape.leaves)
    if (leaf.value && leaf.block->version != leaf.version) {
      const std::string name = name_of(leaf.block);
      fail(
          call, ": ", name.empty() ? "a variable" : name, " of ", tape.slots[leaf.slot].size,
          " elements was updated (by an optimiser's step, a load, assign or update) after this tape recorded "
          "its value, so gradients would mix old and new values; run backward before the update, or record "
          "again after it");
    }
}

bool tape_is_alive(std::uint64_t id) {
  for (const TapeStorage* tape = context.active; tape; tape = tape->outer)
    if (tape->id == id) return true;
  return false;
}

void fail_of_another_tape(const char* op, const Shape& operand, std::uint64_t tape) {
  if (tape_is_alive(tape))
    fail(
        op, ": an operand of shape ", operand,
        " was recorded on another tape than the one that records now (tapes nest, the innermost records), so "
        "its gradient would be lost; detach() it, or use it while its tape records");
  std::string which = " (or is another thread's)";
  for (const TapeOrigin& origin : ended)
    if (origin.id == tape) which = std::string(", that of ") + origin.scope;
  fail(op, ": an operand of shape ", operand, " was recorded on a tape that has ended", which,
       ", so its gradient would be lost; detach() what is carried over, at the end of each tape: state = "
       "state.detach() (of a struct, nn::detach(state))");
}

TapeStorage& storage_of(const Tape& tape) {
  tape.storage_->leave_replay();
  return *tape.storage_;
}

void forget_ended_tapes() { idle.clear(); }

}  // namespace detail

Tape::Tape(TapeOptions options) {
  using namespace detail;
  if (idle.empty()) {
    storage_ = new TapeStorage;
  } else {
    storage_ = idle.back().release();
    idle.pop_back();
  }
  storage_->id = ++last_id;
  storage_->origin.id = storage_->id;
  storage_->origin.scope[0] = 0;
  if (context.scope) context.scope->copy_name(storage_->origin.scope, sizeof storage_->origin.scope);
  if (options.trace || options.detect_anomaly)
    storage_->trace = new Trace(storage_->id, options.detect_anomaly);
  storage_->wake();
  storage_->outer = std::exchange(context.active, storage_);
}

Tape::~Tape() {
  using namespace detail;
  TapeStorage** link = &context.active;
  while (*link && *link != storage_) link = &(*link)->outer;
  if (*link) *link = storage_->outer;
  if (storage_->origin.scope[0]) ended[ended_count++ % kRemembered] = storage_->origin;
  storage_->reset();
  idle.emplace_back(storage_);
}

template <class T>
Gradients Tape::backward(const Var<T>& loss, BackwardOptions options) {
  using detail::fail;
  if (!loss.defined()) fail("backward: the loss is an empty Var; assign it a value first");
  if (loss.size() != 1)
    fail("backward: the loss has shape ", loss.shape(),
         "; reduce it to a scalar, for example with mean or sum");
  if (!detail::tape_is_alive(storage_->id))
    fail(
        "backward: this tape belongs to another thread; record and run backward on one thread, each thread "
        "with a tape of its own");
  if (storage_->consumed)
    fail(
        "backward: this tape was consumed by an earlier backward; record again on a new Tape, or keep it "
        "with backward(loss, {.keep_tape = true})");
  if (loss.tape_id() != storage_->id)
    fail("backward: the loss was not recorded on this tape; ",
         loss.tape_id() ? "call backward on the tape that was active when it was computed"
                        : "compute it from variables while the tape is alive");
  storage_->leave_replay();
  check_versions(*storage_, "backward");
  const detail::Seed seed{loss.place(), 1, nullptr};
  detail::run_sweep(*storage_, {&seed, 1}, !options.keep_tape);
  return collect();
}

template Gradients Tape::backward(const Var<float>&, BackwardOptions);
template Gradients Tape::backward(const Var<double>&, BackwardOptions);

Gradients Tape::collect() {
  using namespace detail;
  Gradients result;
  result.entries_ = allocate_block(storage_->leaves.size() * sizeof(Gradients::Entry));
  auto* entry = static_cast<Gradients::Entry*>(result.entries_->data());
  Sweep sweep(*storage_);
  for (const Leaf& leaf : storage_->leaves) {
    Slot& slot = storage_->slots[leaf.slot];
    if (!leaf.value || (slot.low == slot.high && slot.size)) continue;
    sweep.gradient<char>({leaf.slot, 0}, slot.size);  // zeros where no window has reached
    new (entry++) Gradients::Entry{leaf.block->variable_id, std::exchange(slot.gradient, nullptr), slot.data,
                                   slot.size, slot.element_bytes};
    ++result.count_;
    slot.low = slot.high = 0;
    slot.shared = false;
  }
  return result;
}

Gradients::~Gradients() {
  if (!entries_) return;
  const auto* entries = static_cast<const Entry*>(entries_->data());
  for (std::size_t i = 0; i < count_; ++i) detail::release(entries[i].gradient);
  detail::release(entries_);
}

template <class T>
const Gradients::Entry* Gradients::find(const Var<T>& x) const {
  if (!x.defined() || !x.is_variable()) return nullptr;
  const detail::Block* variable = x.array().block();
  const auto* entries = entries_ ? static_cast<const Entry*>(entries_->data()) : nullptr;
  const std::size_t hint = __atomic_load_n(&hint_, __ATOMIC_RELAXED);  // threads may look up at the same time
  std::size_t at = hint;
  for (std::size_t left = count_; left > 0; --left, ++at) {
    if (at >= count_) at = 0;
    if (entries[at].variable_id != variable->variable_id) continue;
    __atomic_store_n(&hint_, at + 1, __ATOMIC_RELAXED);
    return &entries[at];
  }
  return nullptr;
}

namespace {

// Calls f(T*, size) on the elements of a gradient.
void visit_elements(char* data, std::size_t size, std::size_t element_bytes, auto&& f) {
  element_bytes == sizeof(float) ? f(reinterpret_cast<float*>(data), size)
                                 : f(reinterpret_cast<double*>(data), size);
}

}  // namespace

double Gradients::norm() const {
  double sum = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const Entry& entry = static_cast<const Entry*>(entries_->data())[i];
    visit_elements(entry.data, entry.size, entry.element_bytes, [&](const auto* x, std::size_t size) {
      for (std::size_t k = 0; k < size; ++k) sum += static_cast<double>(x[k]) * static_cast<double>(x[k]);
    });
  }
  return std::sqrt(sum);
}

void Gradients::scale(double factor) {
  for (std::size_t i = 0; i < count_; ++i) {
    const Entry& entry = static_cast<const Entry*>(entries_->data())[i];
    visit_elements(entry.data, entry.size, entry.element_bytes, [&]<class T>(T* x, std::size_t size) {
      for (std::size_t k = 0; k < size; ++k) x[k] *= static_cast<T>(factor);
    });
  }
}

void Gradients::add(const Gradients& other) {
  const auto entry_of = [](const Gradients& gradients, std::size_t i) -> Entry& {
    return static_cast<Entry*>(gradients.entries_->data())[i];
  };
  const std::size_t own = count_;
  for (std::size_t i = 0; i < other.count_; ++i) {
    const Entry& from = entry_of(other, i);
    std::size_t at = i;  // where it is if both losses have met the same variables
    if (at >= own || entry_of(*this, at).variable_id != from.variable_id)
      for (at = 0; at < own && entry_of(*this, at).variable_id != from.variable_id;) ++at;
    if (at < own) {
      const Entry& to = entry_of(*this, at);
      visit_elements(to.data, to.size, to.element_bytes, [&]<class T>(T* x, std::size_t size) {
        const T* const y = reinterpret_cast<const T*>(from.data);
        for (std::size_t k = 0; k < size; ++k) x[k] += y[k];
      });
      continue;
    }
    const std::size_t bytes = from.size * from.element_bytes;
    const detail::BlockRef copy(detail::allocate_block(bytes));
    std::memcpy(copy->data(), from.data, bytes);
    detail::Block* const entries = detail::allocate_block((count_ + 1) * sizeof(Entry));
    if (count_) std::memcpy(entries->data(), entries_->data(), count_ * sizeof(Entry));
    detail::release(std::exchange(entries_, entries));
    Entry& added = entry_of(*this, count_++);
    added = from;
    added.gradient = detail::retain(copy.get());
    added.data = static_cast<char*>(copy->data());
  }
}

namespace {

// Where the elements of a handle begin in its variable.
template <class T>
std::ptrdiff_t offset(const Var<T>& variable) {
  return variable.array().data() - static_cast<const T*>(variable.array().block()->data());
}

}  // namespace

template <class T>
bool Gradients::contains(const Var<T>& variable) const {
  return find(variable) != nullptr;
}

template <class T>
const T* Gradients::data(const Var<T>& variable) const {
  const Entry* entry = find(variable);
  return entry ? reinterpret_cast<const T*>(entry->data) + offset(variable) : nullptr;
}

template <class T>
Array<T> Gradients::array(const Var<T>& variable) const {
  variable.require_value("Gradients");
  const Entry* entry = find(variable);
  if (!entry && variable.is_variable())
    detail::fail("Gradients: ", detail::called(variable, "the variable"), " of shape ", variable.shape(),
                 " took no part in the loss; ask contains() first");
  if (!entry)
    detail::fail("Gradients: ", variable.differentiable() ? "a result" : "a constant", " of shape ",
                 variable.shape(), " has no gradient here, only variables have; ",
                 variable.differentiable() ? "ask grad(loss, result)" : "make it with variable()");
  detail::publish(entry->gradient);
  return {detail::BlockRef(detail::retain(entry->gradient)),
          reinterpret_cast<T*>(entry->data) + offset(variable), variable.shape()};
}

template bool Gradients::contains(const Var<float>&) const;
template bool Gradients::contains(const Var<double>&) const;
template const float* Gradients::data(const Var<float>&) const;
template const double* Gradients::data(const Var<double>&) const;
template Array<float> Gradients::array(const Var<float>&) const;
template Array<double> Gradients::array(const Var<double>&) const;

}  // namespace autograd
