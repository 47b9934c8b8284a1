#include "var.hpp"

#include <cstring>
#include <xtensor/xexception.hpp>

namespace autograd {
namespace detail {
namespace {

std::string variable_of(const std::string& name, const Shape& shape) {
  std::ostringstream text;
  text << (name.empty() ? "a variable" : name) << " of shape " << shape;
  return text.str();
}

}  // namespace

void explain_update(const std::runtime_error& error, const std::string& name, const Shape& shape) {
  if (dynamic_cast<const xt::broadcast_error*>(&error))
    fail("update: the change of ", variable_of(name, shape),
         " computes with shapes that do not broadcast; give it expressions of shape ", shape,
         ", or of shapes that broadcast to it");
  if (!std::strcmp(error.what(), "xbuffer_storage not resizeable"))
    fail("update: the change assigns something of another size to ", variable_of(name, shape),
         ", which keeps its shape; assign an expression of shape ", shape,
         ", for example by xt::broadcast, and a number by fill(number)");
}

void fail_of_update(const std::string& name, const Shape& shape, const Shape& assigned) {
  fail("update: the change assigned an expression of shape ", assigned, " to ", variable_of(name, shape),
       ", so that its elements are in another order now; assign one of shape ", shape);
}

}  // namespace detail

}  // namespace autograd
