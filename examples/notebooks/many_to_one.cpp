// Notebook 3, second program: three steps are read, and one number is wanted after the last. The notebook
// keeps only the last hidden state and goes back through time with that.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/page.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

constexpr auto kEquations = R"(Many to one (notebook 3): tanh, three hidden units, 100 epochs

    h_t = tanh(Wx x_t + Wh h_{t-1} + bh)        h_0 = 0
    y   = Wy h_3 + by
    L   = (y - target)^2
    W   = W - 0.01 d(L/2)/dW
)";

struct Cell {
  Var Wx, Wh, bh;

  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, bh.size()}); }
  Var project(const Var& x) const { return ag::linear(x, Wx, bh); }
  Var step(Var projected, const Var& h) const { return tanh(ag::add_linear(std::move(projected), h, Wh)); }
};

struct Network {
  using value_type = double;
  Cell cell;
  Var Wy, by;

  explicit Network(nn::Rng& rng) {
    const auto uniform = [&](const ag::Shape& shape) {
      return ag::variable(nn::init::uniform<double>(shape, 0, 0.01, rng));
    };
    cell.Wx = uniform({3, 2});
    cell.Wh = uniform({3, 3});
    Wy = uniform({1, 3});
    cell.bh = ag::variable(ag::Array<double>({3}, 0));
    by = ag::variable(ag::Array<double>({1}, 0));
  }

  auto fields(auto&& visit) {
    visit("Wx", cell.Wx), visit("Wh", cell.Wh), visit("Wy", Wy), visit("bh", cell.bh), visit("by", by);
  }

  Var operator()(const Var& x) const { return ag::linear(nn::unroll(cell, x).state, Wy, by); }
};

const Var kX = xt::xtensor<double, 3>{{{1, 0}}, {{0, 1}}, {{1, 1}}};  // (time, batch, features)
const Var kTarget = xt::xtensor<double, 2>{{1}};

Var half_loss(const Network& network) {
  return sum(ag::map([](auto y, auto target) { return square(y - target) / 2; }, network(kX), kTarget));
}

std::vector<double> train(const Network& network, std::size_t epochs) {
  nn::SGD sgd(nn::parameters(network), {.lr = 0.01});
  std::vector<double> losses;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    ag::Tape tape;
    const Var current = half_loss(network);
    sgd.step(tape.backward(current));
    losses.push_back(2 * current.item());
  }
  return losses;
}

// The notebook's backward loop, by hand. Vectors are columns.
notebooks::Formulas notebook_gradients(const Network& network) {
  const Var h = nn::unroll(network.cell, kX).state.reshape({3, 1}), dy = network(kX) - kTarget;
  const Var dWy = dy * transpose(h);
  Var dWx = 0, dWh = 0, dbh = 0, dh = matmul(transpose(network.Wy), dy);
  for (std::size_t t = 3; t-- > 0;) {
    // Three mistakes: h is h_3 at every step; it has its tanh already; and dWh wants the state before, which
    // is 0 at the first step.
    const Var dz = dh * (1 - square(tanh(h)));
    dWx = dWx + matmul(dz, kX[t]);
    dWh = dWh + matmul(dz, transpose(h));
    dbh = dbh + dz;
    dh = matmul(transpose(network.cell.Wh), dz);
  }
  const std::string slope =
      "the slope of tanh at step t is 1 - h_t^2; the notebook takes 1 - tanh(h_3)^2 at every step";
  return {
      {"Wx", dWx, slope},
      {"Wh", dWh,
       "it multiplies by h_3 at every step, where h_{t-1} belongs (h_2, h_1 and 0), and the slope is wrong"},
      {"Wy", dWy, "there is one output, and h_3 is its h"},
      {"bh", dbh, slope},
      {"by", dy, "the same, with 1 in place of h"}};
}

int main(int argc, char** argv) {
  notebooks::Page page(argc, argv, "many_to_one", kEquations);
  nn::Rng rng(1);  // as numpy.random.seed(1); numpy.random.rand
  const Network start(rng);

  page.heading("Gradients of L/2 at the start");
  page.gradients([&] { return half_loss(start); }, start, notebook_gradients(start));

  page.heading("The same from weights 100 times as large");
  const Network large = nn::clone(start);
  for (Var& weight : nn::parameters(large)) weight.assign(100 * weight.value());
  page.gradients([&] { return half_loss(large); }, large, notebook_gradients(large),
                 "gradients_large_weights");

  page.heading("L of every 10th epoch, down the notebook's formula");
  const auto loss = [](const Network& network) { return 2 * half_loss(network); };
  const auto by_formula = notebooks::train_by_formula(nn::clone(start), loss, notebook_gradients, 0.01, 100);
  page.same_as_numpy("losses_by_formula", page.numpy().at("losses"), notebooks::every(10, by_formula), 10);

  page.heading("L of every 10th epoch, down the gradient");
  const auto by_gradient = train(nn::clone(start), 100);
  // From weights that the notebook did not keep.
  const std::vector<double> printed{0.9995626668420855,  0.8173901496644235,  0.6683731130141761,
                                    0.5464768997241599,  0.4467667561357531,  0.36520702508032155,
                                    0.29849700365063636, 0.24393678246407355, 0.19931760772663204,
                                    0.16283229743959962};
  std::printf("  %8s %14s %14s %22s\n", "", "the gradient", "its formula", "the notebook printed");
  double difference = 0;
  for (std::size_t epoch = 0; epoch < 100; ++epoch) {
    difference = std::max(difference, std::abs(by_gradient[epoch] - by_formula[epoch]));
    if (epoch % 10 == 0)
      std::printf("  epoch %2zu %14.8f %14.8f %22.8f\n", epoch, by_gradient[epoch], by_formula[epoch],
                  printed[epoch / 10]);
  }
  page["losses_by_gradient"] = notebooks::every(10, by_gradient);
  page["losses_notebook"] = printed;
  page["largest_difference_of_losses"] = difference;
  std::printf(R"(
Gradient and formula differ by %.1e at most: with weights of 0.01 nearly all of the descent is that of by, and
the losses cannot show that the other gradients are wrong. The notebook set no seed; from weights of this size
that hardly matters.
)",
              difference);

  page.draw_losses("many_to_one: the answer after the last step", "L",
                   {{"down the gradient", by_gradient}, {"down its formula", by_formula}});
  page.time(100, [&] { train(nn::clone(start), 100); });
  return page.finish();
}
