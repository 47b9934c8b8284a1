#include "product.hpp"

#include "description.hpp"
#include "panels.hpp"
#include "recorded_sweep.hpp"
#include "replay.hpp"
#include "restoration.hpp"
#include "small_gemm.hpp"
#include "tangent_sweep.hpp"
#include "weight_cache.hpp"

namespace autograd::detail {
namespace {

// Y = X op(W) [+ Y] [+ bias], on the layout of W that products are fastest on.
template <class T>
[[gnu::always_inline]] inline void times_weight(const T* x, std::size_t rows, std::size_t in, std::size_t out,
                                                const Block* block, const T* w, Transpose t, bool accumulate,
                                                const T* bias, T* y) {
  if (block && block->variable_id) {
    if (prefer_panels(rows, out, in))
      return multiply_panels(rows, out, in, x, in, cached_panels(block, w, t, in, out), accumulate, bias, y,
                             out);
    if (t == Transpose::yes) {
      if (in > 1 && out > 1) w = cached_transpose(block, w, out, in);  // a vector is its own transpose
      t = Transpose::no;
    }
  }
  if (rows == 1 && out > 1 && t == Transpose::no)
    return SmallProduct<T>{1, out, in, x, in, 1, w, out, accumulate, bias, y, out}.compute();
  gemm(Transpose::no, t, rows, out, in, x, in, w, t == Transpose::yes ? in : out, accumulate, bias, y, out);
}

// Y = op(A) op(B) [+ bias] [+ addend], where the addend may be Y.
template <class T>
[[gnu::always_inline]] inline void compute_product(const Sizes& size, const Array<T>& a, Transpose ta,
                                                   const Array<T>& b, Transpose tb, const T* bias,
                                                   const T* addend, T* y) {
  if (addend && addend != y) std::copy_n(addend, size.rows * size.out, y);
  if (ta == Transpose::no)
    times_weight(a.data(), size.rows, size.in, size.out, b.block(), b.data(), tb, addend != nullptr, bias, y);
  else
    gemm(ta, tb, size.rows, size.out, size.in, a.data(), size.rows, b.data(),
         tb == Transpose::no ? size.out : size.in, addend != nullptr, bias, y, size.out);
}

// op(A) op(B) [+ bias] [+ addend]: A is rows x in (before transposition of it, in x rows), op(B) is in x out.
template <class T>
struct ProductNode : Node {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  const char* op;
  Saved<T> a, b, bias;  // the bias is empty if there is none
  Place addend, out;
  Result<T> result;  // unless the addend has become it
  std::size_t rows, in, width;
  std::uint32_t deferred;  // how the gradient of B is gathered, or 0
  bool has_addend;
  Transpose ta, tb;

  ProductNode(const char* name, const Var<T>& left, Place left_place, const Var<T>& right, Place right_place,
              const Var<T>* with_bias, Place bias_place, Place addend_place, Place result, const Sizes& size,
              std::uint32_t deferred_product, bool with_addend, Transpose left_transposed,
              Transpose right_transposed)
      : op(name),
        a(left, left_place),
        b(right, right_place),
        bias(with_bias ? Saved<T>(*with_bias, bias_place) : Saved<T>()),
        addend(addend_place),
        out(result),
        rows(size.rows),
        in(size.in),
        width(size.out),
        deferred(deferred_product),
        has_addend(with_addend),
        ta(left_transposed),
        tb(right_transposed) {}

  void backward(Sweep& sweep) {
    const T* g = sweep.gradient<T>(out, rows * width);
    if (!g) return;
    if (a.place.differentiable()) gradient_of_a(sweep, g, b.block(), b.data());
    if (deferred)
      sweep.product<T>(deferred, a.data(), a.block(), out, rows);
    else if (b.place.differentiable())
      gradient_of_b(sweep, g, a.data());
    pass_to_addend(sweep);
  }

  // dA = G op(B)^T, or its transpose where A is transposed.
  [[gnu::always_inline]] void gradient_of_a(Sweep& sweep, const T* g, const Block* block, const T* weight) {
    const Sink<T> to = sweep.sink<T>(a.place, rows * in);
    if (ta == Transpose::no)
      times_weight<T>(g, rows, width, in, block, weight, flip(tb), to.accumulate, nullptr, to.data);
    else  // dA = op(B) G^T
      gemm<T>(tb, Transpose::yes, in, rows, width, weight, tb == Transpose::no ? width : in, g, width,
              to.accumulate, nullptr, to.data, rows);
  }

