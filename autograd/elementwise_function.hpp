// Elementwise functions of a user's own. Not part of autograd.hpp: it costs compiler time.
#pragma once

#include "jet.hpp"
#include "map.hpp"
#include "transcendental.hpp"

namespace autograd {

/// The base of an elementwise function of one's own, with a derivative of one's own:
///
///     struct Cube : ag::ElementwiseFunction<Cube> {
///       static constexpr const char* kName = "cube";
///       static constexpr bool kCostly = false;  // true keeps the result for the backward sweep
///       template <class V>  // a SIMD batch
///       static V value(const V& x) { return x * x * x; }
///       template <std::size_t kOperand, class V>  // a batch or a Var; y is the result
///       static V slope(const V& x, const V& y) { return V(3) * x * x; }
///     };
///     inline constexpr Cube cube;
///
/// cube(x) then takes Vars, with NumPy's broadcasting if it has several operands, and may be called in the
/// bodies of map.
template <class F>
struct ElementwiseFunction {
  template <class... X>
  requires detail::Elements<X...>
  [[gnu::always_inline]] auto operator()(const X&... x) const { return detail::elementwise<F>(x...); }
};

namespace detail {

template <class F, class T, std::size_t kOperands>
requires UserFunction<F>
const ElementKernel<T>& element_kernel() {
  return ElementKernels<F, T, std::make_index_sequence<kOperands>>::kernel;
}

}  // namespace detail
}  // namespace autograd
