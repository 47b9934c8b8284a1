// Checkpoints of cells of one state in float, see promises.hpp.
#include "combinators.hpp"

TEST_CASE("checkpoints of RNNCell with tanh change no bit in float") {
  test::check_checkpoints_in_float(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::RNNCell<T>(in, test::kHidden, rng); });
}

TEST_CASE("checkpoints of RNNCell with relu change no bit in float") {
  test::check_checkpoints_in_float([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::RNNCell<T>(in, test::kHidden, rng, nn::Activation::relu);
  });
}

TEST_CASE("checkpoints of RNNCell with sigmoid change no bit in float") {
  test::check_checkpoints_in_float([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::RNNCell<T>(in, test::kHidden, rng, nn::Activation::sigmoid);
  });
}

TEST_CASE("checkpoints of IndRNNCell change no bit in float") {
  test::check_checkpoints_in_float(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::IndRNNCell<T>(in, test::kHidden, rng); });
}

TEST_CASE("checkpoints of GRUCell change no bit in float") {
  test::check_checkpoints_in_float(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::GRUCell<T>(in, test::kHidden, rng); });
}

TEST_CASE("checkpoints of ResetBeforeGRUCell change no bit in float") {
  test::check_checkpoints_in_float([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::ResetBeforeGRUCell<T>(in, test::kHidden, rng);
  });
}

TEST_CASE("checkpoints of MGUCell change no bit in float") {
  test::check_checkpoints_in_float(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::MGUCell<T>(in, test::kHidden, rng); });
}
