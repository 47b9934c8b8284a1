#include "indexing.hpp"

#include "description.hpp"
#include "recorded_sweep.hpp"
#include "tangent_sweep.hpp"

namespace autograd {
namespace detail {
namespace {

template <class T>
Var<T> record_scatter(const Var<T>& x, const Shape& shape, const Runs& runs);

// small += the runs of large, and the other way round.
template <class T>
void add_runs(const Runs& runs, const T* large, T* small) {
  for (std::size_t i = 0; i < runs.count; ++i)
    for (std::size_t k = 0; k < runs.width; ++k) small[i * runs.width + k] += large[runs.begin()[i] + k];
}
template <class T>
void add_to_runs(const Runs& runs, const T* small, T* large) {
  for (std::size_t i = 0; i < runs.count; ++i)
    for (std::size_t k = 0; k < runs.width; ++k) large[runs.begin()[i] + k] += small[i * runs.width + k];
}

template <class T, bool kScatter>
struct IndexNode : LinearNode<T> {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  const char* op;
  Place in, out;
  Shape in_shape, out_shape;
  Block* flat;
  std::size_t count, width;

  Runs runs() const { return {BlockRef(retain(flat)), count, width}; }
  void backward(Sweep& sweep) {
    const T* g = sweep.gradient<T>(out, out_shape.size());
    if (!g) return;
    T* to = sweep.accumulator<T>(in, in_shape.size());
    kScatter ? add_runs(runs(), g, to) : add_to_runs(runs(), g, to);
  }
  void record(Recorded& sweep) {
    const Var<T> g = sweep.gradient(out, out_shape);
    if (!g.defined()) return;
    sweep.add(in, in_shape,
              kScatter ? pick_runs("pick", g, in_shape, runs()) : record_scatter(g, in_shape, runs()));
  }
  void describe(Description& d) const {
    d.op = op;
    d.operand(in, in_shape);
    d.result(out, out_shape);
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const {
    return {kScatter ? record_scatter(x[0], out_shape, runs()) : pick_runs(op, x[0], out_shape, runs())};
  }
  void release() { detail::release(std::exchange(flat, nullptr)); }
};

template <class T, bool kScatter>
void record_node(TapeStorage* tape, const char* op, Place in, const Var<T>& x, const Var<T>& out,
                 const Runs& runs) {
  auto& node = tape->emplace<IndexNode<T, kScatter>>();
  node.op = op;
  node.in = in;
  node.out = out.place();
  node.in_shape = x.shape();
  node.out_shape = out.shape();
  node.flat = retain(runs.flat.get());
  node.count = runs.count;
  node.width = runs.width;
}

// The adjoint: zeros of `shape` with x added at the runs.
template <class T>
Var<T> record_scatter(const Var<T>& x, const Shape& shape, const Runs& runs) {
  const Place in = x.use("scatter");
  TapeStorage* tape = in.differentiable() ? recording() : nullptr;
  Var<T> out = new_output<T>(shape, tape);
  T* to = const_cast<T*>(out.array().data());
  std::fill_n(to, out.size(), T(0));
  add_to_runs(runs, x.array().data(), to);
  if (tape) record_node<T, true>(tape, "scatter", in, x, out, runs);
  return out;
}

// An index counted from the start. Throws Error if it is outside of the extent.
template <class T>
std::size_t checked(const char* op, std::int64_t index, std::size_t at, std::size_t extent, const Var<T>& x) {
  const auto n = static_cast<std::int64_t>(extent);
  if (index < -n || index >= n)
    fail(op, ": index ", index, " at position ", at, " is out of range for an axis of ", n, " of shape ",
         shape_of(x), "; indices are at least ", -n, " and less than ", n);
  return static_cast<std::size_t>(index < 0 ? index + n : index);
}

}  // namespace

template <class T>
Var<T> pick_runs(const char* op, const Var<T>& x, const Shape& shape, const Runs& runs) {
  const Place in = x.use(op);
  TapeStorage* tape = in.differentiable() ? recording() : nullptr;
  Var<T> out = new_output<T>(shape, tape);
  T* to = const_cast<T*>(out.array().data());
  for (std::size_t i = 0; i < runs.count; ++i)
    std::copy_n(x.array().data() + runs.begin()[i], runs.width, to + i * runs.width);
  if (tape) record_node<T, false>(tape, op, in, x, out, runs);
  return out;
}

}  // namespace detail

template <class T>
Var<T> pick(const Var<T>& x, const Indices& indices) {
  x.use("pick");
  if (x.rank() == 0 || !(x.shape().prefix(x.rank() - 1) == indices.shape()))
    detail::fail("pick: indices of shape ", indices.shape(), " do not fit values of shape ", x.shape(),
                 "; there must be one index for each row of the last axis");
  const std::size_t cols = x.shape().back(), count = indices.values().size();
  const detail::Runs runs(count, 1);
  std::size_t* at = runs.begin();
  for (std::size_t i = 0; i < count; ++i)
    at[i] = i * cols + detail::checked("pick", indices.values()[i], i, cols, x);
  return detail::pick_runs("pick", x, indices.shape(), runs);
}

template <class T>
Var<T> take(const Var<T>& x, const Indices& indices, std::ptrdiff_t axis) {
  x.require_value("take");
  const std::size_t over = normalise_axis(axis, x.shape(), "take"), extent = x.shape(over);
  const std::size_t outer = x.shape().prefix(over).size(), width = x.shape().size_from(over + 1);
  const std::size_t count = indices.values().size();
  const detail::Runs runs(outer * count, width);
  std::size_t* at = runs.begin();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t index = detail::checked("take", indices.values()[i], i, extent, x);
    for (std::size_t o = 0; o < outer; ++o) at[o * count + i] = (o * extent + index) * width;
  }
  Shape shape = x.shape().prefix(over);
  for (const std::size_t each : indices.shape()) shape.push_back(each);
  for (std::size_t i = over + 1; i < x.rank(); ++i) shape.push_back(x.shape(i));
  return detail::pick_runs("take", x, shape, runs);
}

template Var<float> detail::pick_runs(const char*, const Var<float>&, const Shape&, const Runs&);
template Var<double> detail::pick_runs(const char*, const Var<double>&, const Shape&, const Runs&);
template Var<float> take(const Var<float>&, const Indices&, std::ptrdiff_t);
template Var<double> take(const Var<double>&, const Indices&, std::ptrdiff_t);
template Var<float> pick(const Var<float>&, const Indices&);
template Var<double> pick(const Var<double>&, const Indices&);

}  // namespace autograd