  // dB = op(A)^T G, or its transpose where B is transposed.
  [[gnu::always_inline]] void gradient_of_b(Sweep& sweep, const T* g, const T* x) {
    const Sink<T> to = sweep.sink<T>(b.place, in * width);
    const std::size_t x_row = ta == Transpose::no ? in : rows;
    if (tb == Transpose::no)
      gemm<T>(flip(ta), Transpose::no, in, width, rows, x, x_row, g, width, to.accumulate, nullptr, to.data,
              width);
    else
      gemm<T>(Transpose::yes, ta, width, in, rows, g, width, x, x_row, to.accumulate, nullptr, to.data, in);
  }

  void gradient_of_bias(Sweep& sweep, const T* g) {
    T* to = sweep.accumulator<T>(bias.place, width);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t j = 0; j < width; ++j) to[j] += g[r * width + j];
  }

  // Y = op(X) op(W) [+ Y]
  void multiply(const T* x, const T* w, bool accumulate, T* y) const {
    gemm<T>(ta, tb, rows, width, in, x, ta == Transpose::no ? in : rows, w, tb == Transpose::no ? width : in,
            accumulate, nullptr, y, width);
  }

  bool in_place() const { return addend == out; }
  void pass_to_addend(Sweep& sweep) {
    if (addend.differentiable() && !in_place()) sweep.pass<T>(out, addend, rows * width);
  }

  // A'B + AB' + bias' + addend', where an addend whose place became the result's is already there.
  void tangent(TangentSweep& sweep) {
    const T* of_a = sweep.tangent<T>(a.place, rows * in);
    const T* of_b = sweep.tangent<T>(b.place, in * width);
    const T* of_bias = sweep.tangent<T>(bias.place, width);
    const T* of_addend = in_place() ? nullptr : sweep.tangent<T>(addend, rows * width);
    if (!of_a && !of_b && !of_bias && !of_addend) return;
    const auto result = sweep.result<T>(out, rows * width);
    T* const y = result.data;
    bool accumulate = result.accumulate;
    const auto add = [&](const T* from, std::size_t period) {
      for (std::size_t r = 0; r < rows; ++r, from += period)
        for (std::size_t j = 0; j < width; ++j)
          y[r * width + j] = accumulate ? y[r * width + j] + from[j] : from[j];
      accumulate = true;
    };
    if (of_addend) add(of_addend, width);
    if (of_bias) add(of_bias, 0);
    if (of_a) {
      if (ta == Transpose::no)
        times_weight<T>(of_a, rows, in, width, b.block(), b.data(), tb, accumulate, nullptr, y);
      else
        multiply(of_a, b.data(), accumulate, y);
      accumulate = true;
    }
    if (of_b) multiply(a.data(), of_b, accumulate, y);
  }

  void backward_dual(DualSweep& sweep) {
    const T* g = sweep.gradients().gradient<T>(out, rows * width);
    // The gradients: those of variables are of no use.
    if (g && sweep.flows_on(a.place)) gradient_of_a(sweep.gradients(), g, b.block(), b.data());
    if (g && sweep.flows_on(b.place)) gradient_of_b(sweep.gradients(), g, a.data());
    if (g && sweep.flows_on(bias.place)) gradient_of_bias(sweep.gradients(), g);
    pass_to_addend(sweep.gradients());
    // Their tangents: the rule on that of G, and on G with the tangents of A and B.
    backward(sweep.tangents());
    if (!g) return;
    if (a.place.differentiable())
      if (const T* of_b = sweep.values().tangent<T>(b.place, in * width))
        gradient_of_a(sweep.tangents(), g, nullptr, of_b);
    if (b.place.differentiable())
      if (const T* of_a = sweep.values().tangent<T>(a.place, rows * in)) {
        if (deferred)
          sweep.cross_product(deferred, of_a, sweep.values().block(a.place), out, rows);
        else
          gradient_of_b(sweep.tangents(), g, of_a);
      }
  }

  void record(Recorded& sweep) {
    const Var<T> g = sweep.gradient(out, {rows, width});
    if (!g.defined()) return;
    const Var<T> x = a.var().reshape(ta == Transpose::no ? Shape{rows, in} : Shape{in, rows});
    const Var<T> w = b.var().reshape(tb == Transpose::no ? Shape{in, width} : Shape{width, in});
    if (a.place.differentiable())
      sweep.add(
          a.place, x.shape(),
          ta == Transpose::no ? product(g, Transpose::no, w, flip(tb)) : product(w, tb, g, Transpose::yes));
    if (b.place.differentiable())
      sweep.add(
          b.place, w.shape(),
          tb == Transpose::no ? product(x, flip(ta), g, Transpose::no) : product(g, Transpose::yes, x, ta));
    if (bias.place.differentiable()) sweep.add(bias.place, {width}, g);
    if (addend.differentiable() && !in_place()) sweep.add(addend, {rows, width}, g);
  }

