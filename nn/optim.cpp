#include "optim.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>

namespace nn {

using autograd::Array;
using autograd::Gradients;
using autograd::Var;
using autograd::detail::called;
using autograd::detail::fail;

double clip_grad_norm(Gradients& gradients, double max_norm) {
  if (!(max_norm > 0)) fail("clip_grad_norm: max_norm is ", max_norm, "; it must be positive");
  const double norm = gradients.norm();
  if (!std::isfinite(norm))
    fail("clip_grad_norm: the norm of the gradients is ", norm,
         "; lower the learning rate, or look for the first value that is not finite, which a Tape made with "
         "{.detect_anomaly = true} names");
  const double factor = max_norm / (norm + 1e-6);
  if (factor < 1) gradients.scale(factor);
  return norm;
}

namespace {

void need(bool holds, const char* optimiser, const char* option, double value, const char* range) {
  if (!holds) fail(optimiser, ": ", option, " is ", value, "; it must be ", range);
}

void need_not_negative(const char* optimiser, const char* option, double value) {
  need(value >= 0 && std::isfinite(value), optimiser, option, value, "finite and at least 0");
}

// The parameters, each once: modules may share them.
template <class T>
std::vector<Var<T>> distinct(const char* optimiser, const std::vector<Var<T>>& parameters) {
  if (parameters.empty())
    fail(optimiser, ": there are no parameters to learn; give it nn::parameters(model)");
  std::vector<Var<T>> result;
  std::set<std::pair<const T*, std::size_t>> seen;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Var<T>& parameter = parameters[i];
    if (!parameter.defined())
      fail(optimiser, ": parameter ", i, " is an empty Var; assign it a variable first");
    if (!parameter.is_variable())
      fail(optimiser, ": parameter ", i, " of shape ", parameter.shape(),
           " is not a variable; make it with autograd::variable()");
    if (seen.emplace(parameter.array().data(), parameter.size()).second) result.push_back(parameter);
  }
  return result;
}

template <class T>
std::vector<Array<T>> zeros_like(const std::vector<Var<T>>& parameters) {
  std::vector<Array<T>> result;
  for (const Var<T>& parameter : parameters) result.emplace_back(parameter.shape(), T(0));
  return result;
}

template <class T>
bool all_finite(const T* x, std::size_t count) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  const Bits exponent = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
  Bits bad = 0;
  for (std::size_t k = 0; k < count; ++k) bad |= (std::bit_cast<Bits>(x[k]) & exponent) == exponent;
  return !bad;
}

// Calls update(i, parameter's elements, gradient's elements, count) for every parameter that has a gradient,
// after all of them have been looked at. `found` is as long as the parameters.
template <class T, class Update>
void step_all(const char* optimiser, std::vector<Var<T>>& parameters, const Gradients& gradients,
              std::vector<const T*>& found, Update&& update) {
  bool any = false;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const T* const g = found[i] = gradients.data(parameters[i]);
    if (!g) continue;
    any = true;
    if (!all_finite(g, parameters[i].size()))
      fail(optimiser, ": the gradient of ", called(parameters[i], "parameter " + std::to_string(i)),
           " of shape ", parameters[i].shape(),
           " is not finite; lower the learning rate, clip the gradients, or look for the first value that is "
           "not finite, which a Tape made with {.detect_anomaly = true} names");
  }
  if (!any && !gradients.size())
    fail(optimiser, ": the gradients are empty; give what tape.backward(loss) returns");
  if (!any)
    fail(optimiser, ": none of the ", parameters.size(),
         " parameters took part in the loss; give the gradients of a loss that was computed from them");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (const T* const g = found[i])
      parameters[i].update_elements([&](T* w) { update(i, w, g, parameters[i].size()); });
  }
}

}  // namespace

template <class T>
SGD<T>::SGD(std::vector<Var<T>> parameters, Options o)
    : options(o),
      parameters_(distinct("SGD", parameters)),
      gradients_(parameters_.size()),
      velocity_(parameters_.size()) {
  check_options();
}

template <class T>
void SGD<T>::check_options() const {
  need_not_negative("SGD", "lr", options.lr);
  need_not_negative("SGD", "momentum", options.momentum);
  need_not_negative("SGD", "weight_decay", options.weight_decay);
}

template <class T>
void SGD<T>::step(const Gradients& gradients) {
  check_options();
  const T lr(options.lr), momentum(options.momentum), decay(options.weight_decay);
  const auto update = [&](std::size_t i, T* w, const T* g, std::size_t count) {
    if (momentum == T(0)) {
      for (std::size_t k = 0; k < count; ++k) w[k] -= lr * (g[k] + decay * w[k]);
      return;
    }
    if (!velocity_[i].defined()) velocity_[i] = Array<T>(parameters_[i].shape(), T(0));
    T* v = velocity_[i].data();
    for (std::size_t k = 0; k < count; ++k) {
      v[k] = momentum * v[k] + g[k] + decay * w[k];
      w[k] -= lr * v[k];
    }
  };
  step_all("SGD", parameters_, gradients, gradients_, update);
}

template <class T>
Adam<T>::Adam(std::vector<Var<T>> parameters, Options o)
    : options(o),
      parameters_(distinct("Adam", parameters)),
      gradients_(parameters_.size()),
      m_(zeros_like(parameters_)),
      v_(zeros_like(parameters_)),
      steps_(parameters_.size()) {
  check_options();
}

template <class T>
void Adam<T>::check_options() const {
  const Options& o = options;
  need_not_negative("Adam", "lr", o.lr);
  need(o.beta1 >= 0 && o.beta1 < 1, "Adam", "beta1", o.beta1, "in [0, 1)");
  need(o.beta2 >= 0 && o.beta2 < 1, "Adam", "beta2", o.beta2, "in [0, 1)");
  need_not_negative("Adam", "eps", o.eps);
  need_not_negative("Adam", "weight_decay", o.weight_decay);
  need_not_negative("Adam", "decoupled_weight_decay", o.decoupled_weight_decay);
}

template <class T>
void Adam<T>::step(const Gradients& gradients) {
  check_options();
  const auto update = [&](std::size_t i, T* w, const T* gradient, std::size_t count) {
    const double t = static_cast<double>(++steps_[i]);
    const T beta1(options.beta1), beta2(options.beta2), eps(options.eps), decay(options.weight_decay);
    const T rate(options.lr / (1 - std::pow(options.beta1, t)));
    const T root(std::sqrt(1 - std::pow(options.beta2, t)));
    const T kept(1 - options.lr * options.decoupled_weight_decay);
    T *m = m_[i].data(), *v = v_[i].data();
    for (std::size_t k = 0; k < count; ++k) {
      w[k] *= kept;
      const T g = gradient[k] + decay * w[k];
      m[k] = beta1 * m[k] + (1 - beta1) * g;
      v[k] = beta2 * v[k] + (1 - beta2) * g * g;
      w[k] -= rate * m[k] / (std::sqrt(v[k]) / root + eps);
    }
  };
  step_all("Adam", parameters_, gradients, gradients_, update);
}

template class SGD<float>;
template class SGD<double>;
template class Adam<float>;
template class Adam<double>;

}  // namespace nn
