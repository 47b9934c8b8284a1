#include "attention.hpp"

#include <algorithm>
#include <cmath>

#include "autograd/composites.hpp"
#include "autograd/linalg.hpp"
#include "autograd/map.hpp"
#include "autograd/shape_ops.hpp"
#include "autograd/views.hpp"

namespace nn {
namespace {

using autograd::Shape;
using autograd::Var;
using autograd::detail::fail;

// Queries (B, Q, D), keys (B, S, D) and values (B, S, V), from whatever layout they were given in.
template <class T>
struct Operands {
  const char* op;
  bool one_query, batch_first;
  std::size_t batch, queries, keys;
  Var<T> query, key, value;

  Operands(const char* name, const Var<T>& q, const Var<T>& k, const Var<T>& v, bool is_batch_first)
      : op(name), one_query(q.rank() == 2), batch_first(is_batch_first) {
    for (const Var<T>* each : {&q, &k, &v}) each->require_value(op);
    const char* layout = batch_first ? "(batch, keys, features)" : "(keys, batch, features)";
    if (q.rank() != 2 && q.rank() != 3)
      fail(op, ": the query has shape ", q.shape(), "; it must be (batch, features), or ",
           batch_first ? "(batch, queries, features)" : "(queries, batch, features)", " for several");
    for (const Var<T>* each : {&k, &v})
      if (each->rank() != 3)
        fail(op, ": the ", each == &k ? "key" : "value", " has shape ", each->shape(), "; it must be ",
             layout);
    if (!(k.shape().prefix(2) == v.shape().prefix(2)))
      fail(op, ": the key has shape ", k.shape(), " and the value ", v.shape(),
           "; there must be one value for each key, their first two axes equal");
    const std::size_t batch_axis = batch_first ? 0 : 1;
    batch = k.shape()[batch_axis];
    keys = k.shape()[1 - batch_axis];
    queries = one_query ? 1 : q.shape()[1 - batch_axis];
    if (const std::size_t given = q.shape()[one_query ? 0 : batch_axis]; given != batch)
      fail(op, ": the query of shape ", q.shape(), " is for a batch of ", given, ", and the key of shape ",
           k.shape(), " for one of ", batch, "; keys are ", layout, " here");
    if (q.shape().back() != k.shape().back())
      fail(op, ": the query of shape ", q.shape(), " has ", q.shape().back(),
           " features and the key of shape ", k.shape(), " has ", k.shape().back(),
           "; they must be equal, project one of them");
    if (keys == 0) fail(op, ": the key has shape ", k.shape(), ", which is no key; at least one is needed");
    query = one_query ? q.reshape({batch, 1, q.shape().back()}) : with_batch_first(q);
    key = with_batch_first(k);
    value = with_batch_first(v);
  }

  Var<T> with_batch_first(const Var<T>& x) const { return batch_first ? x : permute(x, {1, 0, 2}); }

