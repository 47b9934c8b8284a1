// A notebook's gradient of a parameter, computed as the notebook computes it, beside the tape's.
#pragma once

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>
#include <string>
#include <vector>

namespace notebooks {

/// The gradient of one parameter as a notebook computes it, and what is right or wrong about that.
struct Formula {
  std::string parameter;
  autograd::Var<double> gradient;
  std::string why;
};

using Formulas = std::vector<Formula>;

/// The gradient of the parameter of this name. Throws std::logic_error if there is no formula for it.
const autograd::Var<double>& gradient_of(const Formulas& formulas, const std::string& parameter);

/// Where a formula is furthest from the tape: the largest |formula - tape| / |tape| of an entry (0 / 0 is 0,
/// and what is not a number is infinite). It is right if that is below 1e-9.
struct Judgement {
  std::size_t worst = 0;
  double error = 0;
  bool right() const { return error < 1e-9; }
};

Judgement judge(const Formula& formula, const autograd::Array<double>& by_tape);

/// One step of descent down formulas, W = W - rate formula, which no tape made.
template <nn::Module Network>
void descend(const Network& network, const Formulas& formulas, double rate) {
  nn::for_each_parameter(network, [&](const std::string& path, autograd::Var<double>& parameter) {
    const auto gradient = gradient_of(formulas, path).reshape(parameter.shape());
    parameter.assign(parameter.value() - rate * gradient.value());
  });
}

/// Epochs of such steps; gives the losses, each from before its step. `loss` and `formulas` are called with
/// the network.
template <nn::Module Network, class Loss, class FormulasOf>
std::vector<double> train_by_formula(const Network& network, const Loss& loss, const FormulasOf& formulas,
                                     double rate, std::size_t epochs) {
  std::vector<double> losses;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    losses.push_back(loss(network).item());
    descend(network, formulas(network), rate);
  }
  return losses;
}

}  // namespace notebooks
