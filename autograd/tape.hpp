// The tape: a flat list of nodes in an arena, and the gradient slots. The reverse sweep over both is in
// sweep.hpp.
//
// A node knows its rule; the sweep knows no node by name. Every differentiable value has a slot, and a Var
// names a window of one: (slot, offset). Slices along axis 0 and reshapes are windows of the same slot, so
// that they cost neither a node nor a copy, and their gradients are windows of one gradient array.
#pragma once

#include <cstdint>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "gradients.hpp"
#include "scope.hpp"

namespace autograd {

class Tape;

namespace detail {

struct Node;
class Sweep;
class TangentSweep;
class DualSweep;
class Trace;
class Restoration;
struct Description;

struct NodeType {
  void (*backward)(Node&, Sweep&);
  void (*tangent)(Node&, TangentSweep&);        // the tangents of the results, from those of the operands
  void (*backward_dual)(Node&, DualSweep&);     // backward, and the tangent of what it does
  void (*record)(Node&, void* recorded_sweep);  // the same rule, written to the tape
  void (*release)(Node&);                       // gives back what the node holds
  // The same, but for what the node itself has made, of which it tells the bytes; null for a node that is not
  // made again from one tape to the next, see replay.hpp.
  std::size_t (*rest)(Node&);
  // For what the node has not kept; null for a node that keeps all it uses, see restoration.hpp.
  void (*restore)(Node&, Restoration&);
  void (*describe)(const Node&, Description&);
  // The op once more on other operands: a span of Vars, of the shapes that describe tells, in; a vector of
  // Vars out.
  void (*again)(const Node&, const void* operands, void* results);
  std::size_t element_bytes;
};

struct Node {
  const NodeType* type;
  Node *previous, *next;
  SlotId first_slot;  // slots from here on belong to this node or a later one
};

template <class N>
inline constexpr NodeType node_type{
    [](Node& node, Sweep& sweep) { static_cast<N&>(node).backward(sweep); },
    [](Node& node, TangentSweep& sweep) { static_cast<N&>(node).tangent(sweep); },
    [](Node& node, DualSweep& sweep) { static_cast<N&>(node).backward_dual(sweep); },
    [](Node& node, void* sweep) { static_cast<N&>(node).record(*static_cast<typename N::Recorded*>(sweep)); },
    [](Node& node) { static_cast<N&>(node).release(); },
    [] {
      std::size_t (*rest)(Node&) = nullptr;
      if constexpr (requires(N & node) { node.rest(); })
        rest = [](Node& node) { return static_cast<N&>(node).rest(); };
      return rest;
    }(),
    [] {
      void (*restore)(Node&, Restoration&) = nullptr;
      if constexpr (requires(N & node, Restoration & restoration) { node.restore(restoration); })
        restore = [](Node& node, Restoration& restoration) { static_cast<N&>(node).restore(restoration); };
      return restore;
    }(),
    [](const Node& node, Description& description) { static_cast<const N&>(node).describe(description); },
    [](const Node& node, const void* operands, void* results) {
      using V = Var<typename N::value_type>;
      *static_cast<std::vector<V>*>(results) =
          static_cast<const N&>(node).again(*static_cast<const std::span<const V>*>(operands));
    },
    sizeof(typename N::value_type)};

struct Slot {  // of one cache line
  Block* gradient = nullptr;
  char* data = nullptr;               // of element 0
  std::size_t size = 0;               // elements
  std::size_t low = 0, high = 0;      // elements [low, high) hold a gradient
  const ValueBase* holder = nullptr;  // of a variable's slot: what the tape holds
  // Deferred products, 1 + the index of each, or 0:
  std::uint32_t pending = 0;   // the first that has rows for this slot
  std::uint32_t deferred = 0;  // the latest with this weight
  std::uint32_t gathered = 0;  // that which gathers this gradient as rows of G
  std::uint8_t element_bytes = 0;
  bool keep = false;    // asked for by the caller: survives its node
  bool shared = false;  // memory that another slot sees: copied before it is written
};
static_assert(sizeof(Slot) == 64);
using Slots = std::vector<Slot, HeapAllocator<Slot>>;

// A variable that the tape has met.
struct Leaf {
  ValueBase* value;  // by which it was met; the tape's own reference. Null if only the last tape has met it
  Block* block;
  std::uint64_t variable_id;
  std::uint64_t version;  // of its value when it was met
  SlotId slot;
};

// Rows of one factor of a deferred product that wait, the latest first.
struct GatheredRows {
  const char* first = nullptr;
  Block* block = nullptr;
  bool packed = false;  // in a block of our own, for so many rows as are gathered

