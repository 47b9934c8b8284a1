// Notebook 4, first program: predict the fourth day's sales from the first three, one update. Sales go in as
// they are, around 100, and that alone stops the network from learning.
#include <algorithm>
#include <cstdio>
#include <sstream>

#include "common/page.hpp"
#include "common/sales.hpp"
#include "support/plot.hpp"

namespace ag = autograd;
using notebooks::kSales;
using notebooks::SalesNetwork;
using notebooks::Windows;
using Var = ag::Var<double>;

constexpr auto kEquations =
    R"(Vanished before it began (notebook 4): 15 days of sales, five hidden units, one update

    h_t = tanh(x_t Wxh + h_{t-1} Whh + bh)      h_0 = 0,  x_t = sales of day t
    y   = h_3 Why + by
    L   = 1/2 (y - sales of day 4)^2
    W   = W - 0.001 dL/dW
)";

// The notebook's backward loop, by hand. Vectors are rows.
notebooks::Formulas notebook_gradients(const SalesNetwork& network, const Windows& window) {
  const Var h = nn::unroll(network.cell, window.x).state, dy = network(window.x) - window.target;
  Var dWxh, dWhh, dbh, dh = 0;
  for (std::size_t t = notebooks::kWindow; t-- > 0;) {
    // The mistakes: dy enters at every step, where it belongs to the last; h is h_3 at every step; and each
    // step overwrites what the one before has found.
    const Var dz = (dh + matmul(dy, transpose(network.Why))) * (1 - square(h));
    dWxh = matmul(transpose(window.x[t]), dz);
    dWhh = matmul(transpose(h), dz);
    dbh = dz;
    dh = matmul(dz, transpose(network.cell.Whh));
  }
  const std::string why =
      "only the first step's part is left of the sum, h_3 stands for h_t and for h_{t-1}, and the output's "
      "gradient "
      "is added at every step";
  return {{"Wxh", dWxh, why},
          {"Whh", dWhh, why},
          {"bh", dbh, why},
          {"Why", matmul(transpose(h), dy), "there is one output, and h_3 is its h"},
          {"by", dy, "the same, with 1 in place of h"}};
}

double largest(const ag::Gradients& gradients, const Var& parameter) {
  return xt::amax(xt::abs(gradients[parameter]))();
}

// Of the gradients of the hidden layer's parameters, the largest entry.
double largest_hidden_gradient(const SalesNetwork& network, const Windows& window) {
  ag::Tape tape;
  const auto gradients = tape.backward(notebooks::sales_loss(network, window));
  return std::max({largest(gradients, network.cell.Wxh), largest(gradients, network.cell.Whh),
                   largest(gradients, network.cell.bh)});
}

double largest_input_gradient(const SalesNetwork& network, const Windows& window) {
  ag::Tape tape;
  return largest(tape.backward(notebooks::sales_loss(network, window)), network.cell.Wxh);
}

void update(const SalesNetwork& network, const Windows& window, nn::SGD<double>& sgd) {
  ag::Tape tape;
  sgd.step(tape.backward(notebooks::sales_loss(network, window)));
}

int main(int argc, char** argv) {
  notebooks::Page page(argc, argv, "sales_step", kEquations);
  nn::Rng rng(1);  // as numpy.random.seed(1); numpy.random.randn
  const SalesNetwork start(rng);
  const Windows raw(kSales, 0, 1);

  page.heading("Sales as they are: h_1, h_2, h_3");
  const Var hidden = nn::unroll(start.cell, raw.x).output;
  for (std::size_t t = 0; t < notebooks::kWindow; ++t) {
    for (const double h : notebooks::entries(hidden[t])) std::printf("  %.17g", h);
    std::printf("\n");
  }
  page["hidden_unscaled"] = notebooks::entries(hidden);
  page["gradient_unscaled"] = largest_hidden_gradient(start, raw);
  std::printf(R"(
From seed 1 every unit is saturated at +-1, where the slope of tanh, 1 - h^2, is 0: the largest entry of the
gradients of Wxh, Whh and bh is %g. Only Why and by can learn. (Of all seeds, about half saturate h_3 so.)
)",
              page["gradient_unscaled"].get<double>());

  page.heading("Parameters after the notebook's update");
  const SalesNetwork by_formula = nn::clone(start), by_gradient = nn::clone(start);
  notebooks::descend(by_formula, notebook_gradients(start, raw), 0.001);
  nn::SGD sgd(nn::parameters(by_gradient), {.lr = 0.001});
  update(by_gradient, raw, sgd);
  for (const auto& [path, parameter] : nn::named_parameters(by_formula))
    page.same_as_numpy("updated_" + path, page.numpy().at("updated").at(path), notebooks::entries(parameter));
  double difference = 0;
  const auto ours = nn::parameters(by_gradient), theirs = nn::parameters(by_formula);
  for (std::size_t i = 0; i < ours.size(); ++i)
    difference = std::max(difference, xt::amax(xt::abs(theirs[i].value() - ours[i].value()))());
  page["update_off_gradient"] = difference;
  std::printf(R"(
The tape's update differs by %.1e at most: what the notebook gets wrong is multiplied by a slope of 0.
)",
              difference);

  page.heading("The same with inputs that are multiplied by a factor");
  support::DataBlock block("factors");
  for (const double factor : {1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001}) {
    Windows window = raw;
    window.x = factor * raw.x;
    const double gradient = largest_input_gradient(start, window);
    std::printf("  factor %-7g  largest |dL/dWxh| %.4g\n", factor, gradient);
    page["gradient_by_factor"].push_back({factor, gradient});
    if (gradient > 0) block.row(factor, gradient);
  }

  page.say("\nThe largest is at 0.01; from there on it falls with the input, which it is a multiple of.");

  const notebooks::Scaling scaling(kSales);
  const Windows scaled(scaling(kSales), 0, 1);
  page.heading("Gradients with all sales, the target too, scaled to mean 0 and deviation 1");
  page.gradients([&] { return notebooks::sales_loss(start, scaled); }, start,
                 notebook_gradients(start, scaled));

  std::ostringstream script;
  script << block << R"(
set title "sales_step: inputs of 100 are too large for tanh" noenhanced font ',16'
set logscale xy
set xrange [0.00005:2]
set label "at 0.3 and 1 (as they are): 0" at 0.9, graph 0.06 right tc rgb '#d55e00'
set format x '10^{%T}'
set format y '10^{%T}'
set xlabel 'factor on the sales'
set ylabel 'largest |dL/dWxh|'
set grid back lc rgb '#dddddd' lt 1
set border 3 lc rgb '#555555'
set xtics out nomirror
set ytics out nomirror
plot $factors using 1:2 with linespoints pt 7 lw 2 lc rgb '#0072b2' notitle
)";
  page.draw(script.str());
  page.time(1, [&] { update(by_gradient, raw, sgd); });
  return page.finish();
}
