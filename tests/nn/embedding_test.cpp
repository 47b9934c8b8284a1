// Embedding: what it gives for tokens of any shape, and the row that fills sequences up.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "autograd/random_arrays.hpp"
#include "message_of.hpp"

namespace ag = autograd;
using test::message_of;
using Var = ag::Var<double>;

TEST_CASE("an embedding gives a row for each token, whatever their shape") {
  nn::Rng rng(1), same(1);
  const nn::Embedding<double> embedding(5, 3, rng);
  CHECK(test::difference(embedding.weight.array(), nn::init::normal<double>({5, 3}, 0, 1, same)) == 0);
  const Var x = embedding(xt::xarray<int>{{4, 0}, {1, 4}, {2, 2}});
  CHECK(x.shape() == ag::Shape{3, 2, 3});
  CHECK(test::difference(Var(x[1][1]), Var(embedding.weight[4])) == 0);
  CHECK(embedding(ag::Indices({}, {3})).shape() == ag::Shape{3});
  CHECK(embedding(ag::Indices({0, 2}, {})).shape() == ag::Shape{0, 2, 3});
}

TEST_CASE("the gradient of an embedding passes to second order, also of tokens that repeat") {
  nn::Rng rng(1);
  const nn::Embedding<double> embedding(5, 3, rng, {.padding_idx = 0});
  const nn::LSTMCell<double> cell(3, 2, rng);
  const ag::Indices tokens = xt::xarray<int>{{4, 3}, {1, 4}, {2, 2}};
  const ag::GradcheckReport report =
      nn::gradcheck([&] { return sum(nn::unroll(cell, embedding(tokens)).output); }, embedding, {.order = 2});
  CHECK_MESSAGE(report, report);
}

TEST_CASE("the padding row starts at 0 and stays there when the others are trained") {
  nn::Rng rng(1);
  for (const std::ptrdiff_t index : {2, -3}) {
    const nn::Embedding<float> embedding(5, 3, rng, {.padding_idx = index});
    CHECK(embedding.padding_idx == 2);
    const ag::Array<float> before = embedding.weight.array().copy();
    const ag::Indices tokens = xt::xarray<int>{{4, 2}, {1, 2}, {2, 2}};
    nn::Adam<float> adam(nn::parameters(embedding), {.lr = 0.1});
    for (int step = 0; step < 3; ++step) {
      ag::Tape tape;
      const auto gradients = tape.backward(ag::sum(square(embedding(tokens) - 1.f)));
      CHECK(ag::max(abs(ag::Var<float>(gradients.array(embedding.weight)[2]))).item() == 0);
      CHECK(ag::min(abs(ag::Var<float>(gradients.array(embedding.weight)[4]))).item() > 0);
      adam.step(gradients);
    }
    CHECK(ag::max(abs(ag::Var<float>(embedding.weight[2]))).item() == 0);
    CHECK(test::difference(ag::Var<float>(embedding.weight[0]), ag::Var<float>(before[0])) == 0);
    CHECK(test::difference(ag::Var<float>(embedding.weight[1]), ag::Var<float>(before[1])) > 0.1);
  }
}

TEST_CASE("a padding row that was set to other values is given out, and not learned, to any order") {
  nn::Rng rng(1);
  nn::Embedding<double> embedding(3, 2, rng, {.padding_idx = 1});
  embedding.weight.assign(xt::xarray<double>{{1, 2}, {3, 4}, {5, 6}});
  const ag::Indices tokens = xt::xarray<int>{1, 2, 1};
  CHECK(test::numbers(embedding(tokens)) == std::vector<double>{3, 4, 5, 6, 3, 4});
  ag::Tape tape;
  const Var loss = ag::sum(pow(embedding(tokens), 3.0));
  CHECK(loss.item() == 2 * (27 + 64) + 125 + 216);
  const Var slope = ag::grad(loss, std::vector{embedding.weight}, {.create_graph = true})[0];
  CHECK(test::difference(slope, Var(xt::xarray<double>{{0, 0}, {0, 0}, {75, 108}})) < 1e-13);
  const Var curvature = ag::grad(ag::sum(slope), std::vector{embedding.weight})[0];
  CHECK(test::difference(curvature, Var(xt::xarray<double>{{0, 0}, {0, 0}, {30, 36}})) < 1e-13);
}

TEST_CASE("mistakes with embeddings") {
  nn::Rng rng(1);
  const nn::Embedding<double> embedding(5, 3, rng);
  CHECK(message_of([&] {
          embedding(xt::xarray<int>{{0, 1}, {5, 2}});
        }) ==
        "Embedding: token 5 at position 2 of tokens of shape (2, 2) is not one of the 5 that the weight of "
        "shape (5, 3) has rows for; tokens count from 0");
  nn::parameters(embedding);
  CHECK(message_of([&] { embedding(xt::xarray<int>{-1}); }) ==
        "Embedding: token -1 at position 0 of tokens of shape (1,) is not one of the 5 that weight of shape "
        "(5, 3) has rows for; tokens count from 0");
  CHECK(message_of([&] { nn::Embedding<double>(0, 3, rng); }) ==
        "Embedding: num is 0; it must be at least 1");
  CHECK(message_of([&] { nn::Embedding<double>(5, 0, rng); }) ==
        "Embedding: dim is 0; it must be at least 1");
  CHECK(message_of([&] { nn::Embedding<double>(5, 3, rng, {.padding_idx = 5}); }) ==
        "Embedding: padding_idx is 5, and there are 5 rows; it must be at least -5 and less than 5");
}
