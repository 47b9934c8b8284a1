// Notebook 1: a network of four hidden units learns to double the numbers 1, 2, 3. The cell is written here
// in ten lines; nn::unroll calls it once for each time step.
#include "common/page.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

constexpr auto kEquations = R"(Sequence to sequence (notebook 1): tanh, four hidden units, 1,000 epochs

    h_t = tanh(Wxh x_t + Whh h_{t-1} + bh)      h_0 = 0
    y_t = Why h_t + by
    L   = sum_t (y_t - target_t)^2
    W   = W - 0.01 d(L/2)/dW
)";

struct Cell {
  Var Wxh, Whh, bh;

  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, bh.size()}); }
  Var project(const Var& x) const { return ag::linear(x, Wxh, bh); }  // of all steps at once
  Var step(Var projected, const Var& h) const { return tanh(ag::add_linear(std::move(projected), h, Whh)); }
};

struct Network {
  using value_type = double;
  Cell cell;
  Var Why, by;

  explicit Network(nn::Rng& rng) {
    const auto normal = [&](const ag::Shape& shape) {
      return ag::variable(nn::init::normal<double>(shape, 0, 0.01, rng));
    };
    cell.Wxh = normal({4, 1});
    cell.Whh = normal({4, 4});
    Why = normal({1, 4});
    cell.bh = ag::variable(ag::Array<double>({4}, 0));
    by = ag::variable(ag::Array<double>({1}, 0));
  }

  auto fields(auto&& visit) {
    visit("Wxh", cell.Wxh), visit("Whh", cell.Whh), visit("Why", Why), visit("bh", cell.bh), visit("by", by);
  }

  Var operator()(const Var& x) const { return ag::linear(nn::unroll(cell, x).output, Why, by); }
};

// (time, batch, features)
const Var kX = xt::xtensor<double, 3>{{{1}}, {{2}}, {{3}}},
          kTarget = xt::xtensor<double, 3>{{{2}}, {{4}}, {{6}}};

Var half_loss(const Network& network) {
  return sum(ag::map([](auto y, auto target) { return square(y - target) / 2; }, network(kX), kTarget));
}

std::vector<double> train(const Network& network, std::size_t epochs) {
  nn::SGD sgd(nn::parameters(network), {.lr = 0.01});
  std::vector<double> losses;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    ag::Tape tape;
    const Var loss = half_loss(network);
    sgd.step(tape.backward(loss));
    losses.push_back(2 * loss.item());
  }
  return losses;
}

// The notebook's backward loop, by hand. Vectors are columns.
notebooks::Formulas notebook_gradients(const Network& network) {
  const auto& [Wxh, Whh, bh] = network.cell;
  const Var h = nn::unroll(network.cell, kX).output.reshape({3, 4, 1}), y = network(kX);
  Var dWxh = 0, dWhh = 0, dWhy = 0, dbh = 0, dby = 0, carried = 0;
  for (std::size_t t = 3; t-- > 0;) {
    const Var dy = y[t] - kTarget[t];
    dWhy = dWhy + matmul(dy, transpose(h[t]));
    dby = dby + dy;
    const Var dz = (1 - square(h[t])) * (matmul(transpose(network.Why), dy) + carried);
    dbh = dbh + dz;
    dWxh = dWxh + matmul(dz, kX[t]);
    if (t > 0) dWhh = dWhh + matmul(dz, transpose(h[t - 1]));
    carried = matmul(transpose(Whh), dz);
  }
  const std::string why =
      "right for L/2: y - target leaves out the factor 2 of L's gradient, which only halves the rate";
  return {{"Wxh", dWxh, why}, {"Whh", dWhh, why}, {"Why", dWhy, why}, {"bh", dbh, why}, {"by", dby, why}};
}

int main(int argc, char** argv) {
  notebooks::Page page(argc, argv, "sequence_rnn", kEquations);
  nn::Rng rng(1);  // as numpy.random.seed(1); numpy.random.randn
  const Network start(rng);

  page.heading("Gradients of L/2 at the start");
  page.gradients([&] { return half_loss(start); }, start, notebook_gradients(start));

  page.heading("Losses");
  const Network network = nn::clone(start);
  const double first = train(network, 1)[0];
  page.figure("first_loss", "56.01962908037016", first, 10);
  const std::vector<double> losses = train(network, 1000);
  page.figure("loss_after_one_update", "53.17024697852227", losses[0], 10);
  page.figures("losses",
               {"53.17024697852227", "1.1758970565815385", "0.03515377404884714", "0.005957144536961547",
                "0.0024095217195119053", "0.00099951940562552", "0.0004127753103659227",
                "0.00016994859019575496", "6.983990646036436e-05", "2.8666615553039435e-05"},
               notebooks::every(100, losses), 10, 100);

  page.draw_losses("sequence_rnn: doubling 1, 2, 3", "L", {{"", losses}});
  page.time(1000, [&] { train(nn::clone(start), 1000); });
  return page.finish();
}
