// Arrays of seeded random numbers, and how results are compared.
#pragma once

#include <autograd/autograd.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace test {

/// Uniform numbers of [low, high).
template <class T = double>
autograd::Array<T> random_array(const autograd::Shape& shape, unsigned seed, double low = -1,
                                double high = 1) {
  std::mt19937 generator(seed);
  autograd::Array<T> array(shape);
  for (std::size_t i = 0; i < array.size(); ++i)
    array.data()[i] = static_cast<T>(low + (high - low) * (generator() / 4294967296.0));
  return array;
}

template <class T = double>
autograd::Var<T> random_variable(const autograd::Shape& shape, unsigned seed, double low = -1,
                                 double high = 1) {
  return autograd::variable(random_array<T>(shape, seed, low, high));
}

template <class T>
std::vector<double> numbers(const autograd::Array<T>& array) {
  return {array.data(), array.data() + array.size()};
}
template <class T>
std::vector<double> numbers(const autograd::Var<T>& x) {
  return numbers(x.array());
}

/// The largest |a - b|, over the largest |b| if that is above 1. Infinite for other sizes and for NaN.
inline double difference(const std::vector<double>& a, const std::vector<double>& b) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (a.size() != b.size()) return kInfinite;
  double largest = 0, scale = 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return kInfinite;
    largest = std::max(largest, std::abs(a[i] - b[i]));
    scale = std::max(scale, std::abs(b[i]));
  }
  return largest / scale;
}
template <class A, class B>
double difference(const A& a, const B& b) {
  return difference(numbers(a), numbers(b));
}

}  // namespace test
