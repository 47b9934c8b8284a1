#include "activations.hpp"

#include "map.hpp"

namespace autograd::detail {

template <class Body, class T>
Var<T> record_body(const Body& body, const Var<T>& x) {
  return record_map<T>(Body::kName, body, x);
}

#define UNROLL_INSTANTIATE(Body)                                       \
  template Var<float> record_body(const fn::Body&, const Var<float>&); \
  template Var<double> record_body(const fn::Body&, const Var<double>&);
UNROLL_INSTANTIATE(Clamp)
UNROLL_INSTANTIATE(Elu)
UNROLL_INSTANTIATE(Gelu)
UNROLL_INSTANTIATE(LeakyRelu)
UNROLL_INSTANTIATE(Silu)
#undef UNROLL_INSTANTIATE

}  // namespace autograd::detail
