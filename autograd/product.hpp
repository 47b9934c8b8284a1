// Products of two matrices: the op that those of linalg.hpp are made of.
#pragma once

#include "blas.hpp"
#include "var.hpp"

namespace autograd::detail {

inline Transpose flip(Transpose t) { return t == Transpose::yes ? Transpose::no : Transpose::yes; }

struct Sizes {
  std::size_t rows, in, out;
};

// op(A) op(B) [+ bias] [+ addend], of this shape: op(A) is rows x in, op(B) is in x out.
template <class T>
Var<T> record_product(const char* op, const Sizes& size, const Shape& shape, const Var<T>& a, Transpose ta,
                      const Var<T>& b, Transpose tb, const Var<T>* bias, Var<T>* addend);

// The same for x op(W), where x has any leading axes. Throws Error unless all shapes fit.
template <class T>
Var<T> record_linear(const char* op, const Var<T>& x, const Var<T>& weight, Transpose t, const Var<T>* bias,
                     Var<T>* addend);

}  // namespace autograd::detail
