#include "rulecheck.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "recorded_sweep.hpp"

namespace autograd::detail {

bool Tolerance::passes(double analytic, double numeric) const {
  return std::abs(analytic - numeric) <= atol + rtol * std::abs(numeric);
}

namespace {

using Arrays = std::vector<Array<double>>;

constexpr std::size_t kMostEntries = 4096;  // that are looked at one by one

Array<double> random_array(const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  Array<double> array(shape);
  for (std::size_t i = 0; i < array.size(); ++i) array.data()[i] = 0.5 + generator() / 4294967296.0;
  return array;
}

double inner(const Array<double>& a, const Array<double>& b) {
  return std::inner_product(a.data(), a.data() + a.size(), b.data(), 0.0);
}

// Which way gradients are computed.
enum class By {
  sweep,           // by the rule
  occupied_sweep,  // by the rule, where other uses of the operands have left gradients before
  record,          // by the rule that create_graph uses
};

// The op of a node, to be done again on other operands.
class Op {
 public:
  Op(const TapeStorage& tape, const Trace::Entry& entry)
      : node_(*entry.node), description_(entry.description) {
    for (const Description::Value& operand : description_.operands) {
      differentiable_.push_back(operand.place.differentiable());
      // An operand whose value nobody holds belongs to an op that is linear in it: any value does.
      const auto* data = static_cast<const double*>(value_of(tape, operand, sizeof(double)));
      Array<double> array = random_array(operand.shape, 7);
      if (data) std::copy_n(data, array.size(), array.data());
      operands_.push_back(std::move(array));
    }
    for (const Description::Value& result : description_.results) result_shapes_.push_back(result.shape);
  }

  std::size_t operands() const { return operands_.size(); }
  bool differentiable(std::size_t operand) const { return differentiable_[operand]; }
  const Array<double>& operand(std::size_t i) const { return operands_[i]; }
  const std::vector<Shape>& result_shapes() const { return result_shapes_; }

  // Weights of the results.
  Arrays weights(unsigned seed) const {
    Arrays result;
    for (const Shape& shape : result_shapes_) result.push_back(random_array(shape, seed++));
    return result;
  }

  Arrays evaluate(const Arrays& operands) const {
    const NoRecording off;
    std::vector<Var<double>> x;
    for (const Array<double>& operand : operands) x.emplace_back(operand);
    Arrays results;
    for (const Var<double>& y : again(x)) results.push_back(y.array());
    return results;
  }

  // w f(x + b d) - w f(x + a d), where `move` goes a distance from x in the direction d.
  template <class Move>
  double difference(const Arrays& w, double a, double b, Move&& move) const {
    const Arrays low = evaluate(move(a)), high = evaluate(move(b));
    double sum = 0;
    for (std::size_t r = 0; r < w.size(); ++r)
      for (std::size_t i = 0; i < w[r].size(); ++i)
        sum += w[r].data()[i] * (high[r].data()[i] - low[r].data()[i]);
    return sum;
  }

  // The same along one entry of one operand.
  double difference(const Arrays& w, std::size_t operand, std::size_t entry, double a, double b) const {
    return difference(w, a, b, [&](double distance) {
      Arrays moved = operands_;
      moved[operand] = operands_[operand].copy();
      moved[operand].data()[entry] += distance;
      return moved;
    });
  }

  // Entry by entry, with respect to one operand.
  Array<double> numeric(const Arrays& w, std::size_t operand, double step) const {
    Array<double> result(operands_[operand].shape());
    for (std::size_t i = 0; i < result.size(); ++i) {
      const double h = step * std::max(1.0, std::abs(operands_[operand].data()[i]));
      result.data()[i] = difference(w, operand, i, -h, h) / (2 * h);
    }
    return result;
  }

  // Of the operands; empty for those that have none.
  Arrays gradients(const Arrays& w, By by) const {
    const Tape tape;
    TapeStorage& storage = storage_of(tape);
    std::vector<Var<double>> x;
    for (std::size_t i = 0; i < operands_.size(); ++i)
      x.push_back(differentiable_[i] ? variable(operands_[i].copy()) : Var<double>(operands_[i]));
    const std::vector<Var<double>> y = again(x);
    if (!storage.last) return Arrays(operands_.size());
    storage.last->type = node_.type;
    Arrays result;
    if (by == By::record) {
      RecordedSweep<double> sweep(storage);
      Node* const node = storage.last;
      for (std::size_t r = 0; r < y.size(); ++r) sweep.add(y[r].place(), y[r].shape(), Var<double>(w[r]));
      sweep.run(node, nullptr);
      for (const Var<double>& each : x) {
        Var<double> g;
        if (each.differentiable()) g = sweep.gradient(each.use("gradcheck"), each.shape());
        result.push_back(each.differentiable() ? g.defined() ? g.array() : Array<double>(each.shape(), 0.0)
                                               : Array<double>());
      }
      return result;
    }
    std::vector<Seed> seeds;
    for (std::size_t r = 0; r < y.size(); ++r) seeds.push_back({y[r].place(), w[r].size(), w[r].data()});
    Arrays before;
    for (std::size_t i = 0; i < x.size(); ++i) {
      before.push_back(by == By::occupied_sweep ? random_array(x[i].shape(), 11)
                                                : Array<double>(x[i].shape(), 0.0));
      if (x[i].differentiable() && by == By::occupied_sweep)
        seeds.push_back({x[i].use("gradcheck"), x[i].size(), before[i].data()});
    }
    run_sweep(storage, seeds, false);
    Sweep sweep(storage);
    for (std::size_t i = 0; i < x.size(); ++i) {
      Array<double> gradient;
      if (x[i].differentiable()) {
        gradient = Array<double>(x[i].shape(), 0.0);
        if (const double* g = sweep.gradient<double>(x[i].use("gradcheck"), x[i].size()))
          for (std::size_t k = 0; k < gradient.size(); ++k) gradient.data()[k] = g[k] - before[i].data()[k];
      }
      result.push_back(std::move(gradient));
    }
    return result;
  }

  // The first function of a map's body whose rule is wrong.
  std::string wrong_function(const Tolerance& tolerance) const;

 private:
  std::vector<Var<double>> again(const std::vector<Var<double>>& x) const {
    const std::span<const Var<double>> operands(x);
    std::vector<Var<double>> results;
    node_.type->again(node_, &operands, &results);
    for (std::size_t r = 0; r < results.size(); ++r) results[r] = results[r].reshape(result_shapes_[r]);
    return results;
  }

  const Node& node_;
  const Description& description_;
  Arrays operands_;
  std::vector<bool> differentiable_;
  std::vector<Shape> result_shapes_;
};

std::string Op::wrong_function(const Tolerance& tolerance) const {
  if (description_.op != "map") return {};
  const Tape tape({.trace = true});
  TapeStorage& storage = storage_of(tape);
  std::vector<Var<double>> x;
  for (const Array<double>& operand : operands_) x.push_back(variable(operand.copy()));
  const std::vector<Var<double>> y = again(x);
  // Recording its rule runs the body on Vars, a node for each of its functions.
  RecordedSweep<double> sweep(storage);
  for (const Var<double>& each : y) sweep.add(each.place(), each.shape(), random_array(each.shape(), 1));
  sweep.run(storage.last, nullptr);
  storage.trace->end(storage);
  const std::vector<Trace::Entry>& entries = storage.trace->entries();
  for (std::size_t i = 1; i < entries.size(); ++i)
    if (check_rule(storage, entries[i], tolerance, true).fault) return entries[i].description.op;
  return {};
}

// --- what is likely to be wrong

bool close(double a, double b) { return std::abs(a - b) <= 1e-4 * std::max(std::abs(a), std::abs(b)); }

bool close(const Array<double>& a, const Array<double>& b, double factor = 1) {
  if (a.size() != b.size()) return false;
  double scale = 0, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    scale = std::max(scale, std::abs(a.data()[i]));
    error = std::max(error, std::abs(a.data()[i] - factor * b.data()[i]));
  }
  return error <= 1e-4 * scale;
}

Array<double> transposed(const Array<double>& x) {
  const std::size_t rows = x.shape()[0], cols = x.shape()[1];
  Array<double> result({cols, rows});
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c) result.data()[c * rows + r] = x.data()[r * cols + c];
  return result;
}

