// Gradients: what the reverse sweep over a tape has found.
#pragma once

#include <utility>

#include "value.hpp"

namespace autograd {

template <class T>
class Var;

/// The gradients of all variables that took part in a loss: what `Tape::backward` returns and optimisers
/// take.
class Gradients {
 public:
  Gradients() = default;
  Gradients(Gradients&& other) noexcept
      : entries_(std::exchange(other.entries_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  Gradients& operator=(Gradients&& other) noexcept {
    std::swap(entries_, other.entries_);
    std::swap(count_, other.count_);
    return *this;
  }
  Gradients(const Gradients&) = delete;
  ~Gradients();

  /// Number of variables with a gradient.
  std::size_t size() const { return count_; }

  /// Whether the variable took part in the loss.
  template <class T>
  bool contains(const Var<T>& variable) const;

  /// The gradient of a variable, of its shape, as an xtensor expression. Throws Error if it took no part in
  /// the loss.
  template <class T>
  ArrayView<T> operator[](const Var<T>& variable) const {
    return array(variable).view();
  }

  /// The same as an Array.
  template <class T>
  Array<T> array(const Var<T>& variable) const;

  /// Its elements in row-major order, for as long as these Gradients live, or null if the variable took no
  /// part in the loss.
  template <class T>
  const T* data(const Var<T>& variable) const;

  /// Euclidean norm of all gradients taken as one vector.
  double norm() const;
  /// Multiplies all gradients by a factor, in place.
  void scale(double factor);
  /// Adds the gradients of another loss, in place; those of variables that have none here are copied.
  void add(const Gradients& other);

 private:
  friend class Tape;
  struct Entry {
    std::uint64_t variable_id;
    detail::Block* gradient;
    char* data;
    std::size_t size;
    std::size_t element_bytes;
  };
  template <class T>
  const Entry* find(const Var<T>& variable) const;

  detail::Block* entries_ = nullptr;  // a block of Entry
  std::size_t count_ = 0;
  mutable std::size_t hint_ = 0;  // where the next look-up is likely to hit
};

}  // namespace autograd
