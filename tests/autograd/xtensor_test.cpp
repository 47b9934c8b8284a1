// xtensor in and out: any expression makes a value, and values and gradients are expressions without a copy.
#include <doctest/doctest.h>

#include <sstream>
#include <xtensor/xfixed.hpp>
#include <xtensor/xio.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xstrided_view.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Shape;
using V = ag::Var<double>;
using Numbers = std::vector<double>;
using test::numbers;

namespace {

const xt::xarray<double> kMatrix{{1, 2, 3}, {4, 5, 6}};

template <class E>
void check_elements(const E& expression, const Shape& shape, const Numbers& expected) {
  const V constant(expression);
  CHECK(constant.shape() == shape);
  CHECK(numbers(constant) == expected);
  CHECK_FALSE(constant.differentiable());
  CHECK(numbers(ag::Var<float>(expression)) == expected);
  const V leaf = ag::variable<double>(expression);
  CHECK(leaf.shape() == shape);
  CHECK(numbers(leaf) == expected);
  CHECK(leaf.is_variable());
}

}  // namespace

TEST_CASE("any xtensor expression makes a constant and a variable") {
  const xt::xtensor<double, 2> fixed_rank = kMatrix;
  const xt::xtensor_fixed<double, xt::xshape<2, 3>> fixed_shape = kMatrix;
  const xt::xarray<double, xt::layout_type::column_major> column_major = kMatrix;
  const xt::xarray<int> integers{{1, -2}, {3, 4}};
  const xt::xarray<bool> flags{true, false, true};
  const xt::xarray<float> singles{0.5f, 1.5f};
  const xt::xarray<double> scalar(7.0);
  check_elements(kMatrix, {2, 3}, {1, 2, 3, 4, 5, 6});
  check_elements(fixed_rank, {2, 3}, {1, 2, 3, 4, 5, 6});
  check_elements(fixed_shape, {2, 3}, {1, 2, 3, 4, 5, 6});
  check_elements(column_major, {2, 3}, {1, 2, 3, 4, 5, 6});
  check_elements(integers, {2, 2}, {1, -2, 3, 4});
  check_elements(flags, {3}, {1, 0, 1});
  check_elements(singles, {2}, {0.5, 1.5});
  check_elements(scalar, {}, {7});
  check_elements(xt::transpose(kMatrix), {3, 2}, {1, 4, 2, 5, 3, 6});
  check_elements(xt::view(kMatrix, xt::all(), xt::range(1, 3)), {2, 2}, {2, 3, 5, 6});
  check_elements(xt::view(kMatrix, 1), {3}, {4, 5, 6});
  check_elements(xt::view(kMatrix, xt::all(), xt::newaxis(), xt::range(0, 3, 2)), {2, 1, 2}, {1, 3, 4, 6});
  check_elements(xt::strided_view(kMatrix, {xt::range(1, 0, -1), xt::ellipsis()}), {1, 3}, {4, 5, 6});
  check_elements(xt::flip(kMatrix, 1), {2, 3}, {3, 2, 1, 6, 5, 4});
  check_elements(xt::ones<double>({2, 2}), {2, 2}, {1, 1, 1, 1});
  check_elements(xt::arange<int>(4), {4}, {0, 1, 2, 3});
  check_elements(2 * kMatrix + 1, {2, 3}, {3, 5, 7, 9, 11, 13});
  check_elements(kMatrix > 3, {2, 3}, {0, 0, 0, 1, 1, 1});
  check_elements(xt::empty<double>({0, 3}), {0, 3}, {});
}

