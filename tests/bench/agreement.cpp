// Shows that unroll's cells and the hand-written step compute the same: from the same weights, both train for
// some steps in double, and their losses stay equal.
#include <cmath>
#include <cstdio>

#include "cells.hpp"
#include "handcoded.hpp"

namespace ag = autograd;

namespace {

constexpr std::size_t kTime = 7, kBatch = 3, kIn = 4, kHidden = 6, kOut = 2;
using Vec = handcoded::Vec<double>;
using Var = ag::Var<double>;

ag::Array<double> array(const ag::Shape& shape, const double* from) {
  ag::Array<double> result(shape);
  std::copy_n(from, result.size(), result.data());
  return result;
}

// nn::Linear's weights are (out, in), the hand-written ones (in, out).
Var transposed(const double* matrix, std::size_t in, std::size_t out) {
  Vec result(in * out);
  for (std::size_t i = 0; i < in; ++i)
    for (std::size_t j = 0; j < out; ++j) result[j * in + i] = matrix[i * out + j];
  return ag::variable(array({out, in}, result.data()));
}
Var vector(const Vec& from) { return ag::variable(array({from.size()}, from.data())); }

template <class Cell>
bool agrees(const char* name, const auto& set_recurrent) {
  handcoded::Step<double> hand(handcoded::cell_named(name), kTime, kBatch, kIn, kHidden, kOut);
  nn::Rng rng(1);
  Cell cell(kIn, kHidden, rng);
  nn::Linear<double> head(kHidden, kOut, rng);
  const std::size_t gates = static_cast<std::size_t>(hand.G);
  cell.x.weight = transposed(hand.Wx.data(), kIn, gates * kHidden);
  cell.x.bias = vector(hand.b);
  head.weight = transposed(hand.Wy.data(), kHidden, kOut);
  head.bias = vector(hand.by);
  set_recurrent(cell, hand);
  const Var x = array({kTime, kBatch, kIn}, hand.X.data()), y = array({kTime, kBatch, kOut}, hand.Yt.data());
  nn::SGD<double> sgd(nn::parameters(cell, head), {.lr = 0.01});
  double worst = 0;
  for (int step = 0; step < 20; ++step) {
    ag::Tape tape;
    const auto loss = nn::mse(head(nn::unroll(cell, x).output), y);
    const double own = loss.item(), theirs = hand.step();
    sgd.step(tape.backward(loss));
    worst = std::max(worst, std::abs(own - theirs) / theirs);
  }
  std::printf("%-4s: losses of 20 training steps differ by at most %.1e\n", name, worst);
  return worst < 1e-11;
}

}  // namespace

int main() {
  const auto recurrent = [](auto& cell, const auto& hand) {
    cell.h.weight = transposed(hand.Wh.data(), kHidden, static_cast<std::size_t>(hand.G) * kHidden);
    if constexpr (requires { cell.b; }) cell.b = vector(hand.bh);
  };
  const auto both_parts = [](bench::MyMGU<double>& cell, const auto& hand) {
    cell.f.weight = transposed(hand.Wh.data(), kHidden, kHidden);
    cell.n.weight = transposed(hand.Wh.data() + kHidden * kHidden, kHidden, kHidden);
  };
  bool all = agrees<bench::MyRNN<double>>("rnn", recurrent);
  all = agrees<bench::MyGRU<double>>("gru", recurrent) && all;
  all = agrees<bench::MyLSTM<double>>("lstm", recurrent) && all;
  all = agrees<bench::MyMGU<double>>("mgu", both_parts) && all;
  return all ? 0 : 1;
}
