#include "linalg.hpp"

#include "batched_product.hpp"

namespace autograd {
namespace detail {
namespace {

// The leading axes of a stack of matrices.
Shape batch_of(const Shape& shape) {
  return shape.prefix(shape.rank() - std::min<std::size_t>(2, shape.rank()));
}

// What the leading axes of two factors broadcast to.
template <class T>
Shape broadcast_batches(const Var<T>& a, const Var<T>& b) {
  const Shape left = batch_of(a.shape()), right = batch_of(b.shape());
  const auto extent = [](const Shape& s, std::size_t axis) {
    return axis > s.rank() ? 1 : s[s.rank() - axis];
  };
  Shape result;
  for (std::size_t axis = std::max(left.rank(), right.rank()); axis > 0; --axis) {  // from the end
    const std::size_t one = extent(left, axis), other = extent(right, axis);
    if (one != other && one != 1 && other != 1)
      fail("matmul: shapes ", shape_of(a), " and ", shape_of(b), " do not fit: axis -", axis + 2, " is ", one,
           " and ", other, "; make them equal, or one of them 1");
    result.push_back(one == 1 ? other : one);
  }
  return result;
}

// The product of what is not simply rows and a matrix: vectors, and stacks of matrices.
template <class T>
Var<T> general_matmul(const Var<T>& x, const Var<T>& y) {
  const Shape &a = x.shape(), &b = y.shape();
  if (a.rank() == 0 || b.rank() == 0)
    fail("matmul: shapes ", shape_of(x), " and ", shape_of(y),
         " do not fit: a scalar has no axis to sum over; multiply with *");
  const bool is_vector[] = {a.rank() == 1, b.rank() == 1};
  const std::size_t in = is_vector[1] ? b[0] : b[b.rank() - 2];
  if (a.back() != in)
    fail("matmul: shapes ", shape_of(x), " and ", shape_of(y), " do not fit: axis -1 of the first is ",
         a.back(), " and axis -", is_vector[1] ? 1 : 2, " of the second is ", in,
         "; the product sums over them, so they must be equal");
  const std::size_t rows = is_vector[0] ? 1 : a[a.rank() - 2], out = is_vector[1] ? 1 : b.back();
  const Shape batch = broadcast_batches(x, y), a_batch = batch_of(a), b_batch = batch_of(b);
  Shape shape = batch;
  if (!is_vector[0]) shape.push_back(rows);
  if (!is_vector[1]) shape.push_back(out);
  if (b_batch.size() == 1)  // rows and a matrix after all
    return record_product<T>("matmul", {a_batch.size() * rows, in, out}, shape, x, Transpose::no, y,
                             Transpose::no, nullptr, nullptr);
  BatchedProduct product;
  product.batch = batch;
  product.rows = rows;
  product.in = in;
  product.out = out;
  product.a = {BatchedProduct::steps_of(a_batch, batch, rows * in), Transpose::no};
  product.b = {BatchedProduct::steps_of(b_batch, batch, in * out), Transpose::no};
  product.c = BatchedProduct::steps_of(batch, batch, rows * out);
  return record_batched("matmul", product, x, y, shape);
}

}  // namespace
}  // namespace detail

using namespace detail;

template <class T>
Var<T> matmul(const Var<T>& a, const Var<T>& b) {
  a.require_value("matmul");
  b.require_value("matmul");
  if (b.rank() != 2 || a.rank() == 0 || a.shape().back() != b.shape(0)) return general_matmul(a, b);
  const Sizes size{a.shape().prefix(a.rank() - 1).size(), b.shape(0), b.shape(1)};
  return record_product<T>("matmul", size, with_last_axis(a.shape(), size.out), a, Transpose::no, b,
                           Transpose::no, nullptr, nullptr);
}

template <class T>
Var<T> dot(const Var<T>& a, const Var<T>& b) {
  a.require_value("dot");
  b.require_value("dot");
  if (a.rank() != 1 || b.rank() != 1)
    fail("dot: shapes ", shape_of(a), " and ", shape_of(b), " are not two vectors; use matmul for matrices");
  if (!(a.shape() == b.shape()))
    fail("dot: shapes ", shape_of(a), " and ", shape_of(b),
         " do not fit; both must have the same number of entries");
  return record_product<T>("dot", {1, a.size(), 1}, {}, a, Transpose::no, b, Transpose::no, nullptr, nullptr);
}

template <class T>
Var<T> outer(const Var<T>& a, const Var<T>& b) {
  a.require_value("outer");
  b.require_value("outer");
  return record_product<T>("outer", {a.size(), 1, b.size()}, {a.size(), b.size()}, a, Transpose::no,
                           b.reshape({b.size()}), Transpose::no, nullptr, nullptr);
}

template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
  return record_linear<T>("linear", x, weight, Transpose::yes, &bias, nullptr);
}
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight) {
  return record_linear<T>("linear", x, weight, Transpose::yes, nullptr, nullptr);
}
template <class T>
Var<T> add_linear(Var<T> c, const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
  return record_linear("add_linear", x, weight, Transpose::yes, &bias, &c);
}
template <class T>
Var<T> add_linear(Var<T> c, const Var<T>& x, const Var<T>& weight) {
  return record_linear<T>("add_linear", x, weight, Transpose::yes, nullptr, &c);
}
template <class T>
Var<T> affine(const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
  return record_linear<T>("affine", x, weight, Transpose::no, &bias, nullptr);
}
template <class T>
Var<T> affine(const Var<T>& x, const Var<T>& weight) {
  return record_linear<T>("affine", x, weight, Transpose::no, nullptr, nullptr);
}

#define UNROLL_INSTANTIATE(T)                                                      \
  template Var<T> matmul(const Var<T>&, const Var<T>&);                            \
  template Var<T> dot(const Var<T>&, const Var<T>&);                               \
  template Var<T> outer(const Var<T>&, const Var<T>&);                             \
  template Var<T> linear(const Var<T>&, const Var<T>&, const Var<T>&);             \
  template Var<T> linear(const Var<T>&, const Var<T>&);                            \
  template Var<T> affine(const Var<T>&, const Var<T>&, const Var<T>&);             \
  template Var<T> affine(const Var<T>&, const Var<T>&);                            \
  template Var<T> add_linear(Var<T>, const Var<T>&, const Var<T>&, const Var<T>&); \
  template Var<T> add_linear(Var<T>, const Var<T>&, const Var<T>&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd
