#include "weight_cache.hpp"

#include <memory>

#include "panels.hpp"
#include "transpose.hpp"

namespace autograd::detail {
namespace {

enum class Form : std::uint8_t { transpose, panels, panels_of_transpose };

struct Entry {
  const void* matrix = nullptr;
  std::uint64_t variable_id = 0, version = 0;
  std::size_t rows = 0, cols = 0;  // of the matrix
  Form form{};
  BlockRef block;
};

// By address, since a variable may be several weights. What does not fit takes the place of another, which
// costs time and nothing else.
constexpr int kSetBits = 6;
constexpr std::size_t kWays = 4;
struct Set {
  Entry entries[kWays];
  std::size_t oldest = 0;
};

thread_local constinit Set* sets = nullptr;
struct SetsOwner {
  std::unique_ptr<Set[]> memory;
  ~SetsOwner() { sets = nullptr; }
};
thread_local SetsOwner owner;

Entry& entry_of(const void* matrix, Form form) {
  if (!sets) [[unlikely]] {
    owner.memory = std::make_unique<Set[]>(1 << kSetBits);
    sets = owner.memory.get();
  }
  const std::uint64_t hash = (reinterpret_cast<std::uintptr_t>(matrix) >> 4) * 0x9E3779B97F4A7C15u;
  Set& set = sets[hash >> (64 - kSetBits)];
  for (Entry& entry : set.entries)
    if (entry.matrix == matrix && entry.form == form) return entry;
  return set.entries[set.oldest++ % kWays];
}

// The matrix in a form that takes so many elements; `lay_out` writes it if it is not there.
template <class T, class LayOut>
[[gnu::always_inline]] inline const T* cached(const Block* variable, const T* matrix, std::size_t rows,
                                              std::size_t cols, Form form, std::size_t size,
                                              LayOut&& lay_out) {
  Entry& entry = entry_of(matrix, form);
  if (entry.variable_id != variable->variable_id || entry.version != variable->version ||
      entry.matrix != matrix || entry.form != form || entry.rows != rows || entry.cols != cols) {
    const std::size_t bytes = size * sizeof(T);
    if (!entry.block || entry.block->capacity < bytes || entry.block->capacity > 2 * bytes + 4096)
      entry.block = BlockRef(allocate_block(bytes));
    lay_out(static_cast<T*>(entry.block->data()));
    entry.matrix = matrix;
    entry.variable_id = variable->variable_id;
    entry.version = variable->version;
    entry.rows = rows;
    entry.cols = cols;
    entry.form = form;
  }
  return static_cast<const T*>(entry.block->data());
}

}  // namespace

template <class T>
const T* cached_transpose(const Block* variable, const T* matrix, std::size_t rows, std::size_t cols) {
  return cached(variable, matrix, rows, cols, Form::transpose, rows * cols,
                [&](T* to) { transpose(matrix, cols, rows, cols, to, rows); });
}

template <class T>
const T* cached_panels(const Block* variable, const T* b, Transpose t, std::size_t k, std::size_t n) {
  const bool transposed = t == Transpose::yes;
  return cached(variable, b, transposed ? n : k, transposed ? k : n,
                transposed ? Form::panels_of_transpose : Form::panels, panels_size<T>(k, n),
                [&](T* to) { pack_panels(b, transposed ? k : n, t, k, n, to); });
}

void forget_weights() {
  sets = nullptr;
  owner.memory.reset();
}

template const float* cached_transpose(const Block*, const float*, std::size_t, std::size_t);
template const double* cached_transpose(const Block*, const double*, std::size_t, std::size_t);
template const float* cached_panels(const Block*, const float*, Transpose, std::size_t, std::size_t);
template const double* cached_panels(const Block*, const double*, Transpose, std::size_t, std::size_t);

}  // namespace autograd::detail