  // What a call is given; the bias and the addend may be null.
  struct Given {
    Value<T>*a, *b, *bias, *addend;
  };
  struct Returns {
    Return a, b, bias, addend;
  };

  // Whether x op(W) [+ bias] [+ addend] has the sizes and the shape of this product.
  [[gnu::always_inline]] bool has_shape_of(const TapeStorage& tape, const Given& given) const {
    const Shape &from = given.a->array.shape(), &w = given.b->array.shape();
    const bool transposed = tb == Transpose::yes;
    if (w.rank() != 2 || w[transposed] != in || w[!transposed] != width) return false;
    if (given.bias && !(given.bias->array.rank() == 1 && given.bias->array.shape()[0] == width)) return false;
    if (!given.addend && is_same_value(tape, given.a, a.value, a.place)) return !in_place();
    if (from.rank() == 0 || from.back() != in || (in_place() && !given.addend)) return false;
    const Shape& shape = (in_place() ? given.addend : result.value)->array.shape();
    return shape.equals_but_last(from) && shape.back() == width && shape.size() == rows * width &&
           (in_place() || !given.addend || given.addend->array.shape() == shape);
  }

  // Whether a call on operands of the same sizes repeats that of the last tape, and how the operands return;
  // `consumes` tells that the addend may become its result.
  [[gnu::always_inline]] bool repeated_by(TapeStorage& tape, const char* name, Transpose left_transposed,
                                          Transpose right_transposed, const Given& given, bool consumes,
                                          Returns& how) const {
    if (name != op || left_transposed != ta || right_transposed != tb ||
        (bias.value != nullptr) != (given.bias != nullptr) || has_addend != (given.addend != nullptr))
      return false;
    how.a = returning(tape, given.a, a.place);
    how.b = returning(tape, given.b, b.place);
    how.bias = given.bias ? returning(tape, given.bias, bias.place) : Return::kept;
    how.addend = given.addend ? returning(tape, given.addend, addend) : Return::kept;
    return how.a != Return::none && how.b != Return::none && how.bias != Return::none &&
           how.addend != Return::none &&
           (in_place() ? consumes
                       : !(consumes && addend.differentiable()) && result.stays(out, context.outputs + 1));
  }

  [[gnu::always_inline]] Var<T> repeat(TapeStorage& tape, const Given& given, Var<T>* with_addend,
                                       const Returns& how) {
    a.take(given.a, take_again(tape, given.a, a.place, how.a));
    b.take(given.b, take_again(tape, given.b, b.place, how.b));
    if (given.bias) bias.take(given.bias, take_again(tape, given.bias, bias.place, how.bias));
    if (given.addend) take_again(tape, given.addend, addend, how.addend);
    Var<T> made = in_place() ? std::move(*with_addend) : result.renew(tape);
    advance(tape, *this);
    compute_product<T>({rows, in, width}, given.a->array, ta, given.b->array, tb,
                       given.bias ? given.bias->array.data() : nullptr,
                       given.addend ? given.addend->array.data() : nullptr, made.shared()->array.data());
    made.mark_fresh();
    return made;
  }

  void describe(Description& d) const;
  std::vector<Var<T>> again(std::span<const Var<T>> x) const;
  void release() {
    rest();
    result.release();
  }
  std::size_t rest() {
    for (Saved<T>* each : {&a, &b, &bias}) each->release();
    return 0;
  }

  // Of what Y is computed from, the node holds all but an addend that has not become Y.
  bool can_restore(const TapeStorage& tape) const {
    return !tape.trace && !has_addend && !result.at_destination;
  }
  void restore(Restoration& restoration) {
    if (restoration.phase() != Restoration::Phase::compute || !restoration.wants(out)) return;
    T* const y = restoration.memory<T>(out);
    compute_product<T>({rows, in, width}, a.value->array, ta, b.value->array, tb,
                       bias.value ? bias.data() : nullptr, in_place() ? y : nullptr, y);
  }

