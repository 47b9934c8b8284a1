// Values of take, pick, concat and stack; what is a window and no node; and gradients of entries that are
// used more than once.
#include <doctest/doctest.h>

#include <numeric>
#include <xtensor/xarray.hpp>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xmanipulation.hpp>

#include "index_loops.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Shape;
using test::entry;
using test::has_entries;
using test::Index;
using test::numbers;
using test::random_array;
using V = ag::Var<double>;
using Numbers = std::vector<double>;

TEST_CASE("concat joins along any axis, also empty parts") {
  for (const Shape& shape : test::shapes())
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      CAPTURE(shape);
      CAPTURE(axis);
      std::vector<V> parts;
      std::vector<std::size_t> part_of, begin_of;
      Shape whole = shape;
      for (const std::size_t extent : {shape[axis], std::size_t{0}, std::size_t{1}, shape[axis] + 2}) {
        Shape own = shape;
        own[axis] = extent;
        const std::size_t begin = part_of.size();
        for (std::size_t i = 0; i < extent; ++i) part_of.push_back(parts.size()), begin_of.push_back(begin);
        parts.push_back(random_array(own, unsigned(parts.size())));
      }
      whole[axis] = part_of.size();
      const auto expected = [&](Index index) {
        const std::size_t at = index[axis];
        index[axis] = at - begin_of[at];
        return entry(parts[part_of[at]], index);
      };
      CHECK(has_entries(concat(parts, std::ptrdiff_t(axis)), whole, expected));
      CHECK(has_entries(concat(parts, std::ptrdiff_t(axis) - std::ptrdiff_t(shape.rank())), whole, expected));
    }
  const xt::xarray<double> a = xt::arange(12.).reshape({3, 4}), b = -a;
  CHECK(numbers(ag::concat({V(a), V(b)}, 1)) == numbers(V(xt::concatenate(xt::xtuple(a, b), 1))));
}

TEST_CASE("stack makes a new axis anywhere, also of scalars and of one part") {
  for (const Shape& shape : test::shapes()) {
    if (shape.rank() == Shape::kMaxRank) continue;
    const auto rank = std::ptrdiff_t(shape.rank()) + 1;
    for (const std::size_t count : {1, 3})
      for (std::ptrdiff_t axis = -rank; axis < rank; ++axis) {
        CAPTURE(shape);
        CAPTURE(axis);
        std::vector<V> parts;
        for (std::size_t i = 0; i < count; ++i) parts.push_back(random_array(shape, unsigned(i)));
        const auto at = std::size_t(axis < 0 ? axis + rank : axis);
        Shape whole = shape.prefix(at);
        whole.push_back(count);
        for (const std::size_t extent : shape.suffix(at)) whole.push_back(extent);
        CHECK(has_entries(stack(parts, axis), whole, [&](Index index) {
          const V& part = parts[index[at]];
          index.erase(index.begin() + std::ptrdiff_t(at));
          return entry(part, index);
        }));
      }
  }
}

TEST_CASE("take puts the axes of the indices in the place of the axis") {
  for (const Shape& shape : test::shapes())
    for (std::size_t axis = 0; axis < shape.rank(); ++axis)
      for (const Shape& of : {Shape{}, Shape{4}, Shape{0}, Shape{2, 3}}) {
        if (shape.rank() - 1 + of.rank() > Shape::kMaxRank || (shape[axis] == 0 && of.size())) continue;
        CAPTURE(shape);
        CAPTURE(axis);
        CAPTURE(of);
        const V x = random_array(shape, 1);
        const auto n = std::int64_t(shape[axis]);
        std::vector<std::int64_t> at(of.size());
        for (std::size_t i = 0; i < at.size(); ++i) at[i] = std::int64_t(5 * i) % (2 * n) - n;  // -n .. n - 1
        Shape taken = shape.prefix(axis);
        for (const std::size_t extent : of) taken.push_back(extent);
        for (const std::size_t extent : shape.suffix(axis + 1)) taken.push_back(extent);
        CHECK(has_entries(take(x, {of, at}, std::ptrdiff_t(axis)), taken, [&](const Index& index) {
          const auto first = index.begin() + std::ptrdiff_t(axis), last = first + std::ptrdiff_t(of.rank());
          const std::int64_t named = at[test::flat(Index(first, last), of)];
          Index from(index.begin(), first);
          from.push_back(std::size_t(named < 0 ? named + n : named));
          from.insert(from.end(), last, index.end());
          return entry(x, from);
        }));
      }
}

