// The time that only the essential matrix products of a training step take, at the best batching that
// backpropagation through time allows: no activations, no tape, no allocation. With the same products,
// nothing can be faster. G is the number of gates (rnn 1, mgu 2, gru 3, lstm 4), TB all rows of all time
// steps:
//
//     forward   P      = X Wx            (TB x I x G H)    one product
//               P_t   += h_{t-1} Wh      (B x H x G H)     a product for each time step
//               Y      = H Wy            (TB x H x O)      one product
//     backward  dH     = dY Wy^T         (TB x O x H)      one product
//               dWy    = H^T dY          (H x TB x O)      one product
//               dh_t-1+= dP_t Wh^T       (B x G H x H)     a product for each time step
//               dWh    = Hprev^T dP      (H x TB x G H)    one product
//               dWx    = X^T dP          (I x TB x G H)    one product
//
// The minimal gated unit has two recurrent products, one after the other: each of those with Wh is two.
#include <cblas.h>
#include <dlfcn.h>

#include <cstring>
#include <random>
#include <type_traits>

#include "workload.hpp"

#ifdef BENCH_HAVE_DNNL
#include <dnnl.h>
#endif

extern "C" {
void openblas_set_num_threads(int);
char* openblas_get_corename();
}

namespace {

const std::string kUsage = "usage: gemm_limit --blas openblas|onednn " + bench::kWorkloadOptions +
                           "                  oneDNN multiplies floats only\n";

struct Arguments : bench::Workload<int> {
  std::string blas;

  explicit Arguments(bench::CommandLine& line)
      : Workload(line), blas(line.one_of("--blas", {"openblas", "onednn"})) {
    line.end();
#ifndef BENCH_HAVE_DNNL
    if (blas == "onednn") line.fail("built without oneDNN");
#endif
    if (blas == "onednn" && f64) line.fail("oneDNN multiplies floats only");
  }
};

template <class T>
struct Gemm {
  bool onednn;

  // C (m x n) = op(A) op(B) + beta C, row-major.
  void operator()(bool ta, bool tb, int m, int n, int k, const T* a, int lda, const T* b, int ldb, T beta,
                  T* c, int ldc) const {
#ifdef BENCH_HAVE_DNNL
    if constexpr (std::is_same_v<T, float>)
      if (onednn) {
        dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.f, a, lda, b, ldb, beta, c, ldc);
        return;
      }
#endif
    const auto at = ta ? CblasTrans : CblasNoTrans, bt = tb ? CblasTrans : CblasNoTrans;
    if constexpr (std::is_same_v<T, float>)
      cblas_sgemm(CblasRowMajor, at, bt, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
    else
      cblas_dgemm(CblasRowMajor, at, bt, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
  }
};

template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t size, double scale = 0)
      : data_(static_cast<T*>(std::aligned_alloc(64, (size * sizeof(T) + 127) / 64 * 64))) {
    static std::mt19937 rng(1);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (std::size_t i = 0; i < size; ++i) data_[i] = static_cast<T>(scale * uniform(rng));
  }
  ~Buffer() { std::free(data_); }
  Buffer(const Buffer&) = delete;
  operator T*() const { return data_; }

 private:
  T* data_;
};

template <class T>
void run(const Arguments& a) {
  const int gates = a.cell == "rnn" ? 1 : a.cell == "mgu" ? 2 : a.cell == "gru" ? 3 : 4;
  const int parts = a.cell == "mgu" ? 2 : 1,
            part = gates / parts * a.hidden;  // recurrent products, and their width
  const int B = a.batch, I = a.in, H = a.hidden, O = a.out, GH = gates * H, TB = a.steps * B;
  const std::size_t rows = static_cast<std::size_t>(TB), state = static_cast<std::size_t>(B) * H;
  const Gemm<T> gemm{a.blas == "onednn"};
  Buffer<T> x(rows * I, 1), wx(static_cast<std::size_t>(I) * GH, .1),
      wh(static_cast<std::size_t>(H) * GH, .1), wy(static_cast<std::size_t>(H) * O, .1), p(rows * GH),
      h(rows * H + state, 1), y(rows * O), dy(rows * O, 1e-3), dh(rows * H + state), dp(rows * GH, 1e-3),
      dwx(static_cast<std::size_t>(I) * GH), dwh(static_cast<std::size_t>(H) * GH),
      dwy(static_cast<std::size_t>(H) * O);
  const T* current = h + state;  // h begins with the state before the first step

  const auto step = [&] {
    gemm(false, false, TB, GH, I, x, I, wx, GH, 0, p, GH);
    for (int t = 0; t < a.steps; ++t)
      for (int k = 0; k < parts; ++k)
        gemm(false, false, B, part, H, h + t * state, H, wh + k * H * H, part, 1,
             p + static_cast<std::size_t>(t) * B * GH + k * part, GH);
    gemm(false, false, TB, O, H, current, H, wy, O, 0, y, O);
    gemm(false, true, TB, H, O, dy, O, wy, O, 0, dh + state, H);
    gemm(true, false, H, O, TB, current, H, dy, O, 0, dwy, O);
    for (int t = a.steps - 1; t >= 0; --t)
      for (int k = parts - 1; k >= 0; --k)
        gemm(false, true, B, H, part, dp + static_cast<std::size_t>(t) * B * GH + k * part, GH,
             wh + k * H * H, part, 1, dh + t * state, H);
    for (int k = 0; k < parts; ++k)
      gemm(true, false, H, part, TB, h, H, dp + k * part, GH, 0, dwh + k * H * H, part);
    gemm(true, false, I, GH, TB, x, I, dp, GH, 0, dwx, GH);
    std::memset(dh, 0, sizeof(T) * state);  // else it grows from step to step
  };

  bench::warm_up(step);
  const bench::Times times = bench::time_steps(step, a.seconds);
  const double flop = 2.0 * TB * (2.0 * GH * I + 3.0 * GH * H + 3.0 * H * O);
  std::printf("{\"impl\":\"gemm_limit\",\"library\":\"%s\",%s,%s,\"gflops\":%.1f,\"blas\":\"%s\"}\n",
              a.blas.c_str(), a.json().c_str(), times.json().c_str(), flop * 1e-3 / times.median,
              openblas_get_corename());
}

}  // namespace

int main(int argc, char** argv) {
  bench::CommandLine line(argc, argv, kUsage);
  const Arguments a(line);
  openblas_set_num_threads(a.threads);
  if (const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads")))
    set(a.threads);
  a.f64 ? run<double>(a) : run<float>(a);
}
