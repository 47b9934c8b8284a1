// Takes the place of glibc's malloc and of operator new: each call is counted, where somebody counts, for the
// library that the caller's address lies in.
#include "allocations.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define BENCH_SANITIZED
#endif
#endif
#if defined(__GLIBC__) && !defined(BENCH_SANITIZED) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define BENCH_COUNTS
#endif

namespace {

std::atomic<bool> counting{false};
std::atomic<std::size_t> own{0}, libraries{0};

}  // namespace

namespace bench {

CountAllocations::CountAllocations() {
  own = libraries = 0;
  counting = true;
}
CountAllocations::~CountAllocations() { counting = false; }
Allocations CountAllocations::so_far() const { return {own, libraries}; }

}  // namespace bench

#ifdef BENCH_COUNTS

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {

void count(const void* caller) {
  if (!counting.load(std::memory_order_relaxed)) return;
  Dl_info where;
  bool theirs = false;
  if (dladdr(caller, &where) && where.dli_fname)
    for (const char* library : {"openblas", "libblas", "dnnl", "gomp", "libc.so", "ld-linux"})
      theirs = theirs || std::strstr(where.dli_fname, library);
  ++(theirs ? libraries : own);
}

void* checked(void* memory) {
  if (!memory) throw std::bad_alloc();
  return memory;
}

std::size_t number(std::align_val_t alignment) { return static_cast<std::size_t>(alignment); }

}  // namespace

#define BENCH_COUNT() count(__builtin_return_address(0))

extern "C" {

void* malloc(std::size_t size) {
  BENCH_COUNT();
  return __libc_malloc(size);
}
void* calloc(std::size_t count_of, std::size_t size) {
  BENCH_COUNT();
  return __libc_calloc(count_of, size);
}
void* realloc(void* memory, std::size_t size) {
  BENCH_COUNT();
  return __libc_realloc(memory, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  BENCH_COUNT();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  BENCH_COUNT();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  BENCH_COUNT();
  void* const taken = __libc_memalign(alignment, size);
  if (!taken) return ENOMEM;
  *memory = taken;
  return 0;
}

}  // extern "C"

void* operator new(std::size_t size) {
  BENCH_COUNT();
  return checked(__libc_malloc(size ? size : 1));
}
void* operator new[](std::size_t size) {
  BENCH_COUNT();
  return checked(__libc_malloc(size ? size : 1));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  BENCH_COUNT();
  return __libc_malloc(size ? size : 1);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  BENCH_COUNT();
  return __libc_malloc(size ? size : 1);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  BENCH_COUNT();
  return checked(__libc_memalign(number(alignment), size ? size : 1));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  BENCH_COUNT();
  return checked(__libc_memalign(number(alignment), size ? size : 1));
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  BENCH_COUNT();
  return __libc_memalign(number(alignment), size ? size : 1);
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  BENCH_COUNT();
  return __libc_memalign(number(alignment), size ? size : 1);
}
// All forms of operator delete end in free, which is glibc's own.
void operator delete(void* memory) noexcept { __builtin_free(memory); }
void operator delete[](void* memory) noexcept { __builtin_free(memory); }
void operator delete(void* memory, std::size_t) noexcept { __builtin_free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { __builtin_free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { __builtin_free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { __builtin_free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { __builtin_free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { __builtin_free(memory); }

#endif
