// Ops that rearrange entries or pick them out by position: each a copy by strides, but for those that are
// windows.
#pragma once

#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "var.hpp"

namespace autograd {

/// The axes in another order: axis i of the result is axis `axes[i]` of x; negative ones count from the end.
/// Throws Error unless every axis is named once.
template <class T>
Var<T> permute(const Var<T>& x, const Axes& axes);

/// The axes in reverse order, as NumPy's transpose: of a matrix, its transpose.
template <class T>
Var<T> transpose(const Var<T>& x);

/// A new axis of extent 1 at `axis` of the result; a window, no node. Throws Error if the result has no such
/// axis.
template <class T>
Var<T> expand_dims(const Var<T>& x, std::ptrdiff_t axis);

/// Without all axes of extent 1, or without these; a window, no node. Throws Error if one of these has
/// another extent.
template <class T>
Var<T> squeeze(const Var<T>& x);
template <class T>
Var<T> squeeze(const Var<T>& x, const Axes& axes);

/// Entries begin, begin + step, ... before `end` of an axis, with the rules of Python's slices: negative
/// positions count from the end, positions outside are taken as the nearest inside, and what is left out is
/// the whole axis in the direction of the step.
struct Range {
  std::optional<std::ptrdiff_t> begin{}, end{};
  std::ptrdiff_t step = 1;
};

/// x[begin:end:step, ...]: one range for each of the first axes, all of the others.
///
///     slice(x, {{1, -1}, {.step = 2}})        // x[1:-1, ::2]
///
/// Throws Error if there are more ranges than axes, or for a step of 0.
template <class T>
Var<T> slice(const Var<T>& x, const PerAxis<Range>& ranges);

/// The entries along these axes in reverse order.
template <class T>
Var<T> flip(const Var<T>& x, const Axes& axes);

/// x within a border of `value`: for each axis, how many entries before and how many after. Throws Error
/// unless there is one pair for each axis.
template <class T>
Var<T> pad(const Var<T>& x, const PerAxis<std::pair<std::size_t, std::size_t>>& widths, double value = 0);

/// x in `count` equal parts along an axis. Throws Error if they cannot be equal.
template <class T>
std::vector<Var<T>> split(const Var<T>& x, std::size_t count, std::ptrdiff_t axis = 0);
/// x in parts of these extents along an axis. Throws Error if they do not add up to its extent.
template <class T>
std::vector<Var<T>> split(const Var<T>& x, const std::vector<std::size_t>& extents, std::ptrdiff_t axis = 0);
template <class T>
std::vector<Var<T>> split(const Var<T>& x, std::initializer_list<std::size_t> extents,
                          std::ptrdiff_t axis = 0) {
  return split(x, std::vector<std::size_t>(extents), axis);  // so that {n} is one extent and no count
}
/// x in at most `count` parts along an axis, of ceil(extent / count) entries each, the last of what is left.
/// Throws Error for a count of 0.
template <class T>
std::vector<Var<T>> chunk(const Var<T>& x, std::size_t count, std::ptrdiff_t axis = 0);

}  // namespace autograd
