// A map body as a straight-line program: the functions it applies, one after another.
//
// The kernels of a map are compiled for each body, which makes the gradient fast and costs the user's
// compiler time. What is needed less often, its tangents, is interpreted instead: the body is called once
// with symbols, which note the functions applied to them, and the library has compiled kernels for each
// function.
#pragma once

#include <array>
#include <vector>

#include "lanes.hpp"

namespace autograd::detail {

struct NodeType;

// Elements that a program is run on at once: few enough for all its values to stay in the cache.
template <class T>
inline constexpr std::size_t kProgramBlock = 512 / sizeof(T);

// A value of a program: so many elements of it and of its derivatives.
template <class T>
struct ProgramValue {
  T *value, *tangent, *gradient, *gradient_tangent;
  bool live = false;     // has a tangent that may be other than zero
  bool reached = false;  // a gradient flows through it to an operand that wants one
  bool written = false;  // of this block, a gradient has arrived
};

// What a program does with one function of `fn`.
template <class T>
struct ElementKernel {
  std::size_t operands;
  std::array<bool, 3> passes;  // whether derivatives go through an operand
  // The result and its tangent.
  void (*forward)(const ProgramValue<T>* const* x, ProgramValue<T>& y, std::size_t batches);
  // What the gradient of the result, and its tangent, give those of the operands that are reached.
  void (*backward)(ProgramValue<T>* const* x, const ProgramValue<T>& y, std::size_t batches);
};

// Instantiated in elementwise.cpp for every function of `fn`; of a user's function, in
// elementwise_function.hpp.
template <class F, class T, std::size_t kOperands>
const ElementKernel<T>& element_kernel();
template <class F, class T, std::size_t kOperands>
requires UserFunction<F>
const ElementKernel<T>& element_kernel();

template <class T>
class BodyProgram;

// What a body is called with to note its program: a value of it, or a number (without a program).
template <class T>
struct Symbol {
  using value_type = T;
  BodyProgram<T>* program;
  std::uint32_t index;
  T number;
};

template <class T>
class BodyProgram {
 public:
  struct Step {
    const ElementKernel<T>* kernel;
    std::array<std::uint32_t, 3> x;
    std::uint32_t y;
  };
  struct Constant {
    std::uint32_t index;
    T number;
  };

  // Whether this is the program of the bodies of such a node; those of one type are all the same if they
  // capture nothing.
  bool is_of(const NodeType* type) const { return type_ == type; }
  // Starts anew, with so many inputs.
  void begin(const NodeType* type, std::size_t inputs);
  Symbol<T> input(std::size_t i) { return {this, static_cast<std::uint32_t>(i), T(0)}; }
  Symbol<T> append(const ElementKernel<T>& kernel, std::initializer_list<Symbol<T>> x);
  void give(const Symbol<T>& output) { outputs_.push_back(index_of(output)); }

  std::size_t values() const { return values_; }
  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<Constant>& constants() const { return constants_; }
  const std::vector<std::uint32_t>& outputs() const { return outputs_; }

 private:
  std::uint32_t index_of(const Symbol<T>& symbol);

  const NodeType* type_ = nullptr;
  std::uint32_t values_ = 0;
  std::vector<Step> steps_;
  std::vector<Constant> constants_;
  std::vector<std::uint32_t> outputs_;
};

extern template class BodyProgram<float>;
extern template class BodyProgram<double>;

template <class T>
struct IsLane<Symbol<T>> : std::true_type {};

template <class X, class T>
struct LiftedLane<X, Symbol<T>> {
  static Symbol<T> lift(const X& number) { return {nullptr, 0, static_cast<T>(number)}; }
};

template <class F, class T, class... Rest>
Symbol<T> apply(const Symbol<T>& first, const Rest&... rest) {
  BodyProgram<T>* program = first.program;
  ((program = program ? program : rest.program), ...);
  return program->append(element_kernel<F, T, 1 + sizeof...(Rest)>(), {first, rest...});
}

}  // namespace autograd::detail
