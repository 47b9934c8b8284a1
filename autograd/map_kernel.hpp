// What a map does with SIMD lanes: the loops of a body over its operands, forward and backward.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <span>
#include <tuple>
#include <utility>

#include "activations.hpp"
#include "body_needs.hpp"
#include "sweep.hpp"

namespace autograd::detail {

// How an operand of a map lies against the output, which has `rows` x `cols` elements.
enum class Layout : std::uint8_t {
  full,     // as the output
  suffix,   // the trailing axes of the output, repeated over the leading ones (a bias)
  scalar,   // one element
  column,   // one element per row: the last axis is 1
  columns,  // a block of columns of a wider matrix
};

constexpr bool is_splat(Layout layout) { return layout == Layout::scalar || layout == Layout::column; }

// An operand of a map: a Var, or blocks of columns of one.
template <class T>
struct Operand {
  const T* data;  // of the first element used
  Value<T>* value;
  Place place;        // of the whole operand (of the wider matrix, for columns)
  std::size_t width;  // elements of the operand; for columns, of a row of the wider matrix
  std::size_t first;  // for columns, the first of them
  Layout layout;
  bool held = false;  // the operand has a reference of its own to the value

  Operand() {}  // NOLINT(modernize-use-equals-default): leaves the members as they are
  Operand& operator=(const Operand& other) {  // see word()
    data = word(other.data);
    value = word(other.value);
    place = other.place;
    width = word(other.width);
    first = word(other.first);
    layout = other.layout;
    held = other.held;
    return *this;
  }
};

// An input of a body: which operand it is, and which of that operand's blocks of columns.
struct InputOf {
  std::uint8_t operand, block;
};

// How the operands of a map are the inputs of its body: one block count for each, which is 0 for a Var, and K
// for K blocks of columns, side by side.
template <std::size_t... kBlocks>
struct Inputs {
  static constexpr std::size_t kOperands = sizeof...(kBlocks);
  static constexpr std::size_t kCount = ((kBlocks ? kBlocks : 1) + ...);
  static constexpr std::size_t kColumnOperands = ((kBlocks ? 1 : 0) + ...);
  static constexpr std::array<std::size_t, kOperands> blocks{kBlocks...};
  static constexpr std::array<InputOf, kCount> of = [] {
    std::array<InputOf, kCount> result{};
    std::size_t input = 0;
    for (std::size_t operand = 0; operand < kOperands; ++operand)
      for (std::size_t block = 0; block < std::max<std::size_t>(1, blocks[operand]); ++block)
        result[input++] = {static_cast<std::uint8_t>(operand), static_cast<std::uint8_t>(block)};
    return result;
  }();
};

// Where the gradient of an operand goes.
template <class T>
struct Target {
  T* data = nullptr;  // null: no gradient wanted
  bool accumulate = false;
};

// What a map was called with.
template <class T>
struct BodyArguments {
  std::span<const Operand<T>> in;
  std::span<const std::size_t> blocks;  // of the operands, see Inputs
  std::span<const InputOf> inputs;      // of the body
  std::span<const Place> out;
  std::size_t rows, cols;
  bool overlapping;  // two operands are parts of one slot that cannot be written in one pass
};

// Elements of an operand as a whole: of the wider matrix, for columns.
template <class T>
std::size_t operand_size(const Operand<T>& operand, std::size_t rows, std::size_t cols) {
  if (operand.layout == Layout::full) return rows * cols;
  return operand.layout == Layout::columns ? rows * operand.width : operand.width;
}

// Zeros in all columns of a matrix but [first, first + count).
template <class T>
void fill_columns_beside(T* matrix, std::size_t rows, std::size_t width, std::size_t first,
                         std::size_t count) {
  for (std::size_t r = 0; r < rows; ++r, matrix += width) {
    std::fill(matrix, matrix + first, T(0));
    std::fill(matrix + first + count, matrix + width, T(0));
  }
}

// Finds where the gradient of operand i goes, if it is wanted; it may have been found with that of another
// one.
template <class T, class Wanted>
[[gnu::always_inline]] inline void find_target(Sweep& sweep, const Operand<T>* in, const std::size_t* blocks,
                                               std::size_t operands, std::size_t i, std::size_t rows,
                                               std::size_t cols, bool overlapping, Target<T>* target,
                                               Wanted&& wanted) {
  const Operand<T>& operand = in[i];
  if (!wanted(operand) || target[i].data) return;
  const auto open = [&](bool overwrites) -> Target<T> {
    const std::size_t elements = operand_size(operand, rows, cols);
    if (!overwrites || overlapping) return {sweep.accumulator<T>(operand.place, elements), true};
    const Sink<T> s = sweep.sink<T>(operand.place, elements);
    return {s.data, s.accumulate};
  };
  if (!blocks[i]) {
    target[i] = open(operand.layout == Layout::full);
    return;
  }
  // All blocks of one matrix together; what they do not cover is zero so far, if nothing has arrived.
  const auto same_matrix = [&](std::size_t k) { return blocks[k] && in[k].place == operand.place; };
  std::size_t covered = 0, parts = 0;
  for (std::size_t k = i; k < operands; ++k) {
    covered += same_matrix(k) ? blocks[k] * cols : 0;
    parts += same_matrix(k);
  }
  const Target<T> whole = open(true);
  if (!whole.accumulate && covered != operand.width)
    fill_columns_beside(whole.data, rows, operand.width, parts == 1 ? operand.first : 0,
                        parts == 1 ? covered : 0);
  for (std::size_t k = i; k < operands; ++k)
    if (same_matrix(k)) target[k] = {whole.data + in[k].first, whole.accumulate};
}

// How the rows of an operand follow each other.
struct RowStep {
  std::size_t stride;  // from one to the next
  std::size_t period;  // after how many it starts again, 0 for never
};

template <class T>
[[gnu::always_inline]] inline RowStep row_step(const Operand<T>& operand, std::size_t cols) {
  switch (operand.layout) {
    case Layout::full:
      return {cols, 0};
    case Layout::suffix:
      return operand.width == cols ? RowStep{0, 0} : RowStep{cols, cols ? operand.width / cols : 0};
    case Layout::scalar:
      return {0, 0};
    case Layout::column:
      return {1, 0};
    case Layout::columns:
      break;
  }
  return {operand.width, 0};
}

// Walks the rows of an operand, or of its gradient.
template <class P>
struct RowCursor {
  P start, row;
  RowStep step{};
  std::size_t count = 0;

