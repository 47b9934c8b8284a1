#include "strided.hpp"

#include "description.hpp"
#include "recorded_sweep.hpp"
#include "tangent_sweep.hpp"
#include "transpose.hpp"

namespace autograd::detail {
namespace {

// The view's axes from the outermost to the innermost, without those of extent 1 and with neighbours joined
// where one goes on where the other ends.
struct Loops {
  std::array<std::size_t, Shape::kMaxRank> extent{};
  std::array<std::ptrdiff_t, Shape::kMaxRank> stride{};
  std::size_t count = 0;

  explicit Loops(const StridedView& view) {
    for (std::size_t axis = 0; axis < view.shape.rank(); ++axis) {
      const std::size_t n = view.shape[axis];
      if (n == 1) continue;
      if (count && stride[count - 1] == view.stride[axis] * static_cast<std::ptrdiff_t>(n)) {
        extent[count - 1] *= n;
        stride[count - 1] = view.stride[axis];
      } else {
        extent[count] = n;
        stride[count++] = view.stride[axis];
      }
    }
    if (!count) extent[count++] = 1, stride[0] = 1;
  }
};

// Calls run(first of the result, first in the array, how many, stride in the array) for every run of the
// innermost axis.
template <class Run>
void for_runs(const StridedView& view, Run&& run) {
  const std::size_t size = view.shape.size();
  if (!size) return;
  const Loops loops(view);
  const std::size_t inner = loops.count - 1, length = loops.extent[inner];
  std::array<std::size_t, Shape::kMaxRank> index{};
  std::ptrdiff_t at = view.offset;
  for (std::size_t i = 0; i < size; i += length) {
    run(i, at, length, loops.stride[inner]);
    for (std::size_t axis = inner; axis-- > 0;) {
      at += loops.stride[axis];
      if (++index[axis] < loops.extent[axis]) break;
      at -= loops.stride[axis] * static_cast<std::ptrdiff_t>(loops.extent[axis]);
      index[axis] = 0;
    }
  }
}

template <class T>
void copy_from(const T* array, const StridedView& view, T* to) {
  const Loops loops(view);
  if (loops.count == 2 && loops.stride[0] == 1 &&
      loops.stride[1] == static_cast<std::ptrdiff_t>(loops.extent[0]) && view.shape.size())
    return transpose(array + view.offset, loops.extent[0], loops.extent[1], loops.extent[0], to,
                     loops.extent[1]);
  for_runs(view, [&](std::size_t i, std::ptrdiff_t at, std::size_t length, std::ptrdiff_t stride) {
    if (stride == 1)
      std::copy_n(array + at, length, to + i);
    else
      for (std::size_t k = 0; k < length; ++k)
        to[i + k] = array[at + static_cast<std::ptrdiff_t>(k) * stride];
  });
}

template <class T>
void add_from(const T* array, const StridedView& view, T* to) {
  for_runs(view, [&](std::size_t i, std::ptrdiff_t at, std::size_t length, std::ptrdiff_t stride) {
    for (std::size_t k = 0; k < length; ++k) to[i + k] += array[at + static_cast<std::ptrdiff_t>(k) * stride];
  });
}

template <class T>
void copy_to(const T* from, const StridedView& view, T* array) {
  for_runs(view, [&](std::size_t i, std::ptrdiff_t at, std::size_t length, std::ptrdiff_t stride) {
    for (std::size_t k = 0; k < length; ++k)
      array[at + static_cast<std::ptrdiff_t>(k) * stride] = from[i + k];
  });
}

template <class T>
void add_to(const T* from, const StridedView& view, T* array) {
  for_runs(view, [&](std::size_t i, std::ptrdiff_t at, std::size_t length, std::ptrdiff_t stride) {
    for (std::size_t k = 0; k < length; ++k)
      array[at + static_cast<std::ptrdiff_t>(k) * stride] += from[i + k];
  });
}

template <class T>
struct GatherNode : LinearNode<T> {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  Place in, out;
  const char* op;
  StridedView view;
  Shape source;

  void backward(Sweep& sweep) {
    const T* g = sweep.gradient<T>(out, view.shape.size());
    if (!g) return;
    if (view.shape.size() < source.size()) return add_to(g, view, sweep.accumulator<T>(in, source.size()));
    const Sink<T> to = sweep.sink<T>(in, source.size());  // every entry is reached
    to.accumulate ? add_to(g, view, to.data) : copy_to(g, view, to.data);
  }
  void record(Recorded& sweep) {
    if (const Var<T> g = sweep.gradient(out, view.shape); g.defined())
      sweep.add(in, source, scatter_view(op, g, view, source));
  }
  void describe(Description& d) const {
    d.op = op;
    d.operand(in, source);
    d.result(out, view.shape);
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const { return {gather_view(op, x[0], view)}; }
  void release() {}
};

template <class T>
struct ScatterNode : LinearNode<T> {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  Place in, out;
  const char* op;
  StridedView view;
  Shape target;

  void backward(Sweep& sweep) {
    const T* g = sweep.gradient<T>(out, target.size());
    if (!g) return;
    const Sink<T> to = sweep.sink<T>(in, view.shape.size());
    to.accumulate ? add_from(g, view, to.data) : copy_from(g, view, to.data);
  }
  void record(Recorded& sweep) {
    if (const Var<T> g = sweep.gradient(out, target); g.defined())
      sweep.add(in, view.shape, gather_view(op, g, view));
  }
  void describe(Description& d) const {
    d.op = op;
    d.operand(in, view.shape);
    d.result(out, target);
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const {
    return {scatter_view(op, x[0], view, target)};
  }
  void release() {}
};

}  // namespace

template <class T>
Var<T> gather_view(const char* op, const Var<T>& x, const StridedView& view) {
  const Place in = x.use(op);
  TapeStorage* tape = in.differentiable() ? recording() : nullptr;
  Var<T> out = new_output<T>(view.shape, tape);
  copy_from(x.array().data(), view, const_cast<T*>(out.array().data()));
  if (tape) {
    auto& node = tape->emplace<GatherNode<T>>();
    node.in = in;
    node.out = out.place();
    node.op = op;
    node.view = view;
    node.source = x.shape();
  }
  return out;
}

template <class T>
Var<T> scatter_view(const char* op, const Var<T>& x, const StridedView& view, const Shape& shape, T fill) {
  const Place in = x.use(op);
  TapeStorage* tape = in.differentiable() ? recording() : nullptr;
  Var<T> out = new_output<T>(shape, tape);
  T* to = const_cast<T*>(out.array().data());
  std::fill_n(to, out.size(), fill);
  copy_to(x.array().data(), view, to);
  if (tape) {
    auto& node = tape->emplace<ScatterNode<T>>();
    node.in = in;
    node.out = out.place();
    node.op = op;
    node.view = view;
    node.target = shape;
  }
  return out;
}

#define UNROLL_INSTANTIATE(T)                                                  \
  template Var<T> gather_view(const char*, const Var<T>&, const StridedView&); \
  template Var<T> scatter_view(const char*, const Var<T>&, const StridedView&, const Shape&, T);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd::detail
