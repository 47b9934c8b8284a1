#include "mode.hpp"

#include "autograd/tape.hpp"

namespace nn::detail {

thread_local constinit RandomContext random_context;

namespace {

std::uint64_t draw(Rng& rng) {
  constexpr std::size_t kRange = std::size_t{1} << 32;
  const std::uint64_t high = rng.below(kRange);
  return high << 32 | rng.below(kRange);
}

// A number of its own for each step and each site of it.
std::uint64_t of_site(const StepRandomness& steps, std::uint64_t step, std::uint64_t site) {
  return SiteRandom::mixed(SiteRandom::mixed(steps.seed + step) + site);
}

}  // namespace

bool training(const char* who) {
  if (random_context.mode) return random_context.mode->training;
  if (autograd::detail::recording())
    autograd::detail::fail(
        who,
        ": a tape records, but neither training nor evaluation was chosen; put `nn::Training training(rng);` "
        "beside the tape, or `nn::Evaluation evaluation;`");
  return false;
}

SiteRandom::SiteRandom() {
  if (StepRandomness* steps = random_context.steps)
    state_ = of_site(*steps, steps->step, 2 * steps->sites++);
  else
    state_ = draw(*random_context.mode->rng);
}

SiteRandom::SiteRandom(const char* who) {
  StepRandomness* steps = random_context.steps;
  if (!steps)
    autograd::detail::fail(who,
                           ": it keeps one mask for all steps of a sequence, and this step belongs to none; "
                           "run it by unroll, or in evaluation mode");
  state_ = of_site(*steps, 0, 2 * steps->fixed_sites++ + 1);
}

std::uint64_t seed_of_steps() {
  if (!random_context.mode || !random_context.mode->training) return 0;
  if (StepRandomness* steps = random_context.steps) return of_site(*steps, steps->step, 2 * steps->sites++);
  return draw(*random_context.mode->rng);
}

}  // namespace nn::detail
