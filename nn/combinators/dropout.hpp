// Dropout around cells: on inputs and outputs, with one mask for all steps, and on the recurrent state.
#pragma once

#include "around.hpp"
#include "nn/dropout.hpp"

namespace nn {

/// Probabilities of dropout around a network.
struct DropoutOptions {
  double input = 0;   ///< of an entry of an input
  double output = 0;  ///< of an entry of an output
};

/// See dropout().
template <Recurrent C>
struct DropoutAround : detail::Around<DropoutAround<C>, C> {
  using typename detail::Wrapper<C>::Var;
  DropoutOptions options;

  DropoutAround(C inner, DropoutOptions probabilities)
      : detail::Around<DropoutAround<C>, C>{{std::move(inner)}}, options(probabilities) {
    detail::check_probability("dropout: input", options.input);
    detail::check_probability("dropout: output", options.output);
  }

  Var before(const Var& x) const { return dropout(x, options.input); }
  Var after(const Var&, const Var& y) const { return dropout(y, options.output); }
  auto on_cells(const auto& wrap) const;
};

/// Dropout on the inputs and the outputs of a network, with new masks at each step (Zaremba et al. 2014). The
/// state is left alone. At work in training, see Training. Throws Error unless both probabilities are in [0,
/// 1).
template <Recurrent C>
DropoutAround<C> dropout(C cell, DropoutOptions options) {
  return {std::move(cell), options};
}

template <Recurrent C>
auto DropoutAround<C>::on_cells(const auto& wrap) const {
  return dropout(detail::on_cells(this->cell, wrap), options);
}

namespace detail {

// x times a mask of 0 and 1 / (1 - p), which all steps of a sequence share: x is one step (B, F) or all (T,
// B, F).
template <class T>
ag::Var<T> dropout_alike(const char* who, const ag::Var<T>& x, double p) {
  if (p == 0 || !training(who)) return x;
  const bool sequence = x.rank() == 3;
  SiteRandom random = sequence ? SiteRandom() : SiteRandom(who);
  const ag::Var<T> ones(ag::Array<T>(sequence ? x.shape().suffix(1) : x.shape(), T(1)));
  return ag::where(ag::Var<T>(ag::dropout(ones, p, random)), x / (1 - p), 0);
}

}  // namespace detail

/// See recurrent_dropout() and variational().
template <Cell C>
struct StateDropout : detail::Wrapper<C> {
  using typename detail::Wrapper<C>::Var;
  using typename detail::Wrapper<C>::State;
  double p;
  bool same_mask;  ///< at all steps

  StateDropout(C inner, double probability, bool same)
      : detail::Wrapper<C>{std::move(inner)}, p(probability), same_mask(same) {
    detail::check_probability("recurrent_dropout", p);
  }

  Var project(const Var& x) const requires detail::HasProject<C, CellNumber<C>> {
    return this->cell.project(x);
  }

  std::pair<Var, State> step(Var x, const State& state) const {
    if (p == 0 || !detail::training("recurrent_dropout"))
      return detail::step_pair(this->cell, std::move(x), state);
    State dropped = state;
    bool first = true;
    detail::for_each_var(
        [&](Var& h) {
          if (std::exchange(first, false))
            h = same_mask ? detail::dropout_alike("variational", h, p) : dropout(h, p);
        },
        dropped);
    return detail::step_pair(this->cell, std::move(x), dropped);
  }
};

/// Dropout on the recurrent connections: each step of a cell gets its state with entries of the first Var of
/// it dropped, which is h in all cells here, by a new mask at each step. What an LSTM keeps in c is not lost.
/// In evaluation nothing is dropped. Of a network that is made of cells, on each of them. Throws Error unless
/// p is in [0, 1).
template <Recurrent C>
auto recurrent_dropout(const C& net, double p) {
  return detail::on_cells(net, [p](const auto& cell) { return StateDropout(cell, p, false); });
}

/// Probabilities of variational dropout.
struct VariationalOptions {
  double input = 0;   ///< of a feature of the inputs
  double state = 0;   ///< of an entry of the state, see recurrent_dropout()
  double output = 0;  ///< of an entry of the outputs
};

/// See variational().
template <Recurrent C>
struct Variational : detail::Around<Variational<C>, C> {
  using typename detail::Wrapper<C>::Var;
  double input, output;

  Variational(C inner, double input_probability, double output_probability)
      : detail::Around<Variational<C>, C>{{std::move(inner)}},
        input(input_probability),
        output(output_probability) {
    detail::check_probability("variational: input", input);
    detail::check_probability("variational: output", output);
  }

  Var before(const Var& x) const { return detail::dropout_alike("variational", x, input); }
  Var after(const Var&, const Var& y) const { return detail::dropout_alike("variational", y, output); }
  auto on_cells(const auto& wrap) const;
};

/// Variational dropout (Gal and Ghahramani 2016): dropout on inputs, recurrent state and outputs by masks
/// that stay the same over all steps of a sequence, each sequence of a batch with its own. At work in
/// training, see Training. Throws Error unless all probabilities are in [0, 1).
template <Recurrent C>
auto variational(const C& net, VariationalOptions options) {
  detail::check_probability("variational: state", options.state);
  auto inner =
      detail::on_cells(net, [&](const auto& cell) { return StateDropout(cell, options.state, true); });
  return Variational<decltype(inner)>(std::move(inner), options.input, options.output);
}

template <Recurrent C>
auto Variational<C>::on_cells(const auto& wrap) const {
  auto inner = detail::on_cells(this->cell, wrap);
  return Variational<decltype(inner)>(std::move(inner), input, output);
}

}  // namespace nn