  char* begin() const { return static_cast<char*>(block->data()); }
};

// The gradient of a weight matrix, sum_t G_t^T A_t (out x in) or its transpose, and of a bias, the column
// sums of G_t. Rows are gathered until one product is worth its call.
struct Deferred {
  Place weight, bias;
  std::size_t in, out;
  bool out_by_in;      // the weight is stored out x in, not in x out
  std::size_t node;    // how many nodes came before the first that uses it
  std::uint32_t next;  // 1 + index of the next entry of the same weight slot
  std::size_t rows = 0;
  GatheredRows a, g;
  bool reserved = false;  // the rows of G before the first are the memory of a gradient that is to come
  // The lists of those that wait for a slot (Slot::pending): the weight's and the bias'.
  std::uint32_t next_pending[2] = {0, 0};
  bool listed[2] = {false, false};
  void (*flush)(Sweep&, Deferred&) = nullptr;

  // Rows that are gathered for one product: fewer make slow products, more leave the cache, and so does a
  // large weight's gradient, of which each product reads and writes all (measured).
  std::size_t most_rows() const { return is_large() ? 128 : 64; }
  // Rows that are a product of their own when they come together.
  std::size_t enough_rows() const { return is_large() ? 128 : 32; }
  bool is_large() const { return in * out > 48 * 1024; }

  // Forgets the rows.
  void drop() {
    for (GatheredRows* each : {&a, &g}) {
      release(std::exchange(each->block, nullptr));
      each->packed = false;
    }
    rows = 0;
    reserved = false;
  }
};

// Which tape it was, for messages: the innermost scope that it was made in, empty if there was none.
struct TapeOrigin {
  std::uint64_t id = 0;
  char scope[56] = {};
};

// All memory of a tape. Kept by the thread when the tape ends, for the next one.
struct TapeStorage {
  TapeStorage() = default;
  ~TapeStorage();
  TapeStorage(const TapeStorage&) = delete;

  std::uint64_t id = 0;
  Node *first = nullptr, *last = nullptr;
  SlotId slots_at_last = 0;
  bool consumed = false;
  TapeStorage* outer = nullptr;  // the tape that was active before
  Slots slots;
  std::vector<Leaf> leaves;
  std::vector<std::uint32_t> leaf_table;  // open addressing: 1 + index of a leaf, by block
  std::size_t latest_leaf = 0;            // index of that looked for last
  std::vector<Deferred> deferred;
  std::size_t nodes = 0;
  Trace* trace = nullptr;  // what it notes of its nodes, if it was asked to

  // See replay.hpp.
  Node* replay = nullptr;        // the node of the last tape that the next op may be again
  std::size_t replayed = 0;      // nodes
  bool same_values = false;      // whose results are all the same objects as on the last tape
  std::size_t result_bytes = 0;  // of what the other nodes keep
  bool resting = false;          // the nodes are at rest
  Node* unrepeatable = nullptr;  // the first of them that cannot be repeated
  std::size_t resting_bytes = 0;

  struct Chunk {
    std::byte* memory;
    std::size_t size;
  };
  std::vector<Chunk> chunks;
  std::size_t chunk = 0;
  std::byte *cursor = nullptr, *limit = nullptr;
  TapeOrigin origin;

  void* allocate(std::size_t bytes) {
    bytes = (bytes + 15) & ~std::size_t{15};
    if (static_cast<std::size_t>(limit - cursor) < bytes) next_chunk(bytes);
    return std::exchange(cursor, cursor + bytes);
  }

  template <class N, class... Arguments>
  N& emplace(Arguments&&... arguments) {
    N* node = new (allocate(sizeof(N))) N(std::forward<Arguments>(arguments)...);
    node->type = &node_type<N>;
    node->previous = last;
    node->next = nullptr;
    node->first_slot = slots_at_last;
    (last ? last->next : first) = node;
    last = node;
    slots_at_last = static_cast<SlotId>(slots.size());
    ++nodes;
    if (trace) [[unlikely]]
      trace_node(node);
    return *node;
  }

  // Throws Error for more slots or elements than a Place can tell.
  SlotId new_slot(std::size_t size, std::size_t element_bytes) {
    check_slot(size);
    Slot& slot = slots.emplace_back();
    slot.size = size;
    slot.element_bytes = static_cast<std::uint8_t>(element_bytes);
    return static_cast<SlotId>(slots.size() - 1);
  }
  void check_slot(std::size_t size) const {
    if (slots.size() >= kVariable || size >> (64 - kSlotBits)) [[unlikely]]
      fail_of_slot(size);
  }
  [[noreturn]] void fail_of_slot(std::size_t size) const;

  // Of a variable: met now, if it was not before.
  SlotId leaf_slot(ValueBase* value, Block* block);
  // Most are looked for in the order in which they were met, and more than once.
  Leaf* find_leaf(const Block* block) {
    for (const std::size_t i : {latest_leaf, latest_leaf + 1})
      if (i < leaves.size() && leaves[i].block == block) return &leaves[latest_leaf = i];
    return search_leaf(block);
  }
  Leaf* search_leaf(const Block* block);
  void meet(Leaf& leaf, ValueBase* value);
  // 1 + index of the deferred product of a weight and a bias.
  std::uint32_t deferred_product(Place weight, Place bias, std::size_t in, std::size_t out, bool out_by_in);
  void next_chunk(std::size_t bytes);
  void release_nodes();
  void reset();

