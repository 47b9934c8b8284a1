// LSTM cells keep what is promised of every network, see promises.hpp.
#include "combinators.hpp"

TEST_CASE("LSTMCell keeps all promises in every combinator") {
  test::check_promises(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::LSTMCell<T>(in, test::kHidden, rng); });
}

TEST_CASE("LSTMCell with a projection keeps all promises in every combinator") {
  test::check_promises([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::LSTMCell<T>(in, 5, rng, {.proj_size = test::kHidden});
  });
}

TEST_CASE("PeepholeLSTMCell keeps all promises in every combinator") {
  test::check_promises([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::PeepholeLSTMCell<T>(in, test::kHidden, rng);
  });
}

TEST_CASE("CoupledLSTMCell keeps all promises in every combinator") {
  test::check_promises([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::CoupledLSTMCell<T>(in, test::kHidden, rng);
  });
}
