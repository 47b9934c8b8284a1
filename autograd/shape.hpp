// Shape: the extents of an array, in place (no heap), row-major.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <ostream>
#include <utility>

#include "error.hpp"
#include "memory.hpp"

namespace autograd {

namespace detail {

// For messages: an index or extent that was a small negative number before it was converted is so again.
struct SignedIndex {
  std::size_t index;
  friend std::ostream& operator<<(std::ostream& out, SignedIndex i) {
    constexpr std::size_t kSmallest = ~std::size_t{0} << 32;  // -2^32
    return i.index > kSmallest ? out << static_cast<std::ptrdiff_t>(i.index) : out << i.index;
  }
};

}  // namespace detail

/// Extents of an array, at most `kMaxRank` of them; () is a scalar. Row-major: the last axis is contiguous.
class Shape {
 public:
  static constexpr std::size_t kMaxRank = 6;

  Shape() = default;
  Shape(const Shape& other) { *this = other; }
  Shape& operator=(const Shape& other) {
    for (std::size_t axis = 0; axis < kMaxRank; ++axis) extents_[axis] = detail::word(other.extents_[axis]);
    rank_ = other.rank_;
    return *this;
  }
  Shape(std::initializer_list<std::size_t> extents) : Shape(extents.begin(), extents.end()) {}

  /// Takes any range of extents. Throws Error above kMaxRank axes.
  template <class Iterator>
  Shape(Iterator first, Iterator last) {
    for (; first != last; ++first) push_back(static_cast<std::size_t>(*first));
  }

  std::size_t rank() const { return rank_; }
  std::size_t operator[](std::size_t axis) const { return extents_[axis]; }
  std::size_t& operator[](std::size_t axis) { return extents_[axis]; }
  std::size_t back() const { return extents_[rank_ - 1]; }
  const std::size_t* begin() const { return extents_.data(); }
  const std::size_t* end() const { return extents_.data() + rank_; }

  /// Number of elements; 1 for a scalar.
  std::size_t size() const { return size_from(0); }
  /// Elements of suffix(axis).
  std::size_t size_from(std::size_t axis) const {
    std::size_t n = 1;
    for (; axis < rank_; ++axis) n *= extents_[axis];
    return n;
  }

  /// The same, or nothing if it is more than can be counted.
  std::optional<std::size_t> countable_size() const {
    std::size_t n = 1;
    for (std::size_t axis = 0; axis < rank_; ++axis)
      if (__builtin_mul_overflow(n, extents_[axis], &n)) [[unlikely]] {
        if (std::find(begin(), end(), 0) == end()) return std::nullopt;
        return 0;
      }
    return n;
  }

  void push_back(std::size_t extent) {
    if (rank_ == kMaxRank) detail::fail("Shape: more than ", kMaxRank, " axes; reshape to fewer axes");
    extents_[rank_++] = extent;
  }

  /// Axes [first, rank).
  Shape suffix(std::size_t first) const {
    Shape result;
    for (std::size_t i = 0; i + first < kMaxRank; ++i) result.extents_[i] = detail::word(extents_[i + first]);
    result.rank_ = rank_ - std::min(first, rank_);
    return result;
  }
  /// The same axes behind another one. Throws Error above kMaxRank axes.
  Shape behind(std::size_t extent) const {
    Shape result{extent};
    for (std::size_t each : *this) result.push_back(each);
    return result;
  }
  /// Axes [0, last).
  Shape prefix(std::size_t last) const {
    Shape result;
    result.rank_ = std::min(last, rank_);
    for (std::size_t i = 0; i < result.rank_; ++i) result.extents_[i] = extents_[i];
    return result;
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    bool same = true;  // a loop over a few registers; std::equal would call memcmp
    for (std::size_t i = 0; i < a.rank_; ++i) same &= a.extents_[i] == b.extents_[i];
    return same;
  }

