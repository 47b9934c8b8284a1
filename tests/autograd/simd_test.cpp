// Parts of vectors: what a rule reads and writes at the end of an array.
#include <sys/mman.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "autograd/simd.hpp"

namespace {

// A page before one that nobody may touch.
class LastPage {
 public:
  LastPage() {
    memory_ = mmap(nullptr, 2 * bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory_ != MAP_FAILED);
    REQUIRE(mprotect(static_cast<char*>(memory_) + bytes_, bytes_, PROT_NONE) == 0);
  }
  LastPage(const LastPage&) = delete;
  ~LastPage() { munmap(memory_, 2 * bytes_); }

  // Of so many elements that end with the page.
  template <class T>
  T* last(std::size_t count) const {
    return reinterpret_cast<T*>(static_cast<char*>(memory_) + bytes_) - count;
  }

 private:
  std::size_t bytes_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* memory_;
};

}  // namespace

TEST_CASE_TEMPLATE("parts of a vector touch their elements and no others", T, float, double) {
  using autograd::detail::Batch;
  constexpr std::size_t kLanes = Batch<T>::size;
  const LastPage page;
  for (std::size_t count = 0; count <= kLanes; ++count) {
    CAPTURE(count);
    T* const elements = page.last<T>(count);
    for (std::size_t i = 0; i < count; ++i) elements[i] = T(i + 1);
    const Batch<T> loaded = autograd::detail::load(elements, count);
    for (std::size_t i = 0; i < kLanes; ++i) CHECK(loaded.get(i) == (i < count ? T(i + 1) : T(0)));

    T stored[kLanes + 1];
    for (T& each : stored) each = T(-1);
    autograd::detail::store(stored, loaded + Batch<T>(T(1)), count);
    for (std::size_t i = 0; i <= kLanes; ++i) CHECK(stored[i] == (i < count ? T(i + 2) : T(-1)));
    autograd::detail::store(elements, loaded + Batch<T>(T(1)), count);  // nothing beyond the page either
    for (std::size_t i = 0; i < count; ++i) CHECK(elements[i] == T(i + 2));
  }
}
