// Checkpoints of the LSTM family in float, see promises.hpp.
#include "combinators.hpp"

TEST_CASE("checkpoints of LSTMCell change no bit in float") {
  test::check_checkpoints_in_float(
      []<class T>(T, std::size_t in, nn::Rng& rng) { return nn::LSTMCell<T>(in, test::kHidden, rng); });
}

TEST_CASE("checkpoints of LSTMCell with a projection change no bit in float") {
  test::check_checkpoints_in_float([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::LSTMCell<T>(in, 5, rng, {.proj_size = test::kHidden});
  });
}

TEST_CASE("checkpoints of PeepholeLSTMCell change no bit in float") {
  test::check_checkpoints_in_float([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::PeepholeLSTMCell<T>(in, test::kHidden, rng);
  });
}

TEST_CASE("checkpoints of CoupledLSTMCell change no bit in float") {
  test::check_checkpoints_in_float([]<class T>(T, std::size_t in, nn::Rng& rng) {
    return nn::CoupledLSTMCell<T>(in, test::kHidden, rng);
  });
}
