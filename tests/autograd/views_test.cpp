// Values of the ops that rearrange, pick and join entries: NumPy's, entry by entry.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <xtensor/xarray.hpp>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xmanipulation.hpp>

#include "index_loops.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Range;
using ag::Shape;
using test::entry;
using test::flat;
using test::has_entries;
using test::Index;
using test::numbers;
using V = ag::Var<double>;
using Numbers = std::vector<double>;
using Position = std::optional<std::ptrdiff_t>;

namespace {

// Entries 0, 1, 2, ... so that none can be taken for another.
template <class T = double>
ag::Var<T> counted(const Shape& shape) {
  ag::Array<T> array(shape);
  std::iota(array.data(), array.data() + array.size(), T(0));
  return array;
}

// Of length n, the positions that Python's slice begin:end:step names, as CPython counts them.
std::vector<std::size_t> python_slice(Position begin, Position end, std::ptrdiff_t step, std::ptrdiff_t n) {
  const auto bound = [&](std::ptrdiff_t at) {
    if (at < 0) {
      at += n;
      if (at < 0) return step < 0 ? std::ptrdiff_t{-1} : std::ptrdiff_t{0};
    } else if (at >= n) {
      return step < 0 ? n - 1 : n;
    }
    return at;
  };
  const std::ptrdiff_t first = begin ? bound(*begin) : step < 0 ? n - 1 : 0;
  const std::ptrdiff_t last = end ? bound(*end) : step < 0 ? -1 : n;
  std::vector<std::size_t> all;
  for (std::ptrdiff_t i = first; step > 0 ? i < last : i > last; i += std::clamp(step, -n - 1, n + 1))
    all.push_back(static_cast<std::size_t>(i));
  return all;
}

std::vector<Range> many_ranges() {
  std::vector<Position> positions{{}};
  for (std::ptrdiff_t i = -6; i <= 6; ++i) positions.push_back(i);
  std::vector<Range> ranges;
  for (const Position& begin : positions)
    for (const Position& end : positions)
      for (const std::ptrdiff_t step : {-3, -2, -1, 1, 2, 3}) ranges.push_back({begin, end, step});
  return ranges;
}

// x[ranges], picked one by one.
bool is_sliced(const V& y, const V& x, const ag::PerAxis<Range>& ranges) {
  std::vector<std::vector<std::size_t>> at(x.rank());
  Shape shape;
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    const Range range = axis < ranges.size() ? ranges[axis] : Range{};
    at[axis] = python_slice(range.begin, range.end, range.step, std::ptrdiff_t(x.shape(axis)));
    shape.push_back(at[axis].size());
  }
  return has_entries(y, shape, [&](Index index) {
    for (std::size_t axis = 0; axis < x.rank(); ++axis) index[axis] = at[axis][index[axis]];
    return entry(x, index);
  });
}

}  // namespace

TEST_CASE_TEMPLATE("permute takes axis i of the result from axis axes[i]", T, float, double) {
  for (const Shape& shape : test::shapes()) {
    CAPTURE(shape);
    const auto x = counted<T>(shape);
    std::vector<std::size_t> order(shape.rank());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::size_t wrong = 0, count = 0;
    do {
      ag::Axes axes;
      Shape expected;
      for (const std::size_t axis : order) {
        axes.push_back(std::ptrdiff_t(axis) - (++count % 2 ? std::ptrdiff_t(shape.rank()) : 0));
        expected.push_back(shape[axis]);
      }
      wrong += !has_entries(permute(x, axes), expected, [&](const Index& index) {
        Index from(order.size());
        for (std::size_t i = 0; i < order.size(); ++i) from[order[i]] = index[i];
        return entry(x, from);
      });
    } while (std::next_permutation(order.begin(), order.end()));
    CHECK(wrong == 0);
    CHECK(
        has_entries(transpose(x),
                    Shape(std::make_reverse_iterator(shape.end()), std::make_reverse_iterator(shape.begin())),
                    [&](Index index) {
                      std::reverse(index.begin(), index.end());
                      return entry(x, index);
                    }));
  }
}

TEST_CASE("a transposed matrix is xtensor's, of any size of tiles") {
  for (const std::size_t rows : {1, 15, 16, 17, 70})
    for (const std::size_t cols : {1, 3, 16, 33, 64}) {
      const V x = counted({rows, cols});
      CHECK(numbers(transpose(x)) == numbers(V(xt::transpose(x.array().view()))));
    }
}

