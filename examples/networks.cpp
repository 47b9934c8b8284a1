// A network of cells of one's own, by combinators: two layers, both directions of time, a residual
// connection, dropout, and sequences of unequal lengths. The task: which numbers of a sequence are above the
// sequence's mean? No step can tell before the whole sequence was seen.
#include <autograd/autograd.hpp>
#include <cstdio>
#include <nn/nn.hpp>

namespace ag = autograd;

// h' = (1 - f) h + f tanh(x W + h U + b),  f = sigmoid(x W' + h U' + b')
struct LeakyCell {
  nn::Linear<> xf, hf, xn, hn;
  LeakyCell(size_t in, size_t hidden, nn::Rng& rng)
      : xf(in, hidden, rng), hf(hidden, hidden, rng), xn(in, hidden, rng), hn(hidden, hidden, rng) {}
  auto fields(auto&& visit) { visit("xf", xf), visit("hf", hf), visit("xn", xn), visit("hn", hn); }
  ag::Var<> initial_state(size_t batch) const { return ag::zeros({batch, hf.weight.shape(0)}); }
  ag::Var<> step(const ag::Var<>& x, const ag::Var<>& h) const {
    return ag::map([](auto f, auto n, auto h) { return h + sigmoid(f) * (tanh(n) - h); }, xf(x) + hf(h),
                   xn(x) + hn(h), h);
  }
};

struct Batch {
  ag::Var<> x;                        // (T, B, 1)
  ag::Indices above;                  // (T, B): 1 above the mean, 0 below it, -100 past the end
  std::vector<std::int64_t> lengths;  // (B)
};

Batch sequences(size_t steps, size_t batch, nn::Rng& rng) {
  xt::xarray<float> x = xt::zeros<float>({steps, batch, size_t{1}});
  xt::xarray<int> above = -100 * xt::ones<int>({steps, batch});
  std::vector<std::int64_t> lengths;
  for (size_t b = 0; b < batch; ++b) {
    const size_t length = steps / 2 + rng.below(steps / 2 + 1);
    const float level = static_cast<float>(rng.normal());
    float mean = 0;
    for (size_t t = 0; t < length; ++t) mean += x(t, b, 0) = level + static_cast<float>(rng.normal());
    mean /= static_cast<float>(length);
    for (size_t t = 0; t < length; ++t) above(t, b) = x(t, b, 0) > mean;
    lengths.push_back(static_cast<std::int64_t>(length));
  }
  return {x, above, lengths};
}

int main() {
  const size_t hidden = 16;
  nn::Rng rng(1);
  const auto net =
      nn::stack({.dropout = 0.1}, nn::bidirectional(LeakyCell(1, hidden, rng), LeakyCell(1, hidden, rng)),
                nn::residual(LeakyCell(2 * hidden, 2 * hidden, rng)));
  const nn::Linear head(2 * hidden, 2, rng);
  nn::Adam adam(nn::parameters(net, head), {.lr = 5e-3});
  for (int i = 1; i <= 600; ++i) {
    const Batch batch = sequences(12, 32, rng);
    ag::Tape tape;
    const nn::Training training(rng);  // dropout is at work while this lives
    const auto [output, state] = nn::unroll(net, batch.x, {.lengths = batch.lengths});
    const auto loss = nn::cross_entropy(head(output), batch.above);
    auto gradients = tape.backward(loss);
    nn::clip_grad_norm(gradients, 1.0);
    adam.step(gradients);
    if (i % 100 == 0) std::printf("step %3d  loss %.4f\n", i, static_cast<double>(loss.item()));
  }

  const Batch test = sequences(12, 1000, rng);
  const auto guess = ag::argmax(head(nn::unroll(net, test.x, {.lengths = test.lengths}).output), -1);
  size_t right = 0, all = 0;
  for (size_t i = 0; i < guess.values().size(); ++i) {
    if (test.above.values()[i] < 0) continue;
    right += guess.values()[i] == test.above.values()[i];
    ++all;
  }
  const double accuracy = static_cast<double>(right) / static_cast<double>(all);
  std::printf("right for %.1f %% of the numbers of 1000 new sequences\n", 100 * accuracy);
  std::printf("result {\"accuracy\": %.6f}\n", accuracy);
  return accuracy > 0.9 ? 0 : 1;
}
