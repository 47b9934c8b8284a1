#include "../gradient_rows.hpp"

namespace test {

namespace {

template <class T>
Var<T> joined(const Vars<T>& x) {
  return ag::concat(std::span<const Var<T>>(x));
}

}  // namespace

std::vector<Row> shape_rows() {
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
  rows.push_back(row("reshape with an extent that follows",
                     [](const auto& x) {
                       return square(x[0].reshape({-1, 2})) * x[0].reshape({-1, 2})[0];
                     },
                     kAny, {{{2}}, {{4, 3}}, {{2, 3, 4}}}));
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

}  // namespace test