  // At the first of so many rows; `from` is where the operand, or its gradient, begins.
  template <class T>
  [[gnu::always_inline]] void begin(P from, const Operand<T>& operand, std::size_t rows, std::size_t cols) {
    start = row = from;
    if (rows > 1) step = row_step(operand, cols);
  }
  void next() {
    row += step.stride;
    if (++count == step.period) {
      row = start;
      count = 0;
    }
  }
};

// The values of a map body, however many: a tuple of lanes (or Vars).
template <class... X>
[[gnu::always_inline]] inline std::tuple<X...> as_tuple(std::tuple<X...> results) {
  return results;
}
template <class R>
[[gnu::always_inline]] inline auto as_tuple(R&& results) {
  if constexpr (requires { std::tuple_size<std::remove_cvref_t<R>>::value; })
    return std::apply([](auto&&... x) { return std::make_tuple(std::forward<decltype(x)>(x)...); },
                      std::forward<R>(results));
  else
    return std::make_tuple(std::forward<R>(results));
}

// The lane that a body without a stash is called with, whichever input it is.
template <class T, std::size_t>
using PlainLane = Lane<T, Stash::none>;

template <class F, class T, class Indices>
struct BodyTraits;
template <class F, class T, std::size_t... kI>
struct BodyTraits<F, T, std::index_sequence<kI...>> {
  static constexpr bool kCallable = std::invocable<const F&, PlainLane<T, kI>...>;
  // Whether what it returns is one lane, or a tuple of them.
  static constexpr bool returns_lanes() {
    if constexpr (kCallable) {
      using R = std::invoke_result_t<const F&, PlainLane<T, kI>...>;
      if constexpr (!std::is_void_v<R>)
        return []<class... Each>(std::type_identity<std::tuple<Each...>>) {
          return sizeof...(Each) > 0 && (LaneType<Each> && ...);
        }(std::type_identity<decltype(as_tuple(std::declval<R>()))>{});
    }
    return false;
  }
  static constexpr std::size_t outputs() {
    if constexpr (kCallable)
      return std::tuple_size_v<decltype(as_tuple(
          std::declval<std::invoke_result_t<const F&, PlainLane<T, kI>...>>()))>;
    return 0;
  }
};

// A function of `fn`: its rule is its slope, so it is recorded as itself.
template <class F>
concept Primitive = requires {
  F::kCostly;
};

// What a map keeps for its rule.
template <std::size_t kOutputs>
struct Keeping {
  std::uint64_t shared = 0;  // costly results that are results of the body, see StashCursor
  InputMask saved = 0;       // inputs that are saved in the stash with the costly results
  std::uint32_t unread = 0;  // operands that the rule reads none of, or only what is saved; one bit for each
  std::uint8_t stashed = 0;  // results of costly functions
  std::array<std::uint8_t, kOutputs> shared_as{};  // which of the body's results the shared ones are

