// decode: a recurrent network whose output is its next input.
#pragma once

#include "combinators/around.hpp"
#include "unroll.hpp"

namespace nn {

/// Where the inputs of decode come from besides its own outputs.
template <class T>
struct DecodeOptions {
  /// What each step should have led to, (T, B, F): input t + 1 where the teacher forces.
  ag::Var<T> targets = {};
  /// In training, the probability that an input comes from the targets, drawn for each step (Bengio et al.
  /// 2015): 1 is teacher forcing, 0 what evaluation does.
  double teacher_forcing = 1;
};

/// Runs a cell for some steps on what it gives itself, from a first input x_0 (B, F) and a state:
///
///     (y_t, state_t) = cell.step(x_t, state_{t-1});  x_{t+1} = feed(y_t)     or target_t where the teacher
///     forces
///
/// `feed` makes of an output (B, H) the next input (B, F): a readout, or the embedding of the likeliest word.
/// Gives the outputs of all steps (T, B, H) and the last state. The gradient goes through what is fed back,
/// unless feed detaches it. Targets are used in training only, see Training.
///
/// Throws Error if there are no steps, if feed or the targets do not have the shape of the first input, or if
/// teacher_forcing is not in [0, 1].
template <Cell C, class Feed>
Unrolled<CellNumber<C>, CellState<C>> decode(const C& cell, const ag::Var<CellNumber<C>>& first,
                                             CellState<C> state, std::size_t steps, Feed&& feed,
                                             const DecodeOptions<CellNumber<C>>& options = {}) {
  using Var = ag::Var<CellNumber<C>>;
  static_assert(std::is_invocable_r_v<Var, Feed&, const Var&>,
                "decode: feed must be `Var<T> feed(const Var<T>& y)`");
  first.require_value("decode");
  if (steps == 0) detail::fail("decode: there are 0 steps; at least one is needed");
  if (!(options.teacher_forcing >= 0 && options.teacher_forcing <= 1))
    detail::fail("decode: teacher_forcing is ", options.teacher_forcing, "; it must be in [0, 1]");
  const bool teacher = options.targets.defined() && options.teacher_forcing > 0 && detail::training("decode");
  if (options.targets.defined()) {
    ag::Shape wanted{steps};
    for (const std::size_t extent : first.shape()) wanted.push_back(extent);
    if (!(options.targets.shape() == wanted))
      detail::fail("decode: the targets have shape ", options.targets.shape(), "; for ", steps,
                   " steps from a first input of shape ", first.shape(), " it must be ", wanted);
  }
  const ag::Scope scope("decode");
  detail::StepRandomness randomness{detail::seed_of_steps()};
  const detail::Bound bound(detail::random_context.steps, randomness.seed ? &randomness : nullptr);
  std::vector<Var> outputs;
  Var x = first;
  for (std::size_t t = 0; t < steps; ++t) {
    const ag::Scope step("step", t);
    randomness.begin_step(t);
    std::pair<Var, CellState<C>> result = detail::step_from_input(cell, x, state);
    state = std::move(result.second);
    outputs.push_back(std::move(result.first));
    if (t + 1 == steps) break;
    if (teacher &&
        (options.teacher_forcing == 1 || detail::SiteRandom().uniform() < options.teacher_forcing)) {
      x = options.targets[t];
      continue;
    }
    x = feed(outputs.back());
    if (!(x.shape() == first.shape()))
      detail::fail("decode: feed made shape ", x.shape(), " of an output of shape ", outputs.back().shape(),
                   "; the first input has shape ", first.shape(), ", and all must be alike");
  }
  return {ag::stack(outputs), std::move(state)};
}

}  // namespace nn
