// gradcheck for modules and cells.
#pragma once

#include "autograd/gradcheck.hpp"
#include "parameters.hpp"
#include "unroll.hpp"

namespace nn {

/// Compares the gradient of f() with finite differences at every entry of every parameter of a module in
/// double, as autograd::gradcheck does, in evaluation mode. The report calls the parameters by their paths.
template <class F, Module M>
ag::GradcheckReport gradcheck(const F& f, const M& module, ag::GradcheckOptions options = {}) {
  static_assert(
      std::is_same_v<value_type<M>, double>,
      "gradcheck: make the module in double, for example Cell<double>; one that is no template declares "
      "`using value_type = double;`");
  const Evaluation evaluation;
  for (const auto& [path, parameter] : named_parameters(module)) options.names.push_back(path);
  return ag::gradcheck(ag::CheckedFunction([&](const auto&) { return f(); }), parameters(module),
                       std::move(options));
}

/// The same for a recurrent cell or network in double, unrolled over an input x (T, B, F): the gradient of
/// its outputs with respect to every parameter and to x.
template <Recurrent C>
ag::GradcheckReport gradcheck(const C& cell, const ag::Var<double>& x, ag::GradcheckOptions options = {}) {
  const Evaluation evaluation;
  std::vector<ag::Var<double>> inputs;
  if constexpr (Module<C>)
    for (auto& [path, parameter] : named_parameters(cell)) {
      options.names.push_back(path);
      inputs.push_back(std::move(parameter));
    }
  options.names.emplace_back("x");
  inputs.push_back(ag::variable(x.array().copy()));
  return ag::gradcheck(ag::CheckedFunction([&](const auto& all) { return unroll(cell, all.back()).output; }),
                       inputs, std::move(options));
}

}  // namespace nn