  std::size_t shared_count() const { return static_cast<std::size_t>(std::popcount(shared)); }
  std::size_t saved_count() const { return static_cast<std::size_t>(std::popcount(saved)); }
  bool reads(std::size_t operand) const { return !(unread >> operand & 1); }
  bool reads_result(std::size_t output) const {
    const auto end = shared_as.begin() + static_cast<std::ptrdiff_t>(shared_count());
    return std::find(shared_as.begin(), end, output) != end;
  }
};

// What a map does with lanes for a given body; instantiated once for each body and its Inputs.
template <class T, class F, class In>
struct MapKernel {
  using Indices = std::make_index_sequence<In::kCount>;
  static constexpr std::size_t kOutputs = BodyTraits<F, T, Indices>::outputs();
  static constexpr std::size_t kLanes = Batch<T>::size;
  static constexpr std::size_t kOperands = In::kOperands;
  using Keeping = detail::Keeping<kOutputs>;

  // What a call leaves in the stash; nothing, to have it computed again instead, where the backward call
  // would take it in another order. C++ leaves the order of f(a) + g(b) open, so it is tried, on inputs that
  // all differ.
  static void plan_stash(const F& f, Keeping& keeping) {
    constexpr std::size_t kMost = 64;  // a body with more computes them again
    alignas(64) T stash[kMost * kLanes];
    StashCursor<T> count{stash}, write{stash}, read{stash};
    [&]<std::size_t... kI>(std::index_sequence<kI...>) {
      (void)f(Lane<T, Stash::count>{Batch<T>(T(0.5)), (void(kI), &count)}...);
    }
    (Indices{});
    const auto results = static_cast<std::size_t>(count.next - stash) / kLanes;
    if (results == 0 || results > kMost) return;
    const auto value = [](std::size_t i) { return T(0.37) + T(0.11) * T(i) - T(0.013) * T(i * i); };
    const auto made = [&]<std::size_t... kI>(std::index_sequence<kI...>) {
      return as_tuple(f(Lane<T, Stash::store>{Batch<T>(value(kI)), (void(kI), &write)}...));
    }
    (Indices{});
    const auto duals = [&]<bool kReplay, std::size_t... kI>(std::bool_constant<kReplay>,
                                                            std::index_sequence<kI...>) {
      return as_tuple(f(seed<kI, kReplay>(Batch<T>(value(kI)), &read)...));
    };
    const auto replayed = duals(std::true_type{}, Indices{});
    const auto computed = duals(std::false_type{}, Indices{});
    const bool replayable = [&]<std::size_t... kO>(std::index_sequence<kO...>) {
      return (same(std::get<kO>(replayed), std::get<kO>(computed)) && ...);
    }
    (std::make_index_sequence<kOutputs>{});
    if (!replayable) return;
    keeping.stashed = static_cast<std::uint8_t>(results);
    // A result of the body that is that of a costly function: of which one, its number tells, unless two have
    // the same.
    const auto probed = probe(f, true);
    std::array<std::uint8_t, kMost> output_of{};
    const auto share = [&]<std::size_t kOutput>() {
      if (!std::get<kOutput>(probed).is_stashed) return;
      const T number = std::get<kOutput>(made).value.get(0);
      std::size_t found = 0, at = 0;
      for (std::size_t i = 0; i < results; ++i)
        if (std::memcmp(&stash[i * kLanes], &number, sizeof(T)) == 0) {
          ++found;
          at = i;
        }
      if (found != 1) return;
      keeping.shared |= std::uint64_t{1} << at;
      output_of[at] = kOutput;
    };
    [&]<std::size_t... kO>(std::index_sequence<kO...>) { (share.template operator()<kO>(), ...); }
    (std::make_index_sequence<kOutputs>{});
    for (std::size_t i = 0, k = 0; i < results; ++i)
      if (keeping.shared >> i & 1) keeping.shared_as[k++] = output_of[i];
  }

