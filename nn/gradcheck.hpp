// gradcheck for modules.
#pragma once

#include "autograd/gradcheck.hpp"
#include "parameters.hpp"

namespace nn {

/// Compares the gradient of f() with finite differences at every entry of every parameter of a module in
/// double, as autograd::gradcheck does. The report calls the parameters by their paths.
template <class F, Module M>
ag::GradcheckReport gradcheck(const F& f, const M& module, ag::GradcheckOptions options = {}) {
  static_assert(
      std::is_same_v<value_type<M>, double>,
      "gradcheck: make the module in double, for example Cell<double>; one that is no template declares "
      "`using value_type = double;`");
  for (const auto& [path, parameter] : named_parameters(module)) options.names.push_back(path);
  return ag::gradcheck(ag::CheckedFunction([&](const auto&) { return f(); }), parameters(module),
                       std::move(options));
}

}  // namespace nn
