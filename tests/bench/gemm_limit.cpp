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

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#ifdef BENCH_HAVE_DNNL
#include <dnnl.h>
#endif

extern "C" {
void openblas_set_num_threads(int);
char* openblas_get_corename();
}

namespace {

constexpr const char* kUsage =
    "usage: gemm_limit --blas openblas|onednn --cell rnn|gru|lstm|mgu --T n --B n --I n --H n --O n\n"
    "                  --threads n --seconds s [--f64]          oneDNN multiplies floats only\n";

struct Arguments {
  std::string blas = "openblas", cell = "lstm";
  int t = 64, b = 32, i = 64, h = 128, o = 64, threads = 1;
  double seconds = 1;
  bool f64 = false;
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
int run(const Arguments& a) {
  const int gates = a.cell == "rnn" ? 1 : a.cell == "mgu" ? 2 : a.cell == "gru" ? 3 : 4;
  const int parts = a.cell == "mgu" ? 2 : 1,
            part = gates / parts * a.h;  // recurrent products, and their width
  const int B = a.b, I = a.i, H = a.h, O = a.o, GH = gates * H, TB = a.t * B;
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
    for (int t = 0; t < a.t; ++t)
      for (int k = 0; k < parts; ++k)
        gemm(false, false, B, part, H, h + t * state, H, wh + k * H * H, part, 1,
             p + static_cast<std::size_t>(t) * B * GH + k * part, GH);
    gemm(false, false, TB, O, H, current, H, wy, O, 0, y, O);
    gemm(false, true, TB, H, O, dy, O, wy, O, 0, dh + state, H);
    gemm(true, false, H, O, TB, current, H, dy, O, 0, dwy, O);
    for (int t = a.t - 1; t >= 0; --t)
      for (int k = parts - 1; k >= 0; --k)
        gemm(false, true, B, H, part, dp + static_cast<std::size_t>(t) * B * GH + k * part, GH,
             wh + k * H * H, part, 1, dh + t * state, H);
    for (int k = 0; k < parts; ++k)
      gemm(true, false, H, part, TB, h, H, dp + k * part, GH, 0, dwh + k * H * H, part);
    gemm(true, false, I, GH, TB, x, I, dp, GH, 0, dwx, GH);
    std::memset(dh, 0, sizeof(T) * state);  // else it grows from step to step
  };

  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  for (int i = 0; i < 3; ++i) step();
  std::vector<double> us;
  const auto start = Clock::now();
  while (since(start) < a.seconds || us.size() < 5) {
    const auto begin = Clock::now();
    step();
    us.push_back(since(begin) * 1e6);
  }
  std::sort(us.begin(), us.end());
  const double median = us[us.size() / 2];
  const double flop = 2.0 * TB * (2.0 * GH * I + 3.0 * GH * H + 3.0 * H * O);
  std::printf(
      "{\"impl\":\"gemm_limit\",\"library\":\"%s\",\"cell\":\"%s\",\"T\":%d,\"B\":%d,\"I\":%d,\"H\":%d,\"O\":"
      "%d,"
      "\"threads\":%d,\"dtype\":\"%s\",\"us_per_step\":%.3f,\"min_us\":%.3f,\"reps\":%zu,\"gflops\":%.1f,"
      "\"blas\":\"%s\"}\n",
      a.blas.c_str(), a.cell.c_str(), a.t, B, I, H, O, a.threads, sizeof(T) == 4 ? "f32" : "f64", median,
      us[0], us.size(), flop * 1e-3 / median, openblas_get_corename());
  return 0;
}

int usage(const std::string& why) {
  std::fprintf(stderr, "gemm_limit: %s\n%s", why.c_str(), kUsage);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments a;
  for (int k = 1; k < argc; ++k) {
    const std::string key = argv[k];
    if (key == "--f64") {
      a.f64 = true;
      continue;
    }
    if (k + 1 == argc) return usage("no value for " + key);
    const char* value = argv[++k];
    if (key == "--blas")
      a.blas = value;
    else if (key == "--cell")
      a.cell = value;
    else if (key == "--seconds")
      a.seconds = std::atof(value);
    else if (int* number = key == "--T"         ? &a.t
                           : key == "--B"       ? &a.b
                           : key == "--I"       ? &a.i
                           : key == "--H"       ? &a.h
                           : key == "--O"       ? &a.o
                           : key == "--threads" ? &a.threads
                                                : nullptr)
      *number = std::max(1, std::atoi(value));
    else
      return usage("unknown option " + key);
  }
  if (a.blas == "onednn") {
#ifndef BENCH_HAVE_DNNL
    return usage("built without oneDNN");
#endif
    if (a.f64) return usage("oneDNN multiplies floats only");
  }
  openblas_set_num_threads(a.threads);
  if (const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads")))
    set(a.threads);
  return a.f64 ? run<double>(a) : run<float>(a);
}
