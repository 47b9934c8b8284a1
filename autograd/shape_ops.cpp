#include "shape_ops.hpp"

#include "description.hpp"
#include "elementwise.hpp"
#include "recorded_sweep.hpp"
#include "replay.hpp"
#include "strided.hpp"
#include "tangent_sweep.hpp"

namespace autograd {
namespace detail {
namespace {

// How a shape lies in the one it broadcasts to, with the loops that are worth their own code.
enum class Spread { one, rows, columns, general };

Spread spread_of(const Shape& small, const Shape& large) {
  if (small.size() == 1) return Spread::one;
  std::size_t first = 0;
  while (first < small.rank() && small[first] == 1) ++first;
  const Shape core = small.suffix(first);
  if (core == large.suffix(large.rank() - core.rank())) return Spread::rows;  // repeated over leading axes
  if (small.rank() == large.rank() && small.back() == 1 &&
      small.prefix(small.rank() - 1) == large.prefix(large.rank() - 1))
    return Spread::columns;  // repeated along the last axis
  return Spread::general;
}

// For every element of `large` in order, calls visit(index in large, index in small), where `small`
// broadcasts to it.
template <class Visit>
void for_broadcast(const Shape& small, const Shape& large, Visit&& visit) {
  const std::size_t rank = large.rank(), missing = rank - small.rank();
  std::array<std::size_t, Shape::kMaxRank> stride{}, index{};
  for (std::size_t axis = small.rank(), step = 1; axis-- > 0; step *= small[axis])
    stride[axis + missing] = small[axis] == 1 ? 0 : step;
  const std::size_t size = large.size();
  for (std::size_t i = 0, at = 0; i < size; ++i) {
    visit(i, at);
    for (std::size_t axis = rank; axis-- > 0;) {
      at += stride[axis];
      if (++index[axis] < large[axis]) break;
      at -= stride[axis] * large[axis];
      index[axis] = 0;
    }
  }
}

// large += small, broadcast.
template <class T>
void add_broadcast(const T* from, const Shape& small, T* to, const Shape& large) {
  const std::size_t size = large.size(), part = small.size();
  if (!size) return;
  switch (spread_of(small, large)) {
    case Spread::one:
      for (std::size_t i = 0; i < size; ++i) to[i] += from[0];
      return;
    case Spread::rows:
      for (std::size_t i = 0; i < size; i += part)
        for (std::size_t j = 0; j < part; ++j) to[i + j] += from[j];
      return;
    case Spread::columns:
      for (std::size_t r = 0, cols = large.back(); r < part; ++r)
        for (std::size_t j = 0; j < cols; ++j) to[r * cols + j] += from[r];
      return;
    case Spread::general:
      for_broadcast(small, large, [&](std::size_t i, std::size_t at) { to[i] += from[at]; });
  }
}

// The sum of elements. Sixteen partial sums, which the compiler keeps in SIMD registers, round less than one
// would.
template <class T>
T sum_of(const T* from, std::size_t size) {
  constexpr std::size_t kSums = 16;
  T sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= size; i += kSums)
    for (std::size_t k = 0; k < kSums; ++k) sums[k] += from[i + k];
  T total(0);
  for (; i < size; ++i) total += from[i];
  for (T each : sums) total += each;
  return total;
}

// small += large, summed over the axes along which small broadcasts.
template <class T>
void add_summed(const T* from, const Shape& large, T* to, const Shape& small) {
  const std::size_t size = large.size(), part = small.size();
  if (!size) return;
  switch (spread_of(small, large)) {
    case Spread::one:
      to[0] += sum_of(from, size);
      return;
    case Spread::rows:
      for (std::size_t i = 0; i < size; i += part)
        for (std::size_t j = 0; j < part; ++j) to[j] += from[i + j];
      return;
    case Spread::columns:
      for (std::size_t r = 0, cols = large.back(); r < part; ++r) to[r] += sum_of(from + r * cols, cols);
      return;
    case Spread::general:
      for_broadcast(small, large, [&](std::size_t i, std::size_t at) { to[at] += from[i]; });
  }
}

bool broadcasts(const Shape& small, const Shape& large) {
  if (small.rank() > large.rank()) return false;
  for (std::size_t i = 1; i <= small.rank(); ++i)
    if (small[small.rank() - i] != 1 && small[small.rank() - i] != large[large.rank() - i]) return false;
  return true;
}

template <class T>
struct BroadcastNode : LinearNode<T> {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  Place in, out;
  Shape small, large;

