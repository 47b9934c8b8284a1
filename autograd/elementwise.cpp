#include "elementwise.hpp"

#include "jet.hpp"
#include "map.hpp"
#include "transcendental.hpp"

namespace autograd::detail {

template <class F, class T>
Var<T> record_elementwise(const Var<T>& x) {
  return record_map<T>(F::kName, F{}, x);
}

template <class F, class T>
Var<T> record_elementwise(const Var<T>& a, const Var<T>& b) {
  return record_map<T>(F::kName, F{}, a, b);
}

template <class F, class T>
Var<T> record_elementwise(const Var<T>& a, const Var<T>& b, const Var<T>& c) {
  return record_map<T>(F::kName, F{}, a, b, c);
}

template <class F, class T, std::size_t kOperands>
const ElementKernel<T>& element_kernel() {
  return ElementKernels<F, T, std::make_index_sequence<kOperands>>::kernel;
}

namespace {

template <class T, class... F>
auto unary() {
  return std::make_tuple(std::pair(static_cast<Var<T> (*)(const Var<T>&)>(record_elementwise<F, T>),
                                   &element_kernel<F, T, 1>)...);
}
template <class T, class... F>
auto binary() {
  return std::make_tuple(
      std::pair(static_cast<Var<T> (*)(const Var<T>&, const Var<T>&)>(record_elementwise<F, T>),
                &element_kernel<F, T, 2>)...);
}

template <class T, class... F>
auto ternary() {
  return std::make_tuple(std::pair(
      static_cast<Var<T> (*)(const Var<T>&, const Var<T>&, const Var<T>&)>(record_elementwise<F, T>),
      &element_kernel<F, T, 3>)...);
}

}  // namespace

// Taking their addresses instantiates the functions.
template <class T>
struct Instantiate {
  static inline const auto one = unary<T, fn::Abs, fn::Cos, fn::Erf, fn::Exp, fn::Expm1, fn::Heaviside,
                                       fn::Log, fn::Log1p, fn::Negate, fn::Relu, fn::Rsqrt, fn::Sigmoid,
                                       fn::Sign, fn::Sin, fn::Softplus, fn::Sqrt, fn::Square, fn::Tanh>();
  static inline const auto two = binary<T, fn::Add, fn::Divide, fn::Greater, fn::GreaterEqual, fn::Maximum,
                                        fn::Minimum, fn::Multiply, fn::Pow, fn::Subtract>();
  static inline const auto three = ternary<T, fn::Where>();
};
template struct Instantiate<float>;
template struct Instantiate<double>;

}  // namespace autograd::detail
