#include "blas.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <xtensor-blas/xblas.hpp>
#include "panels.hpp"
#include "small_gemm.hpp"

#ifdef UNROLL_HAVE_DNNL
#include <dnnl.h>
#endif

extern "C" {
void openblas_set_num_threads(int);
int openblas_get_num_threads();
char* openblas_get_corename();
char* openblas_get_config();
}

namespace autograd {
namespace {

// The best kernel set of OpenBLAS that this CPU can run, or nothing where OpenBLAS is left to its own choice.
const char* best_core() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512cd"))
    return "SkylakeX";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return nullptr;
}

// Kernels without fused multiply-add, which OpenBLAS falls back to on a CPU newer than itself.
bool is_fallback(const std::string& core) {
  for (const char* name : {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Sandybridge", "Atom",
                           "Generic", "Barcelona", "Bobcat", "Athlon", "Opteron", "generic"})
    if (core.find(name) != std::string::npos) return true;
  return false;
}

// OpenBLAS reads its environment once, when it is loaded, which is before any code of ours; so it is made to
// read it again. This runs before main: no thread of the user's is in a BLAS call yet.
std::string choose_kernel() {
  if (std::getenv("OPENBLAS_CORETYPE")) return "set by OPENBLAS_CORETYPE";
  const std::string before = openblas_get_corename();
  const char* core = best_core();
  if (!core || !is_fallback(before)) return "detected";
  const auto quit = reinterpret_cast<void (*)()>(dlsym(RTLD_DEFAULT, "gotoblas_dynamic_quit"));
  const auto init = reinterpret_cast<void (*)()>(dlsym(RTLD_DEFAULT, "gotoblas_dynamic_init"));
  if (!quit || !init) return "detected; this OpenBLAS cannot be told of a better one";
  setenv("OPENBLAS_CORETYPE", core, 1);
  quit();
  init();
  unsetenv("OPENBLAS_CORETYPE");
  return "chosen for this CPU instead of " + before;
}

struct Runtime {
  std::string note = choose_kernel();
  int threads = 1;
  // Multiplications of a product that is small for OpenBLAS: of its kernels, those for AVX-512 have some for
  // such products.
  std::size_t small_products = std::string(openblas_get_corename()) == "SkylakeX" ? 500'000 : 32'000;
  // Of the OpenMP runtime that oneDNN runs on, if it does.
  int (*omp_threads)() = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
  void (*set_omp_threads)(int) = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));

  Runtime() {
    for (const char* name : {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"})
      if (const char* value = std::getenv(name)) {
        threads = std::max(1, std::atoi(value));
        break;
      }
    set(threads);
  }

  void set(int count) {
    threads = count;
    openblas_set_num_threads(count);
  }
};

Runtime runtime;  // constructed at start-up

}  // namespace

void set_num_threads(int threads) {
  if (threads < 1) detail::fail("set_num_threads: ", threads, " threads; at least 1 is needed");
  runtime.set(threads);
}

int num_threads() { return runtime.threads; }

RuntimeInfo runtime_info() {
  RuntimeInfo info;
  const std::string config = openblas_get_config();  // "OpenBLAS 0.3.21 NO_LAPACKE ..."
  info.blas = config.substr(0, config.find(' ', config.find(' ') + 1));
  info.blas_kernel = openblas_get_corename();
  info.blas_note = runtime.note;
  info.float_gemm = info.blas;
#ifdef UNROLL_HAVE_DNNL
  const dnnl_version_t* version = dnnl_version();
  info.float_gemm = "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
                    std::to_string(version->patch);
#endif
  info.simd = xsimd::default_arch::name();
  info.simd_bytes = xsimd::batch<float>::size * sizeof(float);
  info.threads = runtime.threads;
  return info;
}

std::ostream& operator<<(std::ostream& out, const RuntimeInfo& info) {
  return out << info.blas << ", kernel " << info.blas_kernel << " (" << info.blas_note
             << "); float products: " << info.float_gemm << "; SIMD " << info.simd << ", " << info.simd_bytes
             << " bytes; threads " << info.threads;
}

namespace detail {
namespace {

// Products so small that calling BLAS would cost more than computing them (measured): what small_gemm.hpp
// computes, and plain loops where B is transposed.
constexpr std::size_t kSmallProduct = 4096, kTinyProduct = 256;
// Terms of a sum so short that the product takes as long as to write C, which BLAS does more than once
// (measured).
constexpr std::size_t kShortSum = 4;

template <class T>
void tiny_gemm(bool ta, std::size_t m, std::size_t n, std::size_t k, const T* a, std::size_t lda,
               const T* b_transposed, std::size_t ldb, bool accumulate, const T* bias, T* c,
               std::size_t ldc) {
  const std::size_t a_row = ta ? 1 : lda, a_col = ta ? lda : 1;
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      T sum = accumulate ? c[i * ldc + j] : T(0);
      if (bias) sum += bias[j];
      for (std::size_t p = 0; p < k; ++p) sum += a[i * a_row + p * a_col] * b_transposed[j * ldb + p];
      c[i * ldc + j] = sum;
    }
}

// Multiplications of a product from which on more than one thread is worth waiting for.
constexpr std::size_t kThreadedProduct = 4'000'000;

#ifdef UNROLL_HAVE_DNNL

// OpenMP's number of threads is a setting of the calling thread, and the user's own: it is changed for one
// product.
class OmpThreads {
 public:
  explicit OmpThreads(std::size_t volume) {
    if (!runtime.omp_threads || !runtime.set_omp_threads) return;
    before_ = now_ = runtime.omp_threads();
    set(on_threads(volume) ? runtime.threads : 1);
  }
  ~OmpThreads() { set(before_); }
  OmpThreads(const OmpThreads&) = delete;

