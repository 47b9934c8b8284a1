#include "var.hpp"

#include <cstring>
#include <sstream>
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

template <class T>
std::string shape_of(const Var<T>& x) {
  std::ostringstream text;
  text << x.shape();
  if (const std::string name = x.name(); !name.empty()) text << " of " << name;
  return text.str();
}

template std::string shape_of(const Var<float>&);
template std::string shape_of(const Var<double>&);

template <class T>
Var<T> new_output(const Shape& shape, TapeStorage* tape) {
  const std::size_t bytes = Array<T>::bytes_of(shape);
  Destination& to = context.destination;
  if (++context.outputs == to.at && to.bytes == bytes) {
    to.taken = true;
    to.recorded = tape;
    if (tape && tape->trace) [[unlikely]]
      trace_output(*tape, to.place, to.block, to.data);
    return Var<T>::recorded(BlockRef(retain(to.block)), reinterpret_cast<T*>(to.data), shape,
                            tape ? to.place : Place{}, tape ? tape->id : 0);
  }
  Block* const block = allocate_block(bytes);
  T* const data = static_cast<T*>(block->data());
  if (context.log) [[unlikely]]
    context.log->push_back({context.outputs, data, bytes});
  if (!tape) {
    if (!context.confined) publish(block);
    return Var<T>::recorded(BlockRef(block), data, shape, {}, 0);
  }
  const Place place{tape->new_slot(bytes / sizeof(T), sizeof(T)), 0};
  if (tape->trace) [[unlikely]]
    trace_output(*tape, place, block, data);
  return Var<T>::recorded(BlockRef(block), data, shape, place, tape->id);
}

template Var<float> new_output(const Shape&, TapeStorage*);
template Var<double> new_output(const Shape&, TapeStorage*);

}  // namespace detail

template <class T>
Var<T> variable(Array<T> array) {
  if (!array.defined()) detail::fail("variable: the array is empty; give it a shape and elements first");
  if (array.block()->references != 1 || array.data() != static_cast<T*>(array.block()->data()))
    array = array.copy();
  detail::make_variable(array.block(), array.size());
  return Var<T>(detail::new_value<T>(std::move(array), detail::Place{detail::kVariable, 0}, 0));
}

template Var<float> variable(Array<float>);
template Var<double> variable(Array<double>);

}  // namespace autograd
