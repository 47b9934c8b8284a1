#include "gradcheck.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <random>
#include <set>

#include "grad.hpp"
#include "reduce.hpp"
#include "rulecheck.hpp"
#include "transcendental.hpp"

namespace autograd {
using namespace detail;

namespace {

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

Tolerance tolerance_of(const GradcheckOptions& options) { return {options.step, options.atol, options.rtol}; }

// Holds an analytic derivative against the numeric one.
template <class Difference>
void compare(GradcheckMismatch found, double h, const GradcheckOptions& options, GradcheckReport& report,
             Difference&& difference) {
  const Slopes slopes = compare_slopes(found.analytic, h, tolerance_of(options), difference);
  found.numeric = slopes.numeric;
  if (slopes.kink) {
    if (found.kind.empty())
      report.kinks.push_back(
          {found.input, found.order, found.index, slopes.analytic, slopes.left, slopes.right});
    return;
  }
  report.largest_error = std::max(report.largest_error, std::abs(found.analytic - found.numeric));
  if (!slopes.agree) report.mismatches.push_back(std::move(found));
}

std::string input_name(const GradcheckOptions& options, std::size_t input) {
  return input < options.names.size() ? options.names[input] : "input " + std::to_string(input);
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

using Gradients = std::vector<std::pair<std::string, Vars>>;  // and what kind they are of

void check_directions(int order, const std::function<Var<double>()>& f, Vars& inputs,
                      const GradcheckOptions& options, const Gradients& gradients, GradcheckReport& report) {
  Vars start;
  for (const Var<double>& input : inputs) start.emplace_back(input.array().copy());
  for (std::size_t k = 0; k < options.directions; ++k) {
    const Vars direction = random_direction(inputs, k);
    const auto at = [&](double distance) {
      for (std::size_t i = 0; i < inputs.size(); ++i)
        inputs[i].assign(start[i].value() + distance * direction[i].value());
      return evaluate(f);
    };
    ++report.checked;
    for (const auto& [kind, gradient] : gradients) {
      double analytic = 0;
      for (std::size_t i = 0; i < inputs.size(); ++i) analytic += sum(gradient[i] * direction[i]).item();
      compare({"direction " + std::to_string(k), order, kind, {}, analytic, 0}, options.step, options, report,
              [&](double a, double b) { return at(b) - at(a); });
    }
    at(0);
  }
}

void check_entries(int order, const std::function<Var<double>()>& f, Vars& inputs,
                   const GradcheckOptions& options, const Gradients& gradients, GradcheckReport& report) {
  for (std::size_t i = 0; i < inputs.size(); ++i)
    for (std::size_t entry = 0; entry < inputs[i].size(); ++entry) {
      const double x = inputs[i].array().data()[entry];
      const auto at = [&](double distance) {
        set_entry(inputs[i], entry, x + distance);
        return evaluate(f);
      };
      double h = options.step * std::max(1.0, std::abs(x));
      h = (x + h) - x;  // so that x + h - x is h
      ++report.checked;
      for (const auto& [kind, gradient] : gradients)
        compare({input_name(options, i), order, kind, index_of(entry, inputs[i].shape()),
                 gradient[i].array().data()[entry], 0},
                h, options, report, [&](double a, double b) { return at(b) - at(a); });
      at(0);
    }
}

// Looks for the op that is to blame for what was found.
class Search {
 public:
  Search(const std::function<Var<double>()>& f, const Vars& inputs, const GradcheckOptions& options,
         GradcheckReport& report)
      : inputs_(inputs),
        options_(options),
        report_(report),
        tape_({.trace = true}),
        storage_(storage_of(tape_)) {
    f();
    storage_.trace->end(storage_);
  }

  void run() {
    for (const bool thorough : {false, true}) {
      look(thorough);
      if (report_.culprit || (report_.mismatches.empty() && !report_.kinked_ops.empty())) return;
    }
    if (!report_.mismatches.empty()) report_.hint = hint();
  }

 private:
  const std::vector<Trace::Entry>& entries() const { return storage_.trace->entries(); }

  RuleReport check(const Trace::Entry& entry, bool thorough) const {
    return check_rule(storage_, entry, tolerance_of(options_), thorough);
  }

  void look(bool thorough) {
    std::set<std::string> kinked;
    for (const Trace::Entry& entry : entries()) {
      const RuleReport found = check(entry, thorough);
      const std::string path = path_of(storage_.trace->scopes(), entry.scope);
      if (found.kink) kinked.insert(entry.description.op + (path.empty() ? "" : " in " + path));
      if (found.fault && !report_.mismatches.empty()) {
        blame(entry, *found.fault, path);
        break;
      }
    }
    report_.kinked_ops.assign(kinked.begin(), kinked.end());
  }

  void blame(const Trace::Entry& entry, const RuleFault& fault, const std::string& path) {
    const Description::Value& operand = entry.description.operands[fault.operand];
    GradcheckCulprit& culprit = report_.culprit.emplace();
    culprit.op = entry.description.op;
    culprit.detail = entry.description.detail;
    if (culprit.detail.empty() && entry.scope != ScopeRecord::kNone)
      culprit.detail = "a scope begun at " + file_and_line(storage_.trace->scopes()[entry.scope].where);
    culprit.function = fault.function;
    culprit.scope = path;
    culprit.node = static_cast<std::size_t>(&entry - entries().data());
    culprit.operand = operand_name(operand.place, fault.operand);
    culprit.index = index_of(fault.entry, operand.shape);
    culprit.analytic = fault.analytic;
    culprit.numeric = fault.numeric;
    culprit.recorded = fault.recorded;
    culprit.mistake = fault.mistake;
    culprit.alike = 0;
    for (const Trace::Entry* other = &entry + 1; other != entries().data() + entries().size(); ++other)
      if (other->description.op == culprit.op && other->description.detail == entry.description.detail)
        culprit.alike += check(*other, false).fault.has_value();
  }

  std::string operand_name(Place place, std::size_t number) const {
    for (const Leaf& leaf : storage_.leaves) {
      if (leaf.slot != place.slot()) continue;
      for (std::size_t i = 0; i < inputs_.size(); ++i)
        if (inputs_[i].array().block() == leaf.block) return input_name(options_, i);
      if (const std::string name = name_of(leaf.block); !name.empty()) return name;
    }
    return "operand " + std::to_string(number);
  }

  std::string hint() const {
    if (!report_.kinked_ops.empty())
      return "every op's rule is right by itself, but not every op is smooth here; check the function where "
             "it is";
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const auto of_input = [&](const GradcheckMismatch& m) { return m.input == input_name(options_, i); };
      if (!options_.directions &&
          std::none_of(report_.mismatches.begin(), report_.mismatches.end(), of_input))
        continue;
      bool used = false;
      for (const Leaf& leaf : storage_.leaves) {
        if (leaf.block != inputs_[i].array().block()) continue;
        for (const Trace::Entry& entry : entries())
          for (const Description::Value& operand : entry.description.operands)
            used |= operand.place.slot() == leaf.slot;
      }
      if (!used)
        return "every op's rule is right by itself, and no op on the tape takes " + input_name(options_, i) +
               ": the function uses it outside of the tape (by value(), item(), array() or detach())";
    }
    return "every op's rule is right by itself: part of the function is computed outside of the tape (by "
           "value(), "
           "item(), array() or detach()), so that its gradient is lost";
  }

  const Vars& inputs_;
  const GradcheckOptions& options_;
  GradcheckReport& report_;
  Tape tape_;
  TapeStorage& storage_;
};

void check_order(int order, const std::function<Var<double>()>& f, Vars& inputs,
                 const GradcheckOptions& options, GradcheckReport& report) {
  const double once = evaluate(f), again = evaluate(f);
  if (once != again)
    fail("gradcheck: two calls of the function with the same inputs gave ", once, " and ", again,
         "; it must do the same each time, so seed what is random in it");
  // What the next order differentiates is the recorded gradient, so that has to be right as well.
  Gradients gradients{{"", gradients_of(f, inputs, false)}};
  if (order < options.order) gradients.emplace_back("create_graph", gradients_of(f, inputs, true));
  (options.directions ? check_directions : check_entries)(order, f, inputs, options, gradients, report);
  const bool explained = report.culprit || !report.hint.empty();
  if ((!report.mismatches.empty() && !explained) || (!report.kinks.empty() && report.kinked_ops.empty()))
    Search(f, inputs, options, report).run();
}

}  // namespace

GradcheckReport gradcheck(const CheckedFunction& f, Vars inputs, GradcheckOptions options) {
  if (options.order != 1 && options.order != 2)
    fail("gradcheck: order ", options.order, " was asked for; it must be 1 or 2");
  if (!(options.step > 0 && std::isfinite(options.step)))
    fail("gradcheck: the step is ", options.step, "; it must be positive and finite");
  if (inputs.empty())
    fail(
        "gradcheck: there are no inputs to check the gradient of; give it those that the function depends "
        "on");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) fail("gradcheck: input ", i, " is an empty Var; assign it a value first");
    if (!inputs[i].is_variable()) inputs[i] = variable(inputs[i].array().copy());
  }
  GradcheckReport report;
  report.atol = options.atol;
  report.rtol = options.rtol;
  const Restore restore(inputs);
  check_order(
      1, [&] { return scalar(f(inputs)); }, inputs, options, report);
  if (options.order == 2)
    check_order(
        2, [&] { return directional(f, inputs); }, inputs, options, report);
  {
    Tape tape({.trace = true});
    f(inputs);
    report.unchecked = other_variables(tape, inputs);
  }
  std::stable_sort(report.mismatches.begin(), report.mismatches.end(), [](const auto& a, const auto& b) {
    return std::abs(a.analytic - a.numeric) > std::abs(b.analytic - b.numeric);
  });
  return report;
}

