// Counts the heap allocations of the test program.
#pragma once

#include <cstddef>

namespace test {

/// False where a sanitizer owns the heap; heap_allocations() then stays 0.
bool counts_allocations();

/// Calls of operator new, in all its forms, by this thread so far.
std::size_t heap_allocations();

}  // namespace test
