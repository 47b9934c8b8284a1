#include "../gradient_rows.hpp"

namespace test {

std::vector<Row> product_rows() {
  std::vector<Row> rows;
  rows.push_back(row("matmul", [](const auto& x) { return ag::matmul(x[0], x[1]); }, kAny,
                     {{{3}, {3, 2}},
                      {{2, 3}, {3, 4}},
                      {{2, 3, 4}, {4, 5}},
                      {{1, 1}, {1, 1}},
                      {{9, 8}, {8, 7}},
                      {{0, 3}, {3, 2}},
                      {{2, 3}, {3, 0}},
                      {{2, 0}, {0, 3}},
                      {{2, 17}, {17, 18}}}));
  rows.push_back(row("matmul with a vector", [](const auto& x) { return square(ag::matmul(x[0], x[1])); },
                     kAny,
                     {{{1}, {1}},
                      {{3}, {3}},
                      {{33}, {33}},
                      {{0}, {0}},
                      {{3}, {3, 4}},
                      {{17}, {17, 5}},
                      {{0}, {0, 2}},
                      {{2, 3}, {3}},
                      {{5, 17}, {17}},
                      {{2, 3, 4}, {4}},
                      {{0, 3}, {3}},
                      {{2, 0}, {0}},
                      {{3}, {2, 3, 4}},
                      {{17}, {2, 2, 17, 1}},
                      {{3}, {0, 3, 2}},
                      {{3}, {1, 3, 2}},
                      {{2}, {2, 2, 0}}}));
  rows.push_back(row("matmul of large vectors", [](const auto& x) { return ag::matmul(x[0], x[1]); }, kAny,
                     {{{300}, {300}}, {{2, 260}, {260}}}));
  rows.push_back(row("matmul of stacks", [](const auto& x) { return square(ag::matmul(x[0], x[1])); }, kAny,
                     {{{2, 2, 3}, {2, 3, 4}},
                      {{1, 1, 1}, {1, 1, 1}},
                      {{2, 3, 17}, {2, 17, 3}},
                      {{2, 2, 2, 3}, {2, 2, 3, 2}},
                      {{2, 1, 1, 2, 1, 2}, {1, 2, 1, 2, 2, 1}},
                      {{2, 9, 8}, {2, 8, 7}}}));
  rows.push_back(row("matmul of stacks that broadcast",
                     [](const auto& x) { return square(ag::matmul(x[0], x[1])); }, kAny,
                     {{{2, 3}, {2, 3, 4}},
                      {{1, 2, 3}, {2, 3, 4}},
                      {{2, 2, 3}, {1, 3, 4}},
                      {{2, 2, 3}, {1, 1, 3, 4}},
                      {{2, 1, 2, 3}, {3, 3, 2}},
                      {{3, 2, 3}, {2, 1, 3, 2}},
                      {{2, 1, 2, 2, 3}, {3, 1, 3, 2}},
                      {{3, 17}, {2, 17, 5}},
                      {{2, 1, 3, 17}, {2, 2, 17, 2}}}));
  rows.push_back(row("matmul of stacks without entries",
                     [](const auto& x) { return square(ag::matmul(x[0], x[1]) + 1); }, kAny,
                     {{{0, 2, 3}, {0, 3, 4}},
                      {{2, 3}, {0, 3, 4}},
                      {{1, 2, 3}, {2, 0, 3, 4}},
                      {{0, 2, 3}, {1, 3, 4}},
                      {{2, 2, 0}, {2, 0, 3}},
                      {{2, 0}, {2, 0, 3}},
                      {{2, 0, 3}, {2, 3, 2}},
                      {{2, 2, 3}, {2, 3, 0}}}));
  rows.push_back(row("matmul of a stack with itself",
                     [](const auto& x) { return ag::matmul(x[0], ag::matmul(x[0], x[0])); }, kAny,
                     {{{2, 3, 3}}, {{1, 2, 2}}, {{2, 2, 2, 2}}}));
  rows.push_back(row("matmul of windows of one stack",
                     [](const auto& x) {
                       return ag::matmul(x[0].slice(0, 2), x[0].slice(1, 3)) +
                              ag::matmul(x[0][1], x[0].slice(0, 2));
                     },
                     kAny, {{{3, 2, 2}}}));
  rows.push_back(row("matmul with itself",
                     [](const auto& x) { return ag::matmul(x[0], ag::matmul(x[0], x[0])); }, kAny,
                     {{{1, 1}}, {{3, 3}}, {{8, 8}}}));
  rows.push_back(row("linear", [](const auto& x) { return tanh(ag::linear(x[0], x[1], x[2])); }, kAny,
                     {{{3}, {2, 3}, {2}},
                      {{4, 3}, {2, 3}, {2}},
                      {{2, 3, 4}, {5, 4}, {5}},
                      {{130, 2}, {3, 2}, {3}},
                      {{2, 17}, {18, 17}, {18}},
                      {{0, 3}, {2, 3}, {2}},
                      {{4, 0}, {2, 0}, {2}}}));
  rows.push_back(
      row("linear without bias", [](const auto& x) { return tanh(ag::linear(x[0], x[1])); }, kAny,
          {{{3}, {2, 3}}, {{4, 3}, {2, 3}}, {{2, 3, 4}, {5, 4}}, {{2, 17}, {18, 17}}, {{1, 3}, {0, 3}}}));
  rows.push_back(row("affine", [](const auto& x) { return square(ag::affine(x[0], x[1], x[2])); }, kAny,
                     {{{3}, {3, 2}, {2}},
                      {{4, 3}, {3, 2}, {2}},
                      {{2, 3, 4}, {4, 5}, {5}},
                      {{130, 2}, {2, 3}, {3}},
                      {{2, 17}, {17, 18}, {18}},
                      {{0, 3}, {3, 2}, {2}},
                      {{4, 0}, {0, 2}, {2}}}));
  rows.push_back(
      row("affine without bias", [](const auto& x) { return square(ag::affine(x[0], x[1])); }, kAny,
          {{{3}, {3, 2}}, {{4, 3}, {3, 2}}, {{2, 3, 4}, {4, 5}}, {{2, 17}, {17, 18}}, {{1, 3}, {3, 0}}}));
  rows.push_back(row("affine and linear of one weight",
                     [](const auto& x) { return ag::linear(tanh(ag::affine(x[0], x[1], x[2])), x[1]); }, kAny,
                     {{{3}, {3, 2}, {2}}, {{4, 17}, {17, 3}, {3}}}));
  rows.push_back(row("dot", [](const auto& x) { return square(ag::dot(x[0], x[1])); }, kAny,
                     {{{1}, {1}}, {{3}, {3}}, {{17}, {17}}, {{67}, {67}}, {{0}, {0}}}));
  rows.push_back(row("dot with itself", [](const auto& x) { return square(ag::dot(x[0], x[0])); }, kAny,
                     {{{3}}, {{33}}, {{0}}}));
  rows.push_back(row("outer", [](const auto& x) { return square(ag::outer(x[0], x[1])); }, kAny,
                     {{{1}, {1}},
                      {{2}, {3}},
                      {{3}, {17}},
                      {{17}, {3}},
                      {{}, {3}},
                      {{3}, {}},
                      {{}, {}},
                      {{2, 2}, {3, 1}},
                      {{0}, {3}},
                      {{3}, {0}}}));
  rows.push_back(row("outer with itself", [](const auto& x) { return square(ag::outer(x[0], x[0])); }, kAny,
                     {{{3}}, {{17}}, {{2, 2}}}));
  rows.push_back(row(
      "linear, one weight in two shapes",
      [](const auto& x) {
        return ag::mean(ag::linear(x[0], x[1])) * ag::mean(square(ag::linear(x[2], x[1].reshape({18, 17}))));
      },
      kAny, {{{1, 18}, {17, 18}, {1, 17}}}));
  rows.push_back(
      row("add_linear", [](const auto& x) { return square(ag::add_linear(x[0], x[1], x[2], x[3])); }, kAny,
          {{{2}, {3}, {2, 3}, {2}}, {{4, 2}, {4, 3}, {2, 3}, {2}}, {{2, 2, 5}, {2, 2, 3}, {5, 3}, {5}}}));
  rows.push_back(row("add_linear without bias",
                     [](const auto& x) { return square(ag::add_linear(x[0], x[1], x[2])) * x[0]; }, kAny,
                     {{{2}, {3}, {2, 3}}, {{4, 2}, {4, 3}, {2, 3}}}));
  rows.push_back(
      row("add_linear that consumes",
          [](const auto& x) {
            auto c = ag::linear(x[0], x[1], x[2]);
            return square(ag::add_linear(ag::add_linear(std::move(c), x[0], x[1]), square(x[0]), x[3], x[2]));
          },
          kAny, {{{3}, {2, 3}, {2}, {2, 3}}, {{4, 3}, {2, 3}, {2}, {2, 3}}}));
  rows.push_back(row("add_linear that consumes a matmul",
                     [](const auto& x) { return tanh(ag::add_linear(ag::matmul(x[0], x[1]), x[0], x[2])); },
                     kAny, {{{4, 3}, {3, 2}, {2, 3}}}));
  return rows;
}

}  // namespace test
