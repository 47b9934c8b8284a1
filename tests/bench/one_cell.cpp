// What a user's file is like: a cell of two maps, an optimiser and a training loop. For the time and the
// memory that it takes to compile, see run.py.
#include <autograd/autograd.hpp>
#include <cstdio>
#include <nn/nn.hpp>

namespace ag = autograd;

namespace {

struct Cell {
  nn::Linear<float> xf, hf, xn, hn;
  Cell(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : xf(in, hidden, rng),
        hf(hidden, hidden, rng, false),
        xn(in, hidden, rng),
        hn(hidden, hidden, rng, false) {}
  auto fields(auto&& visit) { visit("xf", xf), visit("hf", hf), visit("xn", xn), visit("hn", hn); }
  ag::Var<float> initial_state(std::size_t batch) const {
    return ag::zeros<float>({batch, hf.weight.shape(0)});
  }
  ag::Var<float> step(const ag::Var<float>& x, const ag::Var<float>& h) const {
    const auto f = ag::map([](auto a, auto b) { return sigmoid(a + b); }, xf(x), hf(h));
    return ag::map([](auto a, auto b, auto f, auto h) { return h + f * (tanh(a + b) - h); }, xn(x), hn(f * h),
                   f, h);
  }
};

}  // namespace

int main() {
  nn::Rng rng(1);
  const Cell cell(2, 16, rng);
  const nn::Linear<float> head(16, 1, rng);
  nn::Adam<float> adam(nn::parameters(cell, head));
  const ag::Var<float> x = nn::init::normal<float>({20, 4, 2}, 0, 1, rng);
  const ag::Var<float> y = nn::init::normal<float>({20, 4, 1}, 0, 1, rng);
  for (int epoch = 0; epoch < 100; ++epoch) {
    ag::Tape tape;
    const auto loss = nn::mse(head(nn::unroll(cell, x).output), y);
    adam.step(tape.backward(loss));
    if (epoch % 20 == 0) std::printf("epoch %d: loss %.4f\n", epoch, static_cast<double>(loss.item()));
  }
}
