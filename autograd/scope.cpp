#include "scope.hpp"

#include <algorithm>
#include <charconv>

#include "tape.hpp"

namespace autograd {

using detail::context;

Scope::Scope(std::string_view name, detail::SourceLocation where)
    : outer_(std::exchange(context.scope, this)), name_(name), where_(where) {}

Scope::Scope(std::string_view name, std::size_t number, detail::SourceLocation where)
    : outer_(std::exchange(context.scope, this)), name_(name), number_(number), where_(where) {}

Scope::~Scope() { context.scope = outer_; }

std::string Scope::name() const {
  std::string text(name_);
  return numbered() ? text + ' ' + std::to_string(number_) : text;
}

void Scope::copy_name(char* to, std::size_t size) const {
  char* const end = to + size - 1;
  to = std::copy_n(name_.data(), std::min(name_.size(), size - 1), to);
  if (numbered() && to != end) {
    *to++ = ' ';
    if (const auto [last, error] = std::to_chars(to, end, number_); error == std::errc()) to = last;
  }
  *to = 0;
}

std::string detail::file_and_line(const detail::SourceLocation& where) {
  const std::string_view file = where.file;
  return std::string(file.substr(file.rfind('/') + 1)) + ':' + std::to_string(where.line);
}

}  // namespace autograd
