// The state of a cell: any nest of Vars.
//
// A state is an autograd::Var, or a std::pair, tuple, array or vector of states, or a plain struct of them
// (no constructors and no base classes, at most eight members):
//
//     struct State { ag::Var<T> h, c; };
//
// Numbers, such as a counter of steps, may be among them; they are taken along as they are.
#pragma once

#include <array>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "autograd/var.hpp"

namespace nn {

namespace ag = autograd;

namespace detail {

using autograd::detail::fail;
using autograd::detail::VarType;

// Converts to every type but S itself: counts the members of a struct.
template <class S>
struct AnyMember {
  template <class Member>
  requires(!std::is_same_v<Member, S>) operator Member() const;
};

constexpr std::size_t kMostMembers = 8;

template <class S, std::size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
  return requires { S{((void)I, AnyMember<S>{})...}; };
}

// How many members an aggregate has; 0 if that is not to be found, or if they are too many.
template <class S, std::size_t kGuess = kMostMembers + 1>
constexpr std::size_t member_count() {
  if constexpr (kGuess == 0 || !std::is_aggregate_v<S>)
    return 0;
  else if constexpr (kGuess > kMostMembers && takes<S>(std::make_index_sequence<kGuess>()))
    return 0;
  else if constexpr (takes<S>(std::make_index_sequence<kGuess>()))
    return kGuess;
  else
    return member_count<S, kGuess - 1>();
}

// The members of an aggregate, as references.
template <class S>
constexpr auto members(S& s) {
  constexpr std::size_t kCount = member_count<std::remove_const_t<S>>();
  if constexpr (kCount == 1) {
    auto& [a] = s;
    return std::tie(a);
  } else if constexpr (kCount == 2) {
    auto& [a, b] = s;
    return std::tie(a, b);
  } else if constexpr (kCount == 3) {
    auto& [a, b, c] = s;
    return std::tie(a, b, c);
  } else if constexpr (kCount == 4) {
    auto& [a, b, c, d] = s;
    return std::tie(a, b, c, d);
  } else if constexpr (kCount == 5) {
    auto& [a, b, c, d, e] = s;
    return std::tie(a, b, c, d, e);
  } else if constexpr (kCount == 6) {
    auto& [a, b, c, d, e, f] = s;
    return std::tie(a, b, c, d, e, f);
  } else if constexpr (kCount == 7) {
    auto& [a, b, c, d, e, f, g] = s;
    return std::tie(a, b, c, d, e, f, g);
  } else {
    auto& [a, b, c, d, e, f, g, h] = s;
    return std::tie(a, b, c, d, e, f, g, h);
  }
}

enum class Nest { var, number, list, tuple, aggregate, none };

template <class S>
struct NestOf
    : std::integral_constant<Nest, std::is_arithmetic_v<S> || std::is_enum_v<S> || std::is_empty_v<S>
                                       ? Nest::number
                                   : member_count<S>() ? Nest::aggregate
                                                       : Nest::none> {};
template <class T>
struct NestOf<ag::Var<T>> : std::integral_constant<Nest, Nest::var> {};
template <class S, class Allocator>
struct NestOf<std::vector<S, Allocator>> : std::integral_constant<Nest, Nest::list> {};
template <class S, std::size_t kSize>
struct NestOf<std::array<S, kSize>> : std::integral_constant<Nest, Nest::list> {};
template <class... S>
struct NestOf<std::tuple<S...>> : std::integral_constant<Nest, Nest::tuple> {};
template <class A, class B>
struct NestOf<std::pair<A, B>> : std::integral_constant<Nest, Nest::tuple> {};

template <class S>
inline constexpr Nest nest_of = NestOf<std::remove_const_t<S>>::value;

// The parts of a nest that is no list, as a tuple of references.
template <class S>
constexpr auto parts(S& s) {
  if constexpr (nest_of<S> == Nest::tuple)
    return std::apply([](auto&... each) { return std::tie(each...); }, s);
  else
    return members(s);
}

template <class S>
constexpr bool is_state();

template <class Tuple, std::size_t... I>
constexpr bool all_states(std::index_sequence<I...>) {
  return (is_state<std::remove_cvref_t<std::tuple_element_t<I, Tuple>>>() && ...);
}

template <class S>
constexpr bool is_state() {
  if constexpr (nest_of<S> == Nest::var || nest_of<S> == Nest::number) {
    return true;
  } else if constexpr (nest_of<S> == Nest::list) {
    return is_state<typename S::value_type>();
  } else if constexpr (nest_of<S> == Nest::none) {
    return false;
  } else {
    using Parts = decltype(parts(std::declval<S&>()));
    return all_states<Parts>(std::make_index_sequence<std::tuple_size_v<Parts>>());
  }
}

// The type of the numbers of its first Var; void if it has none.
template <class S>
constexpr auto number_of_state();

template <class Tuple, std::size_t kIndex = 0>
constexpr auto first_number() {
  if constexpr (kIndex == std::tuple_size_v<Tuple>) {
    return std::type_identity<void>{};
  } else {
    using First = decltype(number_of_state<std::remove_cvref_t<std::tuple_element_t<kIndex, Tuple>>>());
    if constexpr (std::is_void_v<typename First::type>)
      return first_number<Tuple, kIndex + 1>();
    else
      return First{};
  }
}

template <class S>
constexpr auto number_of_state() {
  if constexpr (nest_of<S> == Nest::var)
    return std::type_identity<typename S::value_type>{};
  else if constexpr (nest_of<S> == Nest::list)
    return number_of_state<typename S::value_type>();
  else if constexpr (nest_of<S> == Nest::number)
    return std::type_identity<void>{};
  else
    return first_number<decltype(parts(std::declval<S&>()))>();
}

// Where a Var is in a nest, for messages: "state[1][0]".
struct StatePath {
  const StatePath* outer = nullptr;
  std::size_t index = 0;

