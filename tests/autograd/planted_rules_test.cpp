// gradcheck names the culprit: wrong rules are planted in a GRU unrolled over five steps, and the report has
// to name the op, the step and the operand of each.
#include <doctest/doctest.h>

#include <algorithm>
#include <autograd/elementwise_function.hpp>
#include <autograd/trace.hpp>
#include <map>
#include <nn/nn.hpp>
#include <set>
#include <sstream>

#include "gradient_rows.hpp"
#include "random_arrays.hpp"

using test::Row;
using test::Shapes;
using test::Vars;
using V = Var<double>;

namespace {

constexpr std::size_t kSteps = 5, kBatch = 2, kInputs = 3, kHidden = 4, kWrongStep = 2;

enum class Mistake { sign, twice, zero, more, transposed, first_only, overwrites, ignores_gradient };

const char* words(Mistake mistake) {
  switch (mistake) {
    case Mistake::sign:
      return "its sign is wrong";
    case Mistake::twice:
      return "it is 2 times what it should be";
    case Mistake::zero:
      return "it is zero where it should not be";
    case Mistake::transposed:
      return "it is transposed";
    case Mistake::first_only:
      return "is missing: only entry 0 of it arrives";
    case Mistake::overwrites:
      return "it overwrites what other uses of the operand have added";
    case Mistake::ignores_gradient:
      return "it is not multiplied by the gradient that arrives";
    case Mistake::more:
      break;
  }
  return "";
}

// A rule of the library made wrong: what it adds to the gradient of one operand is changed.
struct Plant {
  ag::detail::NodeType wrong;
  const ag::detail::NodeType* right = nullptr;
  std::size_t operand = 0;
  Mistake mistake{};
  bool recorded =
      false;  // the rule for create_graph is the wrong one: it does nothing, or (twice) is run twice
  bool changed = false;  // it made a difference to an operand
} plant;

std::vector<double> gradient_at(ag::detail::Sweep& sweep, const ag::detail::Description::Value& value) {
  const double* g = sweep.gradient<double>(value.place, value.shape.size());
  return g ? std::vector<double>(g, g + value.shape.size()) : std::vector<double>(value.shape.size());
}

void set_gradient(ag::detail::Sweep& sweep, const ag::detail::Description::Value& value,
                  const std::vector<double>& gradient) {
  if (!value.place.differentiable()) return;
  std::copy(gradient.begin(), gradient.end(), sweep.sink<double>(value.place, gradient.size()).data);
}

// What a wrong rule adds to entry i of the gradient of an operand.
double mistaken(const std::vector<double>& right, std::size_t i, const Shape& shape, double before) {
  switch (plant.mistake) {
    case Mistake::sign:
      return -right[i];
    case Mistake::twice:
      return 2 * right[i];
    case Mistake::zero:
      return 0;
    case Mistake::more:
      return right[i] + 0.7;
    case Mistake::overwrites:
      return right[i] - before;
    case Mistake::transposed:
      return shape.rank() == 2 ? right[i % shape[0] * shape[1] + i / shape[0]] : right[i];
    case Mistake::first_only:
    case Mistake::ignores_gradient:
      break;
  }
  return right[i];
}

// A mistake that is made in the gradient that arrives, and so reaches all operands.
bool in_what_arrives(Mistake mistake) {
  return mistake == Mistake::first_only || mistake == Mistake::ignores_gradient;
}

// What the right rule of a node makes of a gradient of its result: what is added to that of the operand.
std::vector<double> contribution(ag::detail::Node& node, ag::detail::Sweep& sweep,
                                 const ag::detail::Description& d, const std::vector<double>& gradient) {
  const auto& result = d.results[0];
  const std::vector<double> arrived = gradient_at(sweep, result);
  auto* g = const_cast<double*>(sweep.gradient<double>(result.place, result.shape.size()));
  std::vector<std::vector<double>> before;
  for (const auto& operand : d.operands) before.push_back(gradient_at(sweep, operand));
  std::copy(gradient.begin(), gradient.end(), g);
  plant.right->backward(node, sweep);
  for (const auto& operand : d.operands) gradient_at(sweep, operand);  // what is deferred, too
  std::vector<double> added = gradient_at(sweep, d.operands.at(plant.operand));
  for (std::size_t i = 0; i < added.size(); ++i) added[i] -= before[plant.operand][i];
  for (std::size_t i = 0; i < d.operands.size(); ++i) set_gradient(sweep, d.operands[i], before[i]);
  std::copy(arrived.begin(), arrived.end(), g);
  return added;
}

void wrong_backward(ag::detail::Node& node, ag::detail::Sweep& sweep) {
  ag::detail::Description d;
  plant.right->describe(node, d);
  const auto& operand = d.operands.at(plant.operand);
  const auto& result = d.results[0];
  std::vector<double> arrived = gradient_at(sweep, result);
  if (!sweep.gradient<double>(result.place, result.shape.size())) return;
  const std::vector<double> right = contribution(node, sweep, d, arrived),
                            before = gradient_at(sweep, operand);
  const std::size_t first =
      result.shape.rank() && result.shape[0] ? result.shape.size() / result.shape[0] : 1;
  for (std::size_t i = 0; i < arrived.size(); ++i) {
    if (plant.mistake == Mistake::first_only && i >= first) arrived[i] = 0;
    if (plant.mistake == Mistake::ignores_gradient) arrived[i] = 1;
  }
  std::vector<double> wrong = contribution(node, sweep, d, arrived);
  if (!in_what_arrives(plant.mistake))
    for (std::size_t i = 0; i < wrong.size(); ++i) wrong[i] = mistaken(right, i, operand.shape, before[i]);
  plant.right->backward(node, sweep);
  std::vector<double> after = gradient_at(sweep, operand);
  for (std::size_t i = 0; i < after.size(); ++i) {
    after[i] += wrong[i] - right[i];
    plant.changed |= std::abs(wrong[i] - right[i]) > 1e-3 * std::abs(right[i]) + 1e-9;  // beyond rounding
  }
  set_gradient(sweep, operand, after);
}

void wrong_record(ag::detail::Node& node, void* sweep) {
  plant.changed = true;
  if (plant.mistake != Mistake::twice) return;
  plant.right->record(node, sweep);
  plant.right->record(node, sweep);
}

ag::detail::Node* last_node() {
  const ag::detail::TapeStorage* tape = ag::detail::recording();
  return tape ? tape->last : nullptr;
}

// Makes the rule of the first node of an op behind another node wrong.
void plant_behind(const ag::detail::Node* before, const std::string& op) {
  ag::detail::Node* found = nullptr;
  for (ag::detail::Node* node = last_node(); node != before; node = node->previous) {
    ag::detail::Description d;
    node->type->describe(*node, d);
    if (d.op != op || d.operands.size() <= plant.operand) continue;
    const auto& operand = d.operands[plant.operand];
    // Of a value that is two operands, a mistake in one could be one in the other.
    const auto same = [&](const auto& other) { return other.place == operand.place; };
    if (operand.place.differentiable() && std::count_if(d.operands.begin(), d.operands.end(), same) == 1)
      found = node;
  }
  if (!found) return;
  plant.right = found->type;
  plant.wrong = *found->type;
  if (plant.recorded)
    plant.wrong.record = wrong_record;
  else
    plant.wrong.backward = wrong_backward;
  found->type = &plant.wrong;
}

// What a row of the gradient table makes of numbers that depend on h, as one number; with the rule of one of
// its nodes made wrong.
struct RowOfState {
  const Row* row;
  Shapes shapes;
  std::string op;  // whose rule is wrong; none if empty