  /// Whether only the last axis may differ.
  bool equals_but_last(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    bool same = true;
    for (std::size_t i = 0; i + 1 < rank_; ++i) same &= extents_[i] == other.extents_[i];
    return same;
  }

  /// Printed as Python prints a tuple: (), (3,), (2, 3). An extent that was negative before it was converted
  /// is so again: (-1, 3).
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    out << '(';
    for (std::size_t i = 0; i < shape.rank_; ++i)
      out << (i ? ", " : "") << detail::SignedIndex{shape.extents_[i]};
    return out << (shape.rank_ == 1 ? ",)" : ")");
  }

 private:
  std::size_t rank_ = 0;  // first, so that it lies in one cache line with the first extents
  std::array<std::size_t, kMaxRank> extents_{};
};

/// The shape with another extent of its last axis.
inline Shape with_last_axis(const Shape& shape, std::size_t extent) {
  Shape result = shape;
  result[shape.rank() - 1] = extent;
  return result;
}

/// An axis counted from the end if negative, as in NumPy. Throws Error if `shape` has no such axis.
inline std::size_t normalise_axis(std::ptrdiff_t axis, const Shape& shape, const char* call) {
  const auto rank = static_cast<std::ptrdiff_t>(shape.rank());
  if (rank == 0) detail::fail(call, ": axis ", axis, " does not exist in shape (); a scalar has no axes");
  if (axis < -rank || axis >= rank)
    detail::fail(call, ": axis ", axis, " does not exist in shape ", shape, "; axes are ", -rank, " to ",
                 rank - 1);
  return static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
}

/// A short list, in place (no heap): at most one X for each axis of a shape.
template <class X>
class PerAxis {
 public:
  PerAxis() = default;
  PerAxis(std::initializer_list<X> list) {
    for (const X& each : list) push_back(each);
  }

  /// Throws Error above Shape::kMaxRank.
  void push_back(const X& each) {
    if (size_ == Shape::kMaxRank)
      detail::fail("a list with one entry for each axis has more than ", Shape::kMaxRank,
                   "; no shape has as many axes");
    list_[size_++] = each;
  }

  std::size_t size() const { return size_; }
  const X& operator[](std::size_t i) const { return list_[i]; }
  X& operator[](std::size_t i) { return list_[i]; }
  const X* begin() const { return list_.data(); }
  const X* end() const { return list_.data() + size_; }

 private:
  std::array<X, Shape::kMaxRank> list_{};
  std::size_t size_ = 0;
};

/// The extents that reshape takes: {2, -1}, or a single one. One may be -1: it is what the others leave for
/// it.
struct Extents : PerAxis<std::ptrdiff_t> {
  template <std::integral... Extent>
  Extents(Extent... extents)  // NOLINT(google-explicit-constructor)
      : PerAxis({static_cast<std::ptrdiff_t>(extents)...}) {}

  /// The shape of so many elements as `from` has. Throws Error for a second -1, a -1 that could be anything,
  /// beside an extent of 0, one that nothing fits, and another negative extent.
  Shape of(const Shape& from) const;
};

/// Some axes, in the order given; negative ones count from the end: {0, -1}, or a single one.
struct Axes : PerAxis<std::ptrdiff_t> {
  using PerAxis::PerAxis;
  template <std::integral Axis>
  Axes(Axis axis) : PerAxis({static_cast<std::ptrdiff_t>(axis)}) {}  // NOLINT(google-explicit-constructor)
};

/// Which axes of a shape are named. Throws Error for one that does not exist or is named twice.
class AxisSet {
 public:
  AxisSet(const char* call, const Axes& axes, const Shape& shape) {
    for (const std::ptrdiff_t axis : axes)
      if (std::exchange(named_[normalise_axis(axis, shape, call)], true))
        detail::fail(call, ": axis ", axis, " of shape ", shape, " is named twice");
  }
  bool operator[](std::size_t axis) const { return named_[axis]; }

 private:
  std::array<bool, Shape::kMaxRank> named_{};
};

}  // namespace autograd