  // Of replay.hpp.
  bool leaf_returns(const Block* block, SlotId slot);
  void leave_replay();
  bool may_rest() const;
  void end_rest();
  void wake();
  void rehash_leaves(std::size_t size);
  void link_deferred();
  void trace_node(Node* node);
};

// Where the next output of an op is to be written, if it is the `at`-th output that the thread makes: a
// window of a slot and of its memory. This is how unrolling gets the state of every step into one array
// without a copy.
struct Destination {
  std::uint64_t at = 0;
  Block* block = nullptr;
  char* data = nullptr;
  std::size_t bytes = 0;
  Place place;
  bool taken = false;     // it was
  bool recorded = false;  // and the output's gradient goes to `place`
};

// An output that an op has made: the count of it, and its memory.
struct OutputRecord {
  std::uint64_t index;
  const void* data;
  std::size_t bytes;
};

struct Context {
  TapeStorage* active = nullptr;
  std::uint64_t outputs = 0;  // how many outputs ops have made on this thread
  Destination destination;
  std::vector<OutputRecord>* log = nullptr;  // where to note every output, if anywhere
  Scope* scope = nullptr;                    // the innermost
  bool confined = false;  // results that are not recorded stay with this thread, unless they are published
};
extern thread_local constinit Context context;

// The tape that an op is on: the innermost that was not consumed, or null.
inline TapeStorage* current_tape() {
  TapeStorage* tape = context.active;
  while (tape && tape->consumed) tape = tape->outer;
  return tape;
}

// The same, for a new node.
inline TapeStorage* recording() {
  TapeStorage* tape = current_tape();
  if (tape && tape->replay) [[unlikely]]
    tape->leave_replay();
  return tape;
}

// Stops recording for a scope.
class NoRecording {
 public:
  NoRecording() : saved_(std::exchange(context.active, nullptr)) {}
  ~NoRecording() { context.active = saved_; }
  NoRecording(const NoRecording&) = delete;

 private:
  TapeStorage* saved_;
};

// Confines results to the thread for a scope: references to them are then counted without locks, 6 ns each.
// What is given to others has to be published, see Var::publish.
class Confined {
 public:
  Confined() : saved_(std::exchange(context.confined, true)) {}
  ~Confined() { context.confined = saved_; }
  Confined(const Confined&) = delete;

 private:
  bool saved_;
};

// Drops the gradients that a sweep has left in kept slots.
void clear_gradients(TapeStorage& tape);

// Throws if a variable that the tape has met was updated since: the rules would mix old and new values.
void check_versions(const TapeStorage& tape, const char* call);

// Whether a tape with this id is alive on this thread.
bool tape_is_alive(std::uint64_t id);

// Throws, for an operand of a tape that does not record now.
[[noreturn]] void fail_of_another_tape(const char* op, const Shape& operand, std::uint64_t tape);

TapeStorage& storage_of(const Tape& tape);

// For a traced tape: an op begins, so the node before it is complete.
void end_node(TapeStorage& tape);
// For a traced tape: memory that an op is about to write a result to.
void trace_output(TapeStorage& tape, Place place, Block* block, const void* data);

}  // namespace detail

/// How `Tape::backward` treats the tape.
struct BackwardOptions {
  bool keep_tape = false;  ///< keep all values, so that backward or grad can run again
};

/// What a tape does beyond recording, for looking at it afterwards; both cost time and memory.
struct TapeOptions {
  /// Keep every value, and note the scope and the times of every node, for nodes(), summary() and to_dot().
  bool trace = false;
  /// Throw Error at the first node whose value, or whose gradient in a sweep, is not finite. Implies trace.
  bool detect_anomaly = false;
};

/// Records every op on differentiable values while it is alive, and runs backpropagation.
///
/// Recording starts with the constructor and ends with the scope; without a tape nothing is recorded, so
/// inference needs no guard. Tapes nest (the innermost records) and belong to the thread that made them.
/// Memory is kept by the thread and reused by its next tape, and so are nodes that it repeats, see
/// replay.hpp.
class Tape {
 public:
  [[nodiscard]] explicit Tape(TapeOptions options = {});
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Gradients of a scalar loss with respect to every variable that took part in it, by one reverse sweep.
  ///
  /// The tape is consumed: its values are released as the sweep passes, it records no more, and a second
  /// backward throws Error (unless `keep_tape`). Also throws if the loss is not a scalar, was not recorded on
  /// this tape, if the tape is another thread's, or if a variable was updated between recording and backward.
  template <class T>
  Gradients backward(const Var<T>& loss, BackwardOptions options = {});

  /// Number of recorded nodes.
  std::size_t size() const { return storage_->nodes; }

 private:
  friend detail::TapeStorage& detail::storage_of(const Tape&);
  Gradients collect();

  detail::TapeStorage* storage_;
};

}  // namespace autograd
