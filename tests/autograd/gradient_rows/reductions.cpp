#include "../gradient_rows.hpp"

namespace test {

namespace {

// Random numbers that are the same at each call.
struct Steps {
  double next = 0.1;
  double uniform() { return next = next < 0.7 ? next + 0.27 : next - 0.63; }
};

}  // namespace

std::vector<Row> reduction_rows() {
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

}  // namespace test
