// Losses: scalars to minimise.
#pragma once

#include "autograd/indexing.hpp"
#include "autograd/var.hpp"

namespace nn {

/// Mean squared error, mean((prediction - target)^2) over all entries. Throws Error if the shapes differ
/// (nothing is broadcast) or are empty.
template <class T>
autograd::Var<T> mse(const autograd::Var<T>& prediction, const autograd::Var<T>& target);

/// Cross entropy of logits (..., C) and class labels (...), mean over all rows, in nats:
///
///     -mean(log_softmax(logits)[label])
///
/// Throws Error if the shapes do not fit or a label is not in [0, C).
template <class T>
autograd::Var<T> cross_entropy(const autograd::Var<T>& logits, const autograd::Indices& labels);

}  // namespace nn
