// What a tape holds: an LSTM over three steps and a loss, as tables (to stderr) and as a graph (to stdout),
// which Graphviz draws:
//
//     build/examples/graph | dot -Tsvg > examples/data/lstm.svg
#include <autograd/autograd.hpp>
#include <iostream>
#include <nn/nn.hpp>

namespace ag = autograd;

int main() {
  nn::Rng rng(1);
  const nn::LSTMCell cell(8, 64, rng);
  const nn::Linear head(64, 1, rng);
  const ag::Var<float> x = nn::init::normal<float>({3, 32, 8}, 0, 1, rng);
  const ag::Var<float> y = nn::init::normal<float>({3, 32, 1}, 0, 1, rng);
  nn::Adam adam(nn::parameters(cell, head));

  const int warm_up = 10;  // the first steps are slower, and copy what later ones write where it belongs
  for (int i = 0; i <= warm_up; ++i) {
    ag::Tape tape({.trace = true});
    const auto loss = nn::mse(head(nn::unroll(cell, x).output), y);
    adam.step(tape.backward(loss));
    if (i < warm_up) continue;
    std::cerr << ag::summary(tape) << '\n' << ag::summary(tape, {.by_scope = true});
    std::cout << ag::to_dot(tape);
  }
}
