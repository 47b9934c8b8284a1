// The node of a map, and how one is recorded.
#pragma once

#include <cstring>
#include <span>

#include "description.hpp"
#include "map_argument.hpp"
#include "map_kernel.hpp"
#include "recorded_sweep.hpp"
#include "replay.hpp"
#include "restoration.hpp"
#include "tangent_sweep.hpp"

namespace autograd {
namespace detail {

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
  Result<T> result[kOutputs];
  Block* stash;  // of the body's costly functions, or null if all that they gave is kept as results
  Keeping<kOutputs> keeping;
  std::uint32_t lacking;  // operands that are not held although nobody else may hold them; one bit for each
  std::size_t rows, cols;
  bool overlapping;  // two operands are parts of one slot that the kernel cannot write in one pass

  const Shape& shape() const { return result[0].value->array.shape(); }

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
    const auto wanted = [](const Operand<T>& operand) { return operand.place.differentiable(); };
    [&]<std::size_t... kI>(std::index_sequence<kI...>) {
      (find_target(sweep, in, In::blocks.data(), kOperands, kI, rows, cols, overlapping, target, wanted),
       ...);
    }
    (std::make_index_sequence<kOperands>{});
    const T* results[kOutputs];
    for (std::size_t o = 0; o < kOutputs; ++o) results[o] = result[o].value->array.data();
    if constexpr (kFromResult)
      Kernel::backward_from_result(in, gradient[0], results[0], target, rows, cols, keeping);
    else if (keeping.stashed)
      Kernel::template backward<true>(body, in, gradient, results, target, rows, cols, stash_data(), keeping);
    else
      Kernel::template backward<false>(body, in, gradient, nullptr, target, rows, cols, nullptr, keeping);
  }

  // Beyond the gradient, by the body's program.
  void tangent(TangentSweep& sweep) { tangent_of_body(program(sweep), arguments(), sweep); }
  void backward_dual(DualSweep& sweep) { backward_dual_of_body(program(sweep.values()), arguments(), sweep); }

  BodyArguments<T> arguments() const { return {in, In::blocks, In::of, out, rows, cols, overlapping}; }

