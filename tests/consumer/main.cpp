// A user's program against the installed package: a cell of its own, trained for a few steps.
#include <autograd/autograd.hpp>
#include <iostream>
#include <nn/nn.hpp>

namespace ag = autograd;

// h' = tanh(x W + h U), with a skip over every step
struct SkipCell {
  nn::Linear<float> w, u;
  SkipCell(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : w(in, hidden, rng), u(hidden, hidden, rng, false) {}
  auto fields(auto&& visit) { visit("w", w), visit("u", u); }
  ag::Var<float> initial_state(std::size_t batch) const { return ag::zeros({batch, u.weight.shape(0)}); }
  ag::Var<float> step(const ag::Var<float>& x, const ag::Var<float>& h) const {
    return ag::map([](auto z, auto h) { return 0.5 * h + 0.5 * tanh(z); }, w(x) + u(h), h);
  }
};

int main() {
  const ag::RuntimeInfo info = ag::runtime_info();
  std::cout << info << '\n';
  // The flags that decide the width of a SIMD register have to come with the package.
  if (info.simd_bytes != xsimd::batch<float>::size * sizeof(float)) {
    std::cout << "the library and this program disagree on the width of a SIMD register\n";
    return 1;
  }
  nn::Rng rng(1);
  const SkipCell cell(3, 8, rng);
  const nn::Linear head(8, 1, rng);
  const ag::Var<float> x = nn::init::normal({5, 4, 3}, 0, 1, rng), y = nn::init::normal({5, 4, 1}, 0, 1, rng);
  nn::Adam adam(nn::parameters(cell, head), {.lr = 0.02});
  float first = 0, last = 0;
  for (int i = 0; i < 200; ++i) {
    ag::Tape tape;
    const auto loss = nn::mse(head(nn::unroll(cell, x).output), y);
    adam.step(tape.backward(loss));
    last = loss.item();
    if (i == 0) first = last;
  }
  std::cout << "loss " << first << " to " << last << '\n';
  return last < first / 2 ? 0 : 1;
}
