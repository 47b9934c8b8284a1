// The one exception type of the library, and the text that its messages are made of.
#pragma once

#include <sstream>
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

// The scopes of this thread in brackets behind a space, " (in encoder / step 3)", or nothing if there are
// none.
std::string in_scopes();

template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts) << in_scopes();
  throw Error(text.str());
}

}  // namespace detail
}  // namespace autograd
