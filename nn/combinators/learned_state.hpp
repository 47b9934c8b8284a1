// An initial state that is learned.
#pragma once

#include <vector>

#include "around.hpp"

namespace nn {

/// See learned_state().
template <Recurrent C>
struct LearnedState : detail::Wrapper<C> {
  using typename detail::Wrapper<C>::Var;
  using typename detail::Wrapper<C>::State;
  State initial;  ///< of a batch of 1, variables

  explicit LearnedState(C inner)
      : detail::Wrapper<C>{std::move(inner)}, initial(this->cell.initial_state(1)) {
    detail::for_each_var([](Var& var) { var = ag::variable(var.array().copy()); }, initial);
  }

  void fields(auto&& visit) {
    if constexpr (Module<C>) this->cell.fields(visit);
    std::size_t index = 0;
    detail::for_each_var([&](Var& var) { visit("initial_state." + std::to_string(index++), var); }, initial);
  }

  State initial_state(std::size_t batch) const {
    const auto broadcast = [](const Var& learned, const Var& own) {
      return ag::broadcast_to(learned, own.shape());
    };
    return map_state(broadcast, initial, this->cell.initial_state(batch));
  }

  Var project(const Var& x) const requires Cell<C> && detail::HasProject<C, CellNumber<C>> {
    return this->cell.project(x);
  }
  auto step(Var x, const State& state) const requires Cell<C> { return this->cell.step(std::move(x), state); }
  Unrolled<CellNumber<C>, State> unroll(const Var& x, State state, const UnrollOptions& options) const {
    return detail::unroll_within(this->cell, x, std::move(state), options);
  }

  auto on_cells(const auto& wrap) const;
};

/// A network whose initial state is learned: the parameters "initial_state.0" and so on, one for each Var of
/// the state, which every sequence of a batch begins from. They start at the network's own initial state.
template <Recurrent C>
LearnedState<C> learned_state(C cell) {
  return LearnedState<C>(std::move(cell));
}

template <Recurrent C>
auto LearnedState<C>::on_cells(const auto& wrap) const {
  auto inner = learned_state(detail::on_cells(this->cell, wrap));
  std::vector<Var> vars;  // the nest may be of another type, as the network is
  detail::for_each_var([&](const Var& var) { vars.push_back(var); }, initial);
  std::size_t index = 0;
  detail::for_each_var([&](Var& var) { var = vars.at(index++); }, inner.initial);
  return inner;
}

}  // namespace nn
