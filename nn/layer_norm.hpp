// The layer normalisation layer.
#pragma once

#include "autograd/composites.hpp"
#include "parameters.hpp"

namespace nn {

/// How a LayerNorm is made.
struct LayerNormOptions {
  double eps = 1e-5;               ///< what is added to the variance
  bool elementwise_affine = true;  ///< with weight and bias
};

/// Layer normalisation (Ba et al. 2016), as PyTorch's nn.LayerNorm: for x (..., *S), where S is
/// normalized_shape,
///
///     y = (x - mean(x)) / sqrt(var(x) + eps) weight + bias
///
/// with mean and (biased) variance over the axes of S. Weight and bias have the shape S and start at 1 and 0.
template <class T = float>
struct LayerNorm {
  ag::Shape normalized_shape;
  double eps;
  ag::Var<T> weight, bias;

  /// Throws Error if the shape has no axes or an extent of 0, or if eps is negative.
  explicit LayerNorm(const ag::Shape& shape, LayerNormOptions options = {})
      : normalized_shape(shape), eps(options.eps) {
    if (shape.rank() == 0)
      detail::fail("LayerNorm: normalized_shape is (); name at least one axis, for example {hidden}");
    if (shape.size() == 0)
      detail::fail("LayerNorm: normalized_shape is ", shape, "; its extents must be at least 1");
    if (!(eps >= 0)) detail::fail("LayerNorm: eps is ", eps, "; it must be at least 0");
    if (!options.elementwise_affine) return;
    weight = ag::variable(ag::Array<T>(shape, T(1)));
    bias = ag::variable(ag::Array<T>(shape, T(0)));
  }
  /// Over the last axis, of this extent.
  explicit LayerNorm(std::size_t features, LayerNormOptions options = {})
      : LayerNorm(ag::Shape{features}, options) {}

  auto fields(auto&& visit) {
    visit("weight", weight);
    visit("bias", bias);
  }

  /// Throws Error if the last axes of x are not normalized_shape.
  ag::Var<T> operator()(const ag::Var<T>& x) const {
    x.require_value("LayerNorm");
    const std::size_t axes = normalized_shape.rank();
    if (x.rank() < axes || !(x.shape().suffix(x.rank() - axes) == normalized_shape))
      detail::fail("LayerNorm: the input has shape ", x.shape(), "; its last axes must be ",
                   normalized_shape);
    const ag::Shape flat{normalized_shape.size()};
    ag::Shape rows = x.shape().prefix(x.rank() - axes);
    rows.push_back(flat[0]);
    const ag::Var<T> input = x.reshape(rows);
    const ag::Var<T> y = weight.defined()
                             ? ag::layer_norm(input, weight.reshape(flat), bias.reshape(flat), eps)
                             : ag::layer_norm(input, eps);
    return y.reshape(x.shape());
  }
};

}  // namespace nn
