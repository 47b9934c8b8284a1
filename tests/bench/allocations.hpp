// Counts what the program takes from the heap, and who takes it.
#pragma once

#include <cstddef>

namespace bench {

struct Allocations {
  std::size_t own = 0;        // asked for by this program, unroll, xtensor or the standard library
  std::size_t libraries = 0;  // asked for by OpenBLAS, oneDNN, their threads' runtime, or libc itself
};

/// Counts, in all threads, while it is alive; one at a time. Without glibc, and under a sanitizer, which has
/// a heap of its own, it counts nothing.
class CountAllocations {
 public:
  CountAllocations();
  ~CountAllocations();
  CountAllocations(const CountAllocations&) = delete;

  Allocations so_far() const;
};

}  // namespace bench
