// Replaces the global operator new and delete by ones that count. The forms for arrays and the nothrow ones
// call these, as the standard says.
#include "counting_allocator.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define UNROLL_TESTS_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL_TESTS_SANITIZED
#endif

namespace {
thread_local std::size_t allocations = 0;
}

namespace test {

std::size_t heap_allocations() { return allocations; }

#ifdef UNROLL_TESTS_SANITIZED

bool counts_allocations() { return false; }

}  // namespace test

#else

bool counts_allocations() { return true; }

}  // namespace test

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(std::max<std::size_t>(size, 1))) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const std::size_t a = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(a, std::max(a, (size + a - 1) / a * a))) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#endif
