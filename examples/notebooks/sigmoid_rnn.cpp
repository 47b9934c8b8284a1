// Notebook 2: a sigmoid network of three hidden units. Its loop over time overwrites one gradient where it
// should add to it, and the loss falls all the same.
#include <cstdio>

#include "common/page.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

constexpr auto kEquations = R"(The overwritten sum (notebook 2): sigmoid, three hidden units, 2,000 epochs

    h_t = sigmoid(wx x_t + wh h_{t-1} + bx)     h_0 = 0
    y_t = wo h_t + by
    L   = 1/2 sum_t (y_t - target_t)^2
    W   = W - 0.01 dL/dW
)";

struct Cell {
  // The notebook's generator was not seeded; these are the weights that it printed, to 8 decimals.
  Var wx = ag::variable(xt::xtensor<double, 2>{{-1.12842626}, {0.13693645}, {-0.01567228}});
  Var wh = ag::variable(xt::xtensor<double, 2>{{0.40316286, 0.37694561, -0.00980171},
                                               {-1.47310901, 0.65082041, -0.17920119},
                                               {0.92837611, -0.36532238, 0.31541256}});
  Var bx = ag::variable(ag::Array<double>({3}, 0));

  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, bx.size()}); }
  Var project(const Var& x) const { return ag::linear(x, wx, bx); }
  Var step(Var projected, const Var& h) const { return sigmoid(ag::add_linear(std::move(projected), h, wh)); }
};

struct Network {
  using value_type = double;
  Cell cell;
  Var wo = ag::variable(xt::xtensor<double, 2>{{0.44378544, 0.25123416, -0.23855756}});
  Var by = ag::variable(ag::Array<double>({1}, 0));

  auto fields(auto&& visit) {
    visit("wx", cell.wx), visit("wh", cell.wh), visit("wo", wo), visit("bx", cell.bx), visit("by", by);
  }

  Var operator()(const Var& x) const { return ag::linear(nn::unroll(cell, x).output, wo, by); }
};

// (time, batch, features)
const Var kX = xt::xtensor<double, 3>{{{1}}, {{2}}}, kTarget = xt::xtensor<double, 3>{{{0.5}}, {{0.8}}};

Var loss(const Network& network) {
  return sum(ag::map([](auto y, auto target) { return square(y - target) / 2; }, network(kX), kTarget));
}

std::vector<double> train(const Network& network, std::size_t epochs) {
  nn::SGD sgd(nn::parameters(network), {.lr = 0.01});
  std::vector<double> losses;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    ag::Tape tape;
    const Var current = loss(network);
    sgd.step(tape.backward(current));
    losses.push_back(current.item());
  }
  return losses;
}

// The notebook's backward loop, by hand. Vectors are columns.
notebooks::Formulas notebook_gradients(const Network& network) {
  const Var& wh = network.cell.wh;
  const Var h = nn::unroll(network.cell, kX).output.reshape({2, 3, 1}), y = network(kX);
  Var dwx = 0, dwh = ag::zeros<double>({3, 3}), dwo, dbx = 0, dby = 0, later = ag::zeros<double>({3, 1});
  for (std::size_t t = 2; t-- > 0;) {
    const Var dy = y[t] - kTarget[t];
    dwo = matmul(dy, transpose(h[t]));  // the mistake: it should be dwo + matmul(...)
    dby = dby + dy;
    const Var dz = (matmul(transpose(network.wo), dy) + matmul(transpose(wh), later)) * h[t] * (1 - h[t]);
    dwx = dwx + matmul(dz, kX[t]);
    if (t > 0) dwh = dwh + matmul(dz, transpose(h[t - 1]));
    dbx = dbx + dz;
    later = dz;
  }
  const std::string why = "added up over the steps, each with its own x and h";
  return {{"wx", dwx, why},
          {"wh", dwh, why},
          {"wo", dwo, "every step overwrites it; what is left is the first step's part"},
          {"bx", dbx, why},
          {"by", dby, why}};
}

int main(int argc, char** argv) {
  notebooks::Page page(argc, argv, "sigmoid_rnn", kEquations);
  const Network start;

  page.heading("Gradients of L at the start");
  page.gradients([&] { return loss(start); }, start, notebook_gradients(start));

  page.heading("Losses of every 100th epoch, down the notebook's formula");
  const auto by_formula = notebooks::train_by_formula(nn::clone(start), loss, notebook_gradients, 0.01, 2000);
  page.figures("losses_by_formula", {"0.34250106", "0.03610157", "0.03159182", "0.03063116", "0.02972769",
                                     "0.0286496",  "0.02734849", "0.02582265", "0.02409911", "0.0222216",
                                     "0.02024075", "0.01820815", "0.0161737",  "0.01418451", "0.01228353",
                                     "0.01050741", "0.00888419", "0.00743158", "0.00615671", "0.0050573"},
               notebooks::every(100, by_formula), 0, 100);

  page.heading("Losses of every 100th epoch, down the gradient");
  const auto by_gradient = train(nn::clone(start), 2000);
  for (std::size_t epoch = 0; epoch < 2000; epoch += 100)
    std::printf("  epoch %4zu  %.8f   (by the formula %.8f)\n", epoch, by_gradient[epoch], by_formula[epoch]);
  page["losses_by_gradient"] = notebooks::every(100, by_gradient);
  std::size_t crossing = 1;
  while (crossing < 2000 && by_formula[crossing] >= by_gradient[crossing]) ++crossing;
  page["formula_ahead_from_epoch"] = crossing;
  std::printf(R"(
Only the second table is descent down the gradient of L, as the finite differences above show. The formula is
behind it until epoch %zu and then ahead: where 2,000 steps lead does not tell whether each of them went
down the slope that it was meant to. (As printed, the notebook's update_param lacks `global wo` and stops with
an error; its losses are those of a version that has it.)
)",
              crossing);

  page.draw_losses("sigmoid_rnn: two directions of descent", "L",
                   {{"down the gradient", by_gradient}, {"down its formula", by_formula}});
  page.time(2000, [&] { train(nn::clone(start), 2000); });
  return page.finish();
}
