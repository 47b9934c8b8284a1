// Mistakes in the body of a map, and what the compiler must say of each; see run.cmake.
#include <autograd/autograd.hpp>
#include <cmath>
#include <vector>

namespace ag = autograd;
using Var = ag::Var<double>;

inline void mistakes(const Var& x, const Var& y, const ag::Var<float>& f) {
  ag::map([](auto a, auto b) { return where(a > b, tanh(a), 2 * b); }, x, y);
  (void)f;
#ifdef MISTAKE_STD_FUNCTION  // write tanh(x), not std::tanh(x)
  ag::map([](auto a) { return std::tanh(a); }, x);
#endif
#ifdef MISTAKE_STD_FUNCTION_INSIDE  // the body uses a parameter as a plain number; write tanh(x), not
                                    // std::tanh(x)
  ag::map([](auto a) { return a * std::exp(a); }, x);
#endif
#ifdef MISTAKE_TOO_FEW_OPERANDS  // it must be a lambda with one `auto` parameter for each
  ag::map([](auto a, auto b) { return a * b; }, x);
#endif
#ifdef MISTAKE_RETURNS_BOOL  // not a plain number, a bool or nothing
  ag::map([](auto) { return true; }, x);
#endif
#ifdef MISTAKE_IF  // the body asks a condition of many elements at once
  ag::map(
      [](auto a) {
        if (a > 0) return a;
        return -a;
      },
      x);
#endif
#ifdef MISTAKE_ASSIGNS_OUTER_VAR  // the body uses a parameter as a Var; give results back by return
  Var outer;
  ag::map(
      [&](auto a) {
        outer = a;
        return a;
      },
      x);
#endif
#ifdef MISTAKE_ASSIGNS_ANOTHER_FORM  // make a new one: auto z = x + y
  ag::map(
      [](auto a, auto b) {
        a = a + b;
        return a;
      },
      x, y);
#endif
#ifdef MISTAKE_USES_OUTER_VAR  // the body uses a Var that is none of its parameters; give it to map as an
                               // operand
  ag::map([&](auto a) { return a * y; }, x);
#endif
#ifdef MISTAKE_CAPTURES_VECTOR  // the body captures more than plain numbers
  const std::vector<double> scales{1, 2};
  ag::map([scales](auto a) { return a * scales[0]; }, x);
#endif
#ifdef MISTAKE_NUMBER_AS_OPERAND  // capture a number: [number](auto x) { return number * x; }
  ag::map([](auto a, auto b) { return a * b; }, x, 2.0);
#endif
#ifdef MISTAKE_FLOAT_AND_DOUBLE  // the operands are of float and of double
  ag::map([](auto a, auto b) { return a * b; }, x, f);
#endif
#ifdef MISTAKE_FLOAT_AND_DOUBLE_WITHOUT_MAP  // a Var<float> and a Var<double> in one op
  x + f;
#endif
#ifdef MISTAKE_MATMUL  // the body calls a function that is not elementwise
  ag::map([](auto a, auto b) { return matmul(a, b); }, x, y);
#endif
}
