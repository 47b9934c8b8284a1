// Cells with layer normalisation keep what is promised of every network, see promises.hpp.
#include "combinators.hpp"

TEST_CASE("LayerNormLSTMCell keeps all promises in every combinator") {
  test::check_promises([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::LayerNormLSTMCell<T>(in, test::kHidden, rng);
  });
}

TEST_CASE("LayerNormGRUCell keeps all promises in every combinator") {
  test::check_promises([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::LayerNormGRUCell<T>(in, test::kHidden, rng);
  });
}
