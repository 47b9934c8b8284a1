// Checkpoints: time for memory.
#pragma once

#include <functional>
#include <vector>

#include "var.hpp"

namespace autograd {

/// What a checkpoint computes: results from inputs.
template <class T>
using CheckpointedFunction = std::function<std::vector<Var<T>>(const std::vector<Var<T>>& inputs)>;

/// f(inputs), of which the tape keeps only the inputs and the results: what f records is dropped, and
/// recorded again when the reverse sweep comes to it (Griewank 1992). The gradients are the same to the bit.
/// It costs f once more, and while the sweep is in it the memory that f takes.
///
/// f may use other values besides its inputs, such as parameters; all are treated alike. It is called again
/// after this returns, for as long as the tape lives: capture by value. Without a tape, or on one that was
/// made with trace, this is f(inputs).
///
/// Throws Error if f gives an empty Var, and in the sweep if it gives another result than the first time (it
/// draws random numbers, for example), since the gradients would be wrong.
template <class T>
std::vector<Var<T>> checkpoint(std::type_identity_t<CheckpointedFunction<T>> f,
                               const std::vector<Var<T>>& inputs);

namespace detail {

// Where a result is to lie: memory of its size, and the place of its gradient.
template <class T>
struct Home {
  Array<T> memory;
  Place place;
};

// The home of result number i, given its value; without memory if it needs none.
template <class T>
using Homes = std::function<Home<T>(std::size_t i, const Array<T>& value)>;

// Whether a tape records that drops what a checkpoint computes.
inline bool drops_checkpointed() {
  const TapeStorage* tape = recording();
  return tape && !tape->trace;
}

// checkpoint, where that is so.
template <class T>
std::vector<Var<T>> checkpoint(CheckpointedFunction<T> f, const std::vector<Var<T>>& inputs,
                               const Homes<T>& homes);

}  // namespace detail
}  // namespace autograd
