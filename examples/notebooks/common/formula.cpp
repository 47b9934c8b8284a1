#include "formula.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>

namespace notebooks {

const autograd::Var<double>& gradient_of(const Formulas& formulas, const std::string& parameter) {
  for (const Formula& formula : formulas)
    if (formula.parameter == parameter) return formula.gradient;
  throw std::logic_error("there is no formula for the parameter " + parameter);
}

Judgement judge(const Formula& formula, const autograd::Array<double>& by_tape) {
  if (formula.gradient.size() != by_tape.size())
    throw std::logic_error(formula.parameter +
                           ": the formula's gradient has another size than the parameter");
  Judgement result;
  for (std::size_t i = 0; i < by_tape.size(); ++i) {
    const double ours = by_tape.data()[i], theirs = formula.gradient.array().data()[i];
    double error = theirs == ours ? 0 : std::abs(theirs - ours) / std::abs(ours);
    if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
    if (error > result.error) result = {i, error};
  }
  return result;
}

}  // namespace notebooks
