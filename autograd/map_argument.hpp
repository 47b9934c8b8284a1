// What map is called with, and how operands are made of it.
#pragma once

#include <span>

#include "columns.hpp"
#include "map_operand.hpp"

namespace autograd::detail {

// The shape that NumPy's broadcasting gives, or an Error that names the op,
// and the operands by their blocks' names.
Shape broadcast_shapes(const char* op, std::span<const Shape> shapes, std::span<const Block* const> blocks);

// The shape of an operand again, up to leading axes of extent 1.
Shape operand_shape(Layout layout, std::size_t width, const Shape& output);

// Fills in an operand. `owner` keeps one that had to be broadcast to full size first.
template <class T>
void fill_broadcast(Operand<T>& operand, const Var<T>& x, const Shape& shape, Var<T>& owner, const char* op);
// Throws unless a block of columns has as many elements as the output.
void check_columns(const char* op, const Shape& matrix, std::size_t width, const Shape& shape);

// An operand of the output's own shape, of so many elements.
template <class T>
[[gnu::always_inline]] inline void fill_full(Operand<T>& operand, const Var<T>& x, std::size_t size,
                                             const TapeStorage* tape, const char* op) {
  operand.place = x.use(op, tape);
  operand.value = x.shared();
  operand.data = operand.value->array.data();
  operand.width = size;
  operand.first = 0;
  operand.layout = Layout::full;
}

// A block of columns, or several side by side, from this one on.
template <class T>
[[gnu::always_inline]] inline void fill_columns(Operand<T>& operand, const Var<T>& matrix, std::size_t first,
                                                const TapeStorage* tape, const char* op) {
  operand.place = matrix.use(op, tape);
  operand.value = matrix.shared();
  operand.data = operand.value->array.data() + first;
  operand.width = matrix.shape().back();
  operand.first = first;
  operand.layout = Layout::columns;
}

extern template void fill_broadcast(Operand<float>&, const Var<float>&, const Shape&, Var<float>&,
                                    const char*);
extern template void fill_broadcast(Operand<double>&, const Var<double>&, const Shape&, Var<double>&,
                                    const char*);

template <class X>
struct MapArgument {};  // no operand
template <class T>
struct MapArgument<Var<T>> {
  using value_type = T;
  static constexpr std::size_t kBlocks = 0;
  static Shape shape(const Var<T>& x) { return x.shape(); }
  // Or that of its last axis, as a bias has.
  static bool has_shape(const Var<T>& x, const Shape& shape) {
    return x.shape() == shape || (x.rank() == 1 && shape.rank() && x.shape()[0] == shape.back());
  }
  static const Var<T>& var(const Var<T>& x) { return x; }
  // Whether x is the part of its matrix that an operand is of the same matrix.
  static bool is_part(const Var<T>&, const Operand<T>&, const Shape&) { return true; }
  // Whether x lies as an operand does against an output of a shape.
  static bool fits(const Var<T>& x, const Operand<T>& operand, const Shape& shape) {
    if (!x.defined()) return false;
    if (operand.layout == Layout::full || operand.layout == Layout::suffix)
      return has_shape(x, shape) && x.size() == operand.width;
    return operand.layout == Layout::scalar && x.rank() == 0;
  }
};
template <class T>
struct MapArgument<Columns<T>> {
  using value_type = T;
  static constexpr std::size_t kBlocks = 1;
  static Shape shape(const Columns<T>& x) { return with_last_axis(x.matrix.shape(), x.width); }
  static bool has_shape(const Columns<T>& x, const Shape& shape) {
    return x.matrix.shape().equals_but_last(shape) && x.width == shape.back();
  }
  static const Var<T>& var(const Columns<T>& x) { return x.matrix; }
  static bool is_part(const Columns<T>& x, const Operand<T>& operand, const Shape& shape) {
    return x.first == operand.first && x.width == shape.back();
  }
  static bool fits(const Columns<T>& x, const Operand<T>& operand, const Shape& shape) {
    return has_shape(x, shape) && x.matrix.shape().back() == operand.width && x.first == operand.first;
  }
  static std::size_t first(const Columns<T>& x) { return x.first; }
  static std::size_t width(const Columns<T>& x) { return x.width; }
};
template <class T, std::size_t K>
struct MapArgument<Chunks<T, K>> {
  using value_type = T;
  static constexpr std::size_t kBlocks = K;
  static Shape shape(const Chunks<T, K>& x) {
    return with_last_axis(x.matrix.shape(), x.matrix.shape().back() / K);
  }
  static bool has_shape(const Chunks<T, K>& x, const Shape& shape) {
    return x.matrix.shape().equals_but_last(shape) && x.matrix.shape().back() == K * shape.back();
  }
  static const Var<T>& var(const Chunks<T, K>& x) { return x.matrix; }
  static bool is_part(const Chunks<T, K>&, const Operand<T>&, const Shape&) { return true; }
  static bool fits(const Chunks<T, K>& x, const Operand<T>&, const Shape& shape) {
    return has_shape(x, shape);
  }
  static std::size_t first(const Chunks<T, K>&) { return 0; }
  static std::size_t width(const Chunks<T, K>& x) { return x.matrix.shape().back() / K; }
};

}  // namespace autograd::detail