 private:
  void set(int threads) {
    if (threads != now_) runtime.set_omp_threads(now_ = threads);
  }
  int before_ = 0, now_ = 0;
};

// Measured: oneDNN is ahead from 16 rows on, but for products that OpenBLAS has kernels for small matrices
// for.
bool prefer_dnnl(std::size_t m, std::size_t volume) { return m >= 16 && volume >= runtime.small_products; }
#endif

}  // namespace

bool on_threads(std::size_t volume) { return runtime.threads > 1 && volume >= kThreadedProduct; }

template <class T>
void gemm(Transpose ta, Transpose tb, std::size_t m, std::size_t n, std::size_t k, const T* a,
          std::size_t lda, const T* b, std::size_t ldb, bool accumulate, const T* bias, T* c,
          std::size_t ldc) {
  const bool at = ta == Transpose::yes, bt = tb == Transpose::yes;
  const auto size = [](std::size_t extent) { return static_cast<int>(extent); };
  const std::size_t volume = m * n * k;
  // A column is its own transpose.
  const bool column = n == 1 && m > 1 && !at && ldc == 1 && (bt || ldb == 1);
  if (column && volume <= kTinyProduct)
    return tiny_gemm(at, m, n, k, a, lda, b, ldb, accumulate, bias, c, ldc);
  if (bt ? volume <= kTinyProduct
         : !column && ((m == 1 && n > 1) || volume <= kSmallProduct || k <= kShortSum)) {
    if (bt) return tiny_gemm(at, m, n, k, a, lda, b, ldb, accumulate, bias, c, ldc);
    const std::size_t a_row = at ? 1 : lda, a_col = at ? lda : 1;
    return SmallProduct<T>{m, n, k, a, a_row, a_col, b, ldb, accumulate, bias, c, ldc}.compute();
  }
  if (at && !bt && !bias && prefer_own_transposed<T>(m, n, k))
    return multiply_transposed(m, n, k, a, lda, b, ldb, accumulate, c, ldc);
  if (std::max({m, n, k, lda, ldb, ldc}) > INT_MAX)
    fail("matmul: a side of ", m, " x ", k, " times ", k, " x ", n,
         " is beyond BLAS' 32-bit sizes; split the product");
  if (bias) {
    for (std::size_t i = 0; i < m; ++i) {
      T* const row = c + i * ldc;
      if (accumulate)
        for (std::size_t j = 0; j < n; ++j) row[j] += bias[j];
      else
        std::copy_n(bias, n, row);
    }
    accumulate = true;
  }
  const T beta = accumulate;
  if (column)
    return cxxblas::gemv<int>(cxxblas::RowMajor, cxxblas::NoTrans, size(m), size(k), T(1), a, size(lda), b, 1,
                              beta, c, 1);
  if (m == 1 && n == 1) {  // of two vectors: several times as fast as a matrix product
    T product;
    cxxblas::dot<int>(size(k), a, at ? size(lda) : 1, b, bt ? 1 : size(ldb), product);
    c[0] = accumulate ? product + c[0] : product;
    return;
  }
#ifdef UNROLL_HAVE_DNNL
  if constexpr (std::is_same_v<T, float>)
    if (prefer_dnnl(m, volume)) {
      const OmpThreads omp_threads(volume);
      const auto dim = [](std::size_t extent) { return static_cast<dnnl_dim_t>(extent); };
      dnnl_sgemm(at ? 'T' : 'N', bt ? 'T' : 'N', dim(m), dim(n), dim(k), 1.0f, a, dim(lda), b, dim(ldb), beta,
                 c, dim(ldc));
      return;
    }
#endif
  cxxblas::gemm<int>(cxxblas::RowMajor, at ? cxxblas::Trans : cxxblas::NoTrans,
                     bt ? cxxblas::Trans : cxxblas::NoTrans, size(m), size(n), size(k), T(1), a, size(lda), b,
                     size(ldb), beta, c, size(ldc));
}

template void gemm(Transpose, Transpose, std::size_t, std::size_t, std::size_t, const float*, std::size_t,
                   const float*, std::size_t, bool, const float*, float*, std::size_t);
template void gemm(Transpose, Transpose, std::size_t, std::size_t, std::size_t, const double*, std::size_t,
                   const double*, std::size_t, bool, const double*, double*, std::size_t);

}  // namespace detail
}  // namespace autograd
