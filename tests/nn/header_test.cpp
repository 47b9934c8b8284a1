#include <nn/nn.hpp>  // alone, as a user may include it

#include <doctest/doctest.h>

TEST_CASE("nn.hpp brings all that its cells need") {
  nn::Rng rng(1);
  const nn::GRU<float> gru(2, 3, rng);
  CHECK(gru(autograd::zeros<float>({4, 1, 2})).output.shape() == autograd::Shape{4, 1, 3});
}