  V operator()(const V& h) const {
    Vars<double> inputs;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      std::vector<std::int64_t> at;
      for (std::size_t k = 0; k < shapes[i].size(); ++k)
        at.push_back(static_cast<std::int64_t>((k + 3 * i) % h.size()));
      const V spread = test::random_array(shapes[i], static_cast<unsigned>(i + 1), 0.8, 1.2);
      V x = ag::take(h.reshape({h.size()}), ag::Indices(shapes[i], at), 0);
      if (row->domain == test::kPositive) x = 0.5 + sigmoid(3 * x);
      if (row->domain == test::kNonzero) x = x + where(x > 0, 0.4, -0.4);
      inputs.push_back(x * spread);
    }
    const ag::detail::Node* const before = last_node();
    const V y = row->in_double(inputs);
    if (!op.empty()) plant_behind(before, op);
    return y.size() ? mean(sin(y)) : V(0.0);
  }
};

// A GRU, whose state is changed in each step by what a function makes of it; in one step by another function,
// or with a wrong rule of the GRU's own.
struct Cell {
  nn::GRUCell<double> gru;
  std::function<V(const V&)> extra, extra_of_wrong_step;
  std::string wrong_op = {};
  mutable std::size_t t = 0;

  V initial_state(std::size_t batch) const {
    t = 0;
    return gru.initial_state(batch);
  }
  V project(const V& x) const { return gru.project(x); }
  V step(V projected, const V& h) const {
    const bool wrong = t++ == kWrongStep;
    const ag::detail::Node* const before = last_node();
    const V next = gru.step(projected, h);
    if (wrong && !wrong_op.empty()) plant_behind(before, wrong_op);
    const ag::Scope scope("extra");
    const V more = (wrong ? extra_of_wrong_step : extra)(next);
    return next + 0.2 * tanh(0.3 * more);
  }
};

nn::GRUCell<double> gru() {
  nn::Rng rng(3);
  return {kInputs, kHidden, rng};
}

ag::GradcheckReport check(const Cell& cell, int order = 1) {
  const V x = test::random_variable({kSteps, kBatch, kInputs}, 5);
  return ag::gradcheck([&] { return mean(square(nn::unroll(cell, x).output + 0.1)); },
                       {x, cell.gru.weight_hh},
                       {.order = order, .directions = 4, .names = {"x", "weight_hh"}});
}

std::string text(const ag::GradcheckReport& report) {
  std::ostringstream out;
  out << report;
  return out.str();
}

// How many wrong rules were planted, and what the reports said of them.
struct Count {
  int planted = 0, named = 0, mistakes = 0, mistakes_told = 0;

  struct Expected {
    std::string op, operand, function, mistake, scope = "Cell / step 2 / extra";
    bool recorded = false;
  };
  // A report of a model with a wrong rule in one step. An operand or a mistake that is empty is left open.
  void add(const ag::GradcheckReport& report, const Expected& expected) {
    ++planted;
    const auto& culprit = report.culprit;
    const bool right = culprit && culprit->op == expected.op &&
                       (expected.operand.empty() || culprit->operand == expected.operand) &&
                       culprit->function == expected.function &&
                       (culprit->scope + " / ").starts_with(expected.scope + " / ") &&  // or a scope within
                       culprit->recorded == expected.recorded;
    named += right;
    if (culprit) CHECK_FALSE(culprit->detail.empty());  // of an op without a line, that of its scope
    if (!right)
      MESSAGE("not named: ", expected.op, ", ", expected.operand, " ", expected.function, ": ", text(report));
    if (expected.mistake.empty() || !culprit) return;
    ++mistakes;
    mistakes_told += culprit->mistake.ends_with(expected.mistake);
  }

  void add(const Count& other) {
    planted += other.planted;
    named += other.named;
    mistakes += other.mistakes;
    mistakes_told += other.mistakes_told;
  }
};

// The smallest shapes of a row that tell a mistake of one entry from that of others.
Shapes shapes_of(const Row& row) {
  for (const std::size_t wanted : {6u, 1u})
    for (const Shapes& shapes : row.cases) {
      std::size_t least = 100, most = 0;
      for (const Shape& shape : shapes) {
        least = std::min(least, shape.size());
        most = std::max(most, shape.size());
      }
      if (least > 0 && most >= wanted && most <= 60) return shapes;
    }
  return row.cases[0];
}

// The ops of the nodes that a row records, with the number of their operands.
std::map<std::string, std::size_t> ops_of(const Row& row) {
  std::map<std::string, std::size_t> ops;
  const V h = test::random_variable({kBatch, kHidden}, 1);
  const ag::Tape tape;
  const RowOfState function{&row, shapes_of(row), {}};
  ag::detail::Node* const last = (function(h), ag::detail::storage_of(tape).last);
  for (ag::detail::Node* node = last; node; node = node->previous) {
    ag::detail::Description d;
    node->type->describe(*node, d);
    ops.emplace(d.op, d.operands.size());
  }
  return ops;
}

// Whether a mistake can be made in the rule of a node.
bool possible(Mistake mistake, const std::string& op) {
  // These hand on the gradient's memory as it is.
  static const std::set<std::string> kSharing{"add", "concat", "stack", "write_to", "add_linear"};
  return !(in_what_arrives(mistake) && kSharing.count(op));
}

