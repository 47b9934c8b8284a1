#include "heap.hpp"

#include <atomic>
#include <new>
#include <utility>

#include "error.hpp"

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

namespace autograd::detail {
namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;  // of x86-64 and ARM64

// At the beginning of its memory, which is aligned to its size: so a piece finds its slab.
struct alignas(kHeapAlignment) Slab {
  std::atomic<std::size_t> holders;  // pieces, and the thread that cuts them
};

std::atomic<std::size_t> total{0};

thread_local constinit Slab* slab = nullptr;  // that this thread cuts from
thread_local constinit std::size_t used = 0;  // bytes of it

std::align_val_t alignment_of(std::size_t bytes, Pages pages) {
  return std::align_val_t{pages == Pages::large && bytes >= kLargePage ? kLargePage : kHeapAlignment};
}

void drop(Slab* from) noexcept {
  if (--from->holders == 0) heap_free(from, kLargePage, Pages::large);
}

}  // namespace

void* heap_allocate(std::size_t bytes, Pages pages) {
  void* const memory = ::operator new(bytes, alignment_of(bytes, pages), std::nothrow);
  if (!memory)
    fail("memory: ", bytes, " bytes are more than the system has left; compute with smaller batches or ",
         "shorter sequences");
#ifdef MADV_HUGEPAGE
  if (pages == Pages::large && bytes >= kLargePage)
    madvise(memory, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);  // if it has any
#endif
  total += bytes;
  return memory;
}

void heap_free(void* memory, std::size_t bytes, Pages pages) noexcept {
  total -= bytes;
  ::operator delete(memory, alignment_of(bytes, pages));
}

std::size_t heap_bytes() { return total; }

void* cut_piece(std::size_t bytes) {
  bytes = (bytes + kHeapAlignment - 1) / kHeapAlignment * kHeapAlignment;
  if (!slab || used + bytes > kLargePage) {
    Slab* const next = new (heap_allocate(kLargePage, Pages::large)) Slab{1};
    leave_slab();
    slab = next;
    used = sizeof(Slab);
  }
  ++slab->holders;
  void* const piece = reinterpret_cast<std::byte*>(slab) + used;
  used += bytes;
  return piece;
}

void free_piece(void* piece) noexcept {
  auto* const bytes = static_cast<std::byte*>(piece);
  drop(reinterpret_cast<Slab*>(bytes - reinterpret_cast<std::size_t>(bytes) % kLargePage));
}

void leave_slab() noexcept {
  if (slab) drop(std::exchange(slab, nullptr));
}

}  // namespace autograd::detail
