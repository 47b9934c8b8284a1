// Scope: a name for a part of a computation, which errors and all views of a tape tell.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace autograd {

namespace detail {

class Trace;

// A place in a user's source. std::source_location is not in Clang 14; as the default of an argument,
// {__builtin_FILE(), __builtin_LINE()} is the place of the call.
struct SourceLocation {
  const char* file;
  unsigned line;
};

}  // namespace detail

/// Names what is computed while it is alive. Scopes nest, so that an op has a path of them, such as
/// "encoder / LSTMCell / step 3", which errors, gradcheck, anomalies, summaries and graphs tell.
///
///     ag::Scope scope("gate r");
///
/// Costs a few nanoseconds and no allocation. Belongs to the thread that made it; scopes end in the reverse
/// order of their beginning.
class Scope {
 public:
  /// The name is not copied: it must live as long as the scope.
  [[nodiscard]] explicit Scope(std::string_view name,
                               detail::SourceLocation where = {__builtin_FILE(), __builtin_LINE()});
  /// A name with a number: "step 3".
  [[nodiscard]] Scope(std::string_view name, std::size_t number,
                      detail::SourceLocation where = {__builtin_FILE(), __builtin_LINE()});
  template <std::same_as<std::string> Temporary>  // it would not live as long
  explicit Scope(Temporary&& name) = delete;
  template <std::same_as<std::string> Temporary>
  Scope(Temporary&& name, std::size_t number) = delete;
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  const Scope* outer() const { return outer_; }
  /// The name, with its number if it has one.
  std::string name() const;
  /// The same without the heap: to at most `size` characters from `to`, cut if it is longer, and a 0.
  void copy_name(char* to, std::size_t size) const;
  /// Whether it has a number: the time step of an unrolled network.
  bool numbered() const { return number_ != kNone; }
  const detail::SourceLocation& where() const { return where_; }

 private:
  friend class detail::Trace;
  static constexpr std::size_t kNone = ~std::size_t{0};
  Scope* outer_;
  std::string_view name_;
  std::size_t number_ = kNone;
  detail::SourceLocation where_;
  mutable std::uint64_t traced_by_ = 0;  // the tape that has noted this scope last, and as which
  mutable std::uint32_t traced_as_ = 0;
};

namespace detail {

// "file.cpp:12"
std::string file_and_line(const SourceLocation& where);

// The name of a type for people: without namespaces and the arguments of templates.
template <class X>
consteval std::string_view type_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("X = ") + 4);
  std::size_t begin = 0, end = 0;
  for (; end < text.size() && text[end] != ';' && text[end] != ']' && text[end] != '<' && text[end] != ',';
       ++end)
    if (text[end] == ':' || text[end] == ' ') begin = end + 1;
  return text.substr(begin, end - begin);
}

}  // namespace detail
}  // namespace autograd