TEST_CASE("pick gives one entry of every row") {
  for (const Shape& shape : test::shapes()) {
    if (shape.rank() == 0 || shape.back() == 0) continue;
    CAPTURE(shape);
    const V x = random_array(shape, 2);
    const Shape rows = shape.prefix(shape.rank() - 1);
    const auto n = std::int64_t(shape.back());
    std::vector<std::int64_t> at(rows.size());
    for (std::size_t i = 0; i < at.size(); ++i) at[i] = std::int64_t(3 * i) % (2 * n) - n;
    CHECK(has_entries(pick(x, {rows, at}), rows, [&](Index index) {
      const std::int64_t named = at[test::flat(index, rows)];
      index.push_back(std::size_t(named < 0 ? named + n : named));
      return entry(x, index);
    }));
  }
}

TEST_CASE("indices are read in row-major order from any expression of integers") {
  const xt::xarray<int, xt::layout_type::column_major> columns{{0, 1, 2}, {3, 4, 5}};
  const V x(xt::arange(6.));
  CHECK(numbers(take(x, columns)) == Numbers{0, 1, 2, 3, 4, 5});
  CHECK(numbers(take(x, xt::transpose(columns))) == Numbers{0, 3, 1, 4, 2, 5});
  CHECK(take(x, xt::transpose(columns)).shape() == Shape{3, 2});
  CHECK(numbers(take(x, columns - 6)) == Numbers{0, 1, 2, 3, 4, 5});
  CHECK(numbers(take(x, xt::xarray<std::uint8_t>{5, 0})) == Numbers{5, 0});
}

TEST_CASE("windows record no node and share their elements") {
  const V leaf = test::random_variable({4, 1, 3}, 3);
  const ag::Tape tape;
  for (const V& x : {leaf, leaf * 2}) {
    const std::size_t before = tape.size();
    const auto is_window = [&](const V& y, std::size_t shift = 0) {
      CHECK(tape.size() == before);
      CHECK(y.array().data() == x.array().data() + shift);
    };
    is_window(permute(x, {0, 1, 2}));
    is_window(permute(x, {-3, 1, -1}));
    is_window(expand_dims(x, -1));
    is_window(squeeze(x));
    is_window(squeeze(x, 1));
    is_window(slice(x, {{1, -1}}), 3);
    is_window(slice(x, {{2, {}}, {}, {-5, 5}}), 6);
    is_window(slice(x, {{}, {}, {}}));
    is_window(slice(x, {{3, 1}}), 9);
    is_window(flip(x, ag::Axes{}));
    for (const V& part : split(x, 2)) CHECK(part.shape() == Shape{2, 1, 3});
    for (const V& part : chunk(x, 3)) CHECK(part.rank() == 3);
    for (const V& part : split(x, {1, 3})) CHECK(part.rank() == 3);
    CHECK(tape.size() == before);
    permute(x, {2, 0, 1});
    CHECK(tape.size() == before + 1);
    slice(x, {{}, {}, {0, 2}});
    flip(x, 0);
    CHECK(tape.size() == before + 3);
  }
}

TEST_CASE("gradients through overlapping slices are summed") {
  const V x = test::random_variable({5}, 4), y = test::random_variable({2, 4}, 5);
  ag::Tape tape;
  V sum = 0.0;
  for (std::ptrdiff_t begin = 0; begin < 4; ++begin) sum = sum + ag::sum(slice(x, {{begin, {}}}));  // windows
  sum = sum + ag::sum(10 * slice(x, {{{}, {}, -2}})) + ag::sum(100 * slice(x, {{1, 4, 2}}));
  for (std::ptrdiff_t begin = 0; begin < 3; ++begin)
    sum = sum + ag::sum(slice(y, {{}, {begin, begin + 2}})) + ag::sum(slice(y, {{1}, {begin, -1}}));
  const ag::Gradients gradients = tape.backward(sum);
  CHECK(numbers(gradients.array(x)) == Numbers{11, 102, 13, 104, 14});
  CHECK(numbers(gradients.array(y)) == Numbers{1, 2, 2, 1, 2, 4, 5, 1});
}

TEST_CASE("gradients of entries that are taken again and again are summed") {
  const V x = test::random_variable({3, 2}, 6), w(xt::xarray<double>{{1, 2}, {3, 4}, {5, 6}, {7, 8}});
  ag::Tape tape;
  const V rows = take(x, xt::xarray<int>{1, -2, 1, 0}) * w;
  const V columns = take(x, xt::xarray<int>{{0, 0}, {0, 1}}, -1), picked = pick(x, xt::xarray<int>{1, 1, -1});
  const ag::Gradients gradients = tape.backward(sum(rows) + sum(100 * columns) + sum(1000 * picked));
  CHECK(numbers(gradients.array(x)) == Numbers{307, 1108, 309, 1112, 300, 1100});
}
