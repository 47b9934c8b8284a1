// Where pools and tapes get their memory.
//
// Small pieces are cut one after another from slabs of the size of the system's large pages: what a time step
// makes lies side by side, without the gaps that a general heap leaves between aligned pieces, and a long
// sequence needs few pages. A slab is given back when all its pieces are, and a piece that is given back
// waits for that: pieces are for pools.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define UNROLL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNROLL_ASAN 1
#endif
#endif

namespace autograd::detail {

constexpr std::size_t kHeapAlignment = 64;

// Large pages serve what is walked from end to end. Of matrices, columns are read, too, whose elements lie a
// power of two apart: on a large page they fall on few sets of a cache, and products take up to a fifth
// longer.
enum class Pages { ordinary, large };

// So many bytes, aligned to 64. Throws Error if the system has no more.
void* heap_allocate(std::size_t bytes, Pages pages);
// On any thread; `bytes` and `pages` as they were asked for.
void heap_free(void* memory, std::size_t bytes, Pages pages) noexcept;
// What all threads hold, slabs as a whole.
std::size_t heap_bytes();

#ifdef UNROLL_ASAN
constexpr std::size_t kLargestPiece = 0;  // so that the sanitizer sees each by itself
#else
constexpr std::size_t kLargestPiece = std::size_t{32} << 10;
#endif

// The same of a piece, of at most kLargestPiece.
void* cut_piece(std::size_t bytes);
void free_piece(void* piece) noexcept;
// The thread cuts nothing more from the slab that it cuts from, so that this goes with its last piece.
void leave_slab() noexcept;

// For vectors that grow with a tape.
template <class X>
struct HeapAllocator {
  using value_type = X;
  HeapAllocator() = default;
  template <class Y>
  HeapAllocator(const HeapAllocator<Y>&) {}
  X* allocate(std::size_t count) { return static_cast<X*>(heap_allocate(count * sizeof(X), Pages::large)); }
  void deallocate(X* memory, std::size_t count) noexcept {
    heap_free(memory, count * sizeof(X), Pages::large);
  }
  friend bool operator==(const HeapAllocator&, const HeapAllocator&) { return true; }
};

}  // namespace autograd::detail