namespace {

std::string entry_name(const std::string& input, const std::vector<std::size_t>& index) {
  if (input.starts_with("direction ")) return input;
  std::string text = input + '[';
  for (std::size_t k = 0; k < index.size(); ++k) text += (k ? ", " : "") + std::to_string(index[k]);
  return text + ']';
}

void print(std::ostream& out, const GradcheckCulprit& culprit) {
  out << "\n  culprit: the rule of " << culprit.op;
  if (!culprit.function.empty() && culprit.function != culprit.op)
    out << ", by the derivative of " << culprit.function << " in its body";
  if (!culprit.detail.empty()) out << " (written in " << culprit.detail << ')';
  out << ", node " << culprit.node;
  if (!culprit.scope.empty()) out << " in " << culprit.scope;
  out << "\n    the gradient of " << entry_name(culprit.operand, culprit.index) << " is " << culprit.analytic
      << ", it should be " << culprit.numeric;
  if (culprit.recorded) out << " (under create_graph; without it, it is right)";
  if (!culprit.mistake.empty()) out << "\n    likely mistake: " << culprit.mistake;
  if (culprit.alike) out << "\n    " << culprit.alike << " more of the same op behind it are wrong as well";
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) {
  const auto flags = out.flags();
  const auto precision = out.precision();
  out << "gradcheck: " << report.checked << " entries, largest error " << std::scientific
      << std::setprecision(2) << report.largest_error << ", " << std::defaultfloat;
  if (report)
    out << "all agree within " << report.atol << " + " << report.rtol << " of each";
  else
    out << report.mismatches.size() << " differ";
  out << std::setprecision(10);
  if (!report.kinks.empty()) {
    out << "; " << report.kinks.size() << " at a kink, or where only a smaller step agrees";
    for (std::size_t i = 0; i < report.kinked_ops.size(); ++i)
      out << (i ? ", " : " (of ") << report.kinked_ops[i] << (i + 1 == report.kinked_ops.size() ? ")" : "");
  }
  constexpr std::size_t kShown = 10;
  for (std::size_t i = 0; i < std::min(kShown, report.mismatches.size()); ++i) {
    const GradcheckMismatch& m = report.mismatches[i];
    out << "\n  " << entry_name(m.input, m.index) << " (order " << m.order << (m.kind.empty() ? "" : ", ")
        << m.kind << "): analytic " << m.analytic << ", numeric " << m.numeric;
  }
  if (report.mismatches.size() > kShown)
    out << "\n  ... and " << report.mismatches.size() - kShown << " more";
  for (std::size_t i = 0; i < std::min(kShown, report.kinks.size()); ++i) {
    const GradcheckKink& k = report.kinks[i];
    out << "\n  kink: " << entry_name(k.input, k.index) << " (order " << k.order << "): analytic "
        << k.analytic << ", from the left " << k.left << ", from the right " << k.right;
  }
  if (report.culprit) print(out, *report.culprit);
  if (!report.hint.empty()) out << "\n  " << report.hint;
  for (const VariableInfo& variable : report.unchecked)
    out << "\n  not checked, since it is none of the inputs (of a module: fields() does not name it): "
        << variable;
  out.flags(flags);
  out.precision(precision);
  return out;
}

}  // namespace autograd
