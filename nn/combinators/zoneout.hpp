// Zoneout.
#pragma once

#include <vector>

#include "around.hpp"
#include "nn/dropout.hpp"

namespace nn {

/// See zoneout().
template <Cell C>
struct Zoneout : detail::Wrapper<C> {
  using typename detail::Wrapper<C>::Var;
  using typename detail::Wrapper<C>::State;
  std::vector<double> rates;  ///< one for all Vars of the state, or one for each

  Zoneout(C inner, std::vector<double> probabilities)
      : detail::Wrapper<C>{std::move(inner)}, rates(std::move(probabilities)) {
    for (const double rate : rates) detail::check_probability("zoneout", rate);
    std::size_t vars = 0;
    const State initial = this->cell.initial_state(1);
    detail::for_each_var([&](const Var&) { ++vars; }, initial);
    if (rates.size() != 1 && rates.size() != vars)
      detail::fail("zoneout: there are ", rates.size(), " probabilities, and the state of ",
                   ag::detail::type_name<C>(), " has ", vars, " Vars; give one for all, or one for each");
  }

  Var project(const Var& x) const requires detail::HasProject<C, CellNumber<C>> {
    return this->cell.project(x);
  }

  std::pair<Var, State> step(Var x, const State& state) const {
    const std::pair<Var, State> stepped = detail::step_pair(this->cell, std::move(x), state);
    const Var& output = stepped.first;
    const bool random = detail::training("zoneout");
    std::size_t index = 0;
    Var zoned_output = output;
    const auto zoned = [&](const Var& now, const Var& before) {
      const double rate = rates[rates.size() == 1 ? 0 : index++];
      if (rate == 0) return now;
      const bool is_output = now.shape() == output.shape() && now.array().data() == output.array().data();
      const Var result =
          random ? ag::where(kept(now.shape(), rate), before, now) : rate * before + (1 - rate) * now;
      if (is_output) zoned_output = result;
      return result;
    };
    State result = map_state(zoned, stepped.second, state);
    return {std::move(zoned_output), std::move(result)};
  }

 private:
  // 1 with probability `rate`, else 0.
  static Var kept(const ag::Shape& shape, double rate) {
    detail::SiteRandom random;
    ag::Array<CellNumber<C>> mask(shape);
    for (std::size_t i = 0; i < mask.size(); ++i) mask.data()[i] = random.uniform() < rate;
    return mask;
  }
};

/// Zoneout (Krueger et al. 2017): each entry of the state stays what it was before the step with probability
/// z,
///
///     s_t = m s_{t-1} + (1 - m) step(s_{t-1})       m in {0, 1}, P(m = 1) = z, drawn at each step
///
/// and in evaluation takes the mean, m = z. `rates` is one z for the whole state or one for each of its Vars
/// in order, {z_h, z_c} of an LSTM. Where an output is a Var of the state, it is zoned with it. Of a network
/// that is made of cells, on each of them. Throws Error unless all are in [0, 1) and as many as one or the
/// Vars of a state.
template <Recurrent C>
auto zoneout(const C& net, std::vector<double> rates) {
  return detail::on_cells(net, [&](const auto& cell) { return Zoneout(cell, rates); });
}
template <Recurrent C>
auto zoneout(const C& net, double rate) {
  return zoneout(net, std::vector<double>{rate});
}

}  // namespace nn