TEST_CASE("slices have Python's rule, for every begin, end and step") {
  for (std::size_t n = 0; n <= 5; ++n) {
    CAPTURE(n);
    const V x = counted({n});
    std::size_t wrong = 0;
    for (const Range& range : many_ranges()) wrong += !is_sliced(slice(x, {range}), x, {range});
    CHECK(wrong == 0);
  }
  const auto far = std::numeric_limits<std::ptrdiff_t>::max();
  const V x = counted({4, 3});
  for (const Range& range :
       {Range{-far, far}, Range{far, -far, -1}, Range{far}, Range{{}, -far}, Range{1, far, 7},
        Range{1, {}, far}, Range{{}, {}, -far}, Range{{}, {}, -far - 1}})
    CHECK(is_sliced(slice(x, {range, range}), x, {range, range}));
}

TEST_CASE("slices of several axes at once") {
  const std::vector<Range> ranges = many_ranges();
  for (const Shape& shape : {Shape{4, 3, 5}, Shape{1, 19, 6}, Shape{3, 0, 2}}) {
    const V x = counted(shape);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const Range &a = ranges[i], &b = ranges[i * 7 % ranges.size()], &c = ranges[i * 31 % ranges.size()];
      for (const ag::PerAxis<Range>& all : {ag::PerAxis<Range>{a}, {{}, a}, {{}, {}, a}, {a, b}, {a, b, c}})
        wrong += !is_sliced(slice(x, all), x, all);
    }
    CHECK(wrong == 0);
  }
  const V x = counted({3, 4});
  CHECK(numbers(slice(x, {{1, -1}, {.step = 2}})) == Numbers{4, 6});  // as documented
  CHECK(numbers(slice(x, {})) == numbers(x));
  CHECK(slice(V(3.0), {}).item() == 3);
}

TEST_CASE("flip reverses every set of axes") {
  for (const Shape& shape : test::shapes()) {
    CAPTURE(shape);
    const V x = counted(shape);
    for (const ag::Axes& axes : test::axis_sets(shape.rank())) {
      const std::vector<bool> reversed = test::named(axes, shape.rank());
      CHECK(has_entries(flip(x, axes), shape, [&](Index index) {
        for (std::size_t i = 0; i < index.size(); ++i)
          if (reversed[i]) index[i] = shape[i] - 1 - index[i];
        return entry(x, index);
      }));
    }
  }
  const V x = counted({3, 18});
  CHECK(numbers(flip(x, -1)) == numbers(V(xt::flip(x.array().view(), 1))));
}

TEST_CASE("pad puts a border around every axis, also around nothing") {
  for (const Shape& shape : test::shapes()) {
    CAPTURE(shape);
    const V x = counted(shape);
    ag::PerAxis<std::pair<std::size_t, std::size_t>> widths;
    Shape padded;
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      widths.push_back({(axis + 1) % 3, axis % 2});
      padded.push_back(shape[axis] + (axis + 1) % 3 + axis % 2);
    }
    CHECK(has_entries(pad(x, widths, -7.5), padded, [&](Index index) {
      for (std::size_t axis = 0; axis < index.size(); ++axis)
        if ((index[axis] -= widths[axis].first) >= shape[axis]) return -7.5;
      return entry(x, index);
    }));
  }
  CHECK(numbers(pad(ag::Var<float>(counted<float>({2})), {{0, 1}}, 0.1)) == Numbers{0, 1, double(0.1f)});
}

TEST_CASE("expand_dims and squeeze change the shape only") {
  for (const Shape& shape : test::shapes()) {
    CAPTURE(shape);
    const V x = counted(shape);
    Shape dense;
    for (const std::size_t extent : shape)
      if (extent != 1) dense.push_back(extent);
    CHECK(has_entries(squeeze(x), dense,
                      [&](const Index& index) { return x.array().data()[flat(index, dense)]; }));
    const auto rank = std::ptrdiff_t(shape.rank());
    if (shape.rank() == Shape::kMaxRank) continue;
    for (std::ptrdiff_t axis = 0; axis <= rank; ++axis) {
      Shape wide = shape.prefix(std::size_t(axis));
      wide.push_back(1);
      for (const std::size_t extent : shape.suffix(std::size_t(axis))) wide.push_back(extent);
      for (const std::ptrdiff_t at : {axis, axis - rank - 1}) {
        CHECK(expand_dims(x, at).shape() == wide);
        CHECK(squeeze(expand_dims(x, at), at).shape() == shape);
        CHECK(squeeze(expand_dims(x, at), at).array().data() == x.array().data());
      }
    }
  }
  CHECK(squeeze(counted({1, 2, 1}), ag::Axes{}).shape() == Shape{1, 2, 1});
  CHECK(squeeze(counted({1, 2, 1}), {-1}).shape() == Shape{1, 2});
}

