// Checkpoints of normalising cells and of a user's in float, see promises.hpp.
#include "../minimal_gated_cell.hpp"
#include "../traces_cell.hpp"
#include "combinators.hpp"

TEST_CASE("checkpoints of LayerNormLSTMCell change no bit in float") {
  test::check_checkpoints_in_float([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::LayerNormLSTMCell<T>(in, test::kHidden, rng);
  });
}

TEST_CASE("checkpoints of LayerNormGRUCell change no bit in float") {
  test::check_checkpoints_in_float([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::LayerNormGRUCell<T>(in, test::kHidden, rng);
  });
}

TEST_CASE("checkpoints of a user's cell without project change no bit in float") {
  test::check_checkpoints_in_float([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return test::MinimalGatedCell<T>(in, test::kHidden, rng);
  });
}

TEST_CASE("checkpoints of a user's cell with a nest as its state change no bit in float") {
  test::check_checkpoints_in_float(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return test::TracesCell<T>(in, test::kHidden, rng); });
}
