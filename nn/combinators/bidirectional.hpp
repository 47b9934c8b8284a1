// Both directions of time.
#pragma once

#include "around.hpp"

namespace nn {

/// See bidirectional().
template <Recurrent Forward, Recurrent Backward = Forward>
struct Bidirectional {
  static_assert(std::is_same_v<CellNumber<Forward>, CellNumber<Backward>>,
                "bidirectional: both networks must compute in float, or both in double");
  using value_type = CellNumber<Forward>;
  using Var = ag::Var<value_type>;
  struct State {
    CellState<Forward> forward;
    CellState<Backward> backward;
  };

  Forward forward;
  Backward backward;

  void fields(auto&& visit) requires Module<Forward> || Module<Backward> {
    if constexpr (Module<Forward>) visit("forward", forward);
    if constexpr (Module<Backward>) visit("backward", backward);
  }

  State initial_state(std::size_t batch) const {
    return {forward.initial_state(batch), backward.initial_state(batch)};
  }

  bool goes_both_ways() const { return true; }

  Unrolled<value_type, State> unroll(const Var& x, State state, const UnrollOptions& options) const {
    UnrollOptions other = options;
    other.reverse = !options.reverse;
    auto ahead = [&] {
      const ag::Scope scope("forward");
      return detail::unroll_within(forward, x, std::move(state.forward), options);
    }();
    auto back = [&] {
      const ag::Scope scope("backward");
      return detail::unroll_within(backward, x, std::move(state.backward), other);
    }();
    return {ag::concat({ahead.output, back.output}, -1), {std::move(ahead.state), std::move(back.state)}};
  }

  auto on_cells(const auto& wrap) const;
};

/// Two networks over the same inputs, one from the first step to the last and one from the last to the first
/// (Schuster and Paliwal 1997). Their outputs are joined along the last axis, at each step those of that
/// step; with last_only those that each gives last. The state has members `forward` and `backward`.
template <Recurrent Forward, Recurrent Backward>
Bidirectional<Forward, Backward> bidirectional(Forward forward, Backward backward) {
  return {std::move(forward), std::move(backward)};
}

template <Recurrent Forward, Recurrent Backward>
auto Bidirectional<Forward, Backward>::on_cells(const auto& wrap) const {
  return bidirectional(detail::on_cells(forward, wrap), detail::on_cells(backward, wrap));
}

}  // namespace nn
