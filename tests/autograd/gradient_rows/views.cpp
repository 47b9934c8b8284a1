#include "../gradient_rows.hpp"

namespace test {

std::vector<Row> view_rows() {
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

}  // namespace test
