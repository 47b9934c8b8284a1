// A cell as a user of the library writes it, with a nest of states.
#pragma once

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

namespace test {

namespace ag = autograd;

/// A recurrent cell that also sees slow traces of what it did:
///
///     h' = tanh(W x + U h + V a_1 + b)
///     v' = 3/4 v + 1/4 h'                       a velocity, of the pair (h, v)
///     a_1' = 1/2 a_1 + 1/2 h',  a_2' = 1/2 a_2 + 1/2 a_1'
///     y = h' v'
template <class T = float>
struct TracesCell {
  using value_type = T;
  using Var = ag::Var<T>;
  struct State {
    std::pair<Var, Var> moving;  // h and v
    std::vector<Var> traces;     // a_1 and a_2
  };

  nn::Linear<T> x, h, trace;

  TracesCell(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : x(in, hidden, rng), h(hidden, hidden, rng, false), trace(hidden, hidden, rng, false) {}
  auto fields(auto&& visit) { visit("x", x), visit("h", h), visit("trace", trace); }

  State initial_state(std::size_t batch) const {
    const Var zeros = ag::zeros<T>({batch, h.weight.shape(0)});
    return {{zeros, zeros}, {zeros, zeros}};
  }

  std::pair<Var, State> step(const Var& input, const State& state) const {
    const Var now = tanh(x(input) + h(state.moving.first) + trace(state.traces[0]));
    const Var velocity = 0.75 * state.moving.second + 0.25 * now;
    const Var first = 0.5 * state.traces[0] + 0.5 * now;
    const Var second = 0.5 * state.traces[1] + 0.5 * first;
    return {now * velocity, {{now, velocity}, {first, second}}};
  }
};

}  // namespace test