  // The weights' shape, as the caller sees it.
  Shape weights_shape() const { return one_query ? Shape{batch, keys} : Shape{batch, queries, keys}; }
};

// 1 where a query may see a key, in the shape of the weights.
template <class T>
autograd::Array<T> visible(const Operands<T>& operands, const AttentionOptions<T>& options) {
  const Shape shape = operands.weights_shape();
  autograd::Array<T> result(shape, T(1));
  const std::size_t batch = operands.batch, rows = operands.queries, keys = operands.keys;
  if (options.mask.defined()) {
    const Shape& mask = options.mask.shape();
    bool fits = mask.rank() <= shape.rank();
    for (std::size_t back = 1; fits && back <= mask.rank(); ++back) {
      const std::size_t extent = mask[mask.rank() - back];
      fits = extent == 1 || extent == shape[shape.rank() - back];
    }
    if (!fits)
      fail(operands.op, ": the mask has shape ", mask, "; it must broadcast to the weights' ", shape);
    const Var<T> whole = broadcast_to(options.mask.detach(), shape);
    for (std::size_t i = 0; i < result.size(); ++i) result.data()[i] = whole.array().data()[i] != T(0);
  }
  if (!options.lengths.empty()) {
    const std::vector<std::int64_t>& lengths = options.lengths.values();
    if (lengths.size() != batch)
      fail(operands.op, ": there are ", lengths.size(), " lengths for a batch of ", batch,
           "; give one for each sequence");
    for (std::size_t b = 0; b < batch; ++b) {
      if (lengths[b] < 0 || lengths[b] > static_cast<std::int64_t>(keys))
        fail(operands.op, ": the length of sequence ", b, " is ", lengths[b], ", and there are ", keys,
             " keys; it must be at most that");
      const auto length = static_cast<std::size_t>(lengths[b]);
      for (std::size_t q = 0; q < rows; ++q)
        std::fill_n(result.data() + (b * rows + q) * keys + length, keys - length, T(0));
    }
  }
  for (std::size_t row = 0; row < batch * rows; ++row) {
    const T* each = result.data() + row * keys;
    if (std::none_of(each, each + keys, [](T seen) { return seen != T(0); }))
      fail(operands.op, ": lengths or mask leave query ", row % rows, " of sequence ", row / rows,
           " no key; each must see at least one");
  }
  return result;
}

// From scores (B, Q, S).
template <class T>
Attention<T> attend(const Operands<T>& operands, const Var<T>& scores, double scale,
                    const AttentionOptions<T>& options) {
  const std::size_t batch = operands.batch, queries = operands.queries, keys = operands.keys;
  const T factor = static_cast<T>(scale);
  Var<T> weights;
  if (options.mask.defined() || !options.lengths.empty()) {
    // A score so low that its weight is 0, and finite, so that no difference of two is NaN.
    const Var<T> seen = Var<T>(visible(operands, options)).reshape({batch, queries, keys});
    weights = softmax(autograd::map(
        [factor](auto score, auto seen) { return where(seen, factor * score, -1e30); }, scores, seen));
  } else {
    weights = softmax(scores * factor);
  }
  Var<T> output = matmul(weights, operands.value);  // (B, Q, V)
  if (operands.one_query)
    output = output.reshape({batch, output.shape().back()});
  else if (!operands.batch_first)
    output = permute(output, {1, 0, 2});
  return {output, weights.reshape(operands.weights_shape())};
}

double checked_scale(const char* op, double scale) {
  if (!std::isfinite(scale)) fail(op, ": scale is ", scale, "; it must be finite");
  return scale;
}

}  // namespace

template <class T>
Attention<T> dot_product_attention(const Var<T>& query, const Var<T>& key, const Var<T>& value,
                                   const AttentionOptions<T>& options) {
  const autograd::Scope scope("dot_product_attention");
  const Operands<T> operands("dot_product_attention", query, key, value, options.batch_first);
  const double scale =
      checked_scale("dot_product_attention",
                    options.scale.value_or(1 / std::sqrt(static_cast<double>(query.shape().back()))));
  // One query is a column as it is, so that no key has to be transposed.
  const Var<T> scores =
      operands.queries == 1
          ? matmul(operands.key, operands.query.reshape({operands.batch, query.shape().back(), 1}))
                .reshape({operands.batch, 1, operands.keys})
          : matmul(operands.query, permute(operands.key, {0, 2, 1}));
  return attend(operands, scores, scale, options);
}

template <class T>
Attention<T> additive_attention(const Var<T>& query, const Var<T>& key, const Var<T>& value, const Var<T>& v,
                                const AttentionOptions<T>& options) {
  const autograd::Scope scope("additive_attention");
  const Operands<T> operands("additive_attention", query, key, value, options.batch_first);
  v.require_value("additive_attention");
  const std::size_t size = query.shape().back();
  if (!(v.shape() == Shape{size}))
    fail("additive_attention: v has shape ", v.shape(), "; for a query of shape ", query.shape(),
         " it must be ", Shape{size});
  const double scale = checked_scale("additive_attention", options.scale.value_or(1));
  const Var<T> fit = autograd::map([](auto q, auto k) { return tanh(q + k); },
                                   operands.query.reshape({operands.batch, operands.queries, 1, size}),
                                   operands.key.reshape({operands.batch, 1, operands.keys, size}));
  return attend(operands, matmul(fit, v), scale, options);
}

#define UNROLL_INSTANTIATE(T)                                                                          \
  template Attention<T> dot_product_attention(const Var<T>&, const Var<T>&, const Var<T>&,             \
                                              const AttentionOptions<T>&);                             \
  template Attention<T> additive_attention(const Var<T>&, const Var<T>&, const Var<T>&, const Var<T>&, \
                                           const AttentionOptions<T>&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace nn
