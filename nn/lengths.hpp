// The lengths of the sequences of a batch.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <vector>

namespace nn {

/// How many steps each sequence of a batch has, from any range of integers; empty where all have as many as
/// the input.
class Lengths {
 public:
  Lengths() = default;
  Lengths(std::initializer_list<std::int64_t> lengths) : values_(lengths) {}
  template <class Range>
  requires(!std::same_as<Range, Lengths> &&
           requires(const Range& range) {
             { *std::begin(range) } -> std::convertible_to<std::int64_t>;
             std::end(range);
           })                        //
      Lengths(const Range& lengths)  // NOLINT(google-explicit-constructor)
      : values_(std::begin(lengths), std::end(lengths)) {}

  bool empty() const { return values_.empty(); }
  const std::vector<std::int64_t>& values() const { return values_; }
  /// Throws Error unless there is one for each sequence of the batch, in [1, steps].
  void check(std::size_t steps, std::size_t batch) const;
  /// Whether some sequence has fewer steps than the input.
  bool ragged(std::size_t steps) const;

 private:
  std::vector<std::int64_t> values_;
};

}  // namespace nn
