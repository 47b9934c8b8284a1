// Ops that address entries by index.
#pragma once

#include <cstdint>
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
    values_.reserve(shape_.size());
    for (auto it = expression.template begin<xt::layout_type::row_major>();
         it != expression.template end<xt::layout_type::row_major>(); ++it)
      values_.push_back(static_cast<std::int64_t>(*it));
  }

  const Shape& shape() const { return shape_; }
  const std::vector<std::int64_t>& values() const { return values_; }

 private:
  Shape shape_;
  std::vector<std::int64_t> values_;
};

/// The entry of each row (last axis) that an index names: x (..., C) and indices (...) give (...). An index
/// may be negative to count from the end. Throws Error if the shapes do not fit or an index is out of range.
template <class T>
Var<T> pick(const Var<T>& x, const Indices& indices);

}  // namespace autograd
