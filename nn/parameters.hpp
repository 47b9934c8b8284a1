// Parameters: how a module names the variables that it learns.
//
// A module is a plain struct. Its parameters are fields of type autograd::Var (made by variable()), or
// modules, or vectors of those, and it names them once:
//
//     auto fields(auto&& visit) { visit("xf", xf); visit("hf", hf); }
//
// Names join to paths, "hf.weight". A variable is called by its path, in errors and elsewhere, from when its
// module is first walked through (by parameters(), save, load ...). A field that is an empty Var (a bias that
// was switched off) is passed over.
//
// A Var is a handle: a copy of a module shares its parameters with the original, and an optimiser, which
// holds handles, moves both. clone() makes a module with parameters of its own.
#pragma once

#include <concepts>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "autograd/inspect.hpp"
#include "autograd/var.hpp"
#include "safetensors.hpp"

namespace nn {

namespace ag = autograd;

namespace detail {

using autograd::detail::fail;
using autograd::detail::VarType;

// Throws if a layer is asked for that has no size.
inline void need_size(const char* layer, const char* size, std::size_t value) {
  if (value == 0) fail(layer, ": ", size, " is 0; it must be at least 1");
}

struct AnyVisitor {
  void operator()(const std::string&, auto&) const {}
};

}  // namespace detail

/// A struct that names its parameters with `fields(visit)`.
template <class M>
concept Module = requires(std::remove_const_t<M>& module) {
  module.fields(detail::AnyVisitor{});
};

namespace detail {

inline std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

template <class X>
struct IsVector : std::false_type {};
template <class X>
struct IsVector<std::vector<X>> : std::true_type {};

// Calls visit(path, Var&) for every parameter below `field`.
template <class Field, class Visit>
void walk(const std::string& path, Field& field, Visit& visit) {
  using F = std::remove_cvref_t<Field>;
  if constexpr (VarType<F>) {
    if (!field.defined()) return;
    if (!field.is_variable())
      fail("parameters: ", path, " of shape ", field.shape(),
           " is not a variable, so it cannot be learned; make it "
           "with autograd::variable()");
    ag::detail::learn_name(field.array().block(), path);
    visit(path, field);
  } else if constexpr (IsVector<F>::value) {
    std::size_t index = 0;
    for (auto& each : field) walk(join(path, std::to_string(index++)), each, visit);
  } else {
    static_assert(Module<F>,
                  "a field of a module must be an autograd::Var, a module (with fields(visit)), or a "
                  "vector of those");
    // Naming changes nothing, but a module need not have said so.
    const_cast<F&>(field).fields(
        [&](const std::string& name, auto& inner) { walk(join(path, name), inner, visit); });
  }
}

// The type of a module's numbers: its value_type, or the first argument of its template, or float.
template <class M>
struct ValueType : std::type_identity<float> {};
template <template <class...> class M, class T, class... Rest>
requires std::is_floating_point_v<T>
struct ValueType<M<T, Rest...>> : std::type_identity<T> {
};
template <class M>
requires requires { typename M::value_type; }
struct ValueType<M> : std::type_identity<typename M::value_type> {};

}  // namespace detail

/// The type of a module's numbers, float or double: its member value_type, or else the first argument of its
/// template, or else float.
template <Module M>
using value_type = typename detail::ValueType<M>::type;

/// Calls visit(path, Var&) for every parameter of a module, in the order in which it names them. Throws Error
/// if a field is no variable.
template <Module M, class Visit>
void for_each_parameter(const M& module, Visit&& visit, const std::string& path = "") {
  detail::walk(path, module, visit);
}

/// Every parameter of a module with its path.
template <Module M>
NamedVars<value_type<M>> named_parameters(const M& module) {
  using T = value_type<M>;
  NamedVars<T> result;
  for_each_parameter(module, [&](const std::string& path, auto& parameter) {
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(parameter)>, ag::Var<T>>,
                  "the parameters of this module are not of its value_type; declare `using value_type = "
                  "double;` in it");
    result.emplace_back(path, parameter);
  });
  return result;
}

/// The parameters of some modules, for an optimiser or for grad.
template <Module First, Module... Rest>
std::vector<ag::Var<value_type<First>>> parameters(const First& first, const Rest&... rest) {
  std::vector<ag::Var<value_type<First>>> result;
  const auto append = [&](const auto& module) {
    for (auto& [path, parameter] : named_parameters(module)) result.push_back(std::move(parameter));
  };
  append(first);
  (append(rest), ...);
  return result;
}

/// Says what they lack.
template <class First, class... Rest>
requires(!(Module<First> && (Module<Rest> && ...))) void parameters(const First&, const Rest&...) {
  static_assert(Module<First> && (Module<Rest> && ...),
                "parameters: one of these is no module: it has no `auto fields(auto&& visit)` that names its "
                "parameters and layers, as in `visit(\"x\", x), visit(\"h\", h);`");
}

/// The variables that took part in what a tape recorded and that are no parameters of these modules: those
/// that a fields() has left out, which no optimiser of nn::parameters moves and save does not write. To be
/// asked before backward, once; a tape made with {.trace = true} tells the scopes as well.
///
///     for (const ag::VariableInfo& variable : nn::untrained(tape, model)) std::cerr << variable << '\n';
///
/// Throws Error as autograd::nodes does.
template <Module First, Module... Rest>
std::vector<ag::VariableInfo> untrained(const ag::Tape& tape, const First& first, const Rest&... rest) {
  return ag::other_variables(tape, parameters(first, rest...));
}

/// Number of learned numbers in a module.
template <Module M>
std::size_t parameter_count(const M& module) {
  std::size_t count = 0;
  for_each_parameter(module, [&](const std::string&, const auto& parameter) { count += parameter.size(); });
  return count;
}

/// A copy of a module with parameters of its own; what shared one parameter shares one in the copy.
template <Module M>
M clone(const M& module) {
  using Parameter = ag::Var<value_type<M>>;
  M copy = module;
  std::map<const void*, Parameter> copies;  // by the original's elements
  for_each_parameter(copy, [&](const std::string&, auto& parameter) {
    Parameter& own = copies[parameter.array().data()];
    if (!own.defined() || !(own.shape() == parameter.shape())) own = ag::variable(parameter.array().copy());
    parameter = own;
  });
  return copy;
}

/// Saves the parameters of a module as safetensors under their paths. Throws Error if the file cannot be
/// written; an old file is then left as it was.
template <Module M>
void save(const std::string& file, const M& module) {
  save_parameters(file, named_parameters(module));
}

/// Sets the parameters of a module from a safetensors file. Throws one Error that lists all missing,
/// unexpected and mismatched names; nothing is changed then.
template <Module M>
void load(const std::string& file, const M& module) {
  load_parameters(file, named_parameters(module));
}

}  // namespace nn