TEST_CASE("lazy reductions and broadcasts make values") {
  const xt::xarray<double> row{10, 20, 30};
  check_elements(xt::sum(kMatrix, {0}), {3}, {5, 7, 9});
  check_elements(xt::sum(kMatrix), {}, {21});
  check_elements(xt::mean(kMatrix, {1}), {2}, {2, 5});
  check_elements(xt::sum(kMatrix, {0}) + row, {3}, {15, 27, 39});
  check_elements(xt::amax(kMatrix, {1}, xt::keep_dims), {2, 1}, {3, 6});
  check_elements(xt::broadcast(row, {2, 3}), {2, 3}, {10, 20, 30, 10, 20, 30});
  check_elements(kMatrix + row, {2, 3}, {11, 22, 33, 14, 25, 36});
}

TEST_CASE("expressions of odd lengths are read to their end and no further") {
  for (std::size_t n = 0; n < 40; ++n) {
    const xt::xtensor<double, 1> x = xt::arange<double>(static_cast<double>(n));
    CAPTURE(n);
    CHECK(numbers(V(x * x - 1)) == numbers(V(square(V(x)) - 1)));
    CHECK(numbers(V(xt::cast<int>(x))) == numbers(V(x)));
  }
}

TEST_CASE("a constant is a copy: the array that it came from may change") {
  xt::xarray<double> a = kMatrix;
  const V x(a);
  a(0, 0) = 100;
  CHECK(x.value()(0, 0) == 1);
}

TEST_CASE("value() is an xtensor expression without a copy") {
  const V w = ag::variable(kMatrix);
  const ag::Tape tape;
  const V y = w * 2;
  const auto value = y.value();
  CHECK(value.data() == y.array().data());
  CHECK(y.slice(1, 2).value().data() == y.array().data() + 3);
  CHECK(value.dimension() == 2);
  CHECK(value.shape()[1] == 3);
  CHECK(xt::allclose(value, 2 * kMatrix));
  CHECK(xt::sum(value)() == 42);
  CHECK(xt::amax(value)() == 12);
  CHECK(xt::view(value, 1, 2)() == 12);
  CHECK(xt::view(value, xt::all(), 0)(1) == 8);
  CHECK(value == xt::xarray<double>(2 * kMatrix));
  std::ostringstream out;
  out << y.value();
  CHECK(out.str() == "{{  2.,   4.,   6.},\n {  8.,  10.,  12.}}");
  xt::xarray<double> whole = y.value();
  xt::xtensor<double, 2> fixed = y.value();
  xt::noalias(whole) = y.value() + value;
  xt::noalias(xt::view(fixed, 0)) = y[1].value();
  CHECK(whole(1, 2) == 24);
  CHECK(fixed(0, 1) == 10);
  xt::xarray<double, xt::layout_type::column_major> column_major = y.value();
  CHECK(column_major(0, 2) == 6);
}

TEST_CASE("views keep the memory alive and unchanged when Var, tape and gradients are gone") {
  std::vector<ag::ArrayView<double>> values, gradients;
  for (int i = 0; i < 3; ++i) {
    V w = ag::variable(kMatrix);
    ag::Tape tape;
    const V y = w * w * (i + 1);
    values.push_back(y.value());
    gradients.push_back(tape.backward(ag::sum(y))[w]);
  }
  for (int i = 0; i < 5; ++i)
    (void)V(xt::xarray<double>(xt::zeros<double>({2, 3})));  // would take the memory
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(xt::allclose(values[i], (static_cast<double>(i) + 1) * kMatrix * kMatrix, 0, 0));
    CHECK(xt::allclose(gradients[i], 2 * (static_cast<double>(i) + 1) * kMatrix, 0, 0));
  }
}

TEST_CASE("a lazy expression of a temporary view may be kept") {
  const V x(kMatrix);
  auto twice = x.value() * 2;
  auto rows = xt::sum(V(kMatrix).value(), {1});
  CHECK(twice(1, 2) == 12);
  CHECK(rows(1) == 15);
}

TEST_CASE("gradients are expressions of the variable's shape") {
  const V w = ag::variable(kMatrix);
  ag::Tape tape;
  ag::Gradients g = tape.backward(ag::sum(w * w));
  CHECK(g[w].shape()[0] == 2);
  CHECK(xt::allclose(g[w], 2 * kMatrix, 0, 0));
  CHECK(g[w].data() == g.array(w).data());
  CHECK(g[w[1]].data() == g[w].data() + 3);
  CHECK(g.norm() == doctest::Approx(2 * std::sqrt(91.0)).epsilon(1e-15));
  g.scale(0.5);
  CHECK(xt::allclose(g[w], kMatrix, 0, 0));
  xt::xarray<double> sum = xt::zeros<double>({2, 3});
  xt::noalias(sum) += g[w];
  CHECK(sum == kMatrix);
}

TEST_CASE("update changes the elements in place for all who share the variable") {
  V w = ag::variable(kMatrix);
  const double* data = w.array().data();
  const V copy = w;
  w.update([](auto&& elements) { elements = elements * 2 + 1; });
  CHECK(numbers(copy) == Numbers{3, 5, 7, 9, 11, 13});
  w.update([](auto&& elements) { xt::noalias(elements) -= xt::ones<double>({2, 3}); });
  w.update([](auto&& elements) { xt::view(elements, 1) = xt::xarray<double>{7, 8, 9}; });
  w.update_elements([](double* elements) { elements[0] = -1; });
  CHECK(numbers(copy) == Numbers{-1, 4, 6, 7, 8, 9});
  CHECK(w.array().data() == data);
}

TEST_CASE("assign takes any expression of the shape, and windows of a variable, too") {
  V w = ag::variable(kMatrix);
  w.assign(xt::xarray<int>{{6, 5, 4}, {3, 2, 1}});
  CHECK(numbers(w) == Numbers{6, 5, 4, 3, 2, 1});
  w.assign(xt::transpose(xt::xarray<double>{{1, 2}, {3, 4}, {5, 6}}));
  CHECK(numbers(w) == Numbers{1, 3, 5, 2, 4, 6});
  w[1].assign(xt::zeros<double>({3}));
  CHECK(numbers(w) == Numbers{1, 3, 5, 0, 0, 0});
}

TEST_CASE("assign may read the variable that it writes") {
  const xt::xarray<double> square{{1, 2}, {3, 4}};
  V w = ag::variable(square);
  w.assign(xt::transpose(w.value()));
  CHECK(numbers(w) == Numbers{1, 3, 2, 4});
  w.assign(w.value() * 2 + xt::transpose(w.value()));
  CHECK(numbers(w) == Numbers{3, 8, 7, 12});
  w.assign(xt::flip(w.value(), 0));
  CHECK(numbers(w) == Numbers{7, 12, 3, 8});
  V v = ag::variable(xt::xarray<double>{1, 2, 3, 4});
  v.slice(1, 4).assign(v.slice(0, 3).value());
  CHECK(numbers(v) == Numbers{1, 1, 2, 3});
}

TEST_CASE("the type of the elements decides the type of a variable") {
  static_assert(std::is_same_v<decltype(ag::variable(xt::xarray<float>{1.f})), ag::Var<float>>);
  static_assert(std::is_same_v<decltype(ag::variable(xt::xarray<double>{1.})), ag::Var<double>>);
  static_assert(std::is_same_v<decltype(ag::Var(xt::xarray<float>{1.f})), ag::Var<float>>);
  static_assert(std::is_same_v<decltype(ag::variable<float>(xt::xarray<int>{1})), ag::Var<float>>);
}

TEST_CASE("variable takes the array over if nobody else holds it, and copies it otherwise") {
  ag::Array<double> mine = test::random_array({3}, 1);
  const double* data = mine.data();
  CHECK(ag::variable(std::move(mine)).array().data() == data);
  const ag::Array<double> held = test::random_array({3}, 2);
  V w = ag::variable(held);
  w.update_elements([](double* elements) { elements[0] = 5; });
  CHECK(held.data()[0] != 5);
}
