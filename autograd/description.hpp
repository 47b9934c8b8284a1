// What nodes tell of themselves to whoever looks at a tape.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "var.hpp"

namespace autograd::detail {

struct Description {
  struct Value {
    Place place;  // not differentiable: a constant
    Shape shape;
    const void* data = nullptr;  // of a constant that the node holds
  };
  std::string op;
  std::string detail;  // of the op: where the body of a map was written, for example
  std::vector<Value> operands, results;
  std::size_t stash_bytes = 0;  // kept for the backward sweep besides operands and results

  template <class T>
  void operand(const Saved<T>& saved) {
    operands.push_back({saved.place, saved.shape(), saved.data()});
  }
  void operand(Place place, const Shape& shape) { operands.push_back({place, shape}); }
  void result(Place place, const Shape& shape) { results.push_back({place, shape}); }
};

// Where the lambda of this type was written, as well as its type tells: "LSTMCell::step", or its file and
// line.
std::string place_of_lambda(std::string_view type);

template <class F>
std::string place_of_body() {
  return place_of_lambda(__PRETTY_FUNCTION__);
}

}  // namespace autograd::detail