Count plant_in_library() {
  constexpr Mistake kMistakes[] = {Mistake::sign,       Mistake::twice,           Mistake::zero,
                                   Mistake::first_only, Mistake::transposed,      Mistake::overwrites,
                                   Mistake::more,       Mistake::ignores_gradient};
  Count count;
  std::map<std::string, int> planted;
  std::size_t next = 0;
  const nn::GRUCell<double> cell = gru();
  for (const int most : {1, 2})
    for (const Row& row : test::table()) {
      const Shapes shapes = shapes_of(row);
      const RowOfState right{&row, shapes, {}};
      for (const auto& [op, operands] : ops_of(row)) {
        for (std::size_t attempt = 0; attempt < std::size(kMistakes) && planted[op] < most; ++attempt) {
          plant = {};
          plant.mistake = kMistakes[next++ % std::size(kMistakes)];
          plant.operand = next % operands;
          if (!possible(plant.mistake, op)) continue;
          const ag::GradcheckReport report = check({cell, right, RowOfState{&row, shapes, op}});
          if (!plant.changed) continue;  // this mistake makes no difference here
          count.add(report,
                    {op, in_what_arrives(plant.mistake) ? "" : "operand " + std::to_string(plant.operand), "",
                     words(plant.mistake)});
          ++planted[op];
        }
      }
    }
  for (const auto& each : planted) CHECK_MESSAGE(each.second > 0, "nothing was planted in ", each.first);
  CHECK(planted.size() >= 50);
  return count;
}

// In the GRU itself: its product with the state, and the body of its gates.
Count plant_in_gru() {
  Count count;
  const auto nothing = [](const V& h) { return mean(h); };
  for (const Mistake mistake : {Mistake::sign, Mistake::twice, Mistake::zero, Mistake::transposed})
    for (const auto& [op, operand, name] : {std::tuple{"linear", 0u, "operand 0"},
                                            {"linear", 1u, "weight_hh"},
                                            {"map", 0u, "operand 0"},
                                            {"map", 1u, "operand 1"}}) {
      plant = {};
      plant.mistake = mistake;
      plant.operand = operand;
      const ag::GradcheckReport report = check({gru(), nothing, nothing, op});
      count.add(report, {op, name, "", words(mistake), "Cell / step 2"});
      if (!report.culprit || report.culprit->op != "map") continue;
      const std::string& detail = report.culprit->detail;  // GCC tells the function of a body, Clang its line
      CHECK((detail == "GRUCell::step" || detail.starts_with("gru.hpp:")));
    }
  return count;
}

// In rules for create_graph.
Count plant_in_recorded_rules() {
  Count count;
  for (const Row& row : test::table())
    for (const char* op : {"tanh", "matmul", "divide", "sum", "take", "broadcast_to", "custom"}) {
      if (row.name != op && row.name != std::string(op) + "_op") continue;
      const Shapes shapes = shapes_of(row);
      const std::string node = std::string(op) == "custom" ? "product" : op;
      plant = {};
      plant.mistake = count.planted % 2 ? Mistake::twice : Mistake::zero;
      plant.recorded = true;
      const RowOfState right{&row, shapes, {}};
      const ag::GradcheckReport report = check({gru(), right, RowOfState{&row, shapes, node}}, 2);
      count.add(report, {node, "", "", words(plant.mistake), "Cell / step 2 / extra", true});
    }
  return count;
}

// A user's function with a derivative that is `kFactor` times what it should be, or adds something to it.
template <int kFactor, int kMore>
struct Sharp : ag::ElementwiseFunction<Sharp<kFactor, kMore>> {
  static constexpr const char* kName = "sharp";
  static constexpr bool kCostly = true;
  template <class B>
  static B value(const B& x) {
    return xsimd::tanh(x + x);
  }
  template <std::size_t, class B>
  static B slope(const B&, const B& y) {
    return B(2 * kFactor) * (B(1) - y * y) + B(kMore);
  }
};

template <int kFactor, int kMore>
V gates(const V& h) {
  constexpr Sharp<kFactor, kMore> sharp;
  const V wide = ag::concat({h, 0.5 * h, h * h}, -1);
  return mean(ag::map([=](auto a, auto b, auto c, auto d) { return sigmoid(a) * sharp(b + c) + tanh(d) * a; },
                      ag::chunk<3>(wide), h));
}