TEST_CASE("split and chunk cut along an axis, and concat joins what they have cut") {
  for (const Shape& shape : {Shape{6}, Shape{6, 5}, Shape{2, 6, 3}, Shape{19, 6}, Shape{0, 6}, Shape{2, 0}})
    for (std::size_t axis = 0; axis < shape.rank(); ++axis)
      for (std::size_t count = 1; count <= 8; ++count) {
        CAPTURE(shape);
        CAPTURE(axis);
        CAPTURE(count);
        const V x = counted(shape);
        const std::size_t extent = shape[axis], each = std::max<std::size_t>((extent + count - 1) / count, 1);
        const auto at = std::ptrdiff_t(axis), last = at - std::ptrdiff_t(shape.rank());
        const std::vector<V> parts = chunk(x, count, last);
        CHECK(parts.size() == std::max<std::size_t>((extent + each - 1) / each, 1));
        std::size_t begin = 0;
        for (const V& part : parts) {
          ag::PerAxis<Range> ranges;
          for (std::size_t i = 0; i < axis; ++i) ranges.push_back({});
          ranges.push_back({std::ptrdiff_t(begin), std::ptrdiff_t(std::min(begin + each, extent))});
          CHECK(is_sliced(part, x, ranges));
          begin += each;
        }
        CHECK(numbers(concat(parts, at)) == numbers(x));
        if (extent % count) continue;
        const std::vector<V> equal = split(x, count, at);
        CHECK(equal.size() == count);
        for (const V& part : equal) CHECK(part.shape(axis) == extent / count);
        CHECK(numbers(concat(equal, last)) == numbers(x));
      }
  const std::vector<V> parts = split(counted({2, 4}), {1, 0, 3}, -1);
  CHECK(parts.size() == 3);
  CHECK(numbers(parts[0]) == Numbers{0, 4});
  CHECK(parts[1].shape() == Shape{2, 0});
  CHECK(numbers(parts[2]) == Numbers{1, 2, 3, 5, 6, 7});
  CHECK(split(counted({4}), {4}).size() == 1);  // one extent, not a count
  CHECK(split(counted({4}), 4).size() == 4);
}

TEST_CASE("reshape keeps the order of the entries, and finds the extent that is -1") {
  const V x = counted({4, 6});
  const auto shape_of = [&](const V& y) {
    CHECK(numbers(y) == numbers(x));
    CHECK(y.array().data() == x.array().data());  // a window
    return y.shape();
  };
  const std::size_t two = 2;
  CHECK(shape_of(x.reshape({2, 12})) == Shape{2, 12});
  CHECK(shape_of(x.reshape({two, -1})) == Shape{2, 12});
  CHECK(shape_of(x.reshape({2, -1, 3})) == Shape{2, 4, 3});
  CHECK(shape_of(x.reshape({24, -1})) == Shape{24, 1});
  CHECK(shape_of(x.reshape(-1)) == Shape{24});
  CHECK(V(3).reshape({}).shape() == Shape{});
  CHECK(V(3).reshape(-1).shape() == Shape{1});
  CHECK(counted({0, 3}).reshape({-1, 5}).shape() == Shape{0, 5});
  CHECK(counted({0, 3}).reshape({7, 0}).shape() == Shape{7, 0});
}

TEST_CASE("reshape refuses what does not fit") {
  const auto message = [](const V& x, const ag::Extents& extents) -> std::string {
    try {
      x.reshape(extents);
    } catch (const ag::Error& error) {
      return error.what();
    }
    return "(no error)";
  };
  const V x = counted({2, 3});
  CHECK(message(x, {4, -1}) ==
        "reshape: 6 elements of shape (2, 3) leave no extent for axis 1 beside 4 of the other axes; their "
        "product must divide the size");
  CHECK(message(counted({0, 3}), {0, -1}) ==
        "reshape: 0 elements of shape (0, 3) leave no extent for axis 1 beside 0 of the other axes; give it, "
        "since it could be anything");
  CHECK(message(x, {-1, -1}) == "reshape: the extents of axes 0 and 1 are both -1; give one of them");
  CHECK(message(x, {3, -2}) == "reshape: extent -2 of axis 1 is negative; only -1 stands for what is left");
  CHECK(message(x, {4}) ==
        "reshape: 6 elements of shape (2, 3) do not fit shape (4,); the product of its extents must be 6");
  CHECK(message(V(), -1) == "reshape: an operand is an empty Var; assign it a value first");
}
