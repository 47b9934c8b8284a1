#include "replay.hpp"

#include <algorithm>

#include "description.hpp"
#include "recorded_sweep.hpp"
#include "tangent_sweep.hpp"

namespace autograd {
namespace detail {
namespace {

// Nodes of larger results, on average, are made anew: there is little to win, and their memory serves others
// meanwhile.
constexpr std::size_t kMostBytesOfNode = 16 * 1024;

thread_local constinit bool replays = true;

// Memory of several results. It has no rule.
struct StackNode : Node {
  using value_type = float;
  using Recorded = RecordedSweep<float>;
  Block* block;
  SlotId slot;
  std::size_t size, element_bytes;

  void backward(Sweep&) {}
  void tangent(TangentSweep&) {}
  void backward_dual(DualSweep&) {}
  void record(Recorded&) {}
  void describe(Description&) const {}
  std::vector<Var<float>> again(std::span<const Var<float>>) const { return {}; }

  void keep(Block* memory) {
    block = retain(memory);
    ++block->kept;
  }
  void release() {
    if (!block) return;
    --block->kept;
    detail::release(std::exchange(block, nullptr));
  }
  std::size_t rest() { return block->capacity; }
};

}  // namespace

Stack stack_on_tape(std::size_t size, std::size_t element_bytes) {
  TapeStorage& tape = *current_tape();
  if (auto* node = next_in_replay<StackNode>(&tape);
      node && node->size == size && node->element_bytes == element_bytes) {
    if (__atomic_load_n(&node->block->references, __ATOMIC_ACQUIRE) != node->block->kept) {
      const BlockRef block(allocate_block(size * element_bytes));  // first: it may throw
      node->release();
      node->keep(block.get());
    }
    advance(tape, *node);
    return {node->slot, BlockRef(retain(node->block))};
  }
  recording();
  const SlotId slot = tape.new_slot(size, element_bytes);
  BlockRef block(allocate_block(size * element_bytes));
  if (tape.trace) return {slot, std::move(block)};
  auto& node = tape.emplace<StackNode>();
  node.slot = slot;
  node.size = size;
  node.element_bytes = element_bytes;
  node.keep(block.get());
  return {slot, std::move(block)};
}

// By another record, with memory of its own: somebody still holds the one of the last tape.
template <class T>
void Result<T>::replace(TapeStorage& tape) {
  const Memory memory = value->owned ? Memory::transient : Memory::kept;
  const Shape& shape = value->array.shape();
  const Destination& to = context.destination;
  Array<T> elements = at_destination
                          ? Array<T>(BlockRef(retain(to.block)), reinterpret_cast<T*>(to.data), shape)
                          : Array<T>::confined(shape);  // may throw
  Value<T>* const made = new_value<T>(std::move(elements), value->place, 0);
  made->restorable = value->restorable;
  release();
  hold(made, memory);
  --made->references;  // that of its maker
  tape.same_values = false;
}

template struct Result<float>;
template struct Result<double>;

// Whether a variable is the one of a slot, which the tape may have yet to meet.
bool TapeStorage::leaf_returns(const Block* block, SlotId slot) {
  const Leaf* const leaf = find_leaf(block);
  return leaf && leaf->slot == slot && (leaf->value || leaf->variable_id == block->variable_id);
}

// Gives back the nodes that the next op could have been, and what belongs to them.
void TapeStorage::leave_replay() {
  Node* const from = std::exchange(replay, nullptr);
  if (!from) return;
  for (Node* node = from; node; node = node->next) node->type->release(*node);
  (last ? last->next : first) = nullptr;

  const SlotId end = from->first_slot;
  while (!leaves.empty() && leaves.back().slot >= end) {
    release(leaves.back().value);
    leaves.pop_back();
  }
  rehash_leaves(leaf_table.size());
  // In their order gradients are added.
  while (!deferred.empty() && deferred.back().node >= nodes) deferred.pop_back();
  slots.resize(end);
  link_deferred();
  slots_at_last = end;

  auto* const address = reinterpret_cast<std::byte*>(from);
  const auto holds = [&](const Chunk& each) {
    return address >= each.memory && address < each.memory + each.size;
  };
  chunk = static_cast<std::size_t>(std::find_if(chunks.begin(), chunks.end(), holds) - chunks.begin());
  cursor = address;
  limit = chunks[chunk].memory + chunks[chunk].size;
}

// Whether the nodes are to rest when a sweep consumes them.
bool TapeStorage::may_rest() const {
  return replays && !trace && result_bytes <= (nodes - replayed) * kMostBytesOfNode;
}

// At the end of a tape whose nodes are at rest: leaves what the next one may repeat.
void TapeStorage::end_rest() {
  if (unrepeatable) {
    last = unrepeatable->previous;
    replay = std::exchange(unrepeatable, nullptr);
    for (const Node* node = replay; node; node = node->next) --nodes;
    leave_replay();
  }
  last = nullptr;
  for (Leaf& leaf : leaves) {
    slots[leaf.slot].holder = nullptr;
    release(std::exchange(leaf.value, nullptr));
  }
  consumed = false;
  nodes = replayed = result_bytes = 0;
}

// At the beginning of the next tape.
void TapeStorage::wake() {
  if (!std::exchange(resting, false)) return;
  detail::wake(std::exchange(resting_bytes, 0));
  replay = first;
  same_values = true;
  if (!replays || trace) leave_replay();
}

}  // namespace detail

void set_replay(bool on) { detail::replays = on; }

}  // namespace autograd
