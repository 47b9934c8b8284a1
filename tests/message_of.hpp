// What an Error says.
#pragma once

#include <autograd/error.hpp>
#include <functional>
#include <string>

namespace test {

/// The message of the Error that a call throws, or "(no error)".
inline std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const autograd::Error& error) {
    return error.what();
  }
  return "(no error)";
}

}  // namespace test
