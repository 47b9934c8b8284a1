// The one exception type of the library, and the text that its messages are made of.
#pragma once

#include <initializer_list>
#include <ostream>
#include <stdexcept>
#include <string>

namespace autograd {

/// Thrown for every mistake of a user that the library can see. The message names the call, the shapes (or
/// the file and line) and the remedy, and the scopes that it was made in, if any. Nothing is changed by the
/// call that throws.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

// Anything that a stream takes, as a part of a message. Of one type for all, so that a message costs little
// to compile.
class MessagePart {
 public:
  template <class X>
  explicit MessagePart(const X& x)
      : value_(&x),
        write_([](std::ostream& out, const void* value) { out << *static_cast<const X*>(value); }) {}
  explicit MessagePart(const char* text)
      : value_(text),
        write_([](std::ostream& out, const void* value) { out << static_cast<const char*>(value); }) {}

  friend std::ostream& operator<<(std::ostream& out, const MessagePart& part) {
    part.write_(out, part.value_);
    return out;
  }

 private:
  const void* value_;
  void (*write_)(std::ostream&, const void*);
};

// Throws Error of the parts, one after another, and the scopes of this thread in brackets behind them,
// " (in encoder / step 3)", if there are any.
[[noreturn, gnu::cold]] void fail_of(std::initializer_list<MessagePart> parts);

template <class... Parts>
[[noreturn, gnu::cold]] void fail(const Parts&... parts) {
  fail_of({MessagePart(parts)...});
}

}  // namespace detail
}  // namespace autograd
