#include "batched_product.hpp"

#include "description.hpp"
#include "recorded_sweep.hpp"
#include "tangent_sweep.hpp"

namespace autograd::detail {

BatchedProduct::Steps BatchedProduct::steps_of(const Shape& own, const Shape& batch, std::size_t matrix) {
  Steps steps{};
  const std::size_t missing = batch.rank() - own.rank();
  for (std::size_t axis = own.rank(); axis-- > 0; matrix *= own[axis])
    steps[axis + missing] = own[axis] == 1 ? 0 : matrix;
  return steps;
}

// With C = op(A) op(B): d op(A) = G op(B)^T, transposed where A is stored transposed.
BatchedProduct BatchedProduct::gradient_of_a() const {
  if (a.t == Transpose::no) return {batch, rows, out, in, {c, Transpose::no}, {b.step, flip(b.t)}, a.step};
  return {batch, in, out, rows, b, {c, Transpose::yes}, a.step};
}

// And d op(B) = op(A)^T G.
BatchedProduct BatchedProduct::gradient_of_b() const {
  if (b.t == Transpose::no) return {batch, in, rows, out, {a.step, flip(a.t)}, {c, Transpose::no}, b.step};
  return {batch, out, rows, in, {c, Transpose::yes}, a, b.step};
}

bool BatchedProduct::sums() const {
  bool any = false;
  for (std::size_t axis = 0; axis < batch.rank(); ++axis) any |= batch[axis] != 1 && c[axis] == 0;
  return any;
}

template <class T>
void BatchedProduct::run(const T* left, const T* right, bool accumulate, T* result) const {
  const std::size_t left_row = a.t == Transpose::no ? in : rows;
  const std::size_t right_row = b.t == Transpose::no ? out : in;
  Steps index{};
  for (std::size_t entry = batch.size(); entry-- > 0;) {
    gemm<T>(a.t, b.t, rows, out, in, left, left_row, right, right_row, accumulate, nullptr, result, out);
    for (std::size_t axis = batch.rank(); entry && axis-- > 0;) {
      left += a.step[axis];
      right += b.step[axis];
      result += c[axis];
      if (++index[axis] < batch[axis]) break;
      left -= a.step[axis] * batch[axis];
      right -= b.step[axis] * batch[axis];
      result -= c[axis] * batch[axis];
      index[axis] = 0;
    }
  }
}

namespace {

template <class T>
struct BatchedProductNode : Node {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  Saved<T> a, b;
  Place out;
  Shape shape;
  BatchedProduct product;

  // The rule, for elements and for Vars: adds the product of two factors to the gradient of an operand.
  template <class X, class Add>
  void gradients(const X& g, const X& x, const X& y, Add&& add) const {
    if (a.place.differentiable()) {
      const BatchedProduct of_a = product.gradient_of_a();
      product.a.t == Transpose::no ? add(a, of_a, g, y) : add(a, of_a, y, g);
    }
    if (b.place.differentiable()) {
      const BatchedProduct of_b = product.gradient_of_b();
      product.b.t == Transpose::no ? add(b, of_b, x, g) : add(b, of_b, g, x);
    }
  }

  void backward(Sweep& sweep) { backward(sweep, sweep.gradient<T>(out, shape.size()), a.data(), b.data()); }

  // The rule on a gradient and factors any of which may be zero, that is, null.
  void backward(Sweep& sweep, const T* g, const T* x, const T* y) {
    if (!g) return;
    gradients<const T*>(
        g, x, y, [&](const Saved<T>& operand, const BatchedProduct& rule, const T* left, const T* right) {
          if (left && right) run(rule, left, right, sweep, operand.place, operand.shape().size());
        });
  }

  static void run(const BatchedProduct& product, const T* left, const T* right, auto& sweep, Place place,
                  std::size_t elements) {
    const Sink<T> to = [&] {
      if constexpr (requires { sweep.template result<T>(place, elements); })
        return sweep.template result<T>(place, elements);
      else
        return sweep.template sink<T>(place, elements);
    }();
    if (product.sums() && !to.accumulate) std::fill_n(to.data, elements, T(0));
    product.run(left, right, to.accumulate || product.sums(), to.data);
  }

  // A'B + AB'
  void tangent(TangentSweep& sweep) {
    const T* of_a = sweep.tangent<T>(a.place, a.shape().size());
    const T* of_b = sweep.tangent<T>(b.place, b.shape().size());
    if (of_a) run(product, of_a, b.data(), sweep, out, shape.size());
    if (of_b) run(product, a.data(), of_b, sweep, out, shape.size());
  }

  void backward_dual(DualSweep& sweep) {
    const T* g = sweep.gradients().gradient<T>(out, shape.size());
    backward(sweep.gradients());
    backward(sweep.tangents());
    backward(sweep.tangents(), g, sweep.values().tangent<T>(a.place, a.shape().size()),
             sweep.values().tangent<T>(b.place, b.shape().size()));
  }

  void record(Recorded& sweep) {
    const Var<T> g = sweep.gradient(out, {shape.size()});
    if (!g.defined()) return;
    gradients(
        g, a.var(), b.var(),
        [&](const Saved<T>& operand, const BatchedProduct& rule, const Var<T>& left, const Var<T>& right) {
          sweep.add(operand.place, operand.shape(),
                    record_batched("matmul", rule, left, right, operand.shape()));
        });
  }

  void describe(Description& d) const {
    d.op = "matmul";
    d.operand(a);
    d.operand(b);
    d.result(out, shape);
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const {
    return {record_batched("matmul", product, x[0], x[1], shape)};
  }
  void release() {
    a.release();
    b.release();
  }
};

}  // namespace

template <class T>
Var<T> record_batched(const char* op, const BatchedProduct& product, const Var<T>& a, const Var<T>& b,
                      const Shape& shape) {
  const Place a_place = a.use(op), b_place = b.use(op);
  TapeStorage* tape = a_place.differentiable() || b_place.differentiable() ? recording() : nullptr;
  Var<T> out = new_output<T>(shape, tape);
  T* c = const_cast<T*>(out.array().data());
  const bool sums = product.sums();
  if (sums) std::fill_n(c, out.size(), T(0));
  product.run(a.array().data(), b.array().data(), sums, c);
  if (tape) {
    auto& node = tape->emplace<BatchedProductNode<T>>();
    node.a = Saved<T>(a, a_place);
    node.b = Saved<T>(b, b_place);
    node.out = out.place();
    node.shape = shape;
    node.product = product;
  }
  return out;
}

template Var<float> record_batched(const char*, const BatchedProduct&, const Var<float>&, const Var<float>&,
                                   const Shape&);
template Var<double> record_batched(const char*, const BatchedProduct&, const Var<double>&,
                                    const Var<double>&, const Shape&);

}  // namespace autograd::detail
