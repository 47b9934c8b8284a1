#include "indexing.hpp"

#include "recorded_sweep.hpp"

namespace autograd {
namespace detail {
namespace {

// `flat` holds indices into the elements of the larger side, one for each entry of the smaller.
template <class T>
Var<T> record_pick(const Var<T>& x, const Shape& shape, BlockRef flat, std::size_t count);
template <class T>
Var<T> record_scatter(const Var<T>& x, const Shape& shape, BlockRef flat, std::size_t count);

template <class T, bool kScatter>
struct IndexNode : Node {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  static constexpr const char* kName = kScatter ? "scatter" : "pick";
  Place in, out;
  Shape in_shape, out_shape;
  Block* flat;
  std::size_t count;

  void backward(Sweep& sweep) {
    const T* g = sweep.gradient<T>(out, out_shape.size());
    if (!g) return;
    T* to = sweep.accumulator<T>(in, in_shape.size());
    const auto* at = static_cast<const std::size_t*>(flat->data());
    for (std::size_t i = 0; i < count; ++i) (kScatter ? to[i] : to[at[i]]) += kScatter ? g[at[i]] : g[i];
  }
  void record(Recorded& sweep) {
    const Var<T> g = sweep.gradient(out, out_shape);
    if (!g.defined()) return;
    const BlockRef indices(retain(flat));
    sweep.add(
        in, in_shape,
        kScatter ? record_pick(g, in_shape, indices, count) : record_scatter(g, in_shape, indices, count));
  }
  void release() { detail::release(std::exchange(flat, nullptr)); }
};

template <class T, bool kScatter>
void record_node(TapeStorage* tape, Place in, const Var<T>& x, const Var<T>& out, const BlockRef& flat,
                 std::size_t count) {
  auto& node = tape->emplace<IndexNode<T, kScatter>>();
  node.in = in;
  node.out = out.place();
  node.in_shape = x.shape();
  node.out_shape = out.shape();
  node.flat = retain(flat.get());
  node.count = count;
}

template <class T>
Var<T> record_pick(const Var<T>& x, const Shape& shape, BlockRef flat, std::size_t count) {
  const Place in = x.use("pick");
  TapeStorage* tape = in.differentiable() ? recording() : nullptr;
  Var<T> out = new_output<T>(shape, tape);
  const auto* at = static_cast<const std::size_t*>(flat->data());
  for (std::size_t i = 0; i < count; ++i) const_cast<T*>(out.array().data())[i] = x.array().data()[at[i]];
  if (tape) record_node<T, false>(tape, in, x, out, flat, count);
  return out;
}

// The adjoint of pick: zeros of `shape` with x added at the indices.
template <class T>
Var<T> record_scatter(const Var<T>& x, const Shape& shape, BlockRef flat, std::size_t count) {
  const Place in = x.use("scatter");
  TapeStorage* tape = in.differentiable() ? recording() : nullptr;
  Var<T> out = new_output<T>(shape, tape);
  T* to = const_cast<T*>(out.array().data());
  std::fill_n(to, out.size(), T(0));
  const auto* at = static_cast<const std::size_t*>(flat->data());
  for (std::size_t i = 0; i < count; ++i) to[at[i]] += x.array().data()[i];
  if (tape) record_node<T, true>(tape, in, x, out, flat, count);
  return out;
}

}  // namespace
}  // namespace detail

template <class T>
Var<T> pick(const Var<T>& x, const Indices& indices) {
  x.use("pick");
  if (x.rank() == 0 || !(x.shape().prefix(x.rank() - 1) == indices.shape()))
    detail::fail("pick: indices of shape ", indices.shape(), " do not fit values of shape ", x.shape(),
                 "; there must be one index for each row of the last axis");
  const auto cols = static_cast<std::int64_t>(x.shape().back());
  const std::size_t count = indices.values().size();
  detail::BlockRef flat(detail::allocate_block(count * sizeof(std::size_t)));
  auto* at = static_cast<std::size_t*>(flat->data());
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t index = indices.values()[i];
    if (index < -cols || index >= cols)
      detail::fail("pick: index ", index, " at row ", i, " is out of range for ", cols, " columns of shape ",
                   x.shape());
    at[i] = i * static_cast<std::size_t>(cols) + static_cast<std::size_t>(index < 0 ? index + cols : index);
  }
  return detail::record_pick(x, indices.shape(), flat, count);
}

template Var<float> pick(const Var<float>&, const Indices&);
template Var<double> pick(const Var<double>&, const Indices&);

}  // namespace autograd
