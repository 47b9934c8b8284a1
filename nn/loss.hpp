// Losses: scalars to minimise.
#pragma once

#include "autograd/indexing.hpp"
#include "autograd/var.hpp"

namespace nn {

/// Mean squared error, mean((prediction - target)^2) over all entries. Throws Error if the shapes differ
/// (nothing is broadcast) or are empty.
template <class T>
autograd::Var<T> mse(const autograd::Var<T>& prediction,
                     const std::type_identity_t<autograd::Var<T>>& target);

/// How cross_entropy is computed.
struct CrossEntropyOptions {
  std::int64_t ignore_index =
      -100;  ///< rows with this label, such as padding, count neither in sum nor in mean
};

/// Cross entropy of logits (..., C) and class labels (...), mean over all rows, in nats, as PyTorch's:
///
///     -mean(log_softmax(logits)[label])
///
/// Throws Error if the shapes do not fit, if a label is neither in [0, C) nor ignore_index, or if there are
/// no rows to average.
template <class T>
autograd::Var<T> cross_entropy(const autograd::Var<T>& logits, const autograd::Indices& labels,
                               CrossEntropyOptions options = {});

}  // namespace nn
