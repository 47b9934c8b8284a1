// The table of combinators. Each line makes a network of cells: `cell(inputs)` makes one of kHidden outputs.
#pragma once

#include <doctest/doctest.h>

#include <tuple>

#include "promises.hpp"

namespace test {

template <class MakeNet>
struct Combinator {
  const char* name;
  Traits traits;
  MakeNet make;
};
template <class MakeNet>
Combinator(const char*, Traits, MakeNet) -> Combinator<MakeNet>;

// clang-format off
inline const std::tuple kCombinators{
    Combinator{"plain", {.same_names = true},
               [](auto cell) { return cell(kInput); }},
    Combinator{"stack of two", {},
               [](auto cell) { return nn::stack(nn::StackOptions{.dropout = 0.3}, cell(kInput), cell(kHidden)); }},
    Combinator{"stack of a vector", {.features = kHidden},
               [](auto cell) { return nn::stack(std::vector{cell(kHidden), cell(kHidden)}, {.dropout = 0.3}); }},
    Combinator{"bidirectional", {.both_ways = BothWays::given},
               [](auto cell) { return nn::bidirectional(cell(kInput), cell(kInput)); }},
    Combinator{"residual", {.features = kHidden, .same_names = true},
               [](auto cell) { return nn::residual(cell(kHidden)); }},
    Combinator{"dropout", {.same_names = true},
               [](auto cell) { return nn::dropout(cell(kInput), {.input = 0.2, .output = 0.4}); }},
    Combinator{"variational", {.same_names = true},
               [](auto cell) { return nn::variational(cell(kInput), {.input = 0.2, .state = 0.3, .output = 0.4}); }},
    Combinator{"zoneout", {.same_names = true},
               [](auto cell) { return nn::zoneout(cell(kInput), 0.3); }},
    Combinator{"recurrent_dropout", {.same_names = true},
               [](auto cell) { return nn::recurrent_dropout(cell(kInput), 0.3); }},
    Combinator{"layer_norm", {},
               [](auto cell) { return nn::layer_norm(cell(kInput), kHidden); }},
    Combinator{"checkpointed", {.same_names = true, .checkpointed = true},
               [](auto cell) { return nn::checkpointed(cell(kInput), 2); }},
    Combinator{"learned_state", {},
               [](auto cell) { return nn::learned_state(cell(kInput)); }},
    Combinator{"zoneout of a deep nest", {.features = kHidden, .both_ways = BothWays::within},
               [](auto cell) {
                 return nn::zoneout(nn::stack(nn::bidirectional(nn::residual(cell(kHidden)), cell(kHidden)),
                                              nn::layer_norm(nn::checkpointed(cell(2 * kHidden)), kHidden)), 0.3);
               }},
    Combinator{"learned state of a deep nest", {.features = kHidden, .both_ways = BothWays::given},
               [](auto cell) {
                 return nn::learned_state(nn::variational(
                     nn::stack(nn::dropout(cell(kHidden), {.output = 0.3}),
                               nn::bidirectional(nn::checkpointed(cell(kHidden), 3), nn::zoneout(cell(kHidden), 0.2))),
                     {.input = 0.2, .state = 0.3, .output = 0.4}));
               }},
    Combinator{"a deep nest that is a cell", {.features = kHidden, .checkpointed = true},
               [](auto cell) {
                 return nn::residual(nn::checkpointed(nn::stack(
                     nn::zoneout(nn::recurrent_dropout(cell(kHidden), 0.2), 0.3),
                     nn::layer_norm(nn::learned_state(cell(kHidden)), kHidden))));
               }},
};
// clang-format on

/// Calls f(name, traits, make net) for each line.
void for_each_combinator(const auto& f) {
  std::apply([&](const auto&... line) { (f(line.name, line.traits, line.make), ...); }, kCombinators);
}

// Values of its own for each parameter, those that begin at 0 or 1 as well.
void stir(const auto& net, nn::Rng& rng) {
  nn::for_each_parameter(net, [&](const std::string&, auto& parameter) {
    parameter.update_elements([&](auto* elements) {
      for (std::size_t i = 0; i < parameter.size(); ++i)
        elements[i] += static_cast<std::remove_cvref_t<decltype(*elements)>>(rng.uniform(-0.3, 0.3));
    });
  });
}

/// A network of numbers T from `make_net(cell)`, of cells that `make_cell(T, inputs, rng)` makes.
template <class T>
Make<T> make_network(const auto& make_cell, const auto& make_net) {
  return [make_cell, make_net](std::uint32_t seed) {
    nn::Rng rng(seed);
    auto net = make_net([&](std::size_t inputs) { return make_cell(T(), inputs, rng); });
    stir(net, rng);
    return network<T>(std::move(net));
  };
}

/// What is promised of every line of the table with cells that `make_cell(T, inputs, rng)` makes, in double.
void check_promises(const auto& make_cell) {
  const Make<double> cell =
      make_network<double>(make_cell, [](const auto& make_one) { return make_one(kInput); });
  const Make<double> square =
      make_network<double>(make_cell, [](const auto& make_one) { return make_one(kHidden); });
  for_each_combinator([&](const std::string& name, const Traits& traits, const auto& make_net) {
    CAPTURE(name);
    const Make<double> make = make_network<double>(make_cell, make_net);
    check_in_evaluation(make, traits.features == kInput ? cell : square, traits);
    check_training(make, traits);
    check_checkpointed<double>(make, traits);
  });
}

/// Checkpoints to the bit in float.
void check_checkpoints_in_float(const auto& make_cell) {
  for_each_combinator([&](const std::string& name, const Traits& traits, const auto& make_net) {
    CAPTURE(name);
    check_checkpointed<float>(make_network<float>(make_cell, make_net), traits);
  });
}

}  // namespace test
