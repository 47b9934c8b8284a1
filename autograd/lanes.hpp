// Lanes: the SIMD values that a map body is called with, forward (plain values that leave the results of
// costly functions in a stash) and backward (dual numbers that take those results from the stash).
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "map_mistakes.hpp"
#include "simd.hpp"
#include "var.hpp"

namespace autograd {

template <class F>
struct ElementwiseFunction;

namespace detail {

// A function of a user's, see elementwise_function.hpp.
template <class F>
concept UserFunction = std::derived_from<F, ElementwiseFunction<F>>;

// Derivatives that need no arithmetic.
struct Zero {};
struct One {};
struct MinusOne {};
// 1 where the condition is not 0 (or, with kWhere false, where it is), else 0; what it keeps back may be
// infinite.
template <class V, bool kWhere>
struct Gate {
  V condition;
};

enum class Stash { none, store, count };

// Where the results of a body's costly functions are, in the order in which it calls them. Some are results
// of the body, too, and are kept but once, as those.
template <class T>
struct StashCursor {
  T* next;
  std::uint64_t shared = 0;        // which of them are results of the body, one bit for each
  const T* shared_next = nullptr;  // where those are read

  void put(const Batch<T>& y) {
    y.store_aligned(next);  // written over by the next one if it is shared
    next += shared & 1 ? 0 : Batch<T>::size;
    shared >>= 1;
  }
  Batch<T> get() {
    const bool is_shared = shared & 1;
    const Batch<T> y = Batch<T>::load_aligned(is_shared ? shared_next : next);
    next += is_shared ? 0 : Batch<T>::size;
    shared_next += is_shared ? Batch<T>::size : 0;
    shared >>= 1;
    return y;
  }
  void count() { next += Batch<T>::size; }
};

// Forward: a batch, and where results go that the backward pass would not like to compute again.
template <class T, Stash kStash>
struct Lane {
  using value_type = T;
  Batch<T> value;
  StashCursor<T>* stash;

  // Copied member by member: as a whole, the pointer would be read as part of a vector, see word().
  Lane(const Batch<T>& v, StashCursor<T>* s) : value(v), stash(s) {}
  Lane(const Lane& other) : value(other.value), stash(other.stash) {}
  Lane& operator=(const Lane& other) {
    value = other.value;
    stash = other.stash;
    return *this;
  }

  // Not to be used: they say so, see map_mistakes.hpp.
  operator double() const { return lane_as_number<Lane>(); }
  operator Var<T>() const { return lane_as_var<Lane>(); }
  explicit operator bool() const { return lane_as_condition<Lane>(); }
};

// Backward: a batch and its partial derivatives with respect to those inputs of the body whose bit is set in
// kLive. Only live partials exist, in the order of their bits.
template <class T, std::uint32_t kLive, bool kReplay>
struct Dual {
  using value_type = T;
  static constexpr std::uint32_t live = kLive;
  using Partials = std::array<Batch<T>, std::popcount(kLive)>;
  Batch<T> value;
  Partials partial;
  StashCursor<T>* stash;

  Dual(const Batch<T>& v, const Partials& p, StashCursor<T>* s) : value(v), partial(each_of(p)), stash(s) {}
  Dual(const Dual& other) : value(other.value), partial(each_of(other.partial)), stash(other.stash) {}
  Dual& operator=(const Dual& other) {
    value = other.value;
    partial = each_of(other.partial);
    stash = other.stash;
    return *this;
  }

  // A copy, one by one: of an array compilers make copies in parts of registers, in memory, for which whole
  // registers then have to wait.
  [[gnu::always_inline]] static Partials each_of(const Partials& p) {
    return [&]<std::size_t... kI>(std::index_sequence<kI...>) { return Partials{p[kI]...}; }
    (std::make_index_sequence<std::popcount(kLive)>{});
  }

  template <std::size_t kInput>
  const Batch<T>& partial_of() const {
    static_assert(kLive >> kInput & 1);
    return partial[std::popcount(kLive & ((1u << kInput) - 1))];
  }