  std::string text() const { return outer ? outer->text() + "[" + std::to_string(index) + "]" : "state"; }
};

// Calls f(path, var, others...) for each Var of some states of one type. Throws Error if lists in them differ
// in length.
template <class F, class S, class... Others>
void visit_state(const StatePath& path, F& f, S& state, Others&... others) {
  if constexpr (nest_of<S> == Nest::var) {
    f(path, state, others...);
  } else if constexpr (nest_of<S> == Nest::number) {
    return;
  } else if constexpr (nest_of<S> == Nest::list) {
    for (const std::size_t size : std::initializer_list<std::size_t>{others.size()...})
      if (size != state.size())
        fail(path.text(), " is a list of ", size, " where there must be ", state.size(),
             "; give one for each layer, as initial_state(batch) does");
    for (std::size_t i = 0; i < state.size(); ++i)
      visit_state(StatePath{&path, i}, f, state[i], others[i]...);
  } else {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      const auto at = [&]<std::size_t kIndex>(std::integral_constant<std::size_t, kIndex>) {
        visit_state(StatePath{&path, kIndex}, f, std::get<kIndex>(parts(state)),
                    std::get<kIndex>(parts(others))...);
      };
      (at(std::integral_constant<std::size_t, I>()), ...);
    }
    (std::make_index_sequence<std::tuple_size_v<decltype(parts(state))>>());
  }
}

// Calls f(var, others...) for each Var of some states of one type.
template <class F, class S, class... Others>
void for_each_var(F&& f, S& state, Others&... others) {
  auto without_path = [&](const StatePath&, auto&... vars) { f(vars...); };
  visit_state(StatePath{}, without_path, state, others...);
}

}  // namespace detail

/// What a cell may have as its state, see above.
template <class S>
concept State = detail::is_state<std::remove_cvref_t<S>>();

/// A state of the same nesting with f(var, vars of the other states...) for each Var, and the numbers of the
/// first. Throws Error if lists in them differ in length.
template <class F, State S, std::same_as<S>... Others>
S map_state(F&& f, const S& state, const Others&... others) {
  S result = state;
  detail::for_each_var([&](auto& var, const auto&... more) { var = f(std::as_const(var), more...); }, result,
                       others...);
  return result;
}

/// The same values as constants: what is carried over from one tape to the next. No copy.
template <State S>
S detach(const S& state) {
  return map_state([](const auto& var) { return var.detach(); }, state);
}

}  // namespace nn
