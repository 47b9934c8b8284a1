// Linear least squares, plain and with a ridge.
#pragma once

#include <xtensor-blas/xlinalg.hpp>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xtensor.hpp>

namespace support {

using Vector = xt::xtensor<double, 1>;
using Matrix = xt::xtensor<double, 2>;

/// The w that makes |y - X w|^2 + lambda |w|^2 smallest:
///
///     w = (X'X + lambda I)^-1 X'y
inline Vector least_squares(const Matrix& x, const Vector& y, double lambda = 0) {
  const Matrix transposed = xt::transpose(x);
  Matrix normal = xt::linalg::dot(transposed, x);
  normal += lambda * xt::eye<double>(x.shape(1));
  const Vector right = xt::linalg::dot(transposed, y);
  return xt::linalg::solve(normal, right);
}

/// Ridge regression (Hoerl and Kennard 1970) with an intercept that is not penalised: X and y are centred
/// first.
struct Ridge {
  Vector means, weights;
  double intercept;

  Ridge(const Matrix& x, const Vector& y, double lambda) : means(xt::mean(x, {0})), intercept(xt::mean(y)()) {
    weights = least_squares(x - means, y - intercept, lambda);
  }

  Vector operator()(const Matrix& x) const { return intercept + xt::linalg::dot(Matrix(x - means), weights); }
};

}  // namespace support