// The weights without those that are not at `index` of an axis of a result.
Arrays masked(const Arrays& w, std::size_t result, std::size_t axis, std::size_t index) {
  Arrays only = w;
  for (Array<double>& each : only) each = each.copy();
  const Shape& shape = w[result].shape();
  const std::size_t inner = shape.size_from(axis + 1);
  for (std::size_t i = 0; i < w[result].size(); ++i)
    if (i / inner % shape[axis] != index) only[result].data()[i] = 0;
  return only;
}

std::string likely_mistake(const Op& op, std::size_t operand, By by, double step) {
  // Of several weights, so that an operand of one entry tells something as well.
  constexpr unsigned kSeeds = 3;
  std::vector<Arrays> w, analytic;
  std::vector<Array<double>> numeric;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    w.push_back(op.weights(1 + 10 * seed));
    analytic.push_back(op.gradients(w[seed], by));
    numeric.push_back(op.numeric(w[seed], operand, step));
  }
  const auto all = [&](auto&& test) {
    for (unsigned seed = 0; seed < kSeeds; ++seed)
      if (!test(analytic[seed][operand], seed)) return false;
    return true;
  };
  double largest = 0, of_both = 0, of_numeric = 0;
  bool finite = true;
  all([&](const Array<double>& a, unsigned seed) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      finite &= std::isfinite(a.data()[i]);
      largest = std::max(largest, std::abs(a.data()[i]));
    }
    of_both += inner(a, numeric[seed]);
    of_numeric += inner(numeric[seed], numeric[seed]);
    return true;
  });
  if (!finite) return "it is not finite";
  if (largest == 0) return "it is zero where it should not be";
  if (by == By::sweep && all([&](const Array<double>& a, unsigned seed) { return close(a, numeric[seed]); }))
    return {};
  const double factor = of_numeric > 0 ? of_both / of_numeric : 0;
  if (factor != 0 &&
      all([&](const Array<double>& a, unsigned seed) { return close(a, numeric[seed], factor); })) {
    if (close(factor, -1)) return "its sign is wrong";
    std::ostringstream text;
    for (const Shape& shape : op.result_shapes())
      for (std::size_t axis = 0; axis < shape.rank(); ++axis)
        if (shape[axis] > 2 && close(factor * static_cast<double>(shape[axis]), 1)) {
          text << "it is divided by " << shape[axis] << ", the extent of axis " << axis
               << " of the result: a mean in the place of a sum";
          return text.str();
        }
    text.precision(4);
    text << "it is " << factor << " times what it should be";
    return text.str();
  }
  Arrays ones;
  for (const Shape& shape : op.result_shapes()) ones.emplace_back(shape, 1.0);
  const Array<double> plain = op.numeric(ones, operand, step);
  if (all([&](const Array<double>& a, unsigned) { return close(a, plain); }))
    return "it is not multiplied by the gradient that arrives";
  if (op.operand(operand).rank() == 2 &&
      all([&](const Array<double>& a, unsigned seed) { return close(a, transposed(numeric[seed])); }))
    return "it is transposed";
  for (std::size_t other = 0; other < op.operands(); ++other)
    if (other != operand && op.operand(other).size() == op.operand(operand).size() &&
        all([&](const Array<double>& a, unsigned seed) {
          return close(a, op.numeric(w[seed], other, step));
        }))
      return "it is that of operand " + std::to_string(other);
  for (std::size_t r = 0; r < op.result_shapes().size(); ++r) {
    const Shape& shape = op.result_shapes()[r];
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] < 2) continue;
      for (const std::size_t index : {std::size_t{0}, shape[axis] - 1})
        if (all([&](const Array<double>& a, unsigned seed) {
              return close(a, op.numeric(masked(w[seed], r, axis, index), operand, step));
            }))
          return "the sum over axis " + std::to_string(axis) + " of the result is missing: only entry " +
                 std::to_string(index) + " of it arrives";
    }
  }
  std::size_t wrong = 0;
  const Array<double>& a = analytic[0][operand];
  for (std::size_t i = 0; i < a.size(); ++i) wrong += !close(a.data()[i], numeric[0].data()[i]);
  if (wrong < a.size()) {
    const auto zero = [&](std::size_t i) {
      return a.data()[i] == 0 || close(a.data()[i], numeric[0].data()[i]);
    };
    bool zeros = true;
    for (std::size_t i = 0; i < a.size(); ++i) zeros &= zero(i);
    return (zeros ? "it is zero at " : "it is wrong at ") + std::to_string(wrong) + " of " +
           std::to_string(a.size()) + " entries, and right at the others";
  }
  return {};
}

