// Gated cells of one state keep what is promised of every network, see promises.hpp.
#include "combinators.hpp"

TEST_CASE("GRUCell keeps all promises in every combinator") {
  test::check_promises(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::GRUCell<T>(in, test::kHidden, rng); });
}

TEST_CASE("ResetBeforeGRUCell keeps all promises in every combinator") {
  test::check_promises([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::ResetBeforeGRUCell<T>(in, test::kHidden, rng);
  });
}

TEST_CASE("MGUCell keeps all promises in every combinator") {
  test::check_promises(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::MGUCell<T>(in, test::kHidden, rng); });
}
