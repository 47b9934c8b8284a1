// The rows of the gradient table: every op, where it may be checked, and the shapes to check it at.
#pragma once

#include <limits>

#include "gradient_row.hpp"

namespace test {

template <class T>
Var<T> joined(const Vars<T>& x) {
  return ag::concat(std::span<const Var<T>>(x));
}

// Random numbers that are the same at each call.
struct Steps {
  double next = 0.1;
  double uniform() { return next = next < 0.7 ? next + 0.27 : next - 0.63; }
};

inline std::vector<Row> elementwise_rows() {
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

inline std::vector<Row> shape_rows() {
  std::vector<Row> rows;
  rows.push_back(
      row("broadcast_to",
          [](const auto& x) {
            return square(ag::broadcast_to(x[0], {2, 3, 4}));
          },
          kAny, {{{}}, {{4}}, {{3, 1}}, {{2, 1, 1}}, {{1, 3, 4}}, {{2, 1, 4}}, {{2, 3, 1}}, {{2, 3, 4}}}));
  rows.push_back(row("broadcast_to nothing",
                     [](const auto& x) {
                       return ag::broadcast_to(x[0], {0, 3}) + 1;
                     },
                     kAny, {{{3}}, {{1, 3}}}));
  rows.push_back(row("sum_to",
                     [](const auto& x) {
                       return square(ag::sum_to(x[0], {3, 1}));
                     },
                     kAny, {{{2, 3, 4}}, {{3, 4}}, {{3, 1}}, {{3, 33}}, {{0, 3, 4}}}));
  rows.push_back(row("sum_to a suffix",
                     [](const auto& x) {
                       return square(ag::sum_to(x[0], {1, 3}));
                     },
                     kAny, {{{4, 3}}, {{2, 4, 3}}}));
  rows.push_back(row("sum_to the middle",
                     [](const auto& x) {
                       return square(ag::sum_to(x[0], {2, 1, 4}));
                     },
                     kAny, {{{2, 3, 4}}, {{2, 0, 4}}}));
  rows.push_back(row(
      "sum", [](const auto& x) { return square(ag::sum(x[0])); }, kAny, kUnary));
  rows.push_back(row("sum over axes",
                     [](const auto& x) {
                       return square(ag::sum(x[0], {0, 2}));
                     },
                     kAny, {{{2, 3, 4}}, {{5, 1, 17}}, {{2, 0, 3}}}));
  rows.push_back(row("sum over negative axes",
                     [](const auto& x) { return square(ag::sum(x[0], {-1}, true)); }, kAny,
                     {{{3}}, {{2, 17}}, {{2, 3, 4}}}));
  rows.push_back(row("sum over no axes", [](const auto& x) { return square(ag::sum(x[0], {})); }, kAny,
                     {{{3}}, {{2, 3}}}));
  rows.push_back(row("mean", [](const auto& x) { return square(ag::mean(x[0])); }, kAny,
                     {{{}}, {{3}}, {{33}}, {{2, 3, 4}}}));
  rows.push_back(row("mean over axes",
                     [](const auto& x) {
                       return square(ag::mean(x[0], {-2, 0}, true));
                     },
                     kAny, {{{2, 3, 4}}}));
  rows.push_back(row("mean over the first axis", [](const auto& x) { return square(ag::mean(x[0], {0})); },
                     kAny, {{{3}}, {{4, 17}}}));
  rows.push_back(row("log_softmax", [](const auto& x) { return ag::log_softmax(x[0]); }, kAny,
                     {{{1}}, {{3}}, {{33}}, {{2, 17}}, {{2, 3, 4}}}));
  rows.push_back(row("softmax", [](const auto& x) { return ag::softmax(x[0]); }, kAny,
                     {{{1}}, {{3}}, {{33}}, {{2, 17}}, {{2, 3, 4}}}));
  rows.push_back(row("concat", [](const auto& x) { return square(joined(x)); }, kAny,
                     {{{3}, {2}}, {{2, 3}, {0, 3}, {1, 3}}, {{4, 17}}, {{0}, {0}}}));
  rows.push_back(row("concat of one value twice",
                     [](const auto& x) {
                       return square(joined(std::decay_t<decltype(x)>{x[0], x[1], x[0]}));
                     },
                     kAny, {{{3}, {2}}, {{2, 3}, {1, 3}}}));
  rows.push_back(row("stack", [](const auto& x) { return square(ag::stack(std::span(x))); }, kAny,
                     {{{}, {}}, {{3}, {3}}, {{2, 17}, {2, 17}}, {{0}, {0}}}));
  rows.push_back(row(
      "transpose", [](const auto& x) { return square(ag::transpose(x[0])) * ag::transpose(x[0]); }, kAny,
      kMatrix));
  rows.push_back(row("custom_op",
                     [](const auto& x) {
                       return ag::custom_op(
                           "product", {x[0], x[1]},
                           [](const auto& in) { return in[0].value() * in[1].value(); },
                           [](const auto& g, const auto& in, const auto&) {
                             return std::vector{g * in[1], g * in[0]};
                           });
                     },
                     kAny, {{{}, {}}, {{3}, {3}}, {{4, 17}, {17}}, {{4, 1}, {1, 3}}, {{0, 3}, {3}}}));
  rows.push_back(row("columns", [](const auto& x) { return square(ag::columns(x[0], 1, 2).var()); }, kAny,
                     {{{3}}, {{2, 3}}, {{2, 2, 5}}, {{0, 3}}, {{17, 33}}}));
  rows.push_back(row("columns, none",
                     [](const auto& x) { return ag::sum(x[0]) * ag::sum(ag::columns(x[0], 3, 0).var() + 1); },
                     kAny, {{{2, 3}}}));
  rows.push_back(row("slice", [](const auto& x) { return x[0].slice(1, 3) * x[0].slice(0, 2); }, kAny,
                     {{{3}}, {{4, 17}}, {{3, 0}}}));
  rows.push_back(row("slice, none",
                     [](const auto& x) { return ag::sum(x[0].slice(1, 1)) + square(ag::sum(x[0])); }, kAny,
                     {{{3}}, {{2, 3}}}));
  rows.push_back(row("operator[]", [](const auto& x) { return x[0][0] * x[0][2] * x[0][0]; }, kAny,
                     {{{3}}, {{3, 17}}, {{4, 2, 3}}}));
  rows.push_back(row(
      "reshape",
      [](const auto& x) {
        return square(x[0].reshape({x[0].size(), 1}));
      },
      kAny, kUnary));
  rows.push_back(row("pick",
                     [](const auto& x) {
                       return square(ag::pick(x[0], xt::xarray<int>{2, -1, 0}));
                     },
                     kAny, {{{3, 3}}, {{3, 17}}}));
  rows.push_back(row("pick of one row",
                     [](const auto& x) { return square(ag::pick(x[0], xt::xarray<long>(-2))); }, kAny,
                     {{{3}}, {{2}}}));
  rows.push_back(row("pick of no rows",
                     [](const auto& x) { return ag::pick(x[0], xt::xarray<int>::from_shape({0})) + 1; }, kAny,
                     {{{0, 3}}}));
  rows.push_back(row("scatter, from the gradient of pick",
                     [](const auto& x) {
                       const auto p = ag::pick(x[0], xt::xarray<int>{{1, 1}, {-2, 0}});
                       return p * p * p;
                     },
                     kAny, {{{2, 2, 3}}}));
  return rows;
}

inline std::vector<Row> reduction_rows() {
  std::vector<Row> rows;
  rows.push_back(row("var", [](const auto& x) { return square(ag::var(x[0])); }, kAny,
                     {{{3}}, {{33}}, {{4, 17}}, {{2, 3, 4}}}));
  rows.push_back(row("var with ddof over axes",
                     [](const auto& x) {
                       return square(ag::var(x[0], {0, -1}, {.ddof = 1}));
                     },
                     kAny, {{{2, 3, 4}}, {{5, 1, 17}}, {{3, 2, 2, 2}}}));
  rows.push_back(row("var over axes, kept",
                     [](const auto& x) { return ag::var(x[0], 1, {.keepdims = true}) * x[0]; }, kAny,
                     {{{2, 3, 4}}, {{5, 1, 17}}, {{3, 2, 2, 2}}}));
  rows.push_back(
      row("std", [](const auto& x) { return ag::std(x[0]); }, kAny, {{{3}}, {{33}}, {{4, 17}}, {{2, 3, 4}}}));
  rows.push_back(
      row("std over an axis",
          [](const auto& x) { return square(ag::std(x[0], -1, {.ddof = 1, .keepdims = true})) * x[0]; }, kAny,
          {{{2, 3, 4}}, {{5, 17}}}));
  rows.push_back(row("prod", [](const auto& x) { return ag::prod(x[0]); }, kNonzero,
                     {{{}}, {{1}}, {{3}}, {{8}}, {{2, 3}}}));
  rows.push_back(row("prod over axes",
                     [](const auto& x) {
                       return square(ag::prod(x[0], {0, 2}));
                     },
                     kNonzero, {{{2, 3, 4}}, {{5, 1, 17}}, {{3, 2, 2, 2}}}));
  rows.push_back(row("prod with a zero",
                     [](const auto& x) {
                       return ag::prod(x[0] * ag::Var<typename std::decay_t<decltype(x[0])>::value_type>(
                                                  xt::xtensor<double, 1>{1, 0, 1, 2, 1}),
                                       -1);
                     },
                     kAny, {{{5}}, {{2, 5}}}));
  rows.push_back(row("prod with two zeros",
                     [](const auto& x) {
                       return ag::prod(x[0] * ag::Var<typename std::decay_t<decltype(x[0])>::value_type>(
                                                  xt::xtensor<double, 1>{1, 0, 1, 0}));
                     },
                     kAny, {{{4}}}));
  rows.push_back(row("prod of none", [](const auto& x) { return ag::sum(x[0]) + ag::sum(ag::prod(x[0], 1)); },
                     kAny, {{{2, 0, 3}}}));
  rows.push_back(row("max", [](const auto& x) { return square(ag::max(x[0])); }, kAny,
                     {{{3}}, {{33}}, {{4, 17}}, {{2, 3, 4}}}));
  rows.push_back(row("max over axes",
                     [](const auto& x) {
                       return square(ag::max(x[0], {0, 2}));
                     },
                     kAny, {{{2, 3, 4}}, {{5, 1, 17}}, {{3, 2, 2, 2}}}));
  rows.push_back(row("max over an axis, kept", [](const auto& x) { return ag::max(x[0], -1, true) * x[0]; },
                     kAny, {{{2, 3, 4}}, {{5, 1, 17}}, {{3, 2, 2, 2}}}));
  rows.push_back(row("min", [](const auto& x) { return square(ag::min(x[0])); }, kAny,
                     {{{3}}, {{33}}, {{4, 17}}, {{2, 3, 4}}}));
  rows.push_back(row("min over axes",
                     [](const auto& x) {
                       return square(ag::min(x[0], {1, 0}));
                     },
                     kAny, {{{2, 3, 4}}, {{5, 1, 17}}, {{3, 2, 2, 2}}}));
  rows.push_back(row("logsumexp", [](const auto& x) { return ag::logsumexp(x[0]); }, kAny,
                     {{{}}, {{1}}, {{3}}, {{33}}, {{2, 17}}, {{2, 3, 4}}}));
  rows.push_back(row("logsumexp over axes",
                     [](const auto& x) {
                       return ag::logsumexp(x[0], {0, -1});
                     },
                     kAny, {{{2, 3, 4}}, {{5, 1, 17}}, {{3, 2, 2, 2}}}));
  rows.push_back(row("logsumexp over an axis, kept",
                     [](const auto& x) { return ag::logsumexp(x[0], -1, true) * x[0]; }, kAny,
                     {{{3}}, {{2, 17}}, {{0, 3}}}));
  rows.push_back(row("norm", [](const auto& x) { return ag::norm(x[0]); }, kAny,
                     {{{3}}, {{33}}, {{4, 17}}, {{2, 3, 4}}}));
  rows.push_back(row("norm over axes",
                     [](const auto& x) {
                       return square(ag::norm(x[0], {0, 1}, true)) * x[0];
                     },
                     kAny, {{{2, 3, 4}}, {{5, 1, 17}}, {{3, 2, 2, 2}}}));
  rows.push_back(row("cumsum", [](const auto& x) { return square(ag::cumsum(x[0])) * x[0]; }, kAny,
                     {{{1}}, {{3}}, {{33}}, {{4, 17}}, {{2, 3, 4}}, {{0, 3}}}));
  rows.push_back(row("cumsum along the last axis", [](const auto& x) { return square(ag::cumsum(x[0], -1)); },
                     kAny, {{{3}}, {{4, 17}}, {{2, 3, 4}}, {{3, 0}}}));
  rows.push_back(row("cumsum along the middle axis",
                     [](const auto& x) { return square(ag::cumsum(x[0], 1)); }, kAny, {{{2, 3, 4}}}));
  rows.push_back(row("log_softmax along the first axis",
                     [](const auto& x) { return ag::log_softmax(x[0], 0) * x[0]; }, kAny,
                     {{{3}}, {{2, 17}}, {{2, 3, 4}}}));
  rows.push_back(row("softmax along the middle axis",
                     [](const auto& x) { return ag::softmax(x[0], 1) * x[0]; }, kAny, {{{2, 3, 4}}}));
  rows.push_back(row("layer_norm", [](const auto& x) { return ag::layer_norm(x[0], x[1], x[2]); }, kAny,
                     {{{3}, {3}, {3}}, {{4, 17}, {17}, {17}}, {{2, 3, 4}, {4}, {4}}}));
  rows.push_back(row("layer_norm without weights",
                     [](const auto& x) { return ag::layer_norm(x[0], 1e-3) * x[0]; }, kAny,
                     {{{3}}, {{4, 17}}}));
  rows.push_back(row("dropout",
                     [](const auto& x) {
                       Steps rng;
                       return ag::dropout(x[0], 0.4, rng) * x[0];
                     },
                     kAny, {{{3}}, {{4, 17}}, {{0}}}));
  return rows;
}

inline std::vector<Row> view_rows() {
  std::vector<Row> rows;
  rows.push_back(row("gather_view",
                     [](const auto& x) {
                       return square(ag::permute(x[0], {1, 2, 0}));
                     },
                     kAny, {{{2, 3, 4}}, {{1, 3, 1}}, {{0, 2, 3}}, {{3, 17, 2}}}));
  rows.push_back(row("permute",
                     [](const auto& x) {
                       return square(ag::permute(x[0], {0, 2, 1})) * ag::permute(x[0], {0, -1, 1});
                     },
                     kAny, {{{2, 3, 4}}, {{1, 3, 1}}, {{2, 17, 16}}}));
  rows.push_back(row("transpose of any rank", [](const auto& x) { return square(ag::transpose(x[0])); }, kAny,
                     {{{}}, {{3}}, {{2, 3, 4}}, {{2, 1, 3, 2}}}));
  rows.push_back(row("expand_dims", [](const auto& x) { return square(ag::expand_dims(x[0], -1)); }, kAny,
                     {{{}}, {{3}}, {{2, 3}}}));
  rows.push_back(row("squeeze", [](const auto& x) { return square(ag::squeeze(x[0])); }, kAny,
                     {{{1}}, {{3, 1}}, {{1, 2, 1, 3}}, {{}}}));
  rows.push_back(row("squeeze of an axis", [](const auto& x) { return square(ag::squeeze(x[0], -2)); }, kAny,
                     {{{3, 1, 2}}, {{1, 1}}}));
  rows.push_back(row("slice with steps",
                     [](const auto& x) {
                       return square(ag::slice(x[0], {{1, {}, 2}, {{}, {}, -1}}));
                     },
                     kAny, {{{5, 3}}, {{4, 17, 2}}, {{1, 3}}, {{3, 0}}}));
  rows.push_back(row("slice of the last axis",
                     [](const auto& x) {
                       return square(ag::slice(x[0], {{}, {-3, -1}})) * ag::slice(x[0], {{}, {0, 2}});
                     },
                     kAny, {{{2, 3}}, {{4, 17}}, {{2, 3, 2}}}));
  rows.push_back(
      row("slice, overlapping",
          [](const auto& x) {
            return ag::slice(x[0], {{0, -1}}) * ag::slice(x[0], {{1, {}}}) * ag::slice(x[0], {{{}, 0, -1}});
          },
          kAny, {{{5}}, {{4, 3}}}));
  rows.push_back(row("flip",
                     [](const auto& x) {
                       return square(ag::flip(x[0], {0, -1})) * x[0];
                     },
                     kAny, {{{4, 17}}, {{2, 3, 4}}, {{0, 3}}}));
  rows.push_back(row("flip of one axis", [](const auto& x) { return square(ag::flip(x[0], 0)) * x[0]; }, kAny,
                     {{{3}}, {{4, 17}}}));
  rows.push_back(row("scatter_view",
                     [](const auto& x) {
                       return square(ag::pad(x[0], {{1, 0}, {0, 2}}));
                     },
                     kAny, {{{2, 3}}, {{4, 17}}, {{0, 2}}}));
  rows.push_back(row("pad with a value",
                     [](const auto& x) {
                       return square(ag::pad(x[0], {{2, 1}}, 0.5));
                     },
                     kAny, {{{3}}, {{17}}, {{0}}}));
  rows.push_back(row("split",
                     [](const auto& x) {
                       const auto parts = ag::split(x[0], 3, 1);
                       return parts[0] * parts[1] * parts[2];
                     },
                     kAny, {{{2, 3}}, {{4, 9}}, {{2, 6, 2}}}));
  rows.push_back(row("split by extents",
                     [](const auto& x) {
                       const auto parts = ag::split(x[0], {2, 1, 2});
                       return square(parts[2]) * parts[0];
                     },
                     kAny, {{{5}}, {{5, 17}}}));
  rows.push_back(row("chunk into parts",
                     [](const auto& x) {
                       const auto parts = ag::chunk(x[0], 3, -1);
                       return ag::sum(square(parts.back())) * parts[0];
                     },
                     kAny, {{{5}}, {{4, 17}}, {{1, 2}}}));
  rows.push_back(row(
      "concat along the last axis", [](const auto& x) { return square(ag::concat(std::span(x), -1)); }, kAny,
      {{{3}, {2}}, {{2, 3}, {2, 0}, {2, 1}}, {{4, 17}, {4, 3}}, {{2, 3, 4}, {2, 3, 1}}, {{0, 2}, {0, 3}}}));
  rows.push_back(row("concat along the middle axis",
                     [](const auto& x) {
                       return square(ag::concat({x[0], x[1], x[0]}, 1));
                     },
                     kAny, {{{2, 3, 4}, {2, 1, 4}}}));
  rows.push_back(row("stack along the last axis",
                     [](const auto& x) { return square(ag::stack(std::span(x), -1)); }, kAny,
                     {{{}, {}}, {{3}, {3}}, {{2, 17}, {2, 17}}, {{0}, {0}}}));
  rows.push_back(row("take",
                     [](const auto& x) {
                       return square(ag::take(x[0], xt::xarray<int>{{2, 0}, {-1, 2}}));
                     },
                     kAny, {{{3}}, {{3, 2}}, {{4, 17}}, {{3, 2, 2}}}));
  rows.push_back(row("take along the last axis",
                     [](const auto& x) {
                       return square(ag::take(x[0], xt::xarray<int>{1, 1, 0}, -1)) *
                              ag::take(x[0], xt::xarray<int>{0, 1, -1}, 1);
                     },
                     kAny, {{{2, 3}}, {{2, 4}}}));
  rows.push_back(row("take of a scalar index",
                     [](const auto& x) { return square(ag::take(x[0], xt::xarray<int>(-1))); }, kAny,
                     {{{3}}, {{3, 17}}}));
  rows.push_back(row(
      "take of nothing",
      [](const auto& x) { return ag::sum(x[0]) + ag::sum(ag::take(x[0], xt::xarray<int>::from_shape({0}))); },
      kAny, {{{3, 2}}}));
  return rows;
}

inline std::vector<Row> product_rows() {
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
  rows.push_back(row("linear", [](const auto& x) { return square(ag::linear(x[0], x[1], x[2])); }, kAny,
                     {{{3}, {2, 3}, {2}},
                      {{4, 3}, {2, 3}, {2}},
                      {{2, 3, 4}, {5, 4}, {5}},
                      {{130, 2}, {3, 2}, {3}},
                      {{2, 17}, {18, 17}, {18}},
                      {{0, 3}, {2, 3}, {2}},
                      {{4, 0}, {2, 0}, {2}}}));
  rows.push_back(
      row("linear without bias", [](const auto& x) { return square(ag::linear(x[0], x[1])); }, kAny,
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

inline std::vector<Row> map_rows() {
  std::vector<Row> rows;
  rows.push_back(row("map",
                     [](const auto& x) {
                       return ag::map([](auto f, auto n, auto h) { return (1 - f) * h + f * tanh(n); }, x[0],
                                      x[1], x[2]);
                     },
                     kAny,
                     {{{3}, {3}, {3}},
                      {{33}, {33}, {33}},
                      {{4, 17}, {17}, {4, 1}},
                      {{}, {67}, {67}},
                      {{2, 1, 3}, {4, 1}, {3}},
                      {{0, 3}, {3}, {}},
                      {{2, 3}, {1, 3}, {1, 1}},
                      {{2, 3, 4}, {3, 4}, {4}},
                      {{2, 3, 17}, {2, 3, 1}, {17}},
                      {{2, 3, 17}, {3, 17}, {2, 3, 1}}}));
  rows.push_back(row(
      "map with several outputs",
      [](const auto& x) {
        const auto [p, q, r] =
            ag::map([](auto a, auto b) { return std::make_tuple(tanh(a) * b, exp(a) + sigmoid(b), a * a); },
                    x[0], x[1]);
        return p * q - r;
      },
      kAny, {{{3}, {3}}, {{4, 17}, {17}}, {{4, 17}, {4, 1}}, {{0}, {}}}));
  rows.push_back(row("map with an output that nobody uses",
                     [](const auto& x) {
                       return std::get<1>(ag::map(
                           [](auto a, auto b) { return std::make_tuple(tanh(a), a * exp(b)); }, x[0], x[1]));
                     },
                     kAny, {{{3}, {3}}, {{4, 17}, {17}}}));
  rows.push_back(row("map with an output of a broadcast operand alone",
                     [](const auto& x) {
                       const auto [p, q] = ag::map(
                           [](auto a, auto b) { return std::make_tuple(a * b, tanh(b)); }, x[0], x[1]);
                       return p * q;
                     },
                     kAny, {{{3}, {3}}, {{4, 3}, {3}}, {{4, 3}, {4, 1}}, {{4, 3}, {}}, {{2, 1, 4}, {3, 1}}}));
  rows.push_back(row("map that gives its inputs",
                     [](const auto& x) {
                       const auto [p, q] =
                           ag::map([](auto a, auto b) { return std::make_tuple(b, a); }, x[0], x[1]);
                       return p * q * q;
                     },
                     kAny, {{{3}, {3}}, {{4, 3}, {3}}, {{4, 3}, {4, 1}}}));
  rows.push_back(row(
      "map with the same operand twice",
      [](const auto& x) {
        return ag::map([](auto a, auto b, auto c) { return a * tanh(b) + c * c; }, x[0], x[0], x[0]);
      },
      kAny, kUnary));
  rows.push_back(row("map with parts of one value",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b, auto c) { return a * tanh(b) + c; }, x[0], x[0][0],
                                      x[0].slice(1, 2));
                     },
                     kAny, {{{3}}, {{3, 17}}}));
  rows.push_back(row(
      "map with a capture",
      [](const auto& x) {
        const float scale = 0.75f;
        const int shift = 2;
        return ag::map([scale, shift](auto a, auto b) { return sigmoid(scale * a) * (b - shift); }, x[0],
                       x[1]);
      },
      kAny, kBinary));
  rows.push_back(row(
      "map of a number of one operand only",
      [](const auto& x) { return ag::map([](auto a) { return a * a * 2 + exp(a * 0.5) / 3; }, x[0]); }, kAny,
      kUnary));
  rows.push_back(row(
      "map with kinks",
      [](const auto& x) {
        return ag::map([](auto a) { return relu(a) * a + abs(a) * sign(a) - heaviside(-a) * sqrt(abs(a)); },
                       x[0]);
      },
      kNonzero, kUnary));
  rows.push_back(row("map with every other function",
                     [](const auto& x) {
                       return ag::map(
                           [](auto a) {
                             const auto smooth = sin(a) * cos(a) + erf(a) * expm1(a) -
                                                 softplus(a) * log1p(a * a) + silu(a) * gelu(a);
                             const auto kinked =
                                 leaky_relu(a) + elu(a) * clamp(a, -1.1, 1.2) - hardtanh(a) * rsqrt(a * a);
                             return where(a > 0.1, smooth, kinked) + pow(a * a, 1.5) * maximum(a, 0) -
                                    minimum(a, 1) * (a <= 0.3);
                           },
                           x[0]);
                     },
                     kNonzero, {{{}}, {{3}}, {{33}}, {{0}}}));
  rows.push_back(row("map with many costly functions",
                     [](const auto& x) {
                       return ag::map(
                           [](auto a) {
                             auto y = tanh(a);
                             for (int i = 0; i < 70; ++i) y = tanh(y);
                             return y;
                           },
                           x[0]);
                     },
                     kAny, {{{3}}, {{17}}}));
  rows.push_back(row("chunk",
                     [](const auto& x) {
                       return ag::map([](auto i, auto f, auto g) { return sigmoid(i) * tanh(g) + f; },
                                      ag::chunk<3>(x[0]));
                     },
                     kAny, {{{3}}, {{9}}, {{2, 51}}, {{2, 2, 6}}, {{0, 3}}, {{2, 0}}, {{4, 24}}}));
  rows.push_back(row("chunk and a state",
                     [](const auto& x) {
                       const auto [h, c] = ag::map(
                           [](auto i, auto f, auto g, auto o, auto c) {
                             auto next = sigmoid(f) * c + sigmoid(i) * tanh(g);
                             return std::make_tuple(sigmoid(o) * tanh(next), next);
                           },
                           ag::chunk<4>(x[0]), x[1]);
                       return h * c;
                     },
                     kAny,
                     {{{2, 12}, {2, 3}}, {{68}, {17}}, {{2, 12}, {3}}, {{2, 12}, {2, 1}}, {{2, 12}, {}}}));
  rows.push_back(row("columns in map",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b) { return a * tanh(b); }, ag::columns(x[0], 0, 2),
                                      ag::columns(x[0], 2, 2));
                     },
                     kAny, {{{4}}, {{3, 5}}, {{3, 4}}}));
  rows.push_back(row("columns in map, the same twice",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b) { return a * tanh(b); }, ag::columns(x[0], 1, 2),
                                      ag::columns(x[0], 1, 2));
                     },
                     kAny, {{{4}}, {{3, 5}}, {{3, 4}}}));
  rows.push_back(row("columns in map, overlapping",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b) { return a * tanh(b); }, ag::columns(x[0], 0, 2),
                                      ag::columns(x[0], 1, 2));
                     },
                     kAny, {{{4}}, {{3, 5}}, {{3, 4}}}));
  rows.push_back(row("columns in map, and all of it",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b) { return a * tanh(b); }, ag::columns(x[0], 0, 3),
                                      x[0]);
                     },
                     kAny, {{{2, 3}}}));
  return rows;
}

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
