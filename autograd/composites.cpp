#include "composites.hpp"

#include "map.hpp"

namespace autograd {
namespace {

template <class T>
void check_softmax(const Var<T>& x, std::ptrdiff_t axis) {
  if (x.shape(normalise_axis(axis, x.shape(), "log_softmax")) == 0)
    detail::fail("log_softmax: shape ", x.shape(), " has no entries along axis ", axis,
                 "; at least one is needed");
}

template <class T>
Var<T> minus_logsumexp(const Var<T>& x, std::ptrdiff_t axis) {
  const Var<T> shifted =
      x - detail::finite_max(x, axis);  // first, so that large entries that are close keep apart
  return shifted - log(sum(exp(shifted), axis, true));
}

template <class T>
void check_layer_norm(const Var<T>& x, double eps) {
  if (x.rank() == 0 || x.shape().back() == 0)
    detail::fail("layer_norm: shape ", x.shape(),
                 " has no entries along its last axis; at least one is needed");
  if (!(eps >= 0)) detail::fail("layer_norm: eps is ", eps, "; it must be at least 0");
}

// 1 / sqrt(var + eps) of each row of what has a mean of 0.
template <class T>
Var<T> inverse_deviation(const Var<T>& centred, double eps) {
  return map([eps](auto variance) { return rsqrt(variance + eps); }, mean(square(centred), -1, true));
}

}  // namespace

template <class T>
Var<T> log_softmax(const Var<T>& x, std::ptrdiff_t axis) {
  x.require_value("log_softmax");
  check_softmax(x, axis);
  const Scope scope("log_softmax");
  return minus_logsumexp(x, axis);
}

template <class T>
Var<T> softmax(const Var<T>& x, std::ptrdiff_t axis) {
  x.require_value("softmax");
  check_softmax(x, axis);
  const Scope scope("softmax");
  return exp(minus_logsumexp(x, axis));
}

template <class T>
Var<T> layer_norm(const Var<T>& x, double eps) {
  x.require_value("layer_norm");
  check_layer_norm(x, eps);
  const Scope scope("layer_norm");
  const Var<T> centred = x - mean(x, -1, true);
  return centred * inverse_deviation(centred, eps);
}

template <class T>
Var<T> layer_norm(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, double eps) {
  x.require_value("layer_norm");
  for (const Var<T>* each : {&weight, &bias}) {
    each->require_value("layer_norm");
    if (x.rank() && !(each->shape() == Shape{x.shape().back()}))
      detail::fail("layer_norm: the ", each == &weight ? "weight" : "bias", " has shape ", each->shape(),
                   "; for an input of shape ", x.shape(), " it must be ", Shape{x.shape().back()});
  }
  check_layer_norm(x, eps);
  const Scope scope("layer_norm");
  const Var<T> centred = x - mean(x, -1, true);
  return map([](auto c, auto r, auto w, auto b) { return c * r * w + b; }, centred,
             inverse_deviation(centred, eps), weight, bias);
}

#define UNROLL_INSTANTIATE(T)                                 \
  template Var<T> log_softmax(const Var<T>&, std::ptrdiff_t); \
  template Var<T> softmax(const Var<T>&, std::ptrdiff_t);     \
  template Var<T> layer_norm(const Var<T>&, double);          \
  template Var<T> layer_norm(const Var<T>&, const Var<T>&, const Var<T>&, double);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd
