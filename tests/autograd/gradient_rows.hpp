// The rows of the gradient table: every op, where it may be checked, and the shapes that its code tells
// apart.
#pragma once

#include <autograd/autograd.hpp>
#include <functional>
#include <string>
#include <vector>

namespace ag = autograd;
using ag::Shape;
using ag::Var;

namespace test {

template <class T>
using Vars = std::vector<Var<T>>;

// Where an op may be checked: `nonzero` keeps clear of the kink of relu.
enum class Domain { any, positive, nonzero };
constexpr auto kAny = Domain::any, kPositive = Domain::positive, kNonzero = Domain::nonzero;

using Shapes = std::vector<Shape>;

struct Row {
  std::string name;
  std::function<Var<double>(const Vars<double>&)> in_double;
  std::function<Var<float>(const Vars<float>&)> in_float;
  Domain domain;
  std::vector<Shapes> cases;  // each the shapes of all inputs
};

// `f` takes a vector of Vars of float or double.
template <class F>
Row row(const char* name, F f, Domain domain, std::vector<Shapes> cases) {
  return {name, f, f, domain, std::move(cases)};
}

// 1, 3, 17 and 33 elements end in the midst of a SIMD batch, 67 fill several.
inline const std::vector<Shapes> kUnary{{{}},  {{1}},  {{3}},       {{17}},   {{33}},     {{67}},
                                        {{0}}, {{16}}, {{2, 0, 3}}, {{5, 7}}, {{3, 1, 5}}};
// A scalar, a suffix, a column and the general case, on either side.
inline const std::vector<Shapes> kBinary{{{}, {}},
                                         {{3}, {3}},
                                         {{33}, {33}},
                                         {{67}, {67}},
                                         {{}, {17}},
                                         {{17}, {}},
                                         {{4, 3}, {3}},
                                         {{3}, {4, 3}},
                                         {{2, 17}, {17}},
                                         {{2, 3, 17}, {3, 17}},
                                         {{5, 17}, {5, 1}},
                                         {{5, 1}, {5, 17}},
                                         {{4, 1}, {1, 3}},
                                         {{2, 3, 4}, {3, 1}},
                                         {{2, 1, 4}, {3, 1}},
                                         {{1, 3}, {3}},
                                         {{3}, {1, 1, 3}},
                                         {{0, 3}, {3}},
                                         {{3, 0}, {3, 1}},
                                         {{0}, {}},
                                         {{2, 3, 1}, {3, 1}},
                                         {{1, 1}, {2, 3}}};
inline const std::vector<Shapes> kMatrix{{{1, 1}}, {{2, 3}}, {{3, 17}}, {{17, 3}},
                                         {{0, 3}}, {{3, 0}}, {{20, 5}}};

// One part in each file of gradient_rows/.
std::vector<Row> elementwise_rows();
std::vector<Row> shape_rows();
std::vector<Row> reduction_rows();
std::vector<Row> view_rows();
std::vector<Row> product_rows();
std::vector<Row> map_rows();

inline const std::vector<Row>& table() {
  static const std::vector<Row> rows = [] {
    std::vector<Row> all;
    for (const auto& part :
         {elementwise_rows(), shape_rows(), reduction_rows(), view_rows(), product_rows(), map_rows()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return rows;
}

}  // namespace test
