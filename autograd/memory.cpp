#include "memory.hpp"

#include <atomic>
#include <bit>
#include <mutex>
#include <new>

#include "weight_cache.hpp"

namespace autograd {
namespace detail {
namespace {

// Sizes are counted in units of 64 bytes. Up to 8 units a class each; above, eight classes to the octave: at
// most an eighth of a block is unused, and powers of two fit exactly.
constexpr std::size_t kSteps = 8;
constexpr std::size_t kClasses = 64 * kSteps;

std::size_t class_of(std::size_t bytes) {
  const std::size_t units = (bytes + kHeapAlignment - 1) / kHeapAlignment;
  if (units <= kSteps) return units;
  const std::size_t shift = std::bit_width(units - 1) - 4;  // units - 1 lies in [8, 16) << shift
  return shift * kSteps + ((units - 1) >> shift) + 1;
}

std::size_t bytes_of(std::size_t size_class) {
  if (size_class <= kSteps) return size_class * kHeapAlignment;
  const std::size_t shift = (size_class - kSteps - 1) / kSteps;
  return (((size_class - 1) % kSteps + kSteps + 1) << shift) * kHeapAlignment;
}

// Of a thread. It is made of constants, so that nobody has to ask whether it was made.
struct Pool {
  Block* free_blocks[kClasses] = {};
  MemoryStats stats;
  std::size_t resting_bytes = 0;
  enum { unused, open, closed } state = unused;
};
thread_local constinit Pool pool;

void trim();

struct Closing {
  ~Closing() {
    trim();
    pool.state = Pool::closed;
  }
};

// Whether the pool keeps what is freed: until it is closed, at the thread's end.
bool keeps() {
  if (pool.state == Pool::unused) [[unlikely]] {
    thread_local const Closing closing;
    pool.state = Pool::open;
  }
  return pool.state == Pool::open;
}

void poison([[maybe_unused]] Block* block) {
#ifdef UNROLL_ASAN
  ASAN_POISON_MEMORY_REGION(block->data(), block->capacity);
#endif
}
void unpoison([[maybe_unused]] Block* block) {
#ifdef UNROLL_ASAN
  ASAN_UNPOISON_MEMORY_REGION(block->data(), block->capacity);
#endif
}

void* take_from_heap(std::size_t bytes) {
  void* const memory = bytes <= kLargestPiece ? cut_piece(bytes) : heap_allocate(bytes, Pages::ordinary);
  if (keeps())
    ++pool.stats.heap_requests;
  else
    leave_slab();  // nobody would, at the thread's end
  return memory;
}
void give_to_heap(void* memory, std::size_t bytes) {
  bytes <= kLargestPiece ? free_piece(memory) : heap_free(memory, bytes, Pages::ordinary);
}
void give_to_heap(Block* block) { give_to_heap(block, sizeof(Block) + block->capacity); }

void trim() {
  while (free_records) give_to_heap(allocate_record(), kRecordBytes);
  for (Block*& head : pool.free_blocks)
    while (head) {
      Block* block = std::exchange(head, head->next);
      unpoison(block);
      give_to_heap(block);
    }
  leave_slab();
}

void count_live(std::size_t bytes) {
  MemoryStats& stats = pool.stats;
  stats.live_bytes += bytes;
  if (stats.live_bytes > stats.peak_bytes) stats.peak_bytes = stats.live_bytes;
}

// A block from the heap, of a class that has none.
Block* new_block(std::size_t size_class) {
  const std::size_t capacity = bytes_of(size_class);
  Block* const block = new (take_from_heap(sizeof(Block) + capacity)) Block{};
  block->capacity = capacity;
  block->size_class = static_cast<std::uint16_t>(size_class);
  return block;
}

// It is no variable any more.
void end_variable(Block* block) {
  delete std::exchange(block->name, nullptr);
  block->variable_id = block->version = 0;
}

}  // namespace

Block* allocate_block(std::size_t bytes) {
  const std::size_t size_class = class_of(bytes);
  Block* block = pool.free_blocks[size_class];
  if (block) [[likely]] {
    pool.free_blocks[size_class] = block->next;
    __builtin_prefetch(block->next, 1);  // the next request will want its header
    unpoison(block);
  } else {
    block = new_block(size_class);
  }
  count_live(block->capacity);
  block->references = 1;
  block->published = false;
  return block;
}

thread_local constinit void* free_records = nullptr;

void* new_record() { return take_from_heap(kRecordBytes); }

void free_first_record(void* record) {
  if (!keeps()) return give_to_heap(record, kRecordBytes);
  *static_cast<void**>(record) = nullptr;
  free_records = record;
#ifdef UNROLL_ASAN
  ASAN_POISON_MEMORY_REGION(record, kRecordBytes);
#endif
}

void free_block(Block* block) {
  if (block->variable_id) [[unlikely]]
    end_variable(block);
  if (!keeps()) [[unlikely]]
    return give_to_heap(block);
  Block*& head = pool.free_blocks[block->size_class];
  pool.stats.live_bytes -= block->capacity;  // wraps for a block of another thread; so does that thread's
  poison(block);
  block->next = head;
  head = block;
}

void rest(std::size_t bytes) {
  pool.stats.live_bytes -= bytes;
  pool.resting_bytes += bytes;
}

void wake(std::size_t bytes) {
  pool.resting_bytes -= bytes;
  count_live(bytes);
}

void make_variable(Block* block, std::size_t elements) {
  static std::atomic<std::uint64_t> last{0};
  block->variable_id = ++last;
  block->variable_size = elements;
  publish(block);
}

namespace {
std::mutex names;  // threads share variables
}

void set_name(Block* variable, std::string name) {
  const std::scoped_lock lock(names);
  delete std::exchange(variable->name, new std::string(std::move(name)));
}

void learn_name(Block* variable, const std::string& path) {
  const std::scoped_lock lock(names);
  const std::string* known = variable->name;
  if (known && (*known == path || known->ends_with('.' + path))) return;
  delete std::exchange(variable->name, new std::string(path));
}

std::string name_of(const Block* block) {
  if (!block || !block->variable_id) return {};
  const std::scoped_lock lock(names);
  return block->name ? *block->name : std::string();
}

}  // namespace detail

MemoryStats memory_stats() {
  MemoryStats stats = detail::pool.stats;
  stats.pooled_bytes = detail::pool.resting_bytes;
  stats.heap_bytes = detail::heap_bytes();
  for (const detail::Block* block : detail::pool.free_blocks)
    for (; block; block = block->next) stats.pooled_bytes += block->capacity;
  return stats;
}
void reset_peak_memory() { detail::pool.stats.peak_bytes = detail::pool.stats.live_bytes; }
void release_pooled_memory() {
  detail::forget_ended_tapes();
  detail::forget_weights();
  detail::trim();
}

}  // namespace autograd