  // op(A) op(B) of matrices.
  static Var<T> product(const Var<T>& a, Transpose ta, const Var<T>& b, Transpose tb);
};

// False if one of them is empty.
template <class T>
[[gnu::always_inline]] inline bool values_of(const Var<T>& a, const Var<T>& b, const Var<T>* bias,
                                             const Var<T>* addend, typename ProductNode<T>::Given& given) {
  given = {a.shared(), b.shared(), bias ? bias->shared() : nullptr, addend ? addend->shared() : nullptr};
  return given.a && given.b && (!bias || given.bias) && (!addend || given.addend);
}

// Where nothing is recorded.
template <class T>
[[gnu::always_inline]] inline Var<T> product_without_tape(const Sizes& size, const Shape& shape,
                                                          const Var<T>& a, Transpose ta, const Var<T>& b,
                                                          Transpose tb, const Var<T>* bias, Var<T>* addend) {
  const bool in_place = addend && addend->fresh();
  const T* const added = addend ? addend->array().data() : nullptr;
  Var<T> out = in_place ? std::move(*addend) : new_output<T>(shape, nullptr);
  compute_product<T>(size, a.array(), ta, b.array(), tb, bias ? bias->array().data() : nullptr, added,
                     out.shared()->array.data());
  out.mark_fresh();
  return out;
}

}  // namespace

template <class T>
Var<T> record_product(const char* op, const Sizes& size, const Shape& shape, const Var<T>& a, Transpose ta,
                      const Var<T>& b, Transpose tb, const Var<T>* bias, Var<T>* addend) {
  const bool consumes = addend && addend->fresh();
  TapeStorage* const current = current_tape();
  typename ProductNode<T>::Given given;
  typename ProductNode<T>::Returns how;
  if (auto* node = next_in_replay<ProductNode<T>>(current);
      node && node->rows == size.rows && node->in == size.in && node->width == size.out &&
      (node->in_place() || node->result.value->array.shape() == shape) &&
      values_of(a, b, bias, addend, given) && node->repeated_by(*current, op, ta, tb, given, consumes, how))
    return node->repeat(*current, given, addend, how);
  if (!current) {
    for (const Var<T>* each : {&a, &b, bias, static_cast<const Var<T>*>(addend)})
      if (each) each->require_value(op);
    return product_without_tape(size, shape, a, ta, b, tb, bias, addend);
  }
  const Place a_place = a.use(op, current), b_place = b.use(op, current);
  const Place bias_place = bias ? bias->use(op, current) : Place{};
  const Place addend_place = addend ? addend->use(op, current) : Place{};
  const bool differentiable = a_place.differentiable() || b_place.differentiable() ||
                              bias_place.differentiable() || addend_place.differentiable();
  TapeStorage* tape = differentiable ? recording() : nullptr;
  // The addend's memory and gradient become the result's, if nobody else knows of them.
  const bool in_place = consumes && (!tape || addend_place.differentiable());
  Var<T> out = in_place ? std::move(*addend) : new_output<T>(shape, tape);
  const std::uint64_t output = context.outputs;
  T* const y = out.shared()->array.data();
  compute_product<T>(size, a.shared()->array, ta, b.shared()->array, tb,
                     bias ? bias->shared()->array.data() : nullptr,
                     in_place ? y
                     : addend ? addend->shared()->array.data()
                              : nullptr,
                     y);
  if (tape) {
    std::uint32_t deferred = 0;
    // For a vector, rows would be gathered that are each as large as its gradient.
    if (ta == Transpose::no && b.rank() > 1 && (b_place.differentiable() || bias_place.differentiable())) {
      deferred = tape->deferred_product(b_place, bias_place, size.in, size.out, tb == Transpose::yes);
      if (Slot& slot = tape->slots[out.place().slot()]; !in_place && slot.size == out.size())
        slot.gathered = deferred;
    }
    auto& node = tape->emplace<ProductNode<T>>(op, a, a_place, b, b_place, bias, bias_place, addend_place,
                                               out.place(), size, deferred, addend != nullptr, ta, tb);

    if (!in_place) {
      node.result.keep(*tape, out, output, Memory::transient);
      out.shared()->restorable = node.can_restore(*tape);
    }
  }
  out.mark_fresh();
  return out;
}

template <class T>
void ProductNode<T>::describe(Description& d) const {
  d.op = op;
  d.operand(a);
  d.operand(b);
  if (bias.value) d.operand(bias);
  if (has_addend) d.operand(addend, {rows, width});
  d.result(out, {rows, width});
}

