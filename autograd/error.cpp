#include "error.hpp"

#include <sstream>

#include "tape.hpp"

namespace autograd::detail {

namespace {

std::string in_scopes() {
  std::string path;
  for (const Scope* scope = context.scope; scope; scope = scope->outer())
    path = path.empty() ? scope->name() : scope->name() + " / " + path;
  return path.empty() ? path : " (in " + path + ')';
}

}  // namespace

void fail_of(std::initializer_list<MessagePart> parts) {
  std::ostringstream text;
  for (const MessagePart& part : parts) text << part;
  text << in_scopes();
  throw Error(text.str());
}

}  // namespace autograd::detail
