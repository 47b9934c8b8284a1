// Blocks: reference-counted memory from a pool of the thread. A steady training step takes from the heap
// nothing.
#pragma once

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "heap.hpp"

#ifdef UNROLL_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace autograd {

/// Bytes that autograd holds on this thread.
struct MemoryStats {
  std::size_t live_bytes = 0;     ///< in blocks that somebody holds
  std::size_t pooled_bytes = 0;   ///< kept for the next request, or for the next tape
  std::size_t heap_requests = 0;  ///< how often the pool had none to give, and took more from the heap
  std::size_t peak_bytes = 0;     ///< the largest live_bytes since start or reset_peak
  std::size_t heap_bytes = 0;     ///< taken from the heap by all threads together, for whatever purpose
};

MemoryStats memory_stats();
void reset_peak_memory();

/// Gives what this thread keeps for later back to the heap.
void release_pooled_memory();

namespace detail {

// A word by way of a general register. Compilers copy neighbouring members by one vector load, which a
// processor must hold back until the stores of the single members are done, if they were just written: 6 ns
// each time (measured), and many times in a time step.
template <class Word>
[[gnu::always_inline]] inline Word word(Word x) {
  static_assert(sizeof(Word) == 8);
  asm("" : "+r"(x));
  return x;
}

// Whether the process has had no other thread so far. (What glibc tells; where it does not, this is false.)
inline bool single_threaded() {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded;
#else
  return false;
#endif
}

// References to what threads may share are counted atomically, 6 ns each time, unless there is but one
// thread.
inline void add_reference(std::uint32_t& references, bool published) {
  if (published && !single_threaded())
    __atomic_fetch_add(&references, 1u, __ATOMIC_RELAXED);
  else
    ++references;
}
// Whether it was the last.
inline bool remove_reference(std::uint32_t& references, bool published) {
  if (published && !single_threaded()) return __atomic_sub_fetch(&references, 1u, __ATOMIC_ACQ_REL) == 0;
  return --references == 0;
}

// The header of a block; the elements follow it. Only the thread of a tape can hold the block, unless it was
// published.
struct alignas(64) Block {
  std::uint32_t references = 0;
  std::uint16_t size_class = 0;
  bool published = false;
  std::uint64_t variable_id = 0;      // 0, or the identity of the variable that owns this memory
  std::uint64_t version = 0;          // counts the in-place updates of a variable
  std::size_t variable_size = 0;      // elements of the variable
  std::size_t capacity = 0;           // bytes
  Block* next = nullptr;              // in the pool
  const std::string* name = nullptr;  // of the variable, or null
  std::uint32_t kept = 0;  // how many of the references are those of values that nodes keep, see Replay

  void* data() { return word(reinterpret_cast<char*>(this) + sizeof(Block)); }
};

constexpr std::size_t kMostBytes = std::size_t{1} << 47;  // as many as a process can address
Block* allocate_block(std::size_t bytes);  // one reference, unpublished; throws Error if there is no memory
void free_block(Block* block);             // no reference left
void rest(std::size_t bytes);              // of live blocks are kept for the next tape, see Replay
void wake(std::size_t bytes);              // of them are live again
void forget_ended_tapes();                 // gives back what they keep
void make_variable(Block* block, std::size_t elements);  // gives the block an identity
void set_name(Block* variable, std::string name);
void learn_name(Block* variable,
                const std::string& path);  // unless it has a longer path that ends with this one
std::string name_of(const Block* block);   // empty if it has none

inline void publish(Block* block) {
  if (block && !block->published) block->published = true;  // no write to what threads share
}

inline Block* retain(Block* block) {
  if (block) add_reference(block->references, block->published);
  return block;
}

inline void release(Block* block) {
  if (block && remove_reference(block->references, block->published)) free_block(block);
}

// One reference to a block. The interface of a smart pointer, so that xtensor's adaptors can hold it.
class BlockRef {
 public:
  BlockRef() = default;
  explicit BlockRef(Block* owned) : block_(owned) {}
  BlockRef(const BlockRef& other) : block_(retain(other.block_)) {}
  BlockRef(BlockRef&& other) noexcept : block_(word(std::exchange(other.block_, nullptr))) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() { release(block_); }

  Block* get() const { return block_; }
  Block* operator->() const { return block_; }
  explicit operator bool() const { return block_; }
  void operator()() const {}  // what xtensor knows the owner of a buffer by

 private:
  Block* block_ = nullptr;
};

// Records: small memory of one size, for what the handles of a value share. Each thread keeps those that it
// has freed.
constexpr std::size_t kRecordBytes = 128;

extern thread_local constinit void* free_records;  // each points to the next

void* new_record();
void free_first_record(void* record);  // into an empty list

inline void* allocate_record() {
  void* const record = free_records;
  if (!record) [[unlikely]]
    return new_record();
#ifdef UNROLL_ASAN
  ASAN_UNPOISON_MEMORY_REGION(record, kRecordBytes);
#endif
  free_records = *static_cast<void**>(record);
  __builtin_prefetch(free_records, 1);
  return record;
}

inline void free_record(void* record) {
  if (!free_records) [[unlikely]]
    return free_first_record(record);
  *static_cast<void**>(record) = std::exchange(free_records, record);
#ifdef UNROLL_ASAN
  ASAN_POISON_MEMORY_REGION(record, kRecordBytes);
#endif
}

}  // namespace detail
}  // namespace autograd