// Whether the derivative along one direction through all operands agrees.
bool agrees_along(const Op& op, const Arrays& w, const Arrays& gradients, const Tolerance& tolerance,
                  unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  Arrays direction;
  double analytic = 0, scale = 0;
  for (std::size_t i = 0; i < op.operands(); ++i) {
    direction.emplace_back(op.operand(i).shape(), 0.0);
    if (!op.differentiable(i)) continue;
    for (std::size_t k = 0; k < direction[i].size(); ++k) {
      const double d = normal(generator) * std::max(1.0, std::abs(op.operand(i).data()[k]));
      direction[i].data()[k] = d;
      analytic += gradients[i].data()[k] * d;
      scale += std::abs(gradients[i].data()[k] * d);
    }
  }
  const double h = tolerance.step;
  const double numeric = op.difference(w, -h, h, [&](double distance) {
    Arrays moved;
    for (std::size_t i = 0; i < op.operands(); ++i) {
      moved.push_back(op.operand(i).copy());
      for (std::size_t k = 0; k < moved[i].size(); ++k)
        moved[i].data()[k] += distance * direction[i].data()[k];
    }
    return moved;
  }) / (2 * h);
  return std::abs(analytic - numeric) <= tolerance.atol + tolerance.rtol * std::max(scale, std::abs(numeric));
}

}  // namespace

RuleReport check_rule(const TapeStorage& tape, const Trace::Entry& entry, const Tolerance& tolerance,
                      bool thorough) {
  RuleReport report;
  if (entry.node->type->element_bytes != sizeof(double)) return report;
  const Op op(tape, entry);
  const Arrays w = op.weights(1);
  for (const By by : {By::sweep, By::occupied_sweep, By::record}) {
    const Arrays gradients = op.gradients(w, by);
    if (!thorough) {
      bool agrees = true;
      for (unsigned seed = 1; seed <= 3 && agrees; ++seed)
        agrees = agrees_along(op, w, gradients, tolerance, seed);
      if (agrees) continue;
    }
    RuleFault fault{0, 0, 0, 0, by == By::record, {}, {}};
    double worst = 0;
    for (std::size_t i = 0; i < op.operands(); ++i) {
      if (!op.differentiable(i)) continue;
      const std::size_t size = op.operand(i).size(), stride = 1 + size / kMostEntries;
      for (std::size_t k = 0; k < size; k += stride) {
        const double h = tolerance.step * std::max(1.0, std::abs(op.operand(i).data()[k]));
        const Slopes slopes = compare_slopes(gradients[i].data()[k], h, tolerance, [&](double a, double b) {
          return op.difference(w, i, k, a, b);
        });
        report.kink |= slopes.kink;
        const bool outside = std::isfinite(slopes.analytic) && !std::isfinite(slopes.numeric);
        if (slopes.agree || slopes.kink || outside) continue;
        const double error = std::abs(slopes.analytic - slopes.numeric);
        if (worst > 0 && !(error > worst)) continue;
        worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
        fault = {i, k, slopes.analytic, slopes.numeric, by == By::record, {}, {}};
      }
    }
    if (worst == 0) continue;
    fault.mistake = by == By::occupied_sweep ? "it overwrites what other uses of the operand have added"
                                             : likely_mistake(op, fault.operand, by, tolerance.step);
    fault.function = op.wrong_function(tolerance);
    report.fault = std::move(fault);
    return report;
  }
  return report;
}

}  // namespace autograd::detail
