// The operands of a map: how they lie against its output, and where their gradients go.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "sweep.hpp"
#include "var.hpp"

namespace autograd::detail {

// How an operand of a map lies against the output, which has `rows` x `cols` elements.
enum class Layout : std::uint8_t {
  full,     // as the output
  suffix,   // the trailing axes of the output, repeated over the leading ones (a bias)
  scalar,   // one element
  column,   // one element per row: the last axis is 1
  columns,  // a block of columns of a wider matrix
};

constexpr bool is_splat(Layout layout) { return layout == Layout::scalar || layout == Layout::column; }

// An operand of a map: a Var, or blocks of columns of one.
template <class T>
struct Operand {
  const T* data;  // of the first element used
  Value<T>* value;
  Place place;        // of the whole operand (of the wider matrix, for columns)
  std::size_t width;  // elements of the operand; for columns, of a row of the wider matrix
  std::size_t first;  // for columns, the first of them
  Layout layout;
  bool held = false;  // the operand has a reference of its own to the value

  Operand() {}  // NOLINT(modernize-use-equals-default): leaves the members as they are
  Operand& operator=(const Operand& other) {  // see word()
    data = word(other.data);
    value = word(other.value);
    place = other.place;
    width = word(other.width);
    first = word(other.first);
    layout = other.layout;
    held = other.held;
    return *this;
  }
};

// An input of a body: which operand it is, and which of that operand's blocks of columns.
struct InputOf {
  std::uint8_t operand, block;
};

// How the operands of a map are the inputs of its body: one block count for each, which is 0 for a Var, and K
// for K blocks of columns, side by side.
template <std::size_t... kBlocks>
struct Inputs {
  static constexpr std::size_t kOperands = sizeof...(kBlocks);
  static constexpr std::size_t kCount = ((kBlocks ? kBlocks : 1) + ...);
  static constexpr std::size_t kColumnOperands = ((kBlocks ? 1 : 0) + ...);
  static constexpr std::array<std::size_t, kOperands> blocks{kBlocks...};
  static constexpr std::array<InputOf, kCount> of = [] {
    std::array<InputOf, kCount> result{};
    std::size_t input = 0;
    for (std::size_t operand = 0; operand < kOperands; ++operand)
      for (std::size_t block = 0; block < std::max<std::size_t>(1, blocks[operand]); ++block)
        result[input++] = {static_cast<std::uint8_t>(operand), static_cast<std::uint8_t>(block)};
    return result;
  }();
};

// Where the gradient of an operand goes.
template <class T>
struct Target {
  T* data = nullptr;  // null: no gradient wanted
  bool accumulate = false;
};

// What a map was called with.
template <class T>
struct BodyArguments {
  std::span<const Operand<T>> in;
  std::span<const std::size_t> blocks;  // of the operands, see Inputs
  std::span<const InputOf> inputs;      // of the body
  std::span<const Place> out;
  std::size_t rows, cols;
  bool overlapping;  // two operands are parts of one slot that cannot be written in one pass
};

// Elements of an operand as a whole: of the wider matrix, for columns.
template <class T>
std::size_t operand_size(const Operand<T>& operand, std::size_t rows, std::size_t cols) {
  if (operand.layout == Layout::full) return rows * cols;
  return operand.layout == Layout::columns ? rows * operand.width : operand.width;
}

// Zeros in all columns of a matrix but [first, first + count).
template <class T>
void fill_columns_beside(T* matrix, std::size_t rows, std::size_t width, std::size_t first,
                         std::size_t count) {
  for (std::size_t r = 0; r < rows; ++r, matrix += width) {
    std::fill(matrix, matrix + first, T(0));
    std::fill(matrix + first + count, matrix + width, T(0));
  }
}

// Finds where the gradient of operand i goes, if it is wanted; it may have been found with that of another
// one.
template <class T, class Wanted>
[[gnu::always_inline]] inline void find_target(Sweep& sweep, const Operand<T>* in, const std::size_t* blocks,
                                               std::size_t operands, std::size_t i, std::size_t rows,
                                               std::size_t cols, bool overlapping, Target<T>* target,
                                               Wanted&& wanted) {
  const Operand<T>& operand = in[i];
  if (!wanted(operand) || target[i].data) return;
  const auto open = [&](bool overwrites) -> Target<T> {
    const std::size_t elements = operand_size(operand, rows, cols);
    if (!overwrites || overlapping) return {sweep.accumulator<T>(operand.place, elements), true};
    const Sink<T> s = sweep.sink<T>(operand.place, elements);
    return {s.data, s.accumulate};
  };
  if (!blocks[i]) {
    target[i] = open(operand.layout == Layout::full);
    return;
  }
  // All blocks of one matrix together; what they do not cover is zero so far, if nothing has arrived.
  const auto same_matrix = [&](std::size_t k) { return blocks[k] && in[k].place == operand.place; };
  std::size_t covered = 0, parts = 0;
  for (std::size_t k = i; k < operands; ++k) {
    covered += same_matrix(k) ? blocks[k] * cols : 0;
    parts += same_matrix(k);
  }
  const Target<T> whole = open(true);
  if (!whole.accumulate && covered != operand.width)
    fill_columns_beside(whole.data, rows, operand.width, parts == 1 ? operand.first : 0,
                        parts == 1 ? covered : 0);
  for (std::size_t k = i; k < operands; ++k)
    if (same_matrix(k)) target[k] = {whole.data + in[k].first, whole.accumulate};
}

// How the rows of an operand follow each other.
struct RowStep {
  std::size_t stride;  // from one to the next
  std::size_t period;  // after how many it starts again, 0 for never
};

template <class T>
[[gnu::always_inline]] inline RowStep row_step(const Operand<T>& operand, std::size_t cols) {
  switch (operand.layout) {
    case Layout::full:
      return {cols, 0};
    case Layout::suffix:
      return operand.width == cols ? RowStep{0, 0} : RowStep{cols, cols ? operand.width / cols : 0};
    case Layout::scalar:
      return {0, 0};
    case Layout::column:
      return {1, 0};
    case Layout::columns:
      break;
  }
  return {operand.width, 0};
}

// Walks the rows of an operand, or of its gradient.
template <class P>
struct RowCursor {
  P start, row;
  RowStep step{};
  std::size_t count = 0;

  // At the first of so many rows; `from` is where the operand, or its gradient, begins.
  template <class T>
  [[gnu::always_inline]] void begin(P from, const Operand<T>& operand, std::size_t rows, std::size_t cols) {
    start = row = from;
    if (rows > 1) step = row_step(operand, cols);
  }
  void next() {
    row += step.stride;
    if (++count == step.period) {
      row = start;
      count = 0;
    }
  }
};

}  // namespace autograd::detail