  [[gnu::cold]] const BodyProgram<T>& program(TangentSweep& sweep) const {
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
    for (std::size_t i = 0; i < kOperands; ++i) {
      x[i] = Var<T>::of(in[i].value);
      x[i].shared()->restorable = false;  // the rules of the nodes made now run before others restore values
    }
    [&]<std::size_t... kI>(std::index_sequence<kI...>) {
      if constexpr (Primitive<F> && In::kColumnOperands == 0) {
        const Var<T> g = sweep.gradient(out[0], shape());
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
                const Var<T> g = sweep.gradient(out[kO], shape());
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
        if (In::blocks[i] && In::blocks[k] && in[i].width == in[k].width && in[i].place == in[k].place &&
            (in[i].place.differentiable() || in[i].data - in[i].first == in[k].data - in[k].first))
          matrix[i] = matrix[k];
      count += matrix[i] == count;
    }
    return matrix;
  }

  [[gnu::cold]] void describe(Description& description) const {
    description.op = kName;
    if constexpr (!Primitive<F>) description.detail = place_of_body<F>();
    std::size_t count;
    const auto matrix = matrices(count);
    description.operands.resize(count);
    for (std::size_t i = 0; i < kOperands; ++i)
      description.operands[matrix[i]] = {in[i].place, operand_shape(in[i].layout, in[i].width, shape()),
                                         in[i].place.differentiable() ? nullptr : in[i].data - in[i].first};
    for (const Place& place : out) description.result(place, shape());
    if (stash) description.stash_bytes = stash->capacity;
  }

  [[gnu::cold]] std::vector<Var<T>> again(std::span<const Var<T>> x) const {
    std::size_t count;
    const auto matrix = matrices(count);
    Operand<T> operands[kOperands];
    Var<T> owners[kOperands];
    for (std::size_t i = 0; i < kOperands; ++i)
      if (In::blocks[i])
        fill_columns(operands[i], x[matrix[i]], in[i].first, current_tape(), kName);
      else
        fill_broadcast(operands[i], x[matrix[i]], shape(), owners[i], kName);
    auto results = record_operands<T, In>(body, operands, shape());
    return {results.begin(), results.end()};
  }

  T* stash_data() const { return stash ? static_cast<T*>(stash->data()) : nullptr; }

  // Computes the results, and what the rule needs beside them.
  [[gnu::always_inline]] void compute(T* const* data) {
    if (keeping.stashed)
      Kernel::template forward<Stash::store>(body, in, data, rows, cols, stash_data(), keeping);
    else
      Kernel::template forward<Stash::none>(body, in, data, rows, cols, nullptr, keeping);
  }

  using Returns = std::array<Return, kOperands>;

  // Whether a call is the one of the last tape again, on operands x, and how these return.
  template <class... X>
  [[gnu::always_inline]] bool repeated_by(TapeStorage& tape, const F& called_with, Returns& how,
                                          const X&... x) const {
    if constexpr (!std::is_empty_v<F>)
      if (std::memcmp(&called_with, &body, sizeof(F)) != 0) return false;
    bool same = true;
    std::size_t i = 0;
    const auto is_operand = [&]<class Each>(const Each& each) __attribute__((always_inline)) {
      const Operand<T>& operand = in[i];
      const Var<T>& var = MapArgument<Each>::var(each);
      Return& returns = how[i++];
      if (is_same_value(tape, var.shared(), operand.value, operand.place)) {
        returns = operand.value->kept ? Return::kept : Return::to_hold;
        return MapArgument<Each>::is_part(each, operand, shape());
      }
      returns = returning(tape, var.shared(), operand.place);
      return returns != Return::none && MapArgument<Each>::fits(each, operand, shape());
    };
    ((same = same && is_operand(x)), ...);
    for (std::size_t o = 0; o < kOutputs; ++o)
      same = same && result[o].stays(out[o], context.outputs + 1 + o);
    return same;
  }

  template <class... X>
  [[gnu::always_inline]] std::array<Var<T>, kOutputs> repeat(TapeStorage& tape, const Returns& how,
                                                             const X&... x) {
    std::size_t i = 0;
    std::uint32_t lack = 0;
    const auto take = [&]<class Each>(const Each& each) {
      Operand<T>& operand = in[i];
      operand.value = MapArgument<Each>::var(each).shared();
      operand.data = operand.value->array.data();
      if constexpr (MapArgument<Each>::kBlocks != 0) operand.data += operand.first;
      const bool without = goes_without(i);
      operand.held = take_again(tape, operand.value, operand.place, how[i]) && !without;
      if (operand.held) retain(operand.value);
      lack |= std::uint32_t{without} << i++;
    };
    (take(x), ...);
    lacking = lack;
    return [&]<std::size_t... kO>(std::index_sequence<kO...>) {
      std::array<Var<T>, kOutputs> made{result[kO].renew(tape)...};
      T* const data[] = {result[kO].value->array.data()...};
      advance(tape, *this);
      compute(data);
      return made;
    }
    (std::make_index_sequence<kOutputs>{});
  }

  void keep_result(std::size_t o, TapeStorage& tape, const Var<T>& y, std::uint64_t output) {
    // Small results are kept, too: to get memory for them anew takes as long as to compute them.
    constexpr std::size_t kSmallBytes = 4096;
    const bool kept = kFromResult || keeping.reads_result(o) || rows * cols * sizeof(T) < kSmallBytes;
    result[o].keep(tape, y, output, kept ? Memory::kept : Memory::transient);
    y.shared()->restorable = !kept && !result[o].at_destination && !tape.trace;
  }

  // Whether the node need not hold an operand: its rule does not read it, and others can be served by making
  // it again.
  bool goes_without(std::size_t i) const {
    return !keeping.reads(i) && in[i].value->restorable && in[i].place.differentiable();
  }

  [[gnu::cold]] void restore(Restoration& restoration) {
    const bool wanted =
        std::any_of(out, out + kOutputs, [&](const Place& place) { return restoration.wants(place); });
    switch (restoration.phase()) {
      case Restoration::Phase::find:
        if (wanted || restoration.in_range())
          for (std::size_t i = 0; i < kOperands; ++i)
            if (lacking >> i & 1) restoration.want(in[i].place);
        break;
      case Restoration::Phase::compute:
        if (wanted) compute_again(restoration);
        break;
      case Restoration::Phase::give:
        for (std::size_t i = 0; i < kOperands; ++i) {
          if (!(lacking >> i & 1)) continue;
          Operand<T>& operand = in[i];
          operand.value =
              restoration.value<T>(operand.place, operand_shape(operand.layout, operand.width, shape()));
          operand.data = operand.value->array.data() + operand.first;
          operand.held = true;
        }
        lacking = 0;
    }
  }

  [[gnu::cold]] void compute_again(Restoration& restoration) const {
    Operand<T> operands[kOperands];
    for (std::size_t i = 0; i < kOperands; ++i) {
      operands[i] = in[i];
      if (lacking >> i & 1) operands[i].data = restoration.memory<T>(in[i].place) + in[i].first;
    }
    T* data[kOutputs];
    BlockRef unwanted[kOutputs];
    for (std::size_t o = 0; o < kOutputs; ++o) {
      if (!restoration.wants(out[o])) unwanted[o] = BlockRef(allocate_block(rows * cols * sizeof(T)));
      data[o] = unwanted[o] ? static_cast<T*>(unwanted[o]->data()) : restoration.memory<T>(out[o]);
    }
    Kernel::template forward<Stash::none>(body, operands, data, rows, cols, nullptr, keeping);
  }

  void release_operands() {
    for (Operand<T>& operand : in)
      if (std::exchange(operand.held, false)) detail::release(operand.value);
  }
  void release() {
    release_operands();
    for (Result<T>& each : result) each.release();
    detail::release(std::exchange(stash, nullptr));
  }
  std::size_t rest() {
    release_operands();
    std::size_t bytes = stash ? stash->capacity : 0;
    for (const Result<T>& each : result) bytes += each.bytes();
    return bytes;
  }
};

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