  static auto probe(const F& f, bool stashes) {
    const auto input = [stashes](std::size_t i) {
      Probe<T> x;
      x.reads = x.live = InputMask{1} << i;
      x.stashes = stashes;
      return x;
    };
    return [&]<std::size_t... kI>(std::index_sequence<kI...>) { return as_tuple(f(input(kI)...)); }
    (Indices{});
  }

  // `from_result` tells that a single function finds its slope from its result. What is saved of operands of
  // which the rule needs only a part depends on the operands: it is all that could be.
  // Not inlined: GCC 12 would then miss what plan_stash() writes to the static variable below
  // (-fipa-reference).
  [[gnu::noinline]] static Keeping plan(const F& f, bool from_result) {
    Keeping keeping;
    if (!from_result) plan_stash(f, keeping);
    const InputMask needed = std::apply([](const auto&... y) { return (y.needed | ...); },
                                        probe(f, from_result || keeping.stashed));
    std::size_t count[kOperands] = {};
    for (std::size_t i = 0; i < In::kCount; ++i) count[In::of[i].operand] += needed >> i & 1;
    for (std::size_t i = 0; i < kOperands; ++i)
      if (!count[i]) keeping.unread |= 1u << i;
    if (!keeping.stashed) return keeping;
    for (std::size_t i = 0; i < In::kCount; ++i)
      if (const std::size_t operand = In::of[i].operand; count[operand] < In::blocks[operand])
        keeping.saved |= needed & InputMask{1} << i;
    return keeping;
  }

  // A body without captures always does the same.
  static Keeping keeping(const F& f, bool from_result) {
    if constexpr (std::is_empty_v<F>) {
      static const Keeping planned = plan(f, from_result);
      return planned;
    } else {
      return plan(f, from_result);
    }
  }

  // Equal up to rounding, values and derivatives; a NaN is equal to nothing.
  static bool same(const auto& replayed, const auto& computed) {
    const auto close = [](const Batch<T>& a, const Batch<T>& b) {
      return xsimd::all(xsimd::abs(a - b) <= T(1e-4) * (xsimd::abs(a) + xsimd::abs(b)));
    };
    bool all = close(replayed.value, computed.value);
    for (std::size_t i = 0; i < computed.partial.size(); ++i)
      all &= close(replayed.partial[i], computed.partial[i]);
    return all;
  }

  template <std::size_t kInput, bool kReplay>
  [[gnu::always_inline]] static Dual<T, 1u << kInput, kReplay> seed(const Batch<T>& value,
                                                                    StashCursor<T>* stash) {
    return {value, {Batch<T>(T(1))}, stash};
  }

  // Stash elements for an output of rows x cols.
  static std::size_t stash_size(std::size_t rows, std::size_t cols, const Keeping& keeping) {
    const std::size_t each = keeping.saved_count() + keeping.stashed - keeping.shared_count();
    return (rows * ((cols + kLanes - 1) / kLanes) * each + (keeping.shared != 0)) * kLanes;  // see put()
  }

  // The lane of an input from column c of the row that its operand's cursor is at.
  template <std::size_t kInput>
  [[gnu::always_inline]] static Batch<T> value(const Operand<T>* in, const RowCursor<const T*>* at,
                                               std::size_t c, std::size_t cols, std::size_t count) {
    constexpr InputOf kOf = In::of[kInput];
    const T* row = at[kOf.operand].row;
    if constexpr (In::blocks[kOf.operand] != 0)
      return load(row + kOf.block * cols + c, count);
    else
      return is_splat(in[kOf.operand].layout) ? Batch<T>(*row) : load(row + c, count);
  }

