#include "gradcheck.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <random>

#include "grad.hpp"
#include "reduce.hpp"
#include "transcendental.hpp"

namespace autograd {
namespace {

using detail::fail;
using Vars = std::vector<Var<double>>;

// Fixed weights in [0.5, 1.5), so that no entry of what they weigh can cancel out or drop out.
Var<double> weights(const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  Array<double> array(shape);
  for (std::size_t i = 0; i < array.size(); ++i) array.data()[i] = 0.5 + generator() / 4294967296.0;
  return array;
}

Var<double> scalar(const Var<double>& y) {
  if (!y.defined()) fail("gradcheck: the function returned an empty Var; return what it computed");
  return y.rank() == 0 ? y : sum(y * weights(y.shape(), 1));
}

// The derivative along fixed directions: a scalar function whose gradient is the Hessian times them.
Var<double> directional(const CheckedFunction& f, const Vars& inputs) {
  const Var<double> y = scalar(f(inputs));
  if (!y.differentiable()) return y * 0;
  const Vars gradients = grad(y, inputs, {.create_graph = true, .allow_unused = true});
  Var<double> total(0);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    total = total + sum(gradients[i] * weights(inputs[i].shape(), static_cast<unsigned>(i + 2)));
  return total;
}

// Sets the elements of all inputs back when it goes out of scope.
class Restore {
 public:
  explicit Restore(Vars& inputs) : inputs_(inputs) {
    for (const Var<double>& input : inputs) saved_.push_back(input.array().copy());
  }
  Restore(const Restore&) = delete;
  ~Restore() {
    for (std::size_t i = 0; i < inputs_.size(); ++i) inputs_[i].assign(saved_[i].view());
  }

 private:
  Vars& inputs_;
  std::vector<Array<double>> saved_;
};

void set_entry(Var<double>& input, std::size_t entry, double value) {
  input.update([&](auto&& elements) { elements.data()[entry] = value; });
}

std::vector<std::size_t> index_of(std::size_t entry, const Shape& shape) {
  std::vector<std::size_t> index(shape.rank());
  for (std::size_t axis = shape.rank(); axis-- > 0; entry /= shape[axis]) index[axis] = entry % shape[axis];
  return index;
}

Vars gradients_of(const std::function<Var<double>()>& f, const Vars& inputs, bool recorded) {
  const Tape tape;
  const Var<double> y = f();
  if (y.differentiable()) return grad(y, inputs, {.create_graph = recorded, .allow_unused = true});
  Vars none;
  for (const Var<double>& input : inputs) none.push_back(zeros<double>(input.shape()));
  return none;
}

// The function at the inputs as they are now.
double evaluate(const std::function<Var<double>()>& f) {
  const Tape tape;  // a second-order function needs one
  const double y = f().item();
  if (!std::isfinite(y))
    fail("gradcheck: the function is ", y, " at or next to the inputs; check it where it is finite");
  return y;
}

// Holds one analytic derivative against the numeric one.
void compare(const GradcheckOptions& options, GradcheckMismatch found, GradcheckReport& report) {
  const double error = std::abs(found.analytic - found.numeric);
  report.largest_error = std::max(report.largest_error, error);
  if (!(error <= options.atol + options.rtol * std::abs(found.numeric)))
    report.mismatches.push_back(std::move(found));
}

// A random direction of length 1 through all inputs.
Vars random_direction(const Vars& inputs, std::size_t number) {
  std::mt19937 generator(static_cast<unsigned>(number + 1));
  std::normal_distribution<double> normal;
  Vars direction;
  double squares = 0;
  for (const Var<double>& input : inputs) {
    Array<double> array(input.shape());
    for (std::size_t i = 0; i < array.size(); ++i) {
      array.data()[i] = normal(generator);
      squares += array.data()[i] * array.data()[i];
    }
    direction.emplace_back(std::move(array));
  }
  for (Var<double>& each : direction) each = each / (squares > 0 ? std::sqrt(squares) : 1.0);
  return direction;
}

void check_directions(int order, const std::function<Var<double>()>& f, Vars& inputs,
                      const GradcheckOptions& options,
                      const std::vector<std::pair<std::string, Vars>>& gradients, GradcheckReport& report) {
  Vars start;
  for (const Var<double>& input : inputs) start.emplace_back(input.array().copy());
  const auto evaluate_at = [&](const Vars& direction, double h) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      inputs[i].assign(start[i].value() + h * direction[i].value());
    return evaluate(f);
  };
  for (std::size_t k = 0; k < options.directions; ++k) {
    const Vars direction = random_direction(inputs, k);
    const double numeric =
        (evaluate_at(direction, options.step) - evaluate_at(direction, -options.step)) / (2 * options.step);
    evaluate_at(direction, 0);
    ++report.checked;
    for (const auto& [kind, gradient] : gradients) {
      double analytic = 0;
      for (std::size_t i = 0; i < inputs.size(); ++i) analytic += sum(gradient[i] * direction[i]).item();
      compare(options, {"direction " + std::to_string(k), order, kind, {}, analytic, numeric}, report);
    }
  }
}

void check_order(int order, const std::function<Var<double>()>& f, Vars& inputs,
                 const GradcheckOptions& options, GradcheckReport& report) {
  const double once = evaluate(f), again = evaluate(f);
  if (once != again)
    fail("gradcheck: two calls of the function with the same inputs gave ", once, " and ", again,
         "; it must do the same each time, so seed what is random in it");
  // What the next order differentiates is the recorded gradient, so that has to be right as well.
  std::vector<std::pair<std::string, Vars>> gradients{{"", gradients_of(f, inputs, false)}};
  if (order < options.order) gradients.emplace_back("create_graph", gradients_of(f, inputs, true));
  if (options.directions) return check_directions(order, f, inputs, options, gradients, report);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    for (std::size_t entry = 0; entry < inputs[i].size(); ++entry) {
      const double x = inputs[i].array().data()[entry];
      const double h = options.step * std::max(1.0, std::abs(x));
      const double above = x + h, below = x - h;
      set_entry(inputs[i], entry, above);
      const double y_above = evaluate(f);
      set_entry(inputs[i], entry, below);
      const double y_below = evaluate(f);
      set_entry(inputs[i], entry, x);
      const double numeric = (y_above - y_below) / (above - below);
      ++report.checked;
      for (const auto& [kind, gradient] : gradients)
        compare(options,
                {i < options.names.size() ? options.names[i] : "input " + std::to_string(i), order, kind,
                 index_of(entry, inputs[i].shape()), gradient[i].array().data()[entry], numeric},
                report);
    }
}

}  // namespace