  void backward(Sweep& sweep) {
    const T* g = sweep.gradient<T>(out, large.size());
    if (!g) return;
    add_summed(g, large, sweep.accumulator<T>(in, small.size()), small);
  }
  void record(Recorded& sweep) {
    if (const Var<T> g = sweep.gradient(out, large); g.defined()) sweep.add(in, small, g);
  }
  void describe(Description& d) const {
    d.op = "broadcast_to";
    d.operand(in, small);
    d.result(out, large);
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const { return {broadcast_to(x[0], large)}; }
  void release() {}
};

template <class T>
struct SumToNode : LinearNode<T> {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  const char* op;
  T divisor;  // of the sums
  Place in, out;
  Shape small, large;
  Result<T> result;

  static void compute(const Var<T>& x, T divisor, const Var<T>& sum) {
    T* const to = const_cast<T*>(sum.array().data());
    std::fill_n(to, sum.size(), T(0));
    add_summed(x.array().data(), x.shape(), to, sum.shape());
    if (divisor != T(1))
      for (std::size_t i = 0; i < sum.size(); ++i) to[i] /= divisor;
  }
  bool repeated_by(TapeStorage& tape, const char* name, const Var<T>& x, const Shape& shape) const {
    return name == op && x.shape() == large && shape == small &&
           returning(tape, x.shared(), in) != Return::none && result.stays(out, context.outputs + 1);
  }
  Var<T> repeat(TapeStorage& tape, const Var<T>& x) {
    take_again(tape, x.shared(), in, returning(tape, x.shared(), in));
    Var<T> sum = result.renew(tape);
    advance(tape, *this);
    compute(x, divisor, sum);
    return sum;
  }

  void backward(Sweep& sweep) {
    const T* g = sweep.gradient<T>(out, small.size());
    if (!g) return;
    T* const to = sweep.accumulator<T>(in, large.size());
    if (divisor == T(1)) return add_broadcast(g, small, to, large);
    const Array<T> divided = Array<T>::confined(small);
    std::transform(g, g + small.size(), const_cast<T*>(divided.data()), [&](T x) { return x / divisor; });
    add_broadcast(divided.data(), small, to, large);
  }
  void record(Recorded& sweep) {
    if (const Var<T> g = sweep.gradient(out, small); g.defined())
      sweep.add(in, large, broadcast_to(divisor == T(1) ? g : g / divisor, large));
  }
  void describe(Description& d) const {
    d.op = op;
    d.operand(in, large);
    d.result(out, small);
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const { return {sum_to(op, x[0], small, divisor)}; }
  void release() { result.release(); }
  std::size_t rest() { return result.bytes(); }
};

// Matrices of the same rows beside each other; with one row, arrays behind each other.
template <class T>
struct ConcatNode : LinearNode<T> {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  struct Part {
    Place place;
    std::size_t width;
  };
  const char* op;
  Place out;
  std::size_t count, rows, width;  // of the whole
  const Part* parts;

  void backward(Sweep& sweep) {
    if (rows == 1) {
      Place from = out;
      for (std::size_t i = 0; i < count; from = from + parts[i++].width)
        sweep.pass<T>(from, parts[i].place, parts[i].width);
      return;
    }
    const T* g = sweep.gradient<T>(out, rows * width);
    if (!g) return;
    for (std::size_t i = 0; i < count; g += parts[i++].width) {
      const std::size_t own = parts[i].width;
      if (!parts[i].place.differentiable()) continue;
      const Sink<T> to = sweep.sink<T>(parts[i].place, rows * own);
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < own; ++c) {
          T& at = to.data[r * own + c];
          at = to.accumulate ? at + g[r * width + c] : g[r * width + c];
        }
    }
  }
  void record(Recorded& sweep) {
    const auto add = [&](const Part& part, const Var<T>& g) {
      if (part.place.differentiable() && g.defined()) sweep.add(part.place, g.shape(), g);
    };
    if (rows == 1) {
      Place from = out;
      for (std::size_t i = 0; i < count; from = from + parts[i++].width)
        if (parts[i].place.differentiable()) add(parts[i], sweep.gradient(from, {parts[i].width}));
      return;
    }
    const Var<T> g = sweep.gradient(out, {rows, width});
    if (!g.defined()) return;
    for (std::size_t i = 0, first = 0; i < count; first += parts[i++].width)
      add(parts[i], columns(g, first, parts[i].width).var());
  }
  void describe(Description& d) const {
    d.op = op;
    for (std::size_t i = 0; i < count; ++i) d.operand(parts[i].place, {rows, parts[i].width});
    d.result(out, {rows, width});
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const;
  void release() {}
};

template <class T>
void record_concat(TapeStorage* tape, const char* op, std::span<const Var<T>> parts, std::size_t rows,
                   Place out) {
  using Part = typename ConcatNode<T>::Part;
  Part* const memory = static_cast<Part*>(tape->allocate(parts.size() * sizeof(Part)));
  std::size_t width = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    new (memory + i) Part{parts[i].use(op), parts[i].size() / rows};
    width += memory[i].width;
  }
  auto& node = tape->emplace<ConcatNode<T>>();
  node.op = op;
  node.out = out;
  node.count = parts.size();
  node.rows = rows;
  node.width = width;
  node.parts = memory;
}

// Copies the parts, each of so many rows, beside each other into an output of `shape`.
template <class T>
Var<T> join(const char* op, std::span<const Var<T>> parts, std::size_t rows, const Shape& shape) {
  bool differentiable = false;
  for (const Var<T>& part : parts) differentiable |= part.use(op).differentiable();
  TapeStorage* tape = differentiable ? recording() : nullptr;
  Var<T> out = new_output<T>(shape, tape);
  T* to = const_cast<T*>(out.array().data());
  if (out.size() == 0) rows = 1;
  for (std::size_t r = 0; r < rows; ++r)
    for (const Var<T>& part : parts) {
      const std::size_t width = part.size() / rows;
      to = std::copy_n(part.array().data() + r * width, width, to);
    }
  if (tape) record_concat(tape, op, parts, rows, out.place());
  return out;
}

template <class T>
std::vector<Var<T>> ConcatNode<T>::again(std::span<const Var<T>> x) const {
  return {join(op, x, rows, {rows, width})};
}

}  // namespace

template <class T>
Var<T> write_to(const Var<T>& x, Array<T> memory, Place place) {
  const Place in = x.use("write_to");
  std::copy_n(x.array().data(), x.size(), memory.data());
  TapeStorage* tape = in.differentiable() ? recording() : nullptr;
  if (!tape) return memory;
  record_concat<T>(tape, "write_to", {&x, 1}, 1, place);
  return Var<T>::recorded(std::move(memory), place, tape->id);
}

}  // namespace detail

using namespace detail;

template <class T>
Var<T> broadcast_to(const Var<T>& x, const Shape& shape) {
  const Place in = x.use("broadcast_to");
  if (x.shape() == shape) return x;
  if (!broadcasts(x.shape(), shape))
    fail("broadcast_to: shape ", shape_of(x), " does not broadcast to ", shape,
         "; its axes must be equal to the last of the target, or 1");
  TapeStorage* tape = in.differentiable() ? recording() : nullptr;
  Var<T> out = new_output<T>(shape, tape);
  T* to = const_cast<T*>(out.array().data());
  std::fill_n(to, out.size(), T(0));
  add_broadcast(x.array().data(), x.shape(), to, shape);
  if (tape) {
    auto& node = tape->emplace<BroadcastNode<T>>();
    node.in = in;
    node.out = out.place();
    node.small = x.shape();
    node.large = shape;
  }
  return out;
}

template <class T>
Var<T> detail::sum_to(const char* op, const Var<T>& x, const Shape& shape, T divisor) {
  const Place in = x.use(op);
  if (x.shape() == shape) return x;
  TapeStorage* const current = current_tape();
  if (auto* node = next_in_replay<SumToNode<T>>(current); node && node->repeated_by(*current, op, x, shape))
    return node->repeat(*current, x);
  if (!broadcasts(shape, x.shape()))
    fail(op, ": shape ", x.shape(), " is not what shape ", shape, " broadcasts to");
  TapeStorage* tape = in.differentiable() ? recording() : nullptr;
  Var<T> out = new_output<T>(shape, tape);
  const std::uint64_t output = context.outputs;
  SumToNode<T>::compute(x, divisor, out);
  if (tape) {
    auto& node = tape->emplace<SumToNode<T>>();
    node.op = op;
    node.divisor = divisor;
    node.in = in;
    node.out = out.place();
    node.result.keep(*tape, out, output);
    node.small = shape;
    node.large = x.shape();
  }
  return out;
}

template <class T>
Var<T> sum_to(const Var<T>& x, const Shape& shape) {
  return detail::sum_to("sum_to", x, shape, T(1));
}

template <class T>
Var<T> Columns<T>::var() const {
  StridedView view = view_of(matrix.shape());
  view.shape = with_last_axis(view.shape, width);
  view.offset = static_cast<std::ptrdiff_t>(first);
  return gather_view("columns", matrix, view);
}

template <class T>
Var<T> concat(std::span<const Var<T>> parts, std::ptrdiff_t axis) {
  if (parts.empty()) fail("concat: no parts to join; at least one is needed");
  for (const Var<T>& part : parts) part.use("concat");
  if (parts[0].rank() == 0)
    fail("concat: a part is a scalar, of shape (), and has no axis to join; use stack");
  const std::size_t at = normalise_axis(axis, parts[0].shape(), "concat");
  Shape shape = parts[0].shape();
  shape[at] = 0;
  for (const Var<T>& part : parts) {
    Shape others = part.shape();
    if (others.rank() == shape.rank()) others[at] = shape[at];
    if (!(others == shape))
      fail("concat: parts of shape ", shape_of(parts[0]), " and ", shape_of(part),
           " cannot be joined along axis ", at, "; their other axes must be equal");
    shape[at] += part.shape(at);
  }
  return join("concat", parts, shape.prefix(at).size(), shape);
}

template <class T>
Var<T> stack(std::span<const Var<T>> parts, std::ptrdiff_t axis) {
  if (parts.empty()) fail("stack: no parts to join; at least one is needed");
  for (const Var<T>& part : parts) {
    part.use("stack");
    if (!(part.shape() == parts[0].shape()))
      fail("stack: parts of shape ", shape_of(parts[0]), " and ", shape_of(part),
           "; all must have one shape, reshape or broadcast_to the others");
  }
  const auto rank = static_cast<std::ptrdiff_t>(parts[0].rank()) + 1;
  if (axis < -rank || axis >= rank)
    fail("stack: axis ", axis, " does not exist in the result of ", rank, " axes; axes are ", -rank, " to ",
         rank - 1);
  const auto at = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
  Shape shape = parts[0].shape().prefix(at);
  shape.push_back(parts.size());
  for (std::size_t i = at; i < parts[0].rank(); ++i) shape.push_back(parts[0].shape(i));
  return join("stack", parts, shape.prefix(at).size(), shape);
}

#define UNROLL_INSTANTIATE(T)                                                  \
  template struct Columns<T>;                                                  \
  template Var<T> broadcast_to(const Var<T>&, const Shape&);                   \
  template Var<T> sum_to(const Var<T>&, const Shape&);                         \
  template Var<T> detail::sum_to(const char*, const Var<T>&, const Shape&, T); \
  template Var<T> concat(std::span<const Var<T>>, std::ptrdiff_t);             \
  template Var<T> stack(std::span<const Var<T>>, std::ptrdiff_t);              \
  template Var<T> detail::write_to(const Var<T>&, Array<T>, Place);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd
