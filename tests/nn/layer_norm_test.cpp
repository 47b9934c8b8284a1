// LayerNorm beyond its fixtures: derivatives, float, mistakes.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "autograd/random_arrays.hpp"
#include "message_of.hpp"

namespace ag = autograd;
using test::message_of;
using Var = ag::Var<double>;

TEST_CASE("LayerNorm over several axes passes to second order") {
  const nn::LayerNorm<double> norm({2, 3});
  const Var x = test::random_array({4, 2, 3}, 1);
  const ag::GradcheckReport report = nn::gradcheck([&] { return sum(square(norm(x))); }, norm, {.order = 2});
  CHECK_MESSAGE(report, report);
  CHECK(report.checked == 2 * 12);
}

TEST_CASE("LayerNorm makes means of 0 and variances of 1, also in float and of one row") {
  const nn::LayerNorm norm(50);
  const ag::Var<float> x = test::random_array<float>({50}, 1, 99, 101);
  const ag::Var<float> y = norm(x);
  CHECK(y.shape() == ag::Shape{50});
  CHECK(std::abs(ag::mean(y).item()) < 1e-4);
  CHECK(ag::mean(square(y)).item() == doctest::Approx(1).epsilon(1e-3));
  CHECK(nn::parameter_count(norm) == 100);
  CHECK(nn::parameter_count(nn::LayerNorm(50, {.elementwise_affine = false})) == 0);
}

TEST_CASE("mistakes with LayerNorm") {
  const nn::LayerNorm<double> norm({2, 3});
  const auto zeros = [](const ag::Shape& shape) { return ag::zeros<double>(shape); };
  CHECK(message_of([&] {
          norm(zeros({3, 2}));
        }) == "LayerNorm: the input has shape (3, 2); its last axes must be (2, 3)");
  CHECK(message_of([&] { norm(zeros({3})); }) ==
        "LayerNorm: the input has shape (3,); its last axes must be (2, 3)");
  CHECK(message_of([&] { norm(Var()); }) == "LayerNorm: an operand is an empty Var; assign it a value first");
  CHECK(message_of([&] { nn::LayerNorm<double>(ag::Shape{}); }) ==
        "LayerNorm: normalized_shape is (); name at least one axis, for example {hidden}");
  CHECK(message_of([&] {
          nn::LayerNorm<double>({2, 0});
        }) == "LayerNorm: normalized_shape is (2, 0); its extents must be at least 1");
  CHECK(message_of([&] { nn::LayerNorm<double>(3, {.eps = -1}); }) ==
        "LayerNorm: eps is -1; it must be at least 0");
}