template <class T>
std::vector<Var<T>> ProductNode<T>::again(std::span<const Var<T>> x) const {
  const bool has_bias = bias.value;
  Var<T> added = has_addend ? x[2 + has_bias] : Var<T>();
  return {record_product<T>(op, {rows, in, width}, {rows, width}, x[0], ta, x[1], tb,
                            has_bias ? &x[2] : nullptr, has_addend ? &added : nullptr)};
}

template <class T>
Var<T> ProductNode<T>::product(const Var<T>& a, Transpose ta, const Var<T>& b, Transpose tb) {
  const std::size_t rows = a.shape(ta == Transpose::yes), in = a.shape(ta == Transpose::no);
  const std::size_t out = b.shape(tb == Transpose::no);
  return record_product<T>("matmul", {rows, in, out}, {rows, out}, a, ta, b, tb, nullptr, nullptr);
}

namespace {

// Throws for sizes of x op(W) + b that do not fit.
template <class T>
[[noreturn]] void fail_linear(const char* op, const Var<T>& x, const Var<T>& weight, Transpose t,
                              const Var<T>* bias) {
  const char* layout = t == Transpose::yes ? "(out_features, in_features)" : "(in_features, out_features)";
  const std::size_t in_axis = t == Transpose::yes, out_axis = t == Transpose::no;
  x.require_value(op);
  weight.require_value(op);
  if (weight.rank() != 2)
    fail(op, ": ", called(weight, "the weight"), " has shape ", weight.shape(), "; it must be ", layout);
  if (x.rank() == 0)
    fail(op, ": the input is a scalar, of shape (); it must have a last axis of ", weight.shape(in_axis),
         " features");
  if (x.shape().back() != weight.shape(in_axis))
    fail(op, ": the input of shape ", shape_of(x), " has ", x.shape().back(), " features, and ",
         called(weight, "the weight"), " of shape ", weight.shape(), ' ', layout, " takes ",
         weight.shape(in_axis), "; make them equal");
  bias->require_value(op);
  fail(op, ": ", called(*bias, "the bias"), " has shape ", bias->shape(), "; with a weight of shape ",
       shape_of(weight), " it must be ", Shape{weight.shape(out_axis)});
}

}  // namespace

template <class T>
Var<T> record_linear(const char* op, const Var<T>& x, const Var<T>& weight, Transpose t, const Var<T>* bias,
                     Var<T>* addend) {
  TapeStorage* const current = current_tape();
  typename ProductNode<T>::Given given;
  typename ProductNode<T>::Returns how;
  if (auto* node = next_in_replay<ProductNode<T>>(current);
      node && t == node->tb && values_of(x, weight, bias, addend, given) &&
      node->has_shape_of(*current, given) &&
      node->repeated_by(*current, op, Transpose::no, t, given, addend && addend->fresh(), how))
    return node->repeat(*current, given, addend, how);
  const Shape &from = x.shape(), &w = weight.shape();
  const std::size_t in_axis = t == Transpose::yes, out_axis = t == Transpose::no;
  const bool fits = x.defined() && weight.defined() && w.rank() == 2 && from.rank() &&
                    from.back() == w[in_axis] &&
                    (!bias || (bias->defined() && bias->rank() == 1 && bias->shape()[0] == w[out_axis]));
  if (!fits) [[unlikely]]
    fail_linear(op, x, weight, t, bias);
  const Shape shape = with_last_axis(from, w[out_axis]);
  if (addend) addend->require_value(op);
  if (addend && !(addend->shape() == shape)) [[unlikely]]
    fail(op, ": the addend has shape ", shape_of(*addend), "; x W^T has shape ", shape,
         ", and both must be equal");
  std::size_t rows = 1;
  for (std::size_t axis = 0; axis + 1 < from.rank(); ++axis) rows *= from[axis];
  const Sizes size{rows, w[in_axis], w[out_axis]};
  if (!current) [[unlikely]]
    return product_without_tape(size, shape, x, Transpose::no, weight, t, bias, addend);
  return record_product(op, size, shape, x, Transpose::no, weight, t, bias, addend);
}

#define UNROLL_INSTANTIATE(T)                                                                       \
  template Var<T> record_product(const char*, const Sizes&, const Shape&, const Var<T>&, Transpose, \
                                 const Var<T>&, Transpose, const Var<T>*, Var<T>*);                 \
  template Var<T> record_linear(const char*, const Var<T>&, const Var<T>&, Transpose, const Var<T>*, Var<T>*);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd::detail
