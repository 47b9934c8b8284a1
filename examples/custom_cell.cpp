// A recurrent cell of one's own, checked and trained: the minimal gated unit (Zhou et al. 2016) on the adding
// problem (Hochreiter and Schmidhuber 1997). Each step of a sequence holds a number and a mark; the answer,
// wanted after the last step, is the sum of the two numbers that are marked. Answering 1 always has a squared
// error of 0.167.
#include <autograd/autograd.hpp>
#include <cstdio>
#include <iostream>
#include <nn/nn.hpp>

namespace ag = autograd;

// f  = sigmoid(x Wf + h Uf + b)
// n  = tanh(x Wn + (f h) Un + b')
// h' = (1 - f) h + f n
template <class T = float>
struct MinimalGatedCell {
  nn::Linear<T> xf, hf, xn, hn;

  MinimalGatedCell(size_t in, size_t hidden, nn::Rng& rng)
      : xf(in, hidden, rng), hf(hidden, hidden, rng), xn(in, hidden, rng), hn(hidden, hidden, rng) {}

  auto fields(auto&& visit) { visit("xf", xf), visit("hf", hf), visit("xn", xn), visit("hn", hn); }

  ag::Var<T> initial_state(size_t batch) const { return ag::zeros<T>({batch, hf.weight.shape(0)}); }

  ag::Var<T> step(const ag::Var<T>& x, const ag::Var<T>& h) const {
    auto f = sigmoid(xf(x) + hf(h));
    return ag::map([](auto f, auto n, auto h) { return (1 - f) * h + f * tanh(n); }, f, xn(x) + hn(f * h), h);
  }
};

struct Batch {
  ag::Var<float> x, y;  // (T, B, 2) and (B, 1)
};

Batch adding_problem(size_t steps, size_t batch, nn::Rng& rng) {
  xt::xarray<float> x = xt::zeros<float>({steps, batch, size_t{2}}), y = xt::zeros<float>({batch, size_t{1}});
  for (size_t b = 0; b < batch; ++b) {
    const size_t first = rng.below(steps / 2), second = steps / 2 + rng.below(steps - steps / 2);
    for (size_t t = 0; t < steps; ++t) x(t, b, 0) = static_cast<float>(rng.uniform());
    x(first, b, 1) = x(second, b, 1) = 1;
    y(b, 0) = x(first, b, 0) + x(second, b, 0);
  }
  return {x, y};
}

int main() {
  std::cout << ag::runtime_info() << "\n\n";
  nn::Rng rng(1);

  // The gradient, and the derivative of the gradient, against finite differences: in double, over three
  // steps.
  const MinimalGatedCell<double> small(2, 3, rng);
  const ag::Var<double> input = nn::init::normal<double>({3, 2, 2}, 0, 1, rng);
  const auto report = nn::gradcheck([&] { return nn::unroll(small, input).output; }, small, {.order = 2});
  std::cout << report << "\n\n";

  const size_t steps = 20;
  const MinimalGatedCell cell(2, 32, rng);
  const nn::Linear head(32, 1, rng);
  nn::Adam adam(nn::parameters(cell, head), {.lr = 5e-3});
  for (int i = 1; i <= 1500; ++i) {
    const Batch batch = adding_problem(steps, 32, rng);
    ag::Tape tape;  // recording starts, and ends with the scope
    const auto [output, state] = nn::unroll(cell, batch.x);
    const auto loss = nn::mse(head(state), batch.y);
    auto gradients = tape.backward(loss);
    nn::clip_grad_norm(gradients, 1.0);
    adam.step(gradients);
    if (i % 250 == 0) std::printf("step %4d  loss %.4f\n", i, static_cast<double>(loss.item()));
  }

  const Batch test = adding_problem(steps, 1000, rng);  // no tape: nothing is recorded
  const float error = nn::mse(head(nn::unroll(cell, test.x).state), test.y).item();
  std::printf("squared error on 1000 new sequences: %.4f\n", static_cast<double>(error));
  std::printf("result {\"gradcheck\": %s, \"mse\": %.6f}\n", report ? "true" : "false",
              static_cast<double>(error));
  return report && error < 0.02F ? 0 : 1;
}
