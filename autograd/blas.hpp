// Matrix products: the one door to BLAS (xtensor-blas' cxxblas over OpenBLAS, oneDNN for float where it was
// found).
#pragma once

#include <cstddef>
#include <ostream>
#include <string>

#include "array.hpp"

namespace autograd {

/// What the library computes with, found at start-up.
struct RuntimeInfo {
  std::string blas;         ///< "OpenBLAS 0.3.21"
  std::string blas_kernel;  ///< the kernel set in use, "SkylakeX"
  std::string blas_note;    ///< why that kernel: "detected", "set by OPENBLAS_CORETYPE", "chosen for this CPU
                            ///< instead of Prescott"
  std::string float_gemm;   ///< what multiplies large float matrices, but for weights, see
                            ///< panels.hpp: "oneDNN 2.6.3" or as `blas`
  std::string simd;         ///< instruction set that elementwise code is compiled for, "avx512f"
  std::size_t simd_bytes;   ///< bytes of its registers
  int threads;              ///< threads of matrix products
};

RuntimeInfo runtime_info();
std::ostream& operator<<(std::ostream& out, const RuntimeInfo& info);

/// Threads that matrix products may use (at least 1). At start-up: 1, unless OPENBLAS_NUM_THREADS or
/// OMP_NUM_THREADS says otherwise; the products of one time step are too small to gain from more.
void set_num_threads(int threads);
int num_threads();

namespace detail {

enum class Transpose : bool { no, yes };

// Whether a product of so many multiplications is computed on more than one thread.
bool on_threads(std::size_t volume);

// C (m x n) = op(A) op(B) [+ C] [+ bias], row-major: op(A) is m x k; C is added if `accumulate`, and the bias
// (n) to each row, unless it is null. Leading dimensions are of the arrays as stored.
template <class T>
void gemm(Transpose ta, Transpose tb, std::size_t m, std::size_t n, std::size_t k, const T* a,
          std::size_t lda, const T* b, std::size_t ldb, bool accumulate, const T* bias, T* c,
          std::size_t ldc);

extern template void gemm(Transpose, Transpose, std::size_t, std::size_t, std::size_t, const float*,
                          std::size_t, const float*, std::size_t, bool, const float*, float*, std::size_t);
extern template void gemm(Transpose, Transpose, std::size_t, std::size_t, std::size_t, const double*,
                          std::size_t, const double*, std::size_t, bool, const double*, double*, std::size_t);

}  // namespace detail
}  // namespace autograd