  const std::uint64_t outputs = context.outputs;
  return [&]<std::size_t... kO>(std::index_sequence<kO...>) {
    std::array<Var<T>, sizeof...(kO)> out{((void)kO, new_output<T>(shape, tape))...};
    T* const data[] = {out[kO].shared()->array.data()...};
    if (!tape) {
      Kernel::template forward<Stash::none>(body, in, data, rows, cols, nullptr, {});
      return out;
    }
    using Node = MapNode<T, F, In>;
    auto& node = tape->emplace<Node>();
    new (&node.body) F(body);
    node.keeping = Kernel::keeping(body, Node::kFromResult);
    node.lacking = 0;
    for (std::size_t i = 0; i < In::kCount; ++i) {  // what is saved need not be held
      const Operand<T>& operand = in[In::of[i].operand];
      if (!operand.value->restorable || !operand.place.differentiable())
        node.keeping.saved &= ~(InputMask{1} << i);
    }
    for (std::size_t i = 0; i < In::kCount; ++i)
      if (node.keeping.saved >> i & 1) node.keeping.unread |= 1u << In::of[i].operand;
    for (std::size_t i = 0; i < In::kOperands; ++i) {
      node.in[i] = in[i];
      const bool without = node.goes_without(i);
      node.in[i].held = !without && needs_reference(*tape, in[i].value, in[i].place);
      if (node.in[i].held) retain(in[i].value);
      node.lacking |= std::uint32_t{without} << i;
    }
    ((node.out[kO] = out[kO].place()), ...);
    node.rows = rows;
    node.cols = cols;
    (node.keep_result(kO, *tape, out[kO], outputs + 1 + kO), ...);
    node.overlapping = overlapping;
    node.stash = nullptr;
    if (const std::size_t size = Kernel::stash_size(rows, cols, node.keeping)) {
      node.stash = allocate_block(size * sizeof(T));
      tape->result_bytes += node.stash->capacity;
    }
    node.compute(data);
    return out;
  }
  (std::make_index_sequence<Kernel::kOutputs>{});
}

}  // namespace detail
}  // namespace autograd
