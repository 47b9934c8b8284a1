// Times derivatives of a training loss (mean squared error of a recurrent layer's outputs) with respect to
// all parameters: the gradient, the Hessian-vector product and the Jacobian-vector product, each with the
// forward pass that it differentiates. All are timed in turn, round after round; printed are medians and
// their ratios, as a table in Markdown.
#include <algorithm>
#include <autograd/autograd.hpp>
#include <cstdio>
#include <ctime>
#include <functional>
#include <nn/nn.hpp>

#include "command_line.hpp"

namespace ag = autograd;

namespace {

// Of the processor: waiting while others use it does not count.
double microseconds(const std::function<void()>& f, int calls) {
  const std::clock_t start = std::clock();
  for (int i = 0; i < calls; ++i) f();
  return static_cast<double>(std::clock() - start) * 1e6 / CLOCKS_PER_SEC / calls;
}

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

struct Size {
  std::size_t steps, batch, in, hidden;
};

template <class T, class Cell>
void run(const char* name, const Size& size, int rounds) {
  nn::Rng rng(1);
  const Cell cell(size.in, size.hidden, rng);
  const ag::Var<T> x = nn::init::normal<T>({size.steps, size.batch, size.in}, 0, 1, rng);
  const ag::Var<T> y = nn::init::normal<T>({size.steps, size.batch, size.hidden}, 0, 1, rng);
  const auto parameters = nn::parameters(cell);
  std::vector<ag::Var<T>> direction;
  for (const auto& p : parameters) direction.push_back(nn::init::normal<T>(p.shape(), 0, 1, rng));
  const auto loss = [&] { return nn::mse(nn::unroll(cell, x).output, y); };
  const std::vector<std::function<void()>> timed{[&] { loss(); },
                                                 [&] {
                                                   const ag::Tape tape;
                                                   ag::grad(loss(), parameters);
                                                 },
                                                 [&] {
                                                   const ag::Tape tape;
                                                   ag::hvp(loss(), parameters, direction);
                                                 },
                                                 [&] {
                                                   const ag::Tape tape;
                                                   ag::jvp(loss(), parameters, direction);
                                                 }};
  const int calls = std::max(1, static_cast<int>(3e3 / microseconds(timed[1], 3)));
  std::vector<std::vector<double>> us(timed.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < timed.size(); ++i) us[i].push_back(microseconds(timed[i], calls));
  const double forward = median(us[0]), gradient = median(us[1]), hvp = median(us[2]), jvp = median(us[3]);
  std::printf("| %zu,%zu,%zu,%zu | %s | %s | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f |\n", size.steps,
              size.batch, size.in, size.hidden, name, sizeof(T) == 4 ? "float" : "double", forward, jvp,
              gradient, hvp, jvp / forward, hvp / gradient);
}

template <class T>
void run(const Size& size, int rounds) {
  run<T, nn::RNNCell<T>>("rnn", size, rounds);
  run<T, nn::GRUCell<T>>("gru", size, rounds);
  run<T, nn::LSTMCell<T>>("lstm", size, rounds);
}

}  // namespace

int main(int argc, char** argv) {
  bench::CommandLine line(argc, argv, "usage: bench_derivatives [--rounds n]\n");
  const int rounds = line.count("--rounds", 25);
  line.end();
  std::puts(
      "| T,B,I,H | cell | type | forward us | jvp us | gradient us | hvp us | jvp / forward | hvp / gradient "
      "|");
  std::puts("|---|---|---|---|---|---|---|---|---|");
  for (const Size& size : {Size{28, 32, 28, 64}, Size{100, 1, 1, 32}}) {
    run<float>(size, rounds);
    run<double>(size, rounds);
  }
}
