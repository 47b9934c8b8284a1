// What is promised of every recurrent network, as checks of doctest.
#pragma once

#include <functional>

#include "network.hpp"

namespace test {

constexpr std::size_t kInput = 2;   ///< features of the inputs of most networks here
constexpr std::size_t kHidden = 3;  ///< features of the outputs of every cell here

/// Whether a network goes over time in both directions: not at all, somewhere within, or in what it gives,
/// where a last output is that of another step in each direction.
enum class BothWays { no, within, given };

/// What a network is like, besides its type.
struct Traits {
  std::size_t features = kInput;      ///< of its inputs
  BothWays both_ways = BothWays::no;  ///< then it cannot go on from where it stopped
  bool same_names = false;            ///< its parameters are called as those of the cell in it
  std::size_t batch_axis = 0;         ///< of the Vars of its state
  bool checkpointed = false;          ///< all of it, by a spacing of its own
};

/// Makes a network, the same for the same seed.
template <class T>
using Make = std::function<std::unique_ptr<Network<T>>(std::uint32_t seed)>;

/// A ragged batch is each sequence alone: outputs, zeros past the end, the own last state, the gradients of
/// all parameters, inputs and states. In padding, NaN stands for anything.
void check_ragged(const Make<double>& make, const Traits& traits);
/// Going over a sequence in reverse is going over the reversed sequence.
void check_reverse(const Make<double>& make, const Traits& traits);
/// The last output is that of the last step.
void check_last_only(const Make<double>& make, const Traits& traits);
/// A Stream of a cell, and a Stateful that gets a sequence in pieces, give what unroll gives.
void check_pieces(const Make<double>& make, const Traits& traits);
/// The batch as first axis changes nothing but the order of the axes, and a tape changes no number.
void check_batch_first(const Make<double>& make, const Traits& traits);
/// Gradients agree with finite differences.
void check_gradients(const Make<double>& make, const Traits& traits);
/// What is saved from one network and loaded into another makes it the same; `cell` makes the plain cell.
void check_saved(const Make<double>& make, const Make<double>& cell, const Traits& traits);
/// Checkpoints change no bit of outputs, states and gradients, in training and in evaluation.
template <class T>
void check_checkpointed(const Make<T>& make, const Traits& traits);
/// In training, the same seed gives the same, and padding does not matter.
void check_training(const Make<double>& make, const Traits& traits);

extern template void check_checkpointed(const Make<float>&, const Traits&);
extern template void check_checkpointed(const Make<double>&, const Traits&);

/// All of them but the last two.
void check_in_evaluation(const Make<double>& make, const Make<double>& cell, const Traits& traits);

}  // namespace test
