// Times a training step: forward, linear readout at every step, mean squared error, backward, SGD. The same
// workload, arguments and output line as a hand-written BPTT, for cells written by a user (custom) and the
// library's (builtin).
//
// usage: bench_unroll --cell rnn|gru|lstm --impl custom|builtin --T n --B n --I n --H n --O n --threads n
// --seconds s
//                     [--f64]
#include <sys/resource.h>

#include <algorithm>
#include <autograd/autograd.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nn/nn.hpp>
#include <string>

namespace ag = autograd;

namespace {

struct Arguments {
  std::string cell = "rnn", impl = "custom";
  std::size_t steps = 64, batch = 32, in = 64, hidden = 128, out = 64;
  int threads = 1;
  double seconds = 1;
  bool f64 = false;
};

// h' = tanh(x Wx + h Wh)
template <class T>
struct MyRNN {
  nn::Linear<T> x, h;
  MyRNN(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : x(in, hidden, rng), h(hidden, hidden, rng, false) {}
  auto fields(auto&& visit) { visit("x", x), visit("h", h); }
  ag::Var<T> initial_state(std::size_t batch) const { return ag::zeros<T>({batch, h.weight.shape(1)}); }
  ag::Var<T> project(const ag::Var<T>& xs) const { return x(xs); }
  ag::Var<T> step(ag::Var<T> x_t, const ag::Var<T>& h_t) const {
    return tanh(ag::add_linear(std::move(x_t), h_t, h.weight));
  }
};

// i, f, g, o = x Wx + h Wh;  c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c')
template <class T>
struct MyLSTM {
  nn::Linear<T> x, h;
  struct State {
    ag::Var<T> h, c;
  };
  MyLSTM(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : x(in, 4 * hidden, rng), h(hidden, 4 * hidden, rng, false) {}
  auto fields(auto&& visit) { visit("x", x), visit("h", h); }
  State initial_state(std::size_t batch) const {
    return {ag::zeros<T>({batch, h.weight.shape(1)}), ag::zeros<T>({batch, h.weight.shape(1)})};
  }
  ag::Var<T> project(const ag::Var<T>& xs) const { return x(xs); }
  std::pair<ag::Var<T>, State> step(ag::Var<T> x_t, const State& s) const {
    const auto z = ag::add_linear(std::move(x_t), s.h, h.weight);
    auto [h_next, c_next] = ag::map(
        [](auto i, auto f, auto g, auto o, auto c) {
          auto c_new = sigmoid(f) * c + sigmoid(i) * tanh(g);
          return std::tuple{sigmoid(o) * tanh(c_new), c_new};
        },
        ag::chunk<4>(z), s.c);
    return {h_next, {h_next, std::move(c_next)}};
  }
};

// r, z = sigmoid(x Wx + h Wh);  n = tanh(x Wx + r (h Wh + b));  h' = n + z (h - n)
template <class T>
struct MyGRU {
  nn::Linear<T> x, h;
  ag::Var<T> b;
  MyGRU(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : x(in, 3 * hidden, rng),
        h(hidden, 3 * hidden, rng, false),
        b(ag::variable(nn::init::uniform<T>({hidden}, -0.1, 0.1, rng))) {}
  auto fields(auto&& visit) { visit("x", x), visit("h", h), visit("b", b); }
  ag::Var<T> initial_state(std::size_t batch) const { return ag::zeros<T>({batch, h.weight.shape(1)}); }
  ag::Var<T> project(const ag::Var<T>& xs) const { return x(xs); }
  ag::Var<T> step(const ag::Var<T>& x_t, const ag::Var<T>& h_t) const {
    return ag::map(
        [](auto xr, auto xz, auto xn, auto hr, auto hz, auto hn, auto b, auto h) {
          auto r = sigmoid(xr + hr);
          auto z = sigmoid(xz + hz);
          auto n = tanh(xn + r * (hn + b));
          return n + z * (h - n);
        },
        ag::chunk<3>(x_t), ag::chunk<3>(h(h_t)), b, h_t);
  }
};

template <class T, class Cell>
void run(const Arguments& a, nn::Rng& rng, Cell cell) {
  nn::Linear<T> head(a.hidden, a.out, rng);
  const ag::Var<T> x = nn::init::normal<T>({a.steps, a.batch, a.in}, 0, 1, rng);
  const ag::Var<T> y = nn::init::normal<T>({a.steps, a.batch, a.out}, 0, 1, rng);
  nn::SGD<T> sgd(nn::parameters(cell, head), {.lr = 0.01});
  double loss_value = 0;
  const auto step = [&] {
    ag::Tape tape;
    const auto [output, state] = nn::unroll(cell, x);
    const auto loss = nn::mse(head(output), y);
    sgd.step(tape.backward(loss));
    loss_value = static_cast<double>(loss.item());
  };
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  for (int i = 0; i < 3; ++i) step();
  const std::size_t heap_before = ag::memory_stats().heap_requests;
  ag::reset_peak_memory();
  std::vector<double> us;
  const auto start = Clock::now();
  while (since(start) < a.seconds || us.size() < 5) {
    const auto t = Clock::now();
    step();
    us.push_back(since(t) * 1e6);
  }
  std::sort(us.begin(), us.end());
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"impl\":\"%s\",\"cell\":\"%s\",\"T\":%zu,\"B\":%zu,\"I\":%zu,\"H\":%zu,\"O\":%zu,\"threads\":%d,"
      "\"dtype\":\"%s\","
      "\"us_per_step\":%.2f,\"min_us\":%.2f,\"reps\":%zu,\"loss\":%.6g,\"peak_rss_mb\":%.1f,\"pool_heap_"
      "requests\":%zu,"
      "\"peak_tape_mb\":%.3f,\"blas\":\"%s\"}\n",
      a.impl.c_str(), a.cell.c_str(), a.steps, a.batch, a.in, a.hidden, a.out, a.threads,
      sizeof(T) == 4 ? "f32" : "f64", us[us.size() / 2], us[0], us.size(), loss_value,
      static_cast<double>(usage.ru_maxrss) / 1024, ag::memory_stats().heap_requests - heap_before,
      static_cast<double>(ag::memory_stats().peak_bytes) / 1e6, ag::runtime_info().blas_kernel.c_str());
}

template <class T>
int run(const Arguments& a) {
  nn::Rng rng(1);
  const bool custom = a.impl == "custom";
  if (a.cell == "rnn")
    custom ? run<T>(a, rng, MyRNN<T>(a.in, a.hidden, rng))
           : run<T>(a, rng, nn::RNNCell<T>(a.in, a.hidden, rng));
  else if (a.cell == "lstm")
    custom ? run<T>(a, rng, MyLSTM<T>(a.in, a.hidden, rng))
           : run<T>(a, rng, nn::LSTMCell<T>(a.in, a.hidden, rng));
  else
    custom ? run<T>(a, rng, MyGRU<T>(a.in, a.hidden, rng))
           : run<T>(a, rng, nn::GRUCell<T>(a.in, a.hidden, rng));
  return 0;
}

int usage(const std::string& why) {
  std::fprintf(stderr,
               "bench_unroll: %s\nusage: bench_unroll --cell rnn|gru|lstm --impl custom|builtin --T n --B n "
               "--I n --H n "
               "--O n --threads n --seconds s [--f64]\n",
               why.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments a;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--f64") {
      a.f64 = true;
      continue;
    }
    if (i + 1 == argc) return usage("no value for " + key);
    const std::string value = argv[++i];
    const auto number = [&] { return static_cast<std::size_t>(std::max(1L, std::atol(value.c_str()))); };
    if (key == "--cell" && (value == "rnn" || value == "gru" || value == "lstm"))
      a.cell = value;
    else if (key == "--impl" && (value == "custom" || value == "builtin"))
      a.impl = value;
    else if (key == "--T")
      a.steps = number();
    else if (key == "--B")
      a.batch = number();
    else if (key == "--I")
      a.in = number();
    else if (key == "--H")
      a.hidden = number();
    else if (key == "--O")
      a.out = number();
    else if (key == "--threads")
      a.threads = static_cast<int>(number());
    else if (key == "--seconds")
      a.seconds = std::atof(value.c_str());
    else
      return usage("unknown option " + key + " " + value);
  }
  ag::set_num_threads(a.threads);
  return a.f64 ? run<double>(a) : run<float>(a);
}
