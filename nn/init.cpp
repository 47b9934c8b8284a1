#include "init.hpp"

#include <cmath>
#include <xtensor-blas/xlinalg.hpp>

namespace nn::init {

using autograd::Array;
using autograd::Shape;
using autograd::detail::fail;

namespace {

template <class T, class Draw>
Array<T> fill(const Shape& shape, Draw&& draw) {
  Array<T> result(shape);
  for (std::size_t i = 0; i < result.size(); ++i) result.data()[i] = static_cast<T>(draw());
  return result;
}

void need_matrix(const char* call, const Shape& shape) {
  if (shape.rank() != 2 || shape.size() == 0)
    fail(call, ": shape ", shape, " is not that of a weight (out_features, in_features)");
}

}  // namespace

template <class T>
Array<T> uniform(const Shape& shape, double low, double high, Rng& rng) {
  if (!std::isfinite(low) || !std::isfinite(high))
    fail("uniform: the range is [", low, ", ", high, "); both ends must be finite");
  return fill<T>(shape, [&] { return rng.uniform(low, high); });
}

template <class T>
Array<T> normal(const Shape& shape, double mean, double deviation, Rng& rng) {
  if (!std::isfinite(mean) || !(deviation >= 0) || !std::isfinite(deviation))
    fail("normal: the mean is ", mean, " and the deviation ", deviation,
         "; both must be finite, and the deviation at least 0");
  return fill<T>(shape, [&] { return mean + deviation * rng.normal(); });
}

template <class T>
Array<T> xavier_uniform(const Shape& shape, Rng& rng, double gain) {
  need_matrix("xavier_uniform", shape);
  const double bound = gain * std::sqrt(6.0 / static_cast<double>(shape[0] + shape[1]));
  return uniform<T>(shape, -bound, bound, rng);
}

template <class T>
Array<T> xavier_normal(const Shape& shape, Rng& rng, double gain) {
  need_matrix("xavier_normal", shape);
  return normal<T>(shape, 0, gain * std::sqrt(2.0 / static_cast<double>(shape[0] + shape[1])), rng);
}

template <class T>
Array<T> orthogonal(const Shape& shape, Rng& rng, double gain) {
  need_matrix("orthogonal", shape);
  const bool wide = shape[0] < shape[1];
  const std::size_t rows = wide ? shape[1] : shape[0], cols = wide ? shape[0] : shape[1];
  xt::xarray<double> normals = xt::xarray<double>::from_shape({rows, cols});
  for (double& value : normals) value = rng.normal();
  const auto [q, r] = xt::linalg::qr(normals);
  // The signs of R's diagonal make Q unique, and so uniformly distributed (Mezzadri 2007).
  Array<T> result(shape);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j)
      result.data()[wide ? j * rows + i : i * cols + j] =
          static_cast<T>(gain * q(i, j) * (r(j, j) < 0 ? -1.0 : 1.0));
  return result;
}

#define UNROLL_INSTANTIATE(T)                                    \
  template Array<T> uniform(const Shape&, double, double, Rng&); \
  template Array<T> normal(const Shape&, double, double, Rng&);  \
  template Array<T> xavier_uniform(const Shape&, Rng&, double);  \
  template Array<T> xavier_normal(const Shape&, Rng&, double);   \
  template Array<T> orthogonal(const Shape&, Rng&, double);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace nn::init
