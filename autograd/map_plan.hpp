// What a map keeps for its rule, found out by trying its body.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstring>
#include <tuple>
#include <utility>

#include "activations.hpp"
#include "body_needs.hpp"

namespace autograd::detail {

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

// An input of a body for the backward call: its derivative with respect to itself is 1.
template <std::size_t kInput, bool kReplay, class T>
[[gnu::always_inline]] inline Dual<T, 1u << kInput, kReplay> seed(const Batch<T>& value,
                                                                  StashCursor<T>* stash) {
  return {value, {Batch<T>(T(1))}, stash};
}

// The plan for a body and its Inputs.
template <class T, class F, class In>
struct MapPlan {
  using Indices = std::make_index_sequence<In::kCount>;
  static constexpr std::size_t kOutputs = BodyTraits<F, T, Indices>::outputs();
  static constexpr std::size_t kLanes = Batch<T>::size;
  static constexpr std::size_t kOperands = In::kOperands;
  using Keeping = detail::Keeping<kOutputs>;

  // What a call leaves in the stash; nothing, to have it computed again instead, where the backward call
  // would take it in another order. C++ leaves the order of f(a) + g(b) open, so it is tried, on inputs that
  // all differ.
  [[gnu::cold]] static void plan_stash(const F& f, Keeping& keeping) {
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
      return as_tuple(f(seed<kI, kReplay, T>(Batch<T>(value(kI)), &read)...));
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
  [[gnu::noinline, gnu::cold]] static Keeping plan(const F& f, bool from_result) {
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

  // Stash elements for an output of rows x cols.
  static std::size_t stash_size(std::size_t rows, std::size_t cols, const Keeping& keeping) {
    const std::size_t each = keeping.saved_count() + keeping.stashed - keeping.shared_count();
    if (each == 0) return 0;
    return (rows * ((cols + kLanes - 1) / kLanes) * each + (keeping.shared != 0)) * kLanes;  // see put()
  }
};

}  // namespace autograd::detail
