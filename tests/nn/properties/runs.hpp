// Runs of a network with all that they give, and how they are compared.
#pragma once

#include <cstring>

#include "promises.hpp"

namespace test {

using Lengths = std::vector<std::int64_t>;
template <class T>
using Arrays = std::vector<ag::Array<T>>;

template <class T>
ag::Array<T> random(const ag::Shape& shape, std::uint32_t seed) {
  nn::Rng rng(seed);
  return nn::init::uniform<T>(shape, -1, 1, rng);
}

template <class T>
bool same_bits(const ag::Array<T>& a, const ag::Array<T>& b) {
  return a.shape() == b.shape() && !std::memcmp(a.data(), b.data(), a.size() * sizeof(T));
}

// What one run of a network has given. `gradients` are those of the parameters, the input and the state.
template <class T>
struct Outcome {
  ag::Array<T> output;
  Arrays<T> state, gradients;
};

template <class T>
Arrays<T> random_state(const Network<T>& net, std::size_t batch) {
  Arrays<T> state;
  for (const ag::Var<T>& var : net.initial_state(batch))
    state.push_back(random<T>(var.shape(), 50 + static_cast<std::uint32_t>(state.size())));
  return state;
}

// Unrolls and differentiates a sum of all that comes out, each number times its weight; without weights
// they are random. An empty state is the initial one. With `every` the network is checkpointed.
template <class T>
Outcome<T> run(const Network<T>& net, const ag::Array<T>& x, const Arrays<T>& state,
               const nn::UnrollOptions& options, Arrays<T> weights = {}, std::size_t every = 0) {
  std::vector<ag::Var<T>> leaves;
  for (const auto& [path, parameter] : net.parameters()) leaves.push_back(parameter);
  const ag::Var<T> input = ag::variable(x.copy());
  leaves.push_back(input);
  std::vector<ag::Var<T>> given;
  for (const ag::Array<T>& each : state) given.push_back(ag::variable(each.copy()));
  leaves.insert(leaves.end(), given.begin(), given.end());
  ag::Tape tape;
  const Flat<T> result =
      every ? net.unroll_checkpointed(every, input, given, options) : net.unroll(input, given, options);
  std::vector<ag::Var<T>> all = result.state;
  all.insert(all.begin(), result.output);
  ag::Var<T> loss(0);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (weights.size() == i)
      weights.push_back(random<T>(all[i].shape(), 100 + static_cast<std::uint32_t>(i)));
    loss = loss + ag::sum(all[i] * ag::Var<T>(weights[i]));
  }
  Outcome<T> outcome{result.output.array().copy(), {}, {}};
  for (const ag::Var<T>& var : result.state) outcome.state.push_back(var.array().copy());
  const ag::Gradients gradients = tape.backward(loss);
  for (const ag::Var<T>& leaf : leaves)
    outcome.gradients.push_back(gradients.contains(leaf) ? gradients.array(leaf).copy()
                                                         : ag::Array<T>(leaf.shape(), 0));
  return outcome;
}

template <class T>
bool same_bits(const Outcome<T>& a, const Outcome<T>& b) {
  const auto same = [](const Arrays<T>& left, const Arrays<T>& right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](const auto& l, const auto& r) { return same_bits(l, r); });
  };
  return same_bits(a.output, b.output) && same(a.state, b.state) && same(a.gradients, b.gradients);
}

// x with `value` past the end of each sequence.
inline ag::Array<double> padded(const ag::Array<double>& x, const Lengths& lengths, double value) {
  ag::Array<double> result = x.copy();
  const std::size_t steps = x.shape()[0], batch = x.shape()[1], features = x.shape()[2];
  for (std::size_t b = 0; b < lengths.size(); ++b)
    for (std::size_t t = static_cast<std::size_t>(lengths[b]); t < steps; ++t)
      std::fill_n(result.data() + (t * batch + b) * features, features, value);
  return result;
}

}  // namespace test
