// Times the benchmark's training step in libtorch: forward over T time steps, a linear readout at every step,
// mean squared error, backward, SGD in place.
//
// usage: bench_torch --cell rnn|gru|lstm|mgu --impl custom|layer --T n --B n --I n --H n --O n --threads n
//                    --seconds s [--f64]
//        bench_torch --check    both implementations give one loss and the same gradients
//
//   custom   the cell written in tensor operations, in a loop; the inputs of all steps multiplied before it
//   layer    torch::nn::RNN, GRU or LSTM over the whole sequence
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <omp.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

using torch::Tensor;

namespace {

struct Arguments {
  std::string cell = "lstm", impl = "custom";
  int64_t T = 28, B = 32, I = 28, H = 64, O = 10;
  int threads = 1;
  double seconds = 1;
  bool f64 = false, check = false;
};

template <class Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

void set_threads(int count) {
  omp_set_num_threads(count);
  at::set_num_threads(count);
  if (auto set = find<void (*)(int)>("openblas_set_num_threads")) set(count);
}

std::string blas_kernel() {
  auto name = find<char* (*)()>("openblas_get_corename");
  return name ? name() : "not OpenBLAS";
}

// PyTorch's layout: gates' rows below each other; i, f, g, o (LSTM), r, z, n (GRU), f, n (minimal gated
// unit).
class Model {
 public:
  explicit Model(const Arguments& arguments) : a(arguments) {
    const int64_t gates = a.cell == "lstm" ? 4 : a.cell == "gru" ? 3 : a.cell == "mgu" ? 2 : 1;
    const double bound = 1.0 / std::sqrt(static_cast<double>(a.H));
    const auto uniform = [&](at::IntArrayRef shape) { return torch::empty(shape).uniform_(-bound, bound); };
    w_ih = uniform({gates * a.H, a.I});
    w_hh = uniform({gates * a.H, a.H});
    b_ih = uniform({gates * a.H});
    // One bias is enough, except in the GRU, where the second one is within the reset product.
    b_hh = a.cell == "gru" ? uniform({gates * a.H}) : torch::zeros({gates * a.H});
    w_y = uniform({a.O, a.H});
    b_y = uniform({a.O});
    if (a.impl == "layer") {
      if (a.cell == "rnn")
        take_over(rnn = torch::nn::RNN(torch::nn::RNNOptions(a.I, a.H)));
      else if (a.cell == "gru")
        take_over(gru = torch::nn::GRU(torch::nn::GRUOptions(a.I, a.H)));
      else
        take_over(lstm = torch::nn::LSTM(torch::nn::LSTMOptions(a.I, a.H)));
    } else {
      parameters = {w_ih, w_hh, b_ih};
      if (a.cell == "gru") parameters.push_back(b_hh);
    }
    parameters.push_back(w_y);
    parameters.push_back(b_y);
    for (auto& p : parameters) p.requires_grad_(true);
    h0 = torch::zeros({a.B, a.H});
  }

  Tensor forward(const Tensor& x) { return torch::linear(hidden(x), w_y, b_y); }

  std::vector<Tensor> parameters;

 private:
  template <class Layer>
  void take_over(Layer& layer) {
    const torch::NoGradGuard guard;
    auto named = layer->named_parameters();
    named["weight_ih_l0"].copy_(w_ih);
    named["weight_hh_l0"].copy_(w_hh);
    named["bias_ih_l0"].copy_(b_ih);
    named["bias_hh_l0"].copy_(b_hh);
    for (auto& p : layer->parameters()) parameters.push_back(p);
  }

  Tensor hidden(const Tensor& x) {
    const Tensor start = h0.unsqueeze(0);
    if (rnn) return std::get<0>(rnn->forward(x, start));
    if (gru) return std::get<0>(gru->forward(x, start));
    if (lstm) return std::get<0>(lstm->forward(x, std::make_tuple(start, start)));

    const std::vector<Tensor> xs = torch::linear(x, w_ih, b_ih).unbind(0);
    const Tensor w = w_hh.t();
    std::vector<Tensor> hs;
    hs.reserve(xs.size());
    Tensor h = h0, c = h0;
    if (a.cell == "rnn") {
      for (const Tensor& x_t : xs) hs.push_back(h = torch::tanh(torch::addmm(x_t, h, w)));
    } else if (a.cell == "gru") {
      for (const Tensor& x_t : xs) {
        const auto i = x_t.chunk(3, 1), r = torch::addmm(b_hh, h, w).chunk(3, 1);
        const Tensor reset = torch::sigmoid(i[0] + r[0]), z = torch::sigmoid(i[1] + r[1]);
        const Tensor n = torch::tanh(torch::addcmul(i[2], reset, r[2]));
        hs.push_back(h = n + z * (h - n));
      }
    } else if (a.cell == "mgu") {
      const auto w_gates = w_hh.chunk(2, 0);
      const Tensor w_f = w_gates[0].t(), w_n = w_gates[1].t();
      for (const Tensor& x_t : xs) {
        const auto i = x_t.chunk(2, 1);
        const Tensor f = torch::sigmoid(torch::addmm(i[0], h, w_f));
        const Tensor n = torch::tanh(torch::addmm(i[1], f * h, w_n));
        hs.push_back(h = h + f * (n - h));
      }
    } else {
      for (const Tensor& x_t : xs) {
        const auto g = torch::addmm(x_t, h, w).chunk(4, 1);
        c = torch::sigmoid(g[1]) * c + torch::sigmoid(g[0]) * torch::tanh(g[2]);
        hs.push_back(h = torch::sigmoid(g[3]) * torch::tanh(c));
      }
    }
    return torch::stack(hs);
  }

