#include "linalg.hpp"

#include "blas.hpp"
#include "recorded_sweep.hpp"
#include "shape_ops.hpp"

namespace autograd {
namespace detail {
namespace {

Transpose flip(Transpose t) { return t == Transpose::yes ? Transpose::no : Transpose::yes; }

// Weights that are so small that GEMM computes them without BLAS are not worth transposing.
constexpr std::size_t kSmallWeight = 256;

// Y = X op(W) + beta Y, on the layout of W that BLAS is fastest on.
template <class T>
void times_weight(const T* x, std::size_t rows, std::size_t in, std::size_t out, const Block* block,
                  const T* w, Transpose t, T beta, T* y) {
  if (t == Transpose::yes && block->variable_id && in * out > kSmallWeight) {
    w = cached_transpose(block, w, out, in);
    t = Transpose::no;
  }
  gemm(Transpose::no, t, rows, out, in, x, in, w, t == Transpose::yes ? in : out, beta, y, out);
}

// op(A) op(B) [+ bias] [+ addend]: A is rows x in (before transposition of it, in x rows), op(B) is in x out.
template <class T>
struct ProductNode : Node {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  static constexpr const char* kName = "matmul";
  Saved<T> a, b;
  Place bias, addend, out;
  std::size_t rows, in, width;
  Transpose ta, tb;
  std::uint32_t deferred;  // how the gradient of B is gathered, or 0

  void backward(Sweep& sweep) {
    const T* g = sweep.gradient<T>(out, rows * width);
    if (!g) return;
    if (a.place.differentiable()) {
      const Sink<T> to = sweep.sink<T>(a.place, rows * in);
      if (ta == Transpose::no)
        times_weight(g, rows, width, in, b.block, b.data, flip(tb), T(to.accumulate), to.data);
      else  // dA = op(B) G^T
        gemm(tb, Transpose::yes, in, rows, width, b.data, tb == Transpose::no ? width : in, g, width,
             T(to.accumulate), to.data, rows);
    }
    if (deferred) {
      sweep.product<T>(deferred, a.data, a.block, out, rows);
    } else if (b.place.differentiable()) {  // op(A) is A^T
      const Sink<T> to = sweep.sink<T>(b.place, in * width);
      if (tb == Transpose::no)
        gemm(Transpose::no, Transpose::no, in, width, rows, a.data, rows, g, width, T(to.accumulate), to.data,
             width);
      else
        gemm(Transpose::yes, Transpose::yes, width, in, rows, g, width, a.data, rows, T(to.accumulate),
             to.data, in);
    }
    if (addend.differentiable() && (addend.slot != out.slot || addend.offset != out.offset))
      sweep.pass<T>(out, addend, rows * width);
  }

  void record(Recorded& sweep) {
    const Var<T> g = sweep.gradient(out, {rows, width});
    if (!g.defined()) return;
    const Var<T> x = a.var().reshape(ta == Transpose::no ? Shape{rows, in} : Shape{in, rows}), w = b.var();
    if (a.place.differentiable())
      sweep.add(
          a.place, x.shape(),
          ta == Transpose::no ? product(g, Transpose::no, w, flip(tb)) : product(w, tb, g, Transpose::yes));
    if (b.place.differentiable())
      sweep.add(
          b.place, w.shape(),
          tb == Transpose::no ? product(x, flip(ta), g, Transpose::no) : product(g, Transpose::yes, x, ta));
    if (bias.differentiable()) sweep.add(bias, {width}, g);
    if (addend.differentiable() && (addend.slot != out.slot || addend.offset != out.offset))
      sweep.add(addend, {rows, width}, g);
  }

  void release() {
    a.release();
    b.release();
  }