Count plant_in_bodies() {
  Count count;
  const auto add = [&](auto function, const char* mistake) {
    const auto right = gates<1, 0>;
    count.add(check({gru(), right, function}), {"map", "", "sharp", mistake});
  };
  add(gates<-1, 0>, "");
  add(gates<2, 0>, "");
  add(gates<0, 0>, "");
  add(gates<1, 1>, "");
  add(gates<3, -1>, "");
  // By itself, it is an op of its own.
  const auto alone = [](auto sharp) { return [sharp](const V& h) { return mean(square(sharp(h))); }; };
  count.add(check({gru(), alone(Sharp<1, 0>{}), alone(Sharp<-1, 0>{})}),
            {"sharp", "operand 0", "", "its sign is wrong"});
  count.add(check({gru(), alone(Sharp<1, 0>{}), alone(Sharp<0, 0>{})}),
            {"sharp", "operand 0", "", "it is zero where it should not be"});
  return count;
}

// y = a w, with a rule of the user's.
V weighted(const V& a, const V& w, const ag::Rule<double>& rule) {
  return ag::custom_op(
      "weighted", {a, w}, [](const auto& in) { return in[0].value() * in[1].value(); }, rule);
}

Count plant_in_custom_ops() {
  Count count;
  using In = const Vars<double>&;
  const auto add = [&](const char* operand, const char* mistake, const ag::Rule<double>& rule) {
    const auto with = [](const ag::Rule<double>& r) {
      return [r](const V& h) {
        return mean(square(weighted(h, ag::mean(h, 0), r)) + h);  // (2, 4) and (4), which broadcasts
      };
    };
    const auto right = [](const V& g, In in, const V&) { return std::vector{g * in[1], g * in[0]}; };
    const ag::GradcheckReport report = check({gru(), with(right), with(rule)});
    count.add(report, {"weighted", operand, "", mistake});
    if (report.culprit) CHECK(report.culprit->detail.starts_with("planted_rules_test.cpp:"));
  };
  add("operand 0", "its sign is wrong", [](const V& g, In in, const V&) {
    return std::vector{-g * in[1], g * in[0]};
  });
  add("operand 1", "its sign is wrong", [](const V& g, In in, const V&) {
    return std::vector{g * in[1], -g * in[0]};
  });
  add("operand 1", "it is 2 times what it should be", [](const V& g, In in, const V&) {
    return std::vector{g * in[1], 2 * g * in[0]};
  });
  add("operand 1", "it is zero where it should not be", [](const V& g, In in, const V&) {
    return std::vector{g * in[1], V()};
  });
  add("operand 1", "the sum over axis 0 of the result is missing: only entry 0 of it arrives",
      [](const V& g, In in, const V&) {
        return std::vector{g * in[1], (g * in[0])[0]};
      });
  add("operand 1", "it is 0.5 times what it should be", [](const V& g, In in, const V&) {
    return std::vector{g * in[1], ag::mean(g * in[0], 0)};
  });
  add("operand 1", "it is not multiplied by the gradient that arrives", [](const V& g, In in, const V&) {
    return std::vector{g * in[1], in[0] + 0 * g};
  });
  add("operand 0", "", [](const V& g, In in, const V& y) { return std::vector{g * y, g * in[0]}; });
  add("", "", [](const V& g, In, const V&) { return std::vector{g, g}; });
  add("operand 1", "", [](const V& g, In in, const V&) { return std::vector{g * in[1], g * in[0] * in[0]}; });
  return count;
}

}  // namespace

TEST_CASE("of more than a hundred wrong rules in an unrolled GRU, gradcheck names all") {
  Count all;
  for (const auto& kind : {std::pair<std::string, Count (*)()>{"rules of the library", &plant_in_library},
                           {"rules within the GRU", &plant_in_gru},
                           {"rules for create_graph", &plant_in_recorded_rules},
                           {"functions in bodies of map", &plant_in_bodies},
                           {"rules of a user's ops", &plant_in_custom_ops}}) {
    const Count count = kind.second();
    MESSAGE(count.named, " of ", count.planted, " wrong ", kind.first, " named, and ", count.mistakes_told,
            " of ", count.mistakes, " mistakes told");
    CHECK(count.planted > 0);
    all.add(count);
  }
  MESSAGE(all.named, " of ", all.planted, " wrong rules named in all");
  CHECK(all.planted > 140);
  CHECK(all.named == all.planted);
  CHECK(all.mistakes_told == all.mistakes);
}

TEST_CASE("where every rule is right, the same models pass") {
  for (const Row& row : test::table()) {
    CAPTURE(row.name);
    const RowOfState right{&row, shapes_of(row), {}};
    const ag::GradcheckReport report = check({gru(), right, right}, 2);
    CHECK_MESSAGE(report, text(report));
    CHECK_FALSE(report.culprit);
  }
}