  // Puts the inputs of a mask into the stash, before the results of functions.
  template <std::size_t... kI>
  [[gnu::always_inline]] static void save(InputMask mask, T*& stash, std::index_sequence<kI...>,
                                          const std::array<Batch<T>, In::kCount>& x) {
    const auto one = [&](std::size_t i) {
      if (!(mask >> i & 1)) return;
      x[i].store_aligned(stash);
      stash += kLanes;
    };
    (one(kI), ...);
  }

  template <Stash kStash>
  [[gnu::flatten]] static void forward(const F& f, const Operand<T>* in, T* const* out, std::size_t rows,
                                       std::size_t cols, T* stash, const Keeping& keeping) {
    RowCursor<const T*> at[kOperands];
    for (std::size_t i = 0; i < kOperands; ++i) at[i].begin(in[i].data, in[i], rows, cols);
    StashCursor<T> cursor{stash};
    for (std::size_t r = 0; r < rows; ++r) {
      if (r)
        for (auto& each : at) each.next();
      for (std::size_t c = 0; c < cols; c += kLanes) {
        const std::size_t count = cols - c;
        [&]<std::size_t... kI, std::size_t... kO>(std::index_sequence<kI...>, std::index_sequence<kO...>) {
          const std::array<Batch<T>, In::kCount> x{value<kI>(in, at, c, cols, count)...};
          if constexpr (kStash == Stash::store)
            if (keeping.saved) save(keeping.saved, cursor.next, Indices{}, x);
          cursor.shared = keeping.shared;
          const auto y = as_tuple(f(Lane<T, kStash>{x[kI], &cursor}...));
          (store(out[kO] + r * cols + c, std::get<kO>(y).value, count), ...);
        }
        (Indices{}, std::make_index_sequence<kOutputs>{});
      }
    }
  }

  // Adds a lane of the gradient of an input to what has arrived at its operand, or writes it over garbage.
  template <std::size_t kInput>
  [[gnu::always_inline]] static void deliver_lane(const Operand<T>* in, const Target<T>* target,
                                                  const RowCursor<T*>* to, T* sums, std::size_t c,
                                                  std::size_t cols, std::size_t count, Batch<T> gradient) {
    constexpr InputOf kOf = In::of[kInput];
    if (In::blocks[kOf.operand] == 0 && is_splat(in[kOf.operand].layout)) {
      alignas(64) T parts[kLanes];
      gradient.store_aligned(parts);
      for (std::size_t i = 0; i < std::min(count, kLanes); ++i) sums[kOf.operand] += parts[i];
      return;
    }
    T* address = to[kOf.operand].row + kOf.block * cols + c;
    if (target[kOf.operand].accumulate) gradient = gradient + load<T>(address, count);
    store(address, gradient, count);
  }

  // The lane of an input that the rule needs; any other is not read, it may be gone.
  template <std::size_t kInput>
  [[gnu::always_inline]] static Batch<T> needed_value(const Operand<T>* in, const RowCursor<const T*>* at,
                                                      std::size_t c, std::size_t cols, std::size_t count,
                                                      const Keeping& keeping, const T* saved) {
    if (keeping.saved >> kInput & 1)
      return Batch<T>::load_aligned(saved +
                                    std::popcount(keeping.saved & ((InputMask{1} << kInput) - 1)) * kLanes);
    if (!keeping.reads(In::of[kInput].operand)) return Batch<T>(T(0));
    return value<kInput>(in, at, c, cols, count);
  }

