// Every op has a row in gradient_rows/: its gradient is right to second order, and float agrees with
// double.
#include "gradient_rows.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "random_arrays.hpp"

using test::kAny;
using test::kNonzero;
using test::Row;
using test::Shapes;
using test::table;
using test::Vars;

namespace {

// Inputs that a float holds, too.
template <class T>
Vars<T> inputs_of(const Row& row, const Shapes& shapes) {
  Vars<T> inputs;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    auto array = test::random_array<float>(shapes[i], static_cast<unsigned>(i + 1),
                                           row.domain == kAny ? -1.5 : 0.5, 2);
    if (row.domain == kNonzero)
      for (std::size_t k = 1; k < array.size(); k += 2) array.data()[k] *= -1;
    inputs.push_back(ag::variable<T>(array.view()));
  }
  return inputs;
}

std::string describe(const Row& row, const Shapes& shapes) {
  std::ostringstream out;
  out << row.name << " of";
  for (const Shape& shape : shapes) out << ' ' << shape;
  return out.str();
}

// The gradients of all inputs, behind each other.
template <class T>
std::vector<double> gradients(const std::function<Var<T>(const Vars<T>&)>& f, const Vars<T>& inputs,
                              bool create_graph) {
  const ag::Tape tape;
  const Var<T> y = f(inputs);
  std::vector<double> result;
  for (const Var<T>& g : ag::grad(ag::sum(y * Var<T>(test::random_array<T>(y.shape(), 99))), inputs,
                                  {.create_graph = create_graph, .allow_unused = true}))
    for (double each : test::numbers(g)) result.push_back(each);
  return result;
}

}  // namespace

TEST_CASE("every op passes gradcheck to second order") {
  for (const Row& row : table())
    for (const Shapes& shapes : row.cases) {
      const std::string what = describe(row, shapes);
      CAPTURE(what);
      const Vars<double> inputs = inputs_of<double>(row, shapes);
      std::size_t entries = 0;
      for (const Var<double>& input : inputs) entries += input.size();
      const ag::GradcheckReport report =
          gradcheck(row.in_double, inputs, {.atol = 2e-8, .rtol = 1e-8, .order = 2});
      CHECK_MESSAGE(report, report);
      CHECK(report.checked == 2 * entries);
      // gradcheck holds both gradients against finite differences; against each other they agree closer.
      CHECK(test::difference(gradients(row.in_double, inputs, true),
                             gradients(row.in_double, inputs, false)) <= 1e-14);
    }
}

TEST_CASE("every op gives in float what it gives in double") {
  for (const Row& row : table())
    for (const Shapes& shapes : row.cases) {
      const std::string what = describe(row, shapes);
      CAPTURE(what);
      const Vars<double> in_double = inputs_of<double>(row, shapes);
      const Vars<float> in_float = inputs_of<float>(row, shapes);
      const Var<double> y = row.in_double(in_double);
      const Var<float> z = row.in_float(in_float);
      CHECK(z.shape() == y.shape());
      CHECK(test::difference(z, y) <= 1e-5);
      CHECK(test::difference(gradients(row.in_float, in_float, false),
                             gradients(row.in_double, in_double, false)) <= 1e-5);
    }
}

TEST_CASE("what heaviside and sign pass back is zero") {
  for (const Row& row : table()) {
    if (row.name != "heaviside" && row.name != "sign") continue;
    for (double g : gradients(row.in_double, inputs_of<double>(row, {{17}}), false)) CHECK(g == 0);
  }
}

TEST_CASE("no op lacks a row") {
  std::set<std::string> rows;
  for (const Row& row : table()) rows.insert(row.name.substr(0, row.name.find_first_of(" ,")));
  // Elementwise functions carry their name in the source; a new one without a row fails here.
  const std::regex name(R"re(\n *static constexpr const char\* kName = "(\w+)")re");
  std::size_t found = 0;
  for (const auto& file : std::filesystem::directory_iterator(UNROLL_TESTS_DIR "/../autograd")) {
    if (file.path().extension() != ".hpp" && file.path().extension() != ".cpp") continue;
    std::ifstream in(file.path());
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it, ++found)
      CHECK_MESSAGE(rows.count((*it)[1]), "the gradient table has no row for ", (*it)[1]);
  }
  CHECK(found >= 33);
  for (const char* op :
       {"sum",        "mean",        "var",          "std",        "prod",       "max",     "min",
        "logsumexp",  "norm",        "log_softmax",  "softmax",    "layer_norm", "dropout", "stack",
        "permute",    "expand_dims", "squeeze",      "slice",      "flip",       "split",   "take",
        "operator[]", "reshape",     "linear",       "add_linear", "map",        "chunk",   "hardtanh",
        "affine",     "dot",         "outer",        "cumsum",     "concat",     "pick",    "columns",
        "matmul",     "custom_op",   "broadcast_to", "sum_to",     "flip",       "pad"})
    CHECK_MESSAGE(rows.count(op), "the gradient table has no row for ", op);
}
