// Optimisers, and clipping of gradients.
#pragma once

#include <utility>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/var.hpp"

namespace nn {

/// Scales all gradients in place so that their norm, taken as one vector, is at most `max_norm`: by
/// min(1, max_norm / (norm + 1e-6)). Gives the norm from before. Throws Error if max_norm is not positive, or
/// if the norm is not finite (nothing is changed then).
double clip_grad_norm(autograd::Gradients& gradients, double max_norm);

/// Stochastic gradient descent with momentum, as PyTorch's SGD:
///
///     g = gradient + weight_decay w
///     v = momentum v + g           (v = g at the first step)
///     w = w - lr v
template <class T = float>
class SGD {
 public:
  struct Options {
    double lr = 1e-3;
    double momentum = 0;
    double weight_decay = 0;
  };

  /// Learns these variables, each once, also if it is named twice. Throws Error if there are none, if one of
  /// them is not a variable, or for options that make no sense.
  SGD(std::vector<autograd::Var<T>> parameters, Options options);
  explicit SGD(std::vector<autograd::Var<T>> parameters) : SGD(std::move(parameters), Options{}) {}

  /// One step. A parameter that took no part in the loss stays as it is. Throws Error if none took part, if a
  /// gradient is not finite, or for options that make no sense (nothing is changed then).
  void step(const autograd::Gradients& gradients);

  Options options;  ///< may be changed between steps, such as the learning rate by a schedule

 private:
  void check_options() const;

  std::vector<autograd::Var<T>> parameters_;
  std::vector<const T*> gradients_;  // of the parameters, in the step that is being taken
  std::vector<autograd::Array<T>> velocity_;
};

/// Adam (Kingma and Ba 2015), as PyTorch's Adam; with decoupled_weight_decay AdamW (Loshchilov and Hutter
/// 2019):
///
///     w = w - lr decoupled_weight_decay w
///     g = gradient + weight_decay w
///     m = beta1 m + (1 - beta1) g
///     v = beta2 v + (1 - beta2) g^2
///     w = w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
template <class T = float>
class Adam {
 public:
  struct Options {
    double lr = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0;
    double decoupled_weight_decay = 0;
  };

  /// Learns these variables. Throws Error as SGD does.
  Adam(std::vector<autograd::Var<T>> parameters, Options options);
  explicit Adam(std::vector<autograd::Var<T>> parameters) : Adam(std::move(parameters), Options{}) {}

  /// One step, as SGD's.
  void step(const autograd::Gradients& gradients);

  Options options;  ///< may be changed between steps

 private:
  void check_options() const;

  std::vector<autograd::Var<T>> parameters_;
  std::vector<const T*> gradients_;  // as SGD's
  std::vector<autograd::Array<T>> m_, v_;
  std::vector<std::size_t> steps_;
};

}  // namespace nn
