// A recurrent cell as a user of the library writes it.
#pragma once

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

namespace test {

namespace ag = autograd;

/// The minimal gated unit (Zhou et al. 2016):
///
///     f = sigmoid(x Wf + h Uf + bf)
///     n = tanh(x Wn + (f h) Un + bn)
///     h' = (1 - f) h + f n
template <class T = float>
struct MinimalGatedCell {
  nn::Linear<T> xf, hf, xn, hn;

  MinimalGatedCell(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : xf(in, hidden, rng),
        hf(hidden, hidden, rng, false),
        xn(in, hidden, rng),
        hn(hidden, hidden, rng, false) {}
  auto fields(auto&& visit) { visit("xf", xf), visit("hf", hf), visit("xn", xn), visit("hn", hn); }

  ag::Var<T> initial_state(std::size_t batch) const { return ag::zeros<T>({batch, hf.weight.shape(1)}); }
  ag::Var<T> step(const ag::Var<T>& x, const ag::Var<T>& h) const {
    const ag::Var<T> f = sigmoid(xf(x) + hf(h));
    return ag::map([](auto f, auto n, auto h) { return (1 - f) * h + f * tanh(n); }, f, xn(x) + hn(f * h), h);
  }
};

}  // namespace test
