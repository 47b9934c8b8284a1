// Windows: a long sequence in pieces, for truncated backpropagation through time.
#pragma once

#include <algorithm>
#include <optional>

#include "autograd/error.hpp"
#include "autograd/scope.hpp"

namespace nn {

/// A piece of a sequence: time steps [begin, end).
struct Window {
  std::size_t index = 0;  ///< 0 for the first
  std::size_t begin = 0, end = 0;

  /// How many time steps.
  std::size_t size() const { return end - begin; }
};

/// What windows() gives: to be gone through by `for`, as often as one likes.
class Windows {
 public:
  struct End {};

  /// Where a loop is. It holds the scope of its window, which so ends when the loop does, by whatever way.
  class Iterator {
   public:
    explicit Iterator(const Windows& windows) : windows_(windows) { enter(); }
    Iterator(const Iterator&) = delete;

    const Window& operator*() const { return window_; }
    Iterator& operator++() {
      ++window_.index;
      enter();
      return *this;
    }
    bool operator==(End) const { return !scope_; }

   private:
    void enter() {
      scope_.reset();  // first, since scopes end in the reverse order of their beginning
      if (window_.index == windows_.size()) return;
      window_.begin = window_.index * windows_.length_;
      window_.end = window_.begin + std::min(windows_.length_, windows_.steps_ - window_.begin);
      scope_.emplace("window", window_.index, windows_.where_);
    }

    const Windows& windows_;
    Window window_;
    std::optional<autograd::Scope> scope_;
  };

  /// See windows().
  Windows(std::size_t steps, std::size_t length, autograd::detail::SourceLocation where)
      : steps_(steps), length_(length), where_(where) {
    if (length == 0) autograd::detail::fail("windows: the length of a window is 0; it must be at least 1");
  }

  Iterator begin() const { return Iterator(*this); }
  End end() const { return {}; }
  /// How many windows there are.
  std::size_t size() const { return steps_ / length_ + (steps_ % length_ != 0); }

 private:
  std::size_t steps_, length_;
  autograd::detail::SourceLocation where_;
};

/// The consecutive windows of `length` time steps of a sequence of `steps`; the last has what is left. In the
/// loop each is a scope, "window 3", which errors and all views of a tape tell.
///
/// Truncated backpropagation through time (Williams and Peng 1990, with windows that do not overlap) is a
/// tape for each window, and a state that goes on detached:
///
///     nn::Stateful lstm(cell);
///     for (const nn::Window& window : nn::windows(x.shape(0), 50)) {
///       ag::Tape tape;
///       const auto [output, state] = lstm(x.slice(window.begin, window.end));
///       adam.step(tape.backward(nn::mse(output, y.slice(window.begin, window.end))));
///     }
///
/// Throws Error if length is 0.
inline Windows windows(std::size_t steps, std::size_t length,
                       autograd::detail::SourceLocation where = {__builtin_FILE(), __builtin_LINE()}) {
  return {steps, length, where};
}

}  // namespace nn
