// Plain recurrent cells keep what is promised of every network, see promises.hpp.
#include "combinators.hpp"

TEST_CASE("RNNCell with tanh keeps all promises in every combinator") {
  test::check_promises(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::RNNCell<T>(in, test::kHidden, rng); });
}

TEST_CASE("RNNCell with relu keeps all promises in every combinator") {
  test::check_promises([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::RNNCell<T>(in, test::kHidden, rng, nn::Activation::relu);
  });
}

TEST_CASE("RNNCell with sigmoid keeps all promises in every combinator") {
  test::check_promises([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::RNNCell<T>(in, test::kHidden, rng, nn::Activation::sigmoid);
  });
}

TEST_CASE("IndRNNCell keeps all promises in every combinator") {
  test::check_promises(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::IndRNNCell<T>(in, test::kHidden, rng); });
}