GradcheckReport gradcheck(const CheckedFunction& f, Vars inputs, GradcheckOptions options) {
  if (options.order != 1 && options.order != 2)
    fail("gradcheck: order ", options.order, " was asked for; it must be 1 or 2");
  if (!(options.step > 0 && std::isfinite(options.step)))
    fail("gradcheck: the step is ", options.step, "; it must be positive and finite");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) fail("gradcheck: input ", i, " is an empty Var; assign it a value first");
    if (!inputs[i].is_variable()) inputs[i] = variable(inputs[i].array().copy());
  }
  GradcheckReport report;
  const Restore restore(inputs);
  check_order(
      1, [&] { return scalar(f(inputs)); }, inputs, options, report);
  if (options.order == 2)
    check_order(
        2, [&] { return directional(f, inputs); }, inputs, options, report);
  std::stable_sort(report.mismatches.begin(), report.mismatches.end(), [](const auto& a, const auto& b) {
    return std::abs(a.analytic - a.numeric) > std::abs(b.analytic - b.numeric);
  });
  return report;
}

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) {
  const auto flags = out.flags();
  const auto precision = out.precision();
  out << "gradcheck: " << report.checked << " entries, largest error " << std::scientific
      << std::setprecision(2) << report.largest_error << ", "
      << (report ? "all agree" : std::to_string(report.mismatches.size()) + " differ");
  constexpr std::size_t kShown = 10;
  out << std::setprecision(10);
  for (std::size_t i = 0; i < std::min(kShown, report.mismatches.size()); ++i) {
    const GradcheckMismatch& m = report.mismatches[i];
    out << "\n  " << m.input;
    if (!m.input.starts_with("direction ")) {
      out << '[';
      for (std::size_t k = 0; k < m.index.size(); ++k) out << (k ? ", " : "") << m.index[k];
      out << ']';
    }
    out << " (order " << m.order << (m.kind.empty() ? "" : ", ") << m.kind << "): analytic " << m.analytic
        << ", numeric " << m.numeric;
  }
  if (report.mismatches.size() > kShown)
    out << "\n  ... and " << report.mismatches.size() - kShown << " more";
  out.flags(flags);
  out.precision(precision);
  return out;
}

}  // namespace autograd
