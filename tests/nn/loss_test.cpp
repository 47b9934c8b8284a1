// Losses: values by definition, extremes, derivatives, and what is refused.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

namespace ag = autograd;
using Var = ag::Var<double>;
using Labels = xt::xarray<int>;

namespace {

Var ones(const ag::Shape& shape) { return ag::Array<double>(shape, 1); }

Labels scalar_label(int label) { return Labels(Labels::shape_type{}, label); }

}  // namespace

TEST_CASE("mse is the mean over all entries, of any rank") {
  const Var p = xt::xarray<double>{{{1, 2}, {3, 5}}}, y = xt::xarray<double>{{{1, 1}, {1, 1}}};
  CHECK(nn::mse(p, y).item() == (0 + 1 + 4 + 16) / 4.0);
  CHECK(nn::mse(p, y).rank() == 0);
  CHECK(nn::mse(Var(3.0), Var(1.0)).item() == 4);
}

TEST_CASE("mse does not broadcast") {
  CHECK_THROWS_WITH_AS(
      nn::mse(ones({4, 1}), ones({4})),
      "mse: the prediction has shape (4, 1), the target (4,); they must be equal, reshape one of them",
      ag::Error);
  CHECK_THROWS_AS(nn::mse(ones({4}), ones({})), ag::Error);
  CHECK_THROWS_AS(nn::mse(ones({2, 3}), ones({3, 2})), ag::Error);
}

TEST_CASE("a loss of nothing is refused") {
  const Labels no_labels = Labels::from_shape(Labels::shape_type{0});
  CHECK_THROWS_AS(nn::mse(ones({0, 3}), ones({0, 3})), ag::Error);
  CHECK_THROWS_AS(nn::mse(Var{}, ones({3})), ag::Error);
  CHECK_THROWS_AS(nn::cross_entropy(ones({0, 3}), no_labels), ag::Error);
  CHECK_THROWS_AS(nn::cross_entropy(Var{}, Labels{1}), ag::Error);
}

TEST_CASE("cross_entropy is -log softmax of the label, for logits of any rank") {
  const Var logits = xt::xarray<double>{{1, 2, 3}, {0, 0, 0}};
  Labels column = {1, 2};
  column.reshape({2, 1});
  const double first = std::log(std::exp(-2) + std::exp(-1) + 1) + 1, second = std::log(3.0);
  CHECK(nn::cross_entropy(logits, Labels{1, 2}).item() ==
        doctest::Approx((first + second) / 2).epsilon(1e-15));
  CHECK(nn::cross_entropy(logits.reshape({2, 1, 3}), column).item() ==
        doctest::Approx((first + second) / 2).epsilon(1e-15));
  CHECK(nn::cross_entropy(logits[0], scalar_label(1)).item() == doctest::Approx(first).epsilon(1e-15));
  CHECK(nn::cross_entropy(ones({1, 1}), Labels{0}).item() == 0);
}

TEST_CASE("cross_entropy of extreme logits neither overflows nor loses the loss") {
  const Var logits =
      ag::variable(xt::xarray<double>{{1000, 0, -1000}, {-1e300, -1e300, -1e300}, {1e5, 1e5, 0}});
  const auto row = [&](std::size_t i, int label) {
    return nn::cross_entropy(logits.slice(i, i + 1), Labels{label});
  };
  CHECK(row(0, 0).item() == 0);
  CHECK(row(0, 1).item() == 1000);
  CHECK(row(0, 2).item() == 2000);
  CHECK(row(1, 0).item() == doctest::Approx(std::log(3.0)));
  CHECK(row(2, 1).item() == doctest::Approx(std::log(2.0)));
  ag::Tape tape;
  const ag::Gradients gradients = tape.backward(nn::cross_entropy(logits, Labels{2, 0, 1}));
  const auto g = gradients[logits];
  CHECK(g(0, 0) == doctest::Approx(1.0 / 3));
  CHECK(g(0, 2) == doctest::Approx(-1.0 / 3));
  CHECK(g(1, 0) == doctest::Approx(-2.0 / 9));
  CHECK(g(2, 0) == doctest::Approx(1.0 / 6));
  CHECK(g(2, 2) == 0);
}

TEST_CASE("cross_entropy keeps its precision in float for large logits that are close to each other") {
  const ag::Var<float> logits = xt::xarray<float>{{10000, 10001, 10000}};
  const double expected = std::log(2 + std::exp(1.0));  // the same as of {0, 1, 0}
  CHECK(static_cast<double>(nn::cross_entropy(logits, Labels{0}).item()) ==
        doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE("cross_entropy names a label that is no class, and shapes that do not fit") {
  const Var logits = ones({2, 3});
  CHECK_THROWS_WITH_AS(nn::cross_entropy(logits, Labels{1, 3}),
                       "cross_entropy: label 3 at row 1 is not one of the 3 classes of logits of shape (2, "
                       "3); labels count from 0",
                       ag::Error);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(logits, Labels{-1, 0}),
                       "cross_entropy: label -1 at row 0 is not one of the 3 classes of logits of shape (2, "
                       "3); labels count from 0",
                       ag::Error);
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(logits, Labels{1, 1, 1}),
      "cross_entropy: labels of shape (3,) do not fit logits of shape (2, 3); there must be one "
      "label for each row of the last axis",
      ag::Error);
  CHECK_THROWS_AS(nn::cross_entropy(logits, Labels{{1, 1}}), ag::Error);
  CHECK_THROWS_AS(nn::cross_entropy(ones({}), scalar_label(0)), ag::Error);
}

TEST_CASE("losses agree with finite differences to second order") {
  nn::Rng rng(1);
  const Var p = nn::init::normal<double>({3, 2, 4}, 0, 1, rng),
            y = nn::init::normal<double>({3, 2, 4}, 0, 1, rng);
  const auto squares =
      ag::gradcheck([](const Var& a, const Var& b) { return nn::mse(a, b); }, {p, y}, {.order = 2});
  CHECK_MESSAGE(static_cast<bool>(squares), squares);
  const Labels labels{{0, 3}, {1, 1}, {2, 0}};
  const auto entropy =
      ag::gradcheck([&](const Var& a) { return nn::cross_entropy(a, labels); }, {p}, {.order = 2});
  CHECK_MESSAGE(static_cast<bool>(entropy), entropy);
}

TEST_CASE("a loss that is NaN stays NaN") {
  Var p = xt::xarray<double>{{1, std::nan(""), 2}};
  CHECK(std::isnan(nn::mse(p, ones({1, 3})).item()));
  CHECK(std::isnan(nn::cross_entropy(p, Labels{0}).item()));
}
