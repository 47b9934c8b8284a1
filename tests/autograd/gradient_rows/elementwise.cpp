#include "../gradient_rows.hpp"

#include <limits>

namespace test {

std::vector<Row> elementwise_rows() {
  std::vector<Row> rows;
  rows.push_back(row(
      "add", [](const auto& x) { return x[0] + x[1]; }, kAny, kBinary));
  rows.push_back(row(
      "subtract", [](const auto& x) { return x[0] - x[1]; }, kAny, kBinary));
  rows.push_back(row(
      "multiply", [](const auto& x) { return x[0] * x[1]; }, kAny, kBinary));
  rows.push_back(row(
      "divide", [](const auto& x) { return x[0] / x[1]; }, kNonzero, kBinary));
  rows.push_back(row(
      "negate", [](const auto& x) { return -x[0] * x[0]; }, kAny, kUnary));
  rows.push_back(row(
      "exp", [](const auto& x) { return exp(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "log", [](const auto& x) { return log(x[0]); }, kPositive, kUnary));
  rows.push_back(row(
      "sqrt", [](const auto& x) { return sqrt(x[0]); }, kPositive, kUnary));
  rows.push_back(row(
      "square", [](const auto& x) { return square(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "abs", [](const auto& x) { return abs(x[0]) * x[0]; }, kNonzero, kUnary));
  rows.push_back(row(
      "tanh", [](const auto& x) { return tanh(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "sigmoid", [](const auto& x) { return sigmoid(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "relu", [](const auto& x) { return relu(x[0]) * x[0]; }, kNonzero, kUnary));
  rows.push_back(row(
      "heaviside", [](const auto& x) { return heaviside(x[0]); }, kNonzero, kUnary));
  rows.push_back(row(
      "heaviside as a factor", [](const auto& x) { return heaviside(x[0]) * x[0]; }, kNonzero, kUnary));
  rows.push_back(row(
      "sign", [](const auto& x) { return sign(x[0]); }, kNonzero, kUnary));
  rows.push_back(row(
      "sign as a factor", [](const auto& x) { return sign(x[0]) * exp(x[0]); }, kNonzero, kUnary));
  rows.push_back(row(
      "expm1", [](const auto& x) { return expm1(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "log1p", [](const auto& x) { return log1p(x[0]); }, kPositive, kUnary));
  rows.push_back(row(
      "rsqrt", [](const auto& x) { return rsqrt(x[0]); }, kPositive, kUnary));
  rows.push_back(row(
      "sin", [](const auto& x) { return sin(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "cos", [](const auto& x) { return cos(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "erf", [](const auto& x) { return erf(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "softplus", [](const auto& x) { return softplus(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "leaky_relu", [](const auto& x) { return leaky_relu(x[0]); }, kNonzero, kUnary));
  rows.push_back(row(
      "elu", [](const auto& x) { return elu(x[0]); }, kNonzero, kUnary));
  rows.push_back(row(
      "silu", [](const auto& x) { return silu(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "gelu", [](const auto& x) { return gelu(x[0]); }, kAny, kUnary));
  rows.push_back(row(
      "hardtanh", [](const auto& x) { return hardtanh(x[0]); }, kNonzero, kUnary));
  rows.push_back(row(
      "leaky_relu of another slope", [](const auto& x) { return leaky_relu(x[0], -0.3) * x[0]; }, kNonzero,
      kUnary));
  rows.push_back(row(
      "elu of another alpha", [](const auto& x) { return elu(x[0], 1.5) * x[0]; }, kNonzero, kUnary));
  rows.push_back(row(
      "clamp", [](const auto& x) { return clamp(x[0], -1.2, 0.9) * x[0]; }, kNonzero, kUnary));
  rows.push_back(row(
      "clamp to one side",
      [](const auto& x) { return clamp(x[0], 0, std::numeric_limits<double>::infinity()) * x[0]; }, kNonzero,
      kUnary));
  rows.push_back(row(
      "pow", [](const auto& x) { return pow(x[0], x[1]); }, kPositive, kBinary));
  rows.push_back(row(
      "pow of numbers",
      [](const auto& x) { return pow(x[0], 3) + pow(x[0], -2) * pow(1.5, x[0]) - pow(x[0], 2); }, kNonzero,
      kUnary));
  rows.push_back(row(
      "maximum", [](const auto& x) { return maximum(x[0], x[1]) * x[0]; }, kAny, kBinary));
  rows.push_back(row(
      "minimum", [](const auto& x) { return minimum(x[0], x[1]) * x[1]; }, kAny, kBinary));
  rows.push_back(row(
      "maximum and minimum of numbers",
      [](const auto& x) { return maximum(x[0], 0) * minimum(1, x[0]) * x[0]; }, kNonzero, kUnary));
  rows.push_back(row(
      "greater", [](const auto& x) { return (x[0] > x[1]) * x[0] - (x[0] < 0.25) * x[1]; }, kNonzero,
      kBinary));
  rows.push_back(row(
      "greater_equal", [](const auto& x) { return (x[0] >= x[1]) * x[0] - (0.25 <= x[0]) * x[1]; }, kNonzero,
      kBinary));
  rows.push_back(row("where", [](const auto& x) { return where(x[0] > 0, x[1] * x[1], x[2]) * x[0]; },
                     kNonzero,
                     {{{}, {}, {}},
                      {{3}, {3}, {3}},
                      {{4, 17}, {17}, {4, 1}},
                      {{17}, {}, {17}},
                      {{2, 1, 3}, {4, 1}, {3}},
                      {{0, 3}, {3}, {}}}));
  rows.push_back(row(
      "where of numbers",
      [](const auto& x) { return where(x[0] > 0, 2, x[0]) + where(1, x[0], 0) * where(x[0], x[0], 1); },
      kNonzero, kUnary));
  rows.push_back(row(
      "the same operand twice", [](const auto& x) { return (x[0] + x[0]) * x[0] - x[0] / x[0]; }, kNonzero,
      kUnary));
  rows.push_back(row(
      "int operands", [](const auto& x) { return 2 * x[0] * 3 + 1 - (4 - x[0]) / 2 + 5 / x[0]; }, kNonzero,
      kUnary));
  rows.push_back(row(
      "float operands", [](const auto& x) { return 2.f / (x[0] + 1.5f) - x[0] * 0.5f; }, kPositive, kUnary));
  rows.push_back(row(
      "double operands", [](const auto& x) { return 0.5 - x[0] / 0.25 + 2.0 * (x[0] * x[0] - 0.5); }, kAny,
      kUnary));
  return rows;
}

}  // namespace test
