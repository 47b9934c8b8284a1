// Array<T>: contiguous row-major elements in a reference-counted block; xtensor in and out.
#pragma once

#include "simd.hpp"  // first: see there

#include <cstring>
#include <type_traits>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xnoalias.hpp>

#include "memory.hpp"
#include "shape.hpp"

namespace autograd {

/// What `value()` and gradients are to a user: an xtensor expression over the library's own memory, which it
/// keeps alive. Nothing is copied; it can be printed, viewed, compared and assigned from as any xtensor
/// array.
template <class T>
using ArrayView = xt::xarray_adaptor<xt::xbuffer_adaptor<const T*, xt::smart_ownership, detail::BlockRef>,
                                     xt::layout_type::row_major, xt::dynamic_shape<std::size_t>>;

/// The same, to write through.
template <class T>
using MutableArrayView = xt::xarray_adaptor<xt::xbuffer_adaptor<T*, xt::smart_ownership, detail::BlockRef>,
                                            xt::layout_type::row_major, xt::dynamic_shape<std::size_t>>;

template <class E>
concept XtensorExpression = std::is_base_of_v<xt::xexpression<std::decay_t<E>>, std::decay_t<E>>;

/// A contiguous row-major array of float or double. A copy is a handle: it shares the elements.
template <class T>
class Array {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>,
                "autograd computes in float or double");

 public:
  using value_type = T;

  Array() = default;

  /// Uninitialised elements.
  explicit Array(const Shape& shape)
      : block_(detail::allocate_block(bytes_of(shape))),
        data_(static_cast<T*>(block_->data())),
        shape_(shape) {
    detail::publish(block_.get());
  }

  Array(const Shape& shape, T fill) : Array(shape) { std::fill_n(data_, size(), fill); }

  /// The elements of any xtensor expression, converted to T.
  template <XtensorExpression E>
  Array(const E& expression)  // NOLINT(google-explicit-constructor): an expression is an array
      : Array(Shape(expression.shape().begin(), expression.shape().end())) {
    assign(expression);
  }

  /// Uninitialised elements that stay with this thread, unless they are published.
  static Array confined(const Shape& shape) {
    detail::BlockRef block(detail::allocate_block(bytes_of(shape)));
    T* const data = static_cast<T*>(block->data());
    return {std::move(block), data, shape};
  }

  /// A window of a block's memory, from `data`.
  Array(detail::BlockRef block, T* data, const Shape& shape)
      : block_(std::move(block)), data_(data), shape_(shape) {}

  /// Bytes of the elements of an array of a shape. Throws Error if there cannot be so many.
  static std::size_t bytes_of(const Shape& shape) {
    const std::optional<std::size_t> elements = shape.countable_size();
    if (!elements || *elements > detail::kMostBytes / sizeof(T)) [[unlikely]]
      detail::fail("Array: shape ", shape, " has a negative extent, or more elements than memory has bytes");
    return *elements * sizeof(T);
  }

  bool defined() const { return static_cast<bool>(block_); }
  const Shape& shape() const { return shape_; }
  std::size_t size() const { return shape_.size(); }
  std::size_t rank() const { return shape_.rank(); }
  T* data() { return data_; }
  const T* data() const { return data_; }
  detail::Block* block() const { return block_.get(); }
  const detail::BlockRef& block_ref() const { return block_; }

  /// The single element of an array of one element.
  T item() const {
    if (!defined() || size() != 1)
      detail::fail("item: shape ", shape_, " is not a single element; index it first");
    return *data_;
  }

  /// The same elements under another shape of the same size. No copy.
  Array reshape(const Shape& shape) const {
    if (shape.countable_size() != size())
      detail::fail("reshape: ", size(), " elements of shape ", shape_, " do not fit shape ", shape,
                   "; the product of its extents must be ", size());
    return {block_, data_, shape};
  }

  /// Entries [begin, end) of axis 0. No copy.
  Array slice(std::size_t begin, std::size_t end) const {
    if (rank() == 0 || begin > end || end > shape_[0])
      detail::fail("slice: [", detail::SignedIndex{begin}, ", ", detail::SignedIndex{end},
                   ") is outside axis 0 of shape ", shape_,
                   rank() == 0 ? "; a scalar has no axis to slice"
                               : "; give 0 <= begin <= end <= the extent of axis 0");
    Shape shape = shape_;
    shape[0] = end - begin;
    return {block_, data_ + begin * shape_.size_from(1), shape};
  }

  /// Entry `index` of axis 0, without that axis. No copy.
  Array operator[](std::size_t index) const { return {block_, entry(index), shape_.suffix(1)}; }
  /// The first element of it.
  T* entry(std::size_t index) const {
    if (rank() == 0 || index >= shape_[0]) [[unlikely]]
      detail::fail(
          "operator[]: entry ", detail::SignedIndex{index}, " is outside axis 0 of shape ", shape_,
          rank() == 0 ? "; a scalar has no axis to index" : "; give 0 <= entry < the extent of axis 0");
    return data_ + index * shape_.size_from(1);
  }

  /// Other memory for the same shape, or none.
  void set_memory(detail::BlockRef block, T* data) {
    block_ = std::move(block);
    data_ = data;
  }

  /// An array of its own with the same elements.
  Array copy() const {
    Array result(shape_);
    if (size()) std::memcpy(result.data_, data_, size() * sizeof(T));
    return result;
  }

  /// Writes the elements of an xtensor expression of the same shape.
  template <XtensorExpression E>
  void assign(const E& expression) {
    if (!(Shape(expression.shape().begin(), expression.shape().end()) == shape_))
      detail::fail("assign: expression of shape ",
                   Shape(expression.shape().begin(), expression.shape().end()), " into array of shape ",
                   shape_);
    auto target = xt::adapt(data_, size(), xt::no_ownership(),
                            xt::dynamic_shape<std::size_t>(shape_.begin(), shape_.end()));
    xt::noalias(target) = expression;
  }

  /// The elements as an xtensor expression. No copy.
  ArrayView<T> view() const { return make_view<ArrayView<T>, const T*>(); }
  /// The elements as an xtensor container of fixed shape, to write through. No copy.
  MutableArrayView<T> mutable_view() { return make_view<MutableArrayView<T>, T*>(); }

 private:
  template <class View, class Pointer>
  View make_view() const {
    detail::publish(block_.get());
    using Buffer = xt::xbuffer_adaptor<Pointer, xt::smart_ownership, detail::BlockRef>;
    Pointer pointer = data_;
    return View(Buffer(std::move(pointer), size(), detail::BlockRef(block_)),
                xt::dynamic_shape<std::size_t>(shape_.begin(), shape_.end()));
  }

  detail::BlockRef block_;
  T* data_ = nullptr;
  Shape shape_;
};

}  // namespace autograd
