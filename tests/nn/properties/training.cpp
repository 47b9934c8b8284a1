// What is promised in training, and of checkpoints in both modes.
#include <doctest/doctest.h>

#include "runs.hpp"

namespace test {

template <class T>
void check_checkpointed(const Make<T>& make, const Traits& traits) {
  INFO("checkpoints change no bit");
  // Of a batch of 64, two steps are projected at once: segments are two steps or a multiple.
  constexpr std::size_t kSteps = 12, kBatch = 64;
  const auto net = make(1);
  const auto x = random<T>({kSteps, kBatch, traits.features}, 2);
  const Arrays<T> state = random_state(*net, kBatch);
  Lengths lengths;
  for (std::int64_t b = 0; b < std::int64_t{kBatch}; ++b) lengths.push_back(1 + b * 7 % 12);
  const auto run_in = [&](bool training, const Arrays<T>& from, const nn::UnrollOptions& options,
                          std::size_t every) {
    nn::Rng rng(9);
    if (training) {
      const nn::Training mode(rng);
      return run(*net, x, from, options, {}, every);
    }
    const nn::Evaluation mode;
    return run(*net, x, from, options, {}, every);
  };
  const nn::UnrollOptions all[] = {{},
                                   {.reverse = true},
                                   {.lengths = lengths},
                                   {.last_only = true},
                                   {.lengths = lengths, .reverse = true, .last_only = true}};
  for (const bool training : {false, true})
    for (const nn::UnrollOptions& options : all) {
      const Arrays<T> from = options.reverse ? state : Arrays<T>{};
      const Outcome<T> plain = run_in(training, from, options, 0);
      for (const std::size_t every : {1, 2, 4, 12}) {
        CAPTURE(training);
        CAPTURE(options.lengths.values().size());
        CAPTURE(options.reverse);
        CAPTURE(options.last_only);
        CAPTURE(every);
        CHECK(same_bits(run_in(training, from, options, every), plain));
      }
    }
  const auto nodes = [&](std::size_t every) {
    const nn::Evaluation mode;
    ag::Tape tape;
    (void)net->unroll_checkpointed(every, ag::variable(x.copy()), {}, {});
    return tape.size();
  };
  if (!traits.checkpointed) CHECK(nodes(4) < nodes(2));  // several segments, and fewer if they are longer
}

template void check_checkpointed(const Make<float>&, const Traits&);
template void check_checkpointed(const Make<double>&, const Traits&);

void check_training(const Make<double>& make, const Traits& traits) {
  INFO("in training, the same seed gives the same, whatever padding holds");
  const auto net = make(1);
  const auto x = random<double>({6, 3, traits.features}, 2);
  const Lengths lengths{4, 6, 1};
  const auto run_with = [&](double padding) {
    nn::Rng rng(9);
    const nn::Training training(rng);
    return run(*net, padded(x, lengths, padding), {}, {.lengths = lengths});
  };
  const Outcome<double> first = run_with(0);
  CHECK(same_bits(run_with(0), first));
  CHECK(same_bits(run_with(std::nan("")), first));
  CHECK(same_bits(padded(first.output, lengths, 0), first.output));
}

}  // namespace test