  template <bool kReplay>
  [[gnu::flatten]] static void backward(const F& f, const Operand<T>* in, const T* const* gradient,
                                        const T* const* result, const Target<T>* target, std::size_t rows,
                                        std::size_t cols, T* stash, const Keeping& keeping) {
    RowCursor<const T*> at[kOperands];
    RowCursor<T*> to[kOperands];
    start(in, target, rows, cols, at, to);
    const std::size_t saved = keeping.saved_count() * kLanes, shared = keeping.shared_count();
    alignas(64) T shared_lanes[kOutputs * kLanes];
    StashCursor<T> cursor{stash};
    for (std::size_t r = 0; r < rows; ++r) {
      if (r) next_row(target, at, to);
      T sums[kOperands] = {};  // of the row, for splats
      for (std::size_t c = 0; c < cols; c += kLanes) {
        const std::size_t count = cols - c;
        [&]<std::size_t... kI, std::size_t... kO>(std::index_sequence<kI...>, std::index_sequence<kO...>) {
          const std::array<Batch<T>, In::kCount> x{
              needed_value<kI>(in, at, c, cols, count, keeping, cursor.next)...};
          if constexpr (kReplay) {
            for (std::size_t k = 0; k < shared; ++k)
              load(result[keeping.shared_as[k]] + r * cols + c, count)
                  .store_aligned(shared_lanes + k * kLanes);
            cursor = {cursor.next + saved, keeping.shared, shared_lanes};
          }
          const auto y = as_tuple(f(seed<kI, kReplay>(x[kI], &cursor)...));
          const Batch<T> g[] = {gradient[kO] ? load(gradient[kO] + r * cols + c, count) : Batch<T>(T(0))...};
          const auto deliver = [&]<std::size_t kInput>() {
            if (!target[In::of[kInput].operand].data) return;
            Batch<T> sum(T(0));
            bool any = false;
            const auto term = [&]<std::size_t kOutput>() {
              using Y = std::tuple_element_t<kOutput, std::remove_const_t<decltype(y)>>;
              if constexpr (Y::live >> kInput & 1) {
                const Batch<T> product = g[kOutput] * std::get<kOutput>(y).template partial_of<kInput>();
                sum = any ? Batch<T>(sum + product) : product;
                any = true;
              }
            };
            (term.template operator()<kO>(), ...);
            deliver_lane<kInput>(in, target, to, sums, c, cols, count, sum);
          };
          (deliver.template operator()<kI>(), ...);
        }
        (Indices{}, std::make_index_sequence<kOutputs>{});
      }
      end_row(in, target, sums, to);
    }
  }

  // The same of a single function, from its result.
  [[gnu::flatten]] static void backward_from_result(const Operand<T>* in, const T* gradient, const T* result,
                                                    const Target<T>* target, std::size_t rows,
                                                    std::size_t cols, const Keeping& keeping) {
    RowCursor<const T*> at[kOperands];
    RowCursor<T*> to[kOperands];
    start(in, target, rows, cols, at, to);
    for (std::size_t r = 0; r < rows; ++r) {
      if (r) next_row(target, at, to);
      T sums[kOperands] = {};
      for (std::size_t c = 0; c < cols; c += kLanes) {
        const std::size_t count = cols - c;
        const Batch<T> g = load(gradient + r * cols + c, count), y = load(result + r * cols + c, count);
        [&]<std::size_t... kI>(std::index_sequence<kI...>) {
          const std::array<Batch<T>, In::kCount> x{
              needed_value<kI>(in, at, c, cols, count, keeping, nullptr)...};
          const auto deliver = [&]<std::size_t kInput>() {
            if (!target[In::of[kInput].operand].data) return;
            const auto slope = F::template slope<kInput>(x[kI]..., y);
            Batch<T> sum(T(0));
            if constexpr (!std::is_same_v<std::remove_const_t<decltype(slope)>, Zero>) sum = chain(slope, g);
            deliver_lane<kInput>(in, target, to, sums, c, cols, count, sum);
          };
          (deliver.template operator()<kI>(), ...);
        }
        (Indices{});
      }
      end_row(in, target, sums, to);
    }
  }

 private:
  [[gnu::always_inline]] static void start(const Operand<T>* in, const Target<T>* target, std::size_t rows,
                                           std::size_t cols, RowCursor<const T*>* at, RowCursor<T*>* to) {
    for (std::size_t i = 0; i < kOperands; ++i) {
      at[i].begin(in[i].data, in[i], rows, cols);
      to[i].begin(target[i].data, in[i], rows, cols);
    }
  }

  [[gnu::always_inline]] static void next_row(const Target<T>* target, RowCursor<const T*>* at,
                                              RowCursor<T*>* to) {
    for (std::size_t i = 0; i < kOperands; ++i) {
      at[i].next();
      if (target[i].data) to[i].next();
    }
  }

  [[gnu::always_inline]] static void end_row(const Operand<T>* in, const Target<T>* target, const T* sums,
                                             RowCursor<T*>* to) {
    for (std::size_t i = 0; i < kOperands; ++i)
      if (In::blocks[i] == 0 && is_splat(in[i].layout) && target[i].data) *to[i].row += sums[i];
  }
};

}  // namespace autograd::detail
