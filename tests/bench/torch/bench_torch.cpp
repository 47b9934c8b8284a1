// Times the benchmark's training step in libtorch: forward over T time steps, a linear readout at every step,
// mean squared error, backward, SGD in place.
//
//   custom   the cell written in tensor operations, in a loop; the inputs of all steps multiplied before it
//   layer    torch::nn::RNN, GRU or LSTM over the whole sequence
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <omp.h>
#include <torch/torch.h>
#include <torch/version.h>

#include "../workload.hpp"

using torch::Tensor;

namespace {

const std::string kUsage =
    "usage: bench_torch [--impl custom|layer] " + bench::kWorkloadOptions +
    "       bench_torch --check    both implementations give one loss and the same gradients\n";

struct Arguments : bench::Workload<int64_t> {
  std::string impl;

  explicit Arguments(bench::CommandLine& line)
      : Workload(line), impl(line.one_of("--impl", {"custom", "layer"})) {
    line.end();
    if (impl == "layer" && cell == "mgu") line.fail("libtorch has no layer of this cell");
  }
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
    const double bound = 1.0 / std::sqrt(static_cast<double>(a.hidden));
    const auto uniform = [&](at::IntArrayRef shape) { return torch::empty(shape).uniform_(-bound, bound); };
    w_ih = uniform({gates * a.hidden, a.in});
    w_hh = uniform({gates * a.hidden, a.hidden});
    b_ih = uniform({gates * a.hidden});
    // One bias is enough, except in the GRU, where the second one is within the reset product.
    b_hh = a.cell == "gru" ? uniform({gates * a.hidden}) : torch::zeros({gates * a.hidden});
    w_y = uniform({a.out, a.hidden});
    b_y = uniform({a.out});
    if (a.impl == "layer") {
      if (a.cell == "rnn")
        take_over(rnn = torch::nn::RNN(torch::nn::RNNOptions(a.in, a.hidden)));
      else if (a.cell == "gru")
        take_over(gru = torch::nn::GRU(torch::nn::GRUOptions(a.in, a.hidden)));
      else
        take_over(lstm = torch::nn::LSTM(torch::nn::LSTMOptions(a.in, a.hidden)));
    } else {
      parameters = {w_ih, w_hh, b_ih};
      if (a.cell == "gru") parameters.push_back(b_hh);
    }
    parameters.push_back(w_y);
    parameters.push_back(b_y);
    for (auto& p : parameters) p.requires_grad_(true);
    h0 = torch::zeros({a.batch, a.hidden});
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

struct Training {
  explicit Training(const Arguments& a) {
    torch::manual_seed(1);
    model = std::make_unique<Model>(a);
    torch::manual_seed(2);
    x = torch::randn({a.steps, a.batch, a.in});
    y = torch::randn({a.steps, a.batch, a.out});
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
    Training custom(a);
    a.impl = "layer";
    Training layer(a);
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

}  // namespace

int main(int argc, char** argv) try {
  bench::CommandLine line(argc, argv, kUsage);
  const bool checks = line.has("--check");
  const Arguments a(line);
  at::set_num_interop_threads(1);
  set_threads(a.threads);
  if (checks) return check(a);
  if (a.f64) torch::set_default_dtype(torch::scalarTypeToTypeMeta(torch::kDouble));
  Training work(a);
  const auto step = [&] { work.train(); };
  bench::warm_up(step);
  const bench::Times times = bench::time_steps(step, a.seconds);
  std::printf("{\"impl\":\"libtorch %s\",%s,%s,\"loss\":%.6g,\"blas\":\"%s\",\"torch\":\"%s\"}\n",
              a.impl.c_str(), a.json().c_str(), times.json().c_str(), work.loss, blas_kernel().c_str(),
              TORCH_VERSION);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_torch: %s\n", error.what());
  return 1;
}
