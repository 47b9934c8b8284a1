#include "elementwise.hpp"

#include "map.hpp"

namespace autograd::detail {

template <class F, class T>
Var<T> record_elementwise(const Var<T>& x) {
  return record_map<T>(F::kName, F{}, x);
}

template <class F, class T>
Var<T> record_elementwise(const Var<T>& a, const Var<T>& b) {
  return record_map<T>(F::kName, F{}, a, b);
}

namespace {

template <class T, class... F>
auto unary() {
  return std::make_tuple(static_cast<Var<T> (*)(const Var<T>&)>(record_elementwise<F, T>)...);
}
template <class T, class... F>
auto binary() {
  return std::make_tuple(static_cast<Var<T> (*)(const Var<T>&, const Var<T>&)>(record_elementwise<F, T>)...);
}

}  // namespace

// Taking their addresses instantiates the functions.
template <class T>
struct Instantiate {
  static inline const auto one = unary<T, fn::Abs, fn::Exp, fn::Heaviside, fn::Log, fn::Negate, fn::Relu,
                                       fn::Sigmoid, fn::Sign, fn::Sqrt, fn::Square, fn::Tanh>();
  static inline const auto two = binary<T, fn::Add, fn::Divide, fn::Multiply, fn::Subtract>();
};
template struct Instantiate<float>;
template struct Instantiate<double>;

}  // namespace autograd::detail
