// The four cells of the benchmark as a user writes them.
#pragma once

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

namespace bench {

namespace ag = autograd;

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

// The minimal gated unit:
// f = sigmoid(x Wxf + h Wf);  n = tanh(x Wxn + (f h) Wn);  h' = (1 - f) h + f n
template <class T>
struct MyMGU {
  nn::Linear<T> x, f, n;
  MyMGU(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : x(in, 2 * hidden, rng), f(hidden, hidden, rng, false), n(hidden, hidden, rng, false) {}
  auto fields(auto&& visit) { visit("x", x), visit("f", f), visit("n", n); }
  ag::Var<T> initial_state(std::size_t batch) const { return ag::zeros<T>({batch, f.weight.shape(1)}); }
  ag::Var<T> project(const ag::Var<T>& xs) const { return x(xs); }
  ag::Var<T> step(const ag::Var<T>& x_t, const ag::Var<T>& h_t) const {
    const std::size_t hidden = f.weight.shape(0);
    const auto [gate, gated] = ag::map(
        [](auto xf, auto hf, auto h) {
          auto f = sigmoid(xf + hf);
          return std::tuple{f, f * h};
        },
        ag::columns(x_t, 0, hidden), f(h_t), h_t);
    return ag::map([](auto xn, auto hn, auto f, auto h) { return h + f * (tanh(xn + hn) - h); },
                   ag::columns(x_t, hidden, hidden), n(gated), gate, h_t);
  }
};

}  // namespace bench
