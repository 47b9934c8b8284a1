// Initial values of parameters.
#pragma once

#include "autograd/array.hpp"
#include "random.hpp"

namespace nn::init {

/// Uniform in [low, high).
template <class T = float>
autograd::Array<T> uniform(const autograd::Shape& shape, double low, double high, Rng& rng);

/// Normal with a mean and a standard deviation.
template <class T = float>
autograd::Array<T> normal(const autograd::Shape& shape, double mean, double deviation, Rng& rng);

/// Xavier (Glorot and Bengio 2010): uniform in +-gain sqrt(6 / (fan_in + fan_out)) for a weight (fan_out,
/// fan_in). Throws Error if the shape is no matrix.
template <class T = float>
autograd::Array<T> xavier_uniform(const autograd::Shape& shape, Rng& rng, double gain = 1);

/// Xavier with normal values of deviation gain sqrt(2 / (fan_in + fan_out)). Throws Error if the shape is no
/// matrix.
template <class T = float>
autograd::Array<T> xavier_normal(const autograd::Shape& shape, Rng& rng, double gain = 1);

/// gain times a matrix with orthonormal rows or columns, whichever are fewer, uniformly distributed (Saxe et
/// al. 2014; from the QR decomposition of normal values). Throws Error if the shape is no matrix.
template <class T = float>
autograd::Array<T> orthogonal(const autograd::Shape& shape, Rng& rng, double gain = 1);

/// `count` blocks of rows, each made by `make(shape of one block)`: the gates of a recurrent weight. Throws
/// Error if the shape is that of a scalar, or if `make` gives another.
template <class Make>
auto blocks(std::size_t count, const autograd::Shape& block, const Make& make) {
  if (block.rank() == 0)
    autograd::detail::fail("blocks: the shape of a block is (), and a scalar has no rows; name its axes");
  autograd::Shape shape = block;
  shape[0] *= count;
  auto first = make(block);
  decltype(first) whole(shape);
  for (std::size_t i = 0; i < count; ++i) {
    if (i) first = make(block);
    if (!(first.shape() == block))
      autograd::detail::fail("blocks: make gave shape ", first.shape(), " for a block of shape ", block,
                             "; both must be equal");
    std::copy_n(first.data(), first.size(), whole.data() + i * first.size());
  }
  return whole;
}

}  // namespace nn::init
