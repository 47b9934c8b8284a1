// A user's cells keep what is promised of every network, see promises.hpp.
#include "../minimal_gated_cell.hpp"
#include "../traces_cell.hpp"
#include "combinators.hpp"

TEST_CASE("a user's cell without project keeps all promises in every combinator") {
  test::check_promises([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return test::MinimalGatedCell<T>(in, test::kHidden, rng);
  });
}

TEST_CASE("a user's cell with a nest as its state keeps all promises in every combinator") {
  test::check_promises(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return test::TracesCell<T>(in, test::kHidden, rng); });
}
