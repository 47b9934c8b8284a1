#include "autograd/heap.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <autograd/autograd.hpp>
#include <cstdint>
#include <thread>
#include <vector>

namespace ag = autograd;
using V = ag::Var<float>;

namespace {

std::size_t heap_bytes() {
  ag::release_pooled_memory();
  return ag::memory_stats().heap_bytes;
}

// Values of all sizes from one element to a mebibyte.
std::vector<V> values_of_many_sizes() {
  std::vector<V> values;
  for (std::size_t size = 1; size <= std::size_t{1} << 18; size = size * 3 / 2 + 1)
    for (int i = 0; i < 3; ++i) values.push_back(ag::zeros<float>({size}));
  return values;
}

}  // namespace

TEST_CASE("memory comes back to the heap") {
  const std::size_t before = heap_bytes();
  {
    std::vector<V> values = values_of_many_sizes();
    CHECK(heap_bytes() > before);
    values.erase(values.begin() + 1, values.end());
    CHECK(heap_bytes() >= before + sizeof(float));
    CHECK(heap_bytes() <= before + (std::size_t{2} << 20));  // the slab that the first lies in
  }
  CHECK(heap_bytes() == before);
  // Tapes keep theirs for the next one, until they are asked.
  {
    ag::Tape tape;
    V x = ag::variable(ag::Array<float>({8}, 1.0f)), y = x;
    for (int i = 0; i < 100'000; ++i) y = tanh(y);
    tape.backward(sum(y));
  }
  CHECK(heap_bytes() == before);
}

TEST_CASE("memory comes back from values that outlive their thread") {
  const std::size_t before = heap_bytes();
  std::vector<V> values;
  std::thread([&] { values = values_of_many_sizes(); }).join();
  CHECK(heap_bytes() > before);
  std::thread([values = std::move(values)]() mutable { values.clear(); }).join();
  CHECK(heap_bytes() == before);
}

TEST_CASE("blocks are aligned, and do not overlap") {
  const std::vector<V> values = values_of_many_sizes();
  std::vector<std::pair<std::uintptr_t, std::size_t>> ranges;
  for (const V& value : values) {
    const auto address = reinterpret_cast<std::uintptr_t>(value.array().data());
    CHECK(address % ag::detail::kHeapAlignment == 0);
    ranges.emplace_back(address, value.size() * sizeof(float));
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i)
    CHECK(ranges[i - 1].first + ranges[i - 1].second <= ranges[i].first);
}

#ifndef UNROLL_ASAN  // where each block is by itself, and too large a request ends the program
TEST_CASE("small values lie in one slab") {
  const std::size_t before = heap_bytes();
  std::vector<V> values;
  for (int i = 0; i < 1000; ++i) values.push_back(ag::zeros<float>({16}));
  CHECK(ag::memory_stats().heap_bytes - before == std::size_t{2} << 20);
}

TEST_CASE("memory that the system does not have is an Error") {
  CHECK_THROWS_WITH_AS(ag::zeros<float>({std::size_t{1} << 44}),
                       doctest::Contains("than the system has left"), ag::Error);
}
#endif
