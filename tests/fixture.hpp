// Reference values from files of tests/fixtures, and how results are compared with them.
#pragma once

#include <autograd/autograd.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <nn/safetensors.hpp>
#include <string>
#include <vector>

namespace test {

/// The largest |a - reference| / max(1, |reference|) of all entries; infinite if the shapes differ or one is
/// NaN.
template <class T>
double difference(const autograd::Array<T>& a, const autograd::Array<T>& reference) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (!(a.shape() == reference.shape())) return kInfinite;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = static_cast<double>(reference.data()[i]);
    const double error = std::abs(x - y) / std::max(1.0, std::abs(y));
    if (!(error <= largest)) largest = std::isnan(error) ? kInfinite : error;
  }
  return largest;
}
template <class T>
double difference(const autograd::Var<T>& a, const autograd::Array<T>& reference) {
  return difference(a.array(), reference);
}

/// The same for a scalar.
template <class T>
double difference(const autograd::Var<T>& a, double reference) {
  return a.rank() ? std::numeric_limits<double>::infinity()
                  : difference(a.array(), autograd::Array<T>({}, reference));
}

/// The arrays of one fixture by name, in double precision: float64 values of PyTorch 1.13.
class Fixture {
 public:
  explicit Fixture(const std::string& name)
      : tensors_(nn::read_safetensors(UNROLL_TESTS_DIR "/fixtures/" + name + ".safetensors").tensors) {
    for (const auto& [key, tensor] : tensors_)
      if (tensor.dtype == "F64") arrays_.emplace(key, nn::to_array<double>(tensor, key));
  }

  bool has(const std::string& key) const { return tensors_.count(key); }
  const autograd::Array<double>& operator[](const std::string& key) const { return arrays_.at(key); }
  /// A scalar; the files hold it with shape (1).
  double scalar(const std::string& key) const { return arrays_.at(key).item(); }
  std::vector<std::int64_t> integers(const std::string& key) const {
    return nn::to_integers(tensors_.at(key), key);
  }

  /// What comes after `prefix` in the names that begin with it.
  std::vector<std::string> names(const std::string& prefix) const {
    std::vector<std::string> result;
    for (const auto& [key, tensor] : tensors_)
      if (key.starts_with(prefix)) result.push_back(key.substr(prefix.size()));
    return result;
  }

 private:
  nn::TensorMap tensors_;
  std::map<std::string, autograd::Array<double>> arrays_;
};

}  // namespace test
