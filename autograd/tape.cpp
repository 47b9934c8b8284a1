#include "tape.hpp"

#include <algorithm>
#include <atomic>
#include <bit>

#include "sweep.hpp"
#include "trace.hpp"
#include "var.hpp"

namespace autograd {
namespace detail {

thread_local constinit Context context;

namespace {

// Storages of ended tapes, for the next ones of this thread.
thread_local std::vector<std::unique_ptr<TapeStorage>> idle;

// Ids of tapes. A thread takes many at once: what threads share is slow to write.
constexpr std::uint64_t kIdsAtOnce = 1 << 16;
std::atomic<std::uint64_t> ids_taken{0};
thread_local constinit std::uint64_t last_id = 0;

std::uint64_t next_id() {
  if (last_id % kIdsAtOnce == 0) last_id = ids_taken.fetch_add(kIdsAtOnce);
  return ++last_id;
}

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

Leaf* TapeStorage::search_leaf(const Block* block) {
  if (leaf_table.empty()) return nullptr;
  const std::size_t mask = leaf_table.size() - 1;
  for (std::size_t at = hash(block) & mask; leaf_table[at]; at = (at + 1) & mask) {
    const std::size_t i = leaf_table[at] - 1;
    if (leaves[i].block == block) return &leaves[latest_leaf = i];
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
  storage_->id = next_id();
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

}  // namespace autograd
