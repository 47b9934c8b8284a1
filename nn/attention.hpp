// Attention: for each query the mean of some values, weighted by how well their keys fit the query.
//
// Layouts are those of unroll, time first: the outputs (S, B, D) of an encoder are keys and values as they
// are, and a decoder's state (B, D) is one query for each sequence. Several queries for each sequence are
// (Q, B, D), the outputs of a decoder. With {.batch_first = true} it is (B, S, D) and (B, Q, D) instead.
//
//     layout          query               key        value      output              weights
//     one query       (B, D)              (S, B, D)  (S, B, V)  (B, V)              (B, S)
//     Q queries       (Q, B, D)           (S, B, D)  (S, B, V)  (Q, B, V)           (B, Q, S)
//     batch_first     (B, D), (B, Q, D)   (B, S, D)  (B, S, V)  (B, V), (B, Q, V)   (B, S), (B, Q, S)
//
// Products are computed batch first. A decoder that attends at each of many steps spares a copy of the keys
// and values at each if it makes them so once, by permute(memory, {1, 0, 2}).
#pragma once

#include <optional>

#include "lengths.hpp"
#include "linear.hpp"

namespace nn {

/// How queries attend to keys.
template <class T>
struct AttentionOptions {
  /// How many keys each sequence of the batch has, from the first; those behind are padding. Empty: all.
  Lengths lengths{};
  /// Which keys a query may see, where it is not 0 (for example a bool), in a shape that broadcasts to that
  /// of the weights: a causal mask (Q, S), or one for each sequence (B, 1, S). Empty: all. With lengths, both
  /// must allow a key.
  ag::Var<T> mask{};
  /// Factor of the scores; by default 1 / sqrt(D) for dot_product_attention, and 1 for additive attention.
  std::optional<double> scale{};
  bool batch_first = false;  ///< (B, S, D) instead of (S, B, D)
};

/// What attention gives.
template <class T>
struct Attention {
  ag::Var<T> output;   ///< sum_s weights_s value_s
  ag::Var<T> weights;  ///< sum to 1 over the keys; exactly 0 for keys that a query may not see
};

/// Scaled dot-product attention (Vaswani et al. 2017; with a scale of 1 the dot score of Luong et al. 2015):
///
///     weights = softmax_s(scale q . k_s)        output = sum_s weights_s v_s
///
/// Layouts are above. Throws Error if shapes or lengths do not fit, or if a query may see no key.
template <class T>
Attention<T> dot_product_attention(const ag::Var<T>& query, const ag::Var<T>& key, const ag::Var<T>& value,
                                   const AttentionOptions<T>& options = {});

/// Additive attention (Bahdanau et al. 2015) of queries and keys that were projected to a common size A:
///
///     weights = softmax_s(scale v . tanh(q + k_s))        output = sum_s weights_s value_s
///
/// v is (A). Layouts are above, with D = A. Throws Error if shapes or lengths do not fit, or if a query may
/// see no key.
template <class T>
Attention<T> additive_attention(const ag::Var<T>& query, const ag::Var<T>& key, const ag::Var<T>& value,
                                const ag::Var<T>& v, const AttentionOptions<T>& options = {});

/// Additive attention (Bahdanau et al. 2015) with its parameters: of a query q (..., query_size), the state
/// of a decoder, and keys k (..., key_size), the outputs of an encoder,
///
///     weights = softmax_s(v . tanh(W q + U k_s))        output = sum_s weights_s value_s
///
/// query.weight is W (A, query_size), key.weight U (A, key_size), v (A). W and U start as those of Linear, v
/// uniform in +-1/sqrt(A). Layouts are above.
template <class T = float>
struct AdditiveAttention {
  Linear<T> query, key;
  ag::Var<T> v;

  /// Throws Error if a size is 0.
  AdditiveAttention(std::size_t query_size, std::size_t key_size, std::size_t size, Rng& rng)
      : query(query_size, size, rng, false), key(key_size, size, rng, false) {
    const double bound = 1 / std::sqrt(static_cast<double>(size));
    v = ag::variable(init::uniform<T>({size}, -bound, bound, rng));
  }

  auto fields(auto&& visit) {
    visit("query", query);
    visit("key", key);
    visit("v", v);
  }

  /// Throws Error as additive_attention does.
  Attention<T> operator()(const ag::Var<T>& q, const ag::Var<T>& k, const ag::Var<T>& value,
                          const AttentionOptions<T>& options = {}) const {
    return attend(q, project(k), value, options);
  }

  /// U k. A decoder that attends at each step projects the keys once, and then calls attend.
  ag::Var<T> project(const ag::Var<T>& k) const { return key(k); }

  /// Attention to projected keys.
  Attention<T> attend(const ag::Var<T>& q, const ag::Var<T>& projected, const ag::Var<T>& value,
                      const AttentionOptions<T>& options = {}) const {
    return additive_attention(query(q), projected, value, v, options);
  }
};

}  // namespace nn
