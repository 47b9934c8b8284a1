// Embeddings: a learned vector for each of a set of tokens.
#pragma once

#include <optional>

#include "autograd/indexing.hpp"
#include "autograd/map.hpp"
#include "init.hpp"
#include "parameters.hpp"

namespace nn {

/// How an Embedding is made.
struct EmbeddingOptions {
  /// The token that fills sequences up, whose vector is not learned; negative ones count from the end.
  std::optional<std::ptrdiff_t> padding_idx{};
};

/// The rows of weight (num, dim) that tokens name, as PyTorch's nn.Embedding: tokens of any shape (...), from
/// 0 to num - 1, give (..., dim).
///
///     const nn::Embedding embedding(vocabulary, 32, rng, {.padding_idx = 0});
///     const auto x = embedding(tokens);        // tokens (time, batch) of integers: x (time, batch, 32)
///
/// The weight starts standard normal, and the row of padding_idx at 0. This row is given out as any other,
/// but no gradient flows to it, so that it stays what it is (and gradcheck of a module, which changes the
/// row, tells it as a gradient that is missing; check on tokens without padding).
template <class T = float>
struct Embedding {
  ag::Var<T> weight;
  std::optional<std::size_t> padding_idx;  ///< counted from the start

  /// Throws Error if a size is 0, or if there is no row padding_idx.
  Embedding(std::size_t num, std::size_t dim, Rng& rng, EmbeddingOptions options = {}) {
    detail::need_size("Embedding", "num", num);
    detail::need_size("Embedding", "dim", dim);
    ag::Array<T> rows = init::normal<T>({num, dim}, 0, 1, rng);
    if (options.padding_idx) {
      padding_idx = row_of_padding(*options.padding_idx, num);
      std::fill_n(rows.data() + *padding_idx * dim, dim, T(0));
    }
    weight = ag::variable(std::move(rows));
  }

  auto fields(auto&& visit) { visit("weight", weight); }

  /// weight[tokens]. Throws Error if a token is not one of 0, ..., num - 1.
  ag::Var<T> operator()(const ag::Indices& tokens) const {
    const auto num = static_cast<std::int64_t>(weight.shape(0));
    bool padded = false;
    for (std::size_t i = 0; i < tokens.values().size(); ++i) {
      const std::int64_t token = tokens.values()[i];
      if (token < 0 || token >= num)
        detail::fail("Embedding: token ", token, " at position ", i, " of tokens of shape ", tokens.shape(),
                     " is not one of the ", num, " that ", ag::detail::called(weight, "the weight"),
                     " of shape ", weight.shape(), " has rows for; tokens count from 0");
      padded |= is_padding(token);
    }
    const ag::Scope scope("Embedding");
    const ag::Var<T> rows = ag::take(weight, tokens);
    if (!padded || !rows.differentiable()) return rows;
    ag::Shape column = tokens.shape();
    column.push_back(1);
    ag::Array<T> padding(column);
    for (std::size_t i = 0; i < padding.size(); ++i)
      padding.data()[i] = static_cast<T>(is_padding(tokens.values()[i]));
    return ag::map([](auto is_padding, auto fixed, auto row) { return where(is_padding, fixed, row); },
                   ag::Var<T>(std::move(padding)), weight[*padding_idx].detach(), rows);
  }

 private:
  static std::size_t row_of_padding(std::ptrdiff_t index, std::size_t num) {
    const auto n = static_cast<std::ptrdiff_t>(num);
    if (index < -n || index >= n)
      detail::fail("Embedding: padding_idx is ", index, ", and there are ", num,
                   " rows; it must be at least ", -n, " and less than ", n);
    return static_cast<std::size_t>(index < 0 ? index + n : index);
  }
  bool is_padding(std::int64_t token) const {
    return padding_idx && static_cast<std::size_t>(token) == *padding_idx;
  }
};

}  // namespace nn