  // op(A) op(B) of matrices.
  static Var<T> product(const Var<T>& a, Transpose ta, const Var<T>& b, Transpose tb);
};

struct Sizes {
  std::size_t rows, in, out;
};

template <class T>
Var<T> record_product(const char* op, const Sizes& size, const Shape& shape, const Var<T>& a, Transpose ta,
                      const Var<T>& b, Transpose tb, const Var<T>* bias, Var<T>* addend) {
  const bool consumes = addend && addend->fresh();
  const Place a_place = a.use(op), b_place = b.use(op), bias_place = bias ? bias->use(op) : Place{};
  const Place addend_place = addend ? addend->use(op) : Place{};
  const bool differentiable = a_place.differentiable() || b_place.differentiable() ||
                              bias_place.differentiable() || addend_place.differentiable();
  TapeStorage* tape = differentiable ? recording() : nullptr;
  // The addend's memory and gradient become the result's, if nobody else knows of them.
  const bool in_place = consumes && (!tape || addend_place.differentiable());
  Var<T> out = in_place ? std::move(*addend) : new_output<T>(shape, tape);
  T* y = const_cast<T*>(out.array().data());
  const std::size_t elements = size.rows * size.out;
  bool add = in_place;
  if (addend && !in_place) {
    std::copy_n(addend->array().data(), elements, y);
    add = true;
  }
  if (bias) {
    const T* row = bias->array().data();
    for (std::size_t r = 0; r < size.rows; ++r)
      for (std::size_t j = 0; j < size.out; ++j)
        y[r * size.out + j] = add ? y[r * size.out + j] + row[j] : row[j];
    add = true;
  }
  if (ta == Transpose::no)
    times_weight(a.array().data(), size.rows, size.in, size.out, b.array().block(), b.array().data(), tb,
                 T(add), y);
  else
    gemm(ta, tb, size.rows, size.out, size.in, a.array().data(), size.rows, b.array().data(),
         tb == Transpose::no ? size.out : size.in, T(add), y, size.out);
  if (tape) {
    auto& node = tape->emplace<ProductNode<T>>();
    node.a = Saved<T>(a.array(), a_place);
    node.b = Saved<T>(b.array(), b_place);
    node.bias = bias_place;
    node.addend = addend_place;
    node.out = out.place();
    node.rows = size.rows;
    node.in = size.in;
    node.width = size.out;
    node.ta = ta;
    node.tb = tb;
    node.deferred = 0;
    if (ta == Transpose::no && (b_place.differentiable() || bias_place.differentiable()))
      node.deferred = tape->deferred_product(b_place, bias_place, size.in, size.out, tb == Transpose::yes);
  }
  return std::move(out).mark_fresh();
}

template <class T>
Var<T> ProductNode<T>::product(const Var<T>& a, Transpose ta, const Var<T>& b, Transpose tb) {
  const std::size_t rows = a.shape(ta == Transpose::yes), in = a.shape(ta == Transpose::no);
  const std::size_t out = b.shape(tb == Transpose::no);
  return record_product<T>("matmul", {rows, in, out}, {rows, out}, a, ta, b, tb, nullptr, nullptr);
}

// Sizes of x W^T + b, checked.
template <class T>
Sizes linear_sizes(const char* op, const Var<T>& x, const Var<T>& weight, const Var<T>* bias) {
  x.require_value(op);
  weight.require_value(op);
  if (weight.rank() != 2)
    fail(op, ": the weight has shape ", weight.shape(), "; it must be (out_features, in_features)");
  if (x.rank() == 0 || x.shape().back() != weight.shape(1))
    fail(op, ": the last axis of the input, of shape ", x.shape(),
         ", must have the in_features of the weight, of shape ", weight.shape(),
         " (out_features, in_features)");
  if (bias) {
    bias->require_value(op);
    if (!(bias->shape() == Shape{weight.shape(0)}))
      fail(op, ": the bias has shape ", bias->shape(), "; with a weight of shape ", weight.shape(),
           " it must be ", Shape{weight.shape(0)});
  }
  return {x.shape().prefix(x.rank() - 1).size(), weight.shape(1), weight.shape(0)};
}

template <class T>
Var<T> record_linear(const char* op, const Var<T>& x, const Var<T>& weight, const Var<T>* bias,
                     Var<T>* addend) {
  const Sizes size = linear_sizes(op, x, weight, bias);
  const Shape shape = with_last_axis(x.shape(), size.out);
  if (addend) addend->require_value(op);
  if (addend && !(addend->shape() == shape))
    fail(op, ": the addend has shape ", addend->shape(), "; x W^T has shape ", shape,
         ", and both must be equal");
  return record_product(op, size, shape, x, Transpose::no, weight, Transpose::yes, bias, addend);
}

}  // namespace
}  // namespace detail

using namespace detail;

template <class T>
Var<T> matmul(const Var<T>& a, const Var<T>& b) {
  a.require_value("matmul");
  b.require_value("matmul");
  if (a.rank() == 0 || b.rank() != 2 || a.shape().back() != b.shape(0))
    fail("matmul: shapes ", a.shape(), " and ", b.shape(), " do not fit; (..., K) times (K, N) is needed");
  const Sizes size{a.shape().prefix(a.rank() - 1).size(), b.shape(0), b.shape(1)};
  return record_product<T>("matmul", size, with_last_axis(a.shape(), size.out), a, Transpose::no, b,
                           Transpose::no, nullptr, nullptr);
}

template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
  return record_linear<T>("linear", x, weight, &bias, nullptr);
}
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight) {
  return record_linear<T>("linear", x, weight, nullptr, nullptr);
}
template <class T>
Var<T> add_linear(Var<T> c, const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
  return record_linear("add_linear", x, weight, &bias, &c);
}
template <class T>
Var<T> add_linear(Var<T> c, const Var<T>& x, const Var<T>& weight) {
  return record_linear<T>("add_linear", x, weight, nullptr, &c);
}

#define UNROLL_INSTANTIATE(T)                                                      \
  template Var<T> matmul(const Var<T>&, const Var<T>&);                            \
  template Var<T> linear(const Var<T>&, const Var<T>&, const Var<T>&);             \
  template Var<T> linear(const Var<T>&, const Var<T>&);                            \
  template Var<T> add_linear(Var<T>, const Var<T>&, const Var<T>&, const Var<T>&); \
  template Var<T> add_linear(Var<T>, const Var<T>&, const Var<T>&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd
