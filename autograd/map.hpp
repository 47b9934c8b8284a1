// map: one node for a whole elementwise body, given as a generic lambda.
#pragma once

#include <span>

#include "columns.hpp"
#include "description.hpp"
#include "map_kernel.hpp"
#include "recorded_sweep.hpp"
#include "tangent_sweep.hpp"

namespace autograd {
namespace detail {

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

// An operand of the output's own shape.
template <class T>
[[gnu::always_inline]] inline void fill_full(Operand<T>& operand, const Var<T>& x, const char* op) {
  operand.place = x.use(op);
  operand.data = x.array().data();
  operand.value = x.shared();
  operand.width = x.size();
  operand.first = 0;
  operand.layout = Layout::full;
}

// A block of columns, or several side by side, of this width each.
template <class T>
[[gnu::always_inline]] inline void fill_columns(Operand<T>& operand, const Var<T>& matrix, std::size_t first,
                                                std::size_t width, const Shape& shape, const char* op) {
  operand.place = matrix.use(op);
  if (!matrix.shape().equals_but_last(shape) || width != shape.back()) [[unlikely]]
    check_columns(op, matrix.shape(), width, shape);
  operand.data = matrix.array().data() + first;
  operand.value = matrix.shared();
  operand.width = matrix.shape().back();
  operand.first = first;
  operand.layout = Layout::columns;
}

// The rules of a map beyond its gradient.
template <class T>
void tangent_of_body(const BodyProgram<T>& program, const BodyArguments<T>& arguments, TangentSweep& sweep);
template <class T>
void backward_dual_of_body(const BodyProgram<T>& program, const BodyArguments<T>& arguments,
                           DualSweep& sweep);

// A body on operands, recorded as one node.
template <class T, class In, class F>
auto record_operands(const F& body, Operand<T> (&in)[In::kOperands], const Shape& shape);

template <class T, class F, class In>
struct MapNode : Node {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  using Kernel = MapKernel<T, F, In>;
  static constexpr std::size_t kOperands = In::kOperands, kInputs = In::kCount;
  static constexpr std::size_t kOutputs = Kernel::kOutputs;
  // A single function that is costly: what it would leave in a stash is its result.
  static constexpr bool kFromResult = [] {
    if constexpr (Primitive<F>) return F::kCostly;
    return false;
  }();
  static constexpr const char* kName = [] {
    if constexpr (requires { F::kName; })
      return F::kName;
    else
      return "map";
  }();

  MapNode() {}  // NOLINT(modernize-use-equals-default): of a union

  union {
    F body;  // set by map(); no destructor runs
  };
  Operand<T> in[kOperands];
  Place out[kOutputs];
  Block* stash;      // of the body's costly functions, or null
  Value<T>* result;  // the output, if the rule reads it, or null
  Shape shape;
  std::size_t rows, cols;
  bool overlapping;  // two operands are parts of one slot that the kernel cannot write in one pass

  void backward(Sweep& sweep) {
    const std::size_t size = rows * cols;
    const T* gradient[kOutputs];
    bool any = false;
    for (std::size_t o = 0; o < kOutputs; ++o)
      any |= (gradient[o] = sweep.gradient<T>(out[o], size)) != nullptr;
    if (!any) return;
    if constexpr (std::is_same_v<F, fn::Add>) {  // the gradient itself, shared where it can be
      if (in[0].layout == Layout::full && in[1].layout == Layout::full) {
        sweep.pass<T>(out[0], in[0].place, size);
        sweep.pass<T>(out[0], in[1].place, size);
        return;
      }
    }
    Target<T> target[kOperands];
    find_targets(sweep, in, In::blocks.data(), kOperands, rows, cols, overlapping, target,
                 [](const Operand<T>& operand) { return operand.place.differentiable(); });
    if constexpr (kFromResult)
      Kernel::backward_from_result(in, gradient[0], result->array.data(), target, rows, cols);
    else if (stash)
      Kernel::template backward<true>(body, in, gradient, target, rows, cols, static_cast<T*>(stash->data()));
    else
      Kernel::template backward<false>(body, in, gradient, target, rows, cols, nullptr);
  }

  // Beyond the gradient, by the body's program.
  void tangent(TangentSweep& sweep) { tangent_of_body(program(sweep), arguments(), sweep); }
  void backward_dual(DualSweep& sweep) { backward_dual_of_body(program(sweep.values()), arguments(), sweep); }

  BodyArguments<T> arguments() const { return {in, In::blocks, In::of, out, rows, cols, overlapping}; }

  const BodyProgram<T>& program(TangentSweep& sweep) const {
    BodyProgram<T>& program = sweep.program<T>();
    if (std::is_empty_v<F> && program.is_of(type)) return program;
    program.begin(type, kInputs);
    [&]<std::size_t... kI>(std::index_sequence<kI...>) {
      std::apply([&](const auto&... y) { (program.give(y), ...); },
                 as_tuple(static_cast<const F&>(body)(program.input(kI)...)));
    }
    (std::make_index_sequence<kInputs>{});
    return program;
  }

  void record(RecordedSweep<T>& sweep) {
    std::array<Var<T>, kOperands> x;
    for (std::size_t i = 0; i < kOperands; ++i) x[i] = Var<T>::of(in[i].value);
    [&]<std::size_t... kI>(std::index_sequence<kI...>) {
      if constexpr (Primitive<F> && In::kColumnOperands == 0) {
        const Var<T> g = sweep.gradient(out[0], shape);
        if (!g.defined()) return;
        const Var<T> y = needs_output ? elementwise<F>(x[kI]...) : Var<T>();
        const auto one = [&]<std::size_t kInput>() {
          if (!in[kInput].place.differentiable()) return;
          const auto slope = F::template slope<kInput>(x[kI]..., y);
          using Slope = std::remove_const_t<decltype(slope)>;
          if constexpr (std::is_same_v<Slope, One>)
            sweep.add(in[kInput].place, x[kInput].shape(), g);
          else if constexpr (std::is_same_v<Slope, MinusOne>)
            sweep.add(in[kInput].place, x[kInput].shape(), -g);
          else if constexpr (std::is_same_v<Slope, Gate<Var<T>, true>>)
            sweep.add(in[kInput].place, x[kInput].shape(), where(slope.condition, g, T(0)));
          else if constexpr (std::is_same_v<Slope, Gate<Var<T>, false>>)
            sweep.add(in[kInput].place, x[kInput].shape(), where(slope.condition, T(0), g));
          else if constexpr (!std::is_same_v<Slope, Zero>)
            sweep.add(in[kInput].place, x[kInput].shape(), g * slope);
        };
        (one.template operator()<kI>(), ...);
      } else {
        // The body once more, on Vars: a node for each of its functions, whose rules are then run.
        Node* before = recording()->last;
        const auto y = as_tuple(static_cast<const F&>(body)(input_var(x, kI)...));
        bool any = false;
        [&]<std::size_t... kO>(std::index_sequence<kO...>) {
          (
              [&] {
                const Var<T> g = sweep.gradient(out[kO], shape);
                if (!g.defined()) return;
                sweep.add(std::get<kO>(y).use(kName), std::get<kO>(y).shape(), g);  // y may be an input
                any = true;
              }(),
              ...);
        }
        (std::make_index_sequence<kOutputs>{});
        if (any) sweep.run(recording()->last, before);
      }
    }
    (std::make_index_sequence<kInputs>{});
  }

  static constexpr bool needs_output = [] {
    if constexpr (Primitive<F>) return F::kCostly || std::is_same_v<F, fn::Divide>;
    return false;
  }();

  Var<T> input_var(const std::array<Var<T>, kOperands>& x, std::size_t input) const {
    const auto [operand, block] = In::of[input];
    return In::blocks[operand] ? columns(x[operand], in[operand].first + block * cols, cols).var()
                               : x[operand];
  }

  // Columns of one matrix are one operand to others: which one each of ours is part of.
  std::array<std::size_t, kOperands> matrices(std::size_t& count) const {
    std::array<std::size_t, kOperands> matrix{};
    count = 0;
    for (std::size_t i = 0; i < kOperands; ++i) {
      matrix[i] = count;
      for (std::size_t k = 0; k < i; ++k)
        if (In::blocks[i] && In::blocks[k] && in[i].width == in[k].width &&
            in[i].data - in[i].first == in[k].data - in[k].first && in[i].place == in[k].place)
          matrix[i] = matrix[k];
      count += matrix[i] == count;
    }
    return matrix;
  }

  void describe(Description& description) const {
    description.op = kName;
    if constexpr (!Primitive<F>) description.detail = place_of_body<F>();
    std::size_t count;
    const auto matrix = matrices(count);
    description.operands.resize(count);
    for (std::size_t i = 0; i < kOperands; ++i)
      description.operands[matrix[i]] = {in[i].place, operand_shape(in[i].layout, in[i].width, shape),
                                         in[i].place.differentiable() ? nullptr : in[i].data - in[i].first};
    for (const Place& place : out) description.result(place, shape);
    if (stash) description.stash_bytes = stash->capacity;
  }

  std::vector<Var<T>> again(std::span<const Var<T>> x) const {
    std::size_t count;
    const auto matrix = matrices(count);
    Operand<T> operands[kOperands];
    Var<T> owners[kOperands];
    for (std::size_t i = 0; i < kOperands; ++i)
      if (In::blocks[i])
        fill_columns(operands[i], x[matrix[i]], in[i].first, shape.back(), shape, kName);
      else
        fill_broadcast(operands[i], x[matrix[i]], shape, owners[i], kName);
    auto results = record_operands<T, In>(body, operands, shape);
    return {results.begin(), results.end()};
  }

  void release() {
    for (Operand<T>& operand : in)
      if (std::exchange(operand.held, false)) detail::release(operand.value);
    detail::release(std::exchange(stash, nullptr));
    detail::release(std::exchange(result, nullptr));
  }
};

// --- the arguments of map
// ---------------------------------------------------------------------------------------

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
  static std::size_t first(const Chunks<T, K>&) { return 0; }
  static std::size_t width(const Chunks<T, K>& x) { return x.matrix.shape().back() / K; }
};

template <class X>
concept MapOperand = requires {
  typename MapArgument<X>::value_type;
};

template <class... X>
struct FirstTyped {};
template <class X, class... Rest>
struct FirstTyped<X, Rest...> : std::type_identity<typename MapArgument<X>::value_type> {};

extern template void fill_broadcast(Operand<float>&, const Var<float>&, const Shape&, Var<float>&,
                                    const char*);
extern template void fill_broadcast(Operand<double>&, const Var<double>&, const Shape&, Var<double>&,
                                    const char*);
// How operands of any layout lie over the output: in how many rows of a common length. Returns whether two of
// them are overlapping parts of one slot.
template <class T>
bool lay_out(const Operand<T>* in, const std::size_t* blocks, std::size_t operands, const Shape& shape,
             std::size_t& rows, std::size_t& cols);
extern template void tangent_of_body(const BodyProgram<float>&, const BodyArguments<float>&, TangentSweep&);
extern template void tangent_of_body(const BodyProgram<double>&, const BodyArguments<double>&, TangentSweep&);
extern template void backward_dual_of_body(const BodyProgram<float>&, const BodyArguments<float>&,
                                           DualSweep&);
extern template void backward_dual_of_body(const BodyProgram<double>&, const BodyArguments<double>&,
                                           DualSweep&);
extern template bool lay_out(const Operand<float>*, const std::size_t*, std::size_t, const Shape&,
                             std::size_t&, std::size_t&);
extern template bool lay_out(const Operand<double>*, const std::size_t*, std::size_t, const Shape&,
                             std::size_t&, std::size_t&);

// The same at once for what time steps are made of: values of the output's shape and columns, each of a slot
// of its own.
template <class In, class T>
[[gnu::always_inline]] inline bool lay_out(const Operand<T>* in, const Shape& shape, std::size_t& rows,
                                           std::size_t& cols) {
  bool plain = true;
  for (std::size_t i = 0; i < In::kOperands; ++i) {
    if (!In::blocks[i]) plain &= in[i].layout == Layout::full;
    for (std::size_t k = 0; k < i; ++k)
      plain &= !in[i].place.differentiable() || in[i].place.slot() != in[k].place.slot();
  }
  if (!plain) return lay_out(in, In::blocks.data(), In::kOperands, shape, rows, cols);
  rows = cols = 1;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis)
    (In::kColumnOperands && axis + 1 < shape.rank() ? rows : cols) *= shape[axis];
  return false;
}

template <class T, class In, class F>
auto record_operands(const F& body, Operand<T> (&in)[In::kOperands], const Shape& shape) {
  using Kernel = MapKernel<T, F, In>;
  std::size_t rows = 0, cols = 0;
  const bool overlapping = lay_out<In>(in, shape, rows, cols);
  bool differentiable = false;
  for (const Operand<T>& operand : in) differentiable |= operand.place.differentiable();
  TapeStorage* tape = differentiable ? recording() : nullptr;

  return [&]<std::size_t... kO>(std::index_sequence<kO...>) {
    std::array<Var<T>, sizeof...(kO)> out{((void)kO, new_output<T>(shape, tape))...};
    T* const data[] = {const_cast<T*>(out[kO].array().data())...};
    if (!tape) {
      Kernel::template forward<Stash::none>(body, in, data, rows, cols, nullptr);
      return out;
    }
    using Node = MapNode<T, F, In>;
    const std::size_t results = Node::kFromResult ? 0 : Kernel::stash_results(body);
    auto& node = tape->emplace<Node>();
    new (&node.body) F(body);
    for (std::size_t i = 0; i < In::kOperands; ++i) {
      node.in[i] = in[i];
      if ((node.in[i].held = needs_reference(in[i].value, in[i].place))) retain(in[i].value);
    }
    ((node.out[kO] = out[kO].place()), ...);
    node.shape = shape;
    node.rows = rows;
    node.cols = cols;
    node.overlapping = overlapping;
    node.stash = nullptr;
    node.result = Node::kFromResult ? out[0].shared() : nullptr;
    retain(node.result);
    if (results) {
      node.stash = allocate_block(Kernel::stash_size(rows, cols, results) * sizeof(T));
      Kernel::template forward<Stash::store>(body, in, data, rows, cols, static_cast<T*>(node.stash->data()));
    } else {
      Kernel::template forward<Stash::none>(body, in, data, rows, cols, nullptr);
    }
    return out;
  }
  (std::make_index_sequence<Kernel::kOutputs>{});
}

template <class T, class F, class... X>
auto record_map(const char* op, const F& body, const X&... x) {
  using In = Inputs<MapArgument<X>::kBlocks...>;
  const auto& first = std::get<0>(std::tie(x...));
  Shape shape = MapArgument<std::remove_cvref_t<decltype(first)>>::shape(first);
  if (!(MapArgument<X>::has_shape(x, shape) && ...)) [[unlikely]] {
    const Shape shapes[] = {MapArgument<X>::shape(x)...};
    const Block* const blocks[] = {MapArgument<X>::var(x).array().block()...};
    shape = broadcast_shapes(op, shapes, blocks);
  }
  Operand<T> in[In::kOperands];
  Var<T> owners[In::kOperands];
  std::size_t i = 0;
  const auto fill = [&]<class Each>(const Each& each) {
    using Argument = MapArgument<Each>;
    Operand<T>& operand = in[i];
    if constexpr (Argument::kBlocks != 0) {
      fill_columns(operand, each.matrix, Argument::first(each), Argument::width(each), shape, op);
    } else if (Argument::has_shape(each, shape)) {
      fill_full(operand, each, op);
      if (operand.width != shape.size()) operand.layout = Layout::suffix;
    } else {
      fill_broadcast(operand, each, shape, owners[i], op);
    }
    ++i;
  };
  (fill(x), ...);
  auto out = record_operands<T, In>(body, in, shape);
  if constexpr (out.size() == 1)
    return std::move(out[0]);
  else
    return std::apply([](auto&... each) { return std::make_tuple(std::move(each)...); }, out);
}

}  // namespace detail

/// Applies an elementwise body to Vars as one node of the tape.
///
///     auto h = ag::map([](auto f, auto n, auto h) { return (1 - f) * h + f * tanh(n); }, f, n, h);
///
/// The body is a generic lambda of the elementwise functions and operators of elementwise.hpp and plain
/// numbers; it returns one value, or a std::tuple of several, which map returns as a tuple of Vars. It is
/// called with SIMD lanes forward, with dual numbers backward, and with Vars for derivatives of higher order,
/// so a variable of it cannot be assigned a value of another form (`x = x + y`): give each value a name of
/// its own. Captures are plain values.
///
/// Operands are Vars, which broadcast as in NumPy, and blocks of columns (columns, chunk), which are read in
/// place and whose gradients are written in place. Throws Error if the shapes do not broadcast.
template <class F, class... X>
auto map(const F& body, const X&... x) {
  constexpr bool kOperands = (detail::MapOperand<X> && ...);
  static_assert(kOperands,
                "map: an operand is neither a Var nor columns or a chunk of one; capture a number: "
                "[number](auto x) { return number * x; }");
  if constexpr (kOperands) {
    using T = typename detail::FirstTyped<X...>::type;
    constexpr bool kOneType = (std::is_same_v<T, typename detail::MapArgument<X>::value_type> && ...);
    static_assert(kOneType,
                  "map: the operands are of float and of double; make them of one type, for example "
                  "Var<double>(x.value()), which is a constant");
    constexpr std::size_t kInputs =
        ((detail::MapArgument<X>::kBlocks ? detail::MapArgument<X>::kBlocks : 1) + ...);
    static_assert(kInputs <= 32, "map: at most 32 operands (chunk<K> counts as K); stack some of them");
    if constexpr (kOneType && kInputs <= 32) {
      using Body = detail::BodyTraits<F, T, std::make_index_sequence<kInputs>>;
      static_assert(
          Body::kCallable,
          "map: the body does not take these operands; it must be a lambda with one `auto` parameter "
          "for each (chunk<K> counts as K), that is not mutable");
      static_assert(
          !Body::kCallable || Body::returns_lanes(),
          "map: the body must return what it computed from its parameters (declared `auto`), one value or a "
          "std::tuple of values: not a plain number, a bool or nothing; and write tanh(x), not std::tanh(x)");
      static_assert(
          std::is_trivially_destructible_v<F>,
          "map: the body captures more than plain numbers; give a Var as an operand, and capture an "
          "entry of a vector, not the vector");
      if constexpr (Body::returns_lanes() && std::is_trivially_destructible_v<F>)
        return detail::record_map<T>("map", body, x...);
    }
  }
}

}  // namespace autograd