  Arguments a;
  Tensor w_ih, w_hh, b_ih, b_hh, w_y, b_y, h0;
  torch::nn::RNN rnn{nullptr};
  torch::nn::GRU gru{nullptr};
  torch::nn::LSTM lstm{nullptr};
};

struct Workload {
  explicit Workload(const Arguments& a) {
    torch::manual_seed(1);
    model = std::make_unique<Model>(a);
    torch::manual_seed(2);
    x = torch::randn({a.T, a.B, a.I});
    y = torch::randn({a.T, a.B, a.O});
  }

  void differentiate() {
    for (auto& p : model->parameters) p.mutable_grad().reset();
    const Tensor value = torch::mse_loss(model->forward(x), y);
    value.backward();
    loss = value.item<double>();
  }

  void train() {
    differentiate();
    const torch::NoGradGuard guard;
    for (auto& p : model->parameters) p.add_(p.grad(), -0.01);
  }

  std::unique_ptr<Model> model;
  Tensor x, y;
  double loss = 0;
};

int check(Arguments a) {
  torch::set_default_dtype(torch::scalarTypeToTypeMeta(torch::kDouble));
  double worst = 0;
  for (const char* cell : {"rnn", "gru", "lstm"}) {
    a.cell = cell;
    a.impl = "custom";
    Workload custom(a);
    a.impl = "layer";
    Workload layer(a);
    custom.differentiate();
    layer.differentiate();
    const auto& ours = custom.model->parameters;
    double difference = std::abs(custom.loss - layer.loss);
    for (std::size_t i : {std::size_t{0}, std::size_t{1}})
      difference =
          std::max(difference,
                   (ours[i].grad() - layer.model->parameters[i].grad()).abs().max().template item<double>());
    std::printf("%-4s: loss and gradients differ by at most %.1e\n", cell, difference);
    worst = std::max(worst, difference);
  }
  return worst < 1e-12 ? 0 : 1;
}

Arguments parse(int argc, char** argv) {
  Arguments a;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--f64" || key == "--check") {
      (key == "--f64" ? a.f64 : a.check) = true;
      continue;
    }
    if (i + 1 == argc) throw std::runtime_error("no value for " + key);
    const std::string value = argv[++i];
    if (key == "--cell")
      a.cell = value;
    else if (key == "--impl")
      a.impl = value;
    else if (key == "--threads")
      a.threads = std::stoi(value);
    else if (key == "--seconds")
      a.seconds = std::stod(value);
    else if (int64_t* number = key == "--T"   ? &a.T
                               : key == "--B" ? &a.B
                               : key == "--I" ? &a.I
                               : key == "--H" ? &a.H
                               : key == "--O" ? &a.O
                                              : nullptr)
      *number = std::stoll(value);
    else
      throw std::runtime_error("unknown option " + key);
  }
  if (a.impl == "layer" && a.cell == "mgu") throw std::runtime_error("libtorch has no layer of this cell");
  return a;
}

}  // namespace

int main(int argc, char** argv) try {
  const Arguments a = parse(argc, argv);
  at::set_num_interop_threads(1);
  set_threads(a.threads);
  if (a.check) return check(a);
  if (a.f64) torch::set_default_dtype(torch::scalarTypeToTypeMeta(torch::kDouble));
  Workload work(a);

  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  for (int i = 0; i < 3; ++i) work.train();
  std::vector<double> us;
  const auto start = Clock::now();
  while (since(start) < a.seconds || us.size() < 5) {
    const auto begin = Clock::now();
    work.train();
    us.push_back(since(begin) * 1e6);
  }
  std::sort(us.begin(), us.end());
  std::printf(
      "{\"impl\":\"libtorch %s\",\"cell\":\"%s\",\"T\":%ld,\"B\":%ld,\"I\":%ld,\"H\":%ld,\"O\":%ld,"
      "\"threads\":%d,\"dtype\":\"%s\",\"us_per_step\":%.3f,\"min_us\":%.3f,\"reps\":%zu,\"loss\":%.6g,"
      "\"blas\":\"%s\",\"torch\":\"%s\"}\n",
      a.impl.c_str(), a.cell.c_str(), a.T, a.B, a.I, a.H, a.O, a.threads, a.f64 ? "f64" : "f32",
      us[us.size() / 2], us[0], us.size(), work.loss, blas_kernel().c_str(), TORCH_VERSION);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_torch: %s\n", error.what());
  return 1;
}
