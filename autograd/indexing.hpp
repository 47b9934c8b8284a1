// Ops that address entries by index.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "var.hpp"

namespace autograd {

/// Integer indices with a shape, such as class labels: from any xtensor expression of integers.
class Indices {
 public:
  template <XtensorExpression E>
  requires std::is_integral_v<typename E::value_type> Indices(
      const E& expression)  // NOLINT(google-explicit-constructor)
      : shape_(expression.shape().begin(), expression.shape().end()) {
    static_assert(!std::is_same_v<typename E::value_type, bool>,
                  "Indices: these are truth values, and indices are integers; choose entries by a mask with "
                  "where(mask, x, y), or give the positions");
    values_.reserve(shape_.size());
    for (auto it = expression.template begin<xt::layout_type::row_major>();
         it != expression.template end<xt::layout_type::row_major>(); ++it) {
      const auto index = static_cast<std::int64_t>(*it);
      if (index < 0 && *it > 0)
        detail::fail("Indices: ", *it, " at position ", values_.size(),
                     " is no index; was it a negative number before it became unsigned?");
      values_.push_back(index);
    }
  }

  /// Throws Error if there are not as many as the shape has entries.
  Indices(const Shape& shape, std::vector<std::int64_t> values) : shape_(shape), values_(std::move(values)) {
    if (values_.size() != shape_.size())
      detail::fail("Indices: ", values_.size(), " values for shape ", shape_, ", which has ", shape_.size());
  }

  const Shape& shape() const { return shape_; }
  const std::vector<std::int64_t>& values() const { return values_; }

 private:
  Shape shape_;
  std::vector<std::int64_t> values_;
};

/// The entries of an axis that the indices name, as numpy.take: for axis 0, x (N, ...) and indices (...) give
/// x[index] for each, rows of an embedding. The axes of the indices take the place of `axis`. An index may be
/// negative to count from the end. The gradient of an entry that is named more than once is the sum. Throws
/// Error if an index is out of range.
template <class T>
Var<T> take(const Var<T>& x, const Indices& indices, std::ptrdiff_t axis = 0);

/// The entry of each row (last axis) that an index names: x (..., C) and indices (...) give (...). An index
/// may be negative to count from the end. Throws Error if the shapes do not fit or an index is out of range.
template <class T>
Var<T> pick(const Var<T>& x, const Indices& indices);

namespace detail {

// Where, in the elements of an array, each of `count` runs of `width` elements begins.
struct Runs {
  BlockRef flat;
  std::size_t count, width;

  Runs(std::size_t n, std::size_t w) : flat(allocate_block(n * sizeof(std::size_t))), count(n), width(w) {}
  Runs(BlockRef begins, std::size_t n, std::size_t w) : flat(std::move(begins)), count(n), width(w) {}
  std::size_t* begin() const { return static_cast<std::size_t*>(flat->data()); }
};

// The runs behind each other, as an array of this shape. `op` is what an Error calls it.
template <class T>
Var<T> pick_runs(const char* op, const Var<T>& x, const Shape& shape, const Runs& runs);

}  // namespace detail
}  // namespace autograd