  // Not to be used: they say so, see map_mistakes.hpp.
  operator double() const { return lane_as_number<Dual>(); }
  operator Var<T>() const { return lane_as_var<Dual>(); }
  explicit operator bool() const { return lane_as_condition<Dual>(); }
  template <class Other>
  Dual& operator=(const Other&) {
    change_in_place<Other>();
    return *this;
  }
};

template <class X>
struct IsLane : std::false_type {};
template <class T, Stash kStash>
struct IsLane<Lane<T, kStash>> : std::true_type {};
template <class T, std::uint32_t kLive, bool kReplay>
struct IsLane<Dual<T, kLive, kReplay>> : std::true_type {};

template <class X>
concept LaneType = IsLane<std::remove_cvref_t<X>>::value;
template <class X>
concept Number = std::is_arithmetic_v<std::remove_cvref_t<X>>;
/// What elementwise functions take: a Var, or a lane inside of a map body.
template <class X>
concept Element = LaneType<X> || VarType<X>;
// Operands of an elementwise function: at least one Element, the others Elements or plain numbers.
template <class... X>
concept Elements = (Element<X> || ...) && ((Element<X> || Number<X>)&&...);

// --- applying a function to lanes
// ------------------------------------------------------------------------------

template <class X, class Model>
struct LiftedLane;
template <class X, class T, Stash kStash>
struct LiftedLane<X, Lane<T, kStash>> {
  static Lane<T, kStash> lift(const X& number) { return {Batch<T>(static_cast<T>(number)), nullptr}; }
};
template <class X, class T, std::uint32_t kLive, bool kReplay>
struct LiftedLane<X, Dual<T, kLive, kReplay>> {
  static Dual<T, 0, kReplay> lift(const X& number) { return {Batch<T>(static_cast<T>(number)), {}, nullptr}; }
};

template <class... X>
struct FirstLane;
template <class X, class... Rest>
struct FirstLane<X, Rest...> : std::conditional_t<LaneType<X>, std::type_identity<X>, FirstLane<Rest...>> {};
template <>
struct FirstLane<> {};

// A plain number among lanes becomes a lane of the kind of `Model`.
template <class Model, class X>
[[gnu::always_inline]] inline auto lifted(const X& x) {
  if constexpr (LaneType<X>)
    return x;
  else
    return LiftedLane<X, Model>::lift(x);
}

template <class F, class T, Stash kStash, class... Rest>
[[gnu::always_inline]] inline Lane<T, kStash> apply(const Lane<T, kStash>& first, const Rest&... rest) {
  const Batch<T> y = F::value(first.value, rest.value...);
  StashCursor<T>* stash = first.stash;
  ((stash = stash ? stash : rest.stash), ...);
  if constexpr (F::kCostly && kStash == Stash::store) stash->put(y);
  if constexpr (F::kCostly && kStash == Stash::count) stash->count();
  return {y, stash};
}

// One term of the chain rule: slope * partial, where a slope may be a tag.
template <class Slope, class B>
[[gnu::always_inline]] inline auto chain(const Slope& slope, const B& partial) {
  if constexpr (std::is_same_v<Slope, One>)
    return partial;
  else if constexpr (std::is_same_v<Slope, MinusOne>)
    return B(-partial);
  else
    return B(slope * partial);
}

template <class B, bool kWhere>
[[gnu::always_inline]] inline B chain(const Gate<B, kWhere>& gate, const B& partial) {
  const auto shut = gate.condition == B(0);
  return kWhere ? xsimd::select(shut, B(0), partial) : xsimd::select(shut, partial, B(0));
}

// The partials of an operand that a slope lets through.
template <class Slope, std::uint32_t kLive>
inline constexpr std::uint32_t kLiveThrough = std::is_same_v<Slope, Zero> ? 0 : kLive;

template <class F, class T, bool kReplay, std::uint32_t... kLives>
[[gnu::always_inline]] inline auto apply(const Dual<T, kLives, kReplay>&... x) {
  using B = Batch<T>;
  StashCursor<T>* stash = nullptr;
  ((stash = stash ? stash : x.stash), ...);
  B y;
  if constexpr (F::kCostly && kReplay)
    y = stash->get();
  else
    y = F::value(x.value...);
  return [&]<std::size_t... kI>(std::index_sequence<kI...>) {
    const auto slopes = std::make_tuple(F::template slope<kI>(x.value..., y)...);
    using Slopes = std::remove_const_t<decltype(slopes)>;
    constexpr std::uint32_t kLive = (kLiveThrough<std::tuple_element_t<kI, Slopes>, kLives> | ...);
    Dual<T, kLive, kReplay> result(y, {}, stash);
    const auto one_input = [&]<std::size_t kInput>() {
      constexpr std::size_t kAt = std::popcount(kLive & ((1u << kInput) - 1));
      bool first = true;
      const auto add = [&]<std::size_t kOperand>(const auto& operand) {
        using Slope = std::tuple_element_t<kOperand, Slopes>;
        using Operand = std::remove_cvref_t<decltype(operand)>;
        if constexpr (!std::is_same_v<Slope, Zero> && (Operand::live >> kInput & 1)) {
          const B term = chain(std::get<kOperand>(slopes), operand.template partial_of<kInput>());
          result.partial[kAt] = first ? term : B(result.partial[kAt] + term);
          first = false;
        }
      };
      (add.template operator()<kI>(x), ...);
    };
    [&]<std::size_t... kInput>(std::index_sequence<kInput...>) {
      (([&] {
         if constexpr (kLive >> kInput & 1) one_input.template operator()<kInput>();
       }()),
       ...);
    }
    (std::make_index_sequence<std::bit_width(kLive)>{});
    return result;
  }
  (std::index_sequence_for<decltype(x)...>{});
}

}  // namespace detail
}  // namespace autograd
