// Notebook 4, second program: the same network on mini-batches of four windows. The notebook's backward loop
// runs the state forward again, from where it ended.
#include <cmath>
#include <cstdio>
#include <numeric>

#include "common/page.hpp"
#include "common/sales.hpp"

namespace ag = autograd;
using notebooks::kSales;
using notebooks::kWindow;
using notebooks::SalesNetwork;
using notebooks::Windows;
using Var = ag::Var<double>;

constexpr auto kEquations =
    R"(Mini-batches (notebook 4): 12 windows of 3 days of sales in 3 batches, five hidden units

    h_t = tanh(x_t Wxh + h_{t-1} Whh + bh)      h_0 = 0,  x_t = sales of the window's day t
    y   = h_3 Why + by
    L   = 1/2 mean (y - sales of day 4)^2       over the 4 windows of a batch
    W   = W - 0.001 dL/dW
)";

constexpr std::size_t kBatch = 4;

// The notebook's backward loop, by hand. Each window is a row.
notebooks::Formulas notebook_gradients(const SalesNetwork& network, const Windows& batch) {
  Var h = nn::unroll(network.cell, batch.x).state;
  const Var dy = (network(batch.x) - batch.target) / kBatch;
  const Var dWhy = matmul(transpose(h), dy), dby = sum(dy, {0}, true);
  Var dWxh = 0, dWhh = 0, dbh = 0, dh = 0;
  for (std::size_t t = kWindow; t-- > 0;) {
    h = network.cell.step(network.cell.project(batch.x[t]), h);  // the mistake: forward again, on from h_3
    const Var dz =
        (dh + matmul(dy, transpose(network.Why))) * (1 - square(h));  // and dy enters at every step
    dWxh = dWxh + matmul(transpose(batch.x[t]), dz);
    dWhh = dWhh + matmul(transpose(h), dz);
    dbh = dbh + sum(dz, {0}, true);
    dh = matmul(dz, transpose(network.cell.Whh));
  }
  const std::string why =
      "its h are states 4, 5 and 6, run on from h_3 with the days in reverse, Whh takes a step's own state "
      "for the one before, and the output's gradient is added at every step";
  // The notebook's sums start as the very arrays that += then adds to them, which doubles them at each of two
  // steps.
  const std::string twice =
      "there is one output, but += on an alias doubles its gradient at each of two steps: 4 times";
  return {{"Wxh", dWxh, why},
          {"Whh", dWhh, why},
          {"bh", dbh, why},
          {"Why", 4 * dWhy, twice},
          {"by", 4 * dby, twice}};
}

// One epoch over some batches; gives their losses, each from before its update.
std::vector<double> epoch(const SalesNetwork& network, const std::vector<Windows>& batches,
                          nn::SGD<double>& sgd) {
  std::vector<double> losses;
  for (const Windows& batch : batches) {
    ag::Tape tape;
    const Var loss = notebooks::sales_loss(network, batch);
    sgd.step(tape.backward(loss));
    losses.push_back(loss.item());
  }
  return losses;
}

// The same down the notebook's formula.
std::vector<double> epoch_by_formula(const SalesNetwork& network, const std::vector<Windows>& batches,
                                     double rate) {
  std::vector<double> losses;
  for (const Windows& batch : batches) {
    losses.push_back(notebooks::sales_loss(network, batch).item());
    notebooks::descend(network, notebook_gradients(network, batch), rate);
  }
  return losses;
}

double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

// The notebook's errors tell, without its seed, how large its updates are. If every unit is saturated, y is
// one number for all windows; by and the 5 weights of Why, each times +-1, move it at each update by
//
//     6 0.001 k (mean target - y)             k is 1 for the gradient and 4 for the formula
//
// so that the second error gives y and with it the third.
double third_error(double second_error, double k) {
  const auto moments = [](std::size_t batch) {
    const std::vector<double> target = notebooks::entries(Windows(kSales, batch * kBatch, kBatch).target);
    const double m = mean(target);
    double variance = 0;
    for (const double each : target) variance += (each - m) * (each - m) / kBatch;
    return std::pair(m, variance);
  };
  const auto [m2, v2] = moments(1);
  const auto [m3, v3] = moments(2);
  double y =
      m2 - std::sqrt(2 * second_error - v2);  // 2 error = (m - y)^2 + variance, and y is below the sales
  y += 6 * 0.001 * k * (m2 - y);
  return ((m3 - y) * (m3 - y) + v3) / 2;
}

double rmse(const std::vector<double>& forecast, const std::vector<double>& truth) {
  double sum = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) sum += (forecast[i] - truth[i]) * (forecast[i] - truth[i]);
  return std::sqrt(sum / static_cast<double>(truth.size()));
}

int main(int argc, char** argv) {
  notebooks::Page page(argc, argv, "sales_batches", kEquations);
  nn::Rng rng(1);  // as numpy.random.seed(1); numpy.random.randn
  const SalesNetwork start(rng);

  const std::vector<Windows> raw{{kSales, 0, kBatch}, {kSales, 4, kBatch}, {kSales, 8, kBatch}};
  page.heading("Errors of the three batches, sales as they are, down the notebook's formula");
  page.same_as_numpy("errors_by_formula", page.numpy().at("errors"),
                     epoch_by_formula(nn::clone(start), raw, 0.001));
  const SalesNetwork updated = nn::clone(start);
  nn::SGD sgd(nn::parameters(updated), {.lr = 0.001});
  const auto by_gradient = epoch(updated, raw, sgd);
  page["errors_by_gradient"] = by_gradient;
  std::printf("\n  down the gradient: %.3f, %.3f, %.3f\n", by_gradient[0], by_gradient[1], by_gradient[2]);

  const double second = 5806.473069099888, third = 5643.544407327385;
  page["third_error_notebook"] = third;
  page["third_error_if_right"] = third_error(second, 1);
  page["third_error_if_fourfold"] = third_error(second, 4);
  std::printf(R"(
The notebook, from weights that it did not keep, printed 6845.298, %.3f and %.4f. If every unit was saturated in
batches 2 and 3, the third follows from the second: %.4f if the update was right, and %.4f if it was 4 times too
large. (In batch 1 not every unit can have been: there the rule does not give the second error.)
)",
              second, third, third_error(second, 1), third_error(second, 4));

  // From here on scaled, by what is known on day 11: the last batch's four days are held out.
  const notebooks::Scaling scaling(std::span<const double>(kSales).first(11));
  const notebooks::Days scaled = scaling(kSales);
  const std::vector<Windows> training{{scaled, 0, kBatch}, {scaled, 4, kBatch}};
  const Windows held_out(scaled, 8, kBatch);
  page.heading("Gradients of the first batch, with sales scaled to mean 0 and deviation 1");
  page.gradients([&] { return notebooks::sales_loss(start, training[0]); }, start,
                 notebook_gradients(start, training[0]));

  constexpr std::size_t kEpochs = 500;
  constexpr double kRate = 0.01;
  // The notebook's weights have a deviation of 1; a second network starts from a tenth of them.
  const SalesNetwork trained = nn::clone(start), misled = nn::clone(start), small = nn::clone(start);
  for (Var& weight : nn::parameters(small)) weight.assign(0.1 * weight.value());
  nn::SGD descent(nn::parameters(trained), {.lr = kRate}),
      small_descent(nn::parameters(small), {.lr = kRate});
  std::vector<double> losses, losses_by_formula, losses_small;
  for (std::size_t e = 0; e < kEpochs; ++e) {
    losses.push_back(mean(epoch(trained, training, descent)));
    losses_by_formula.push_back(mean(epoch_by_formula(misled, training, kRate)));
    losses_small.push_back(mean(epoch(small, training, small_descent)));
  }
  page["training_loss"] = {{"gradient", losses.back()},
                           {"formula", losses_by_formula.back()},
                           {"gradient_small_weights", losses_small.back()}};

  page.heading("Days 12 to 15, held out, forecast from the three days before");
  const auto forecast = [&](const SalesNetwork& network) {
    std::vector<double> days = notebooks::entries(network(held_out.x));
    for (double& day : days) day = scaling.undo(day);
    return days;
  };
  const std::vector<double> truth(kSales.begin() + 11, kSales.end());
  const std::vector<double> as_before(kSales.begin() + 10, kSales.end() - 1), average(4, scaling.mean);
  std::printf("  %-36s %8s %8s %8s %8s %8s\n", "", "day 12", "day 13", "day 14", "day 15", "RMSE");
  const auto line = [&](const char* label, const char* key, const std::vector<double>& days) {
    std::printf("  %-36s %8.1f %8.1f %8.1f %8.1f %8.2f\n", label, days[0], days[1], days[2], days[3],
                rmse(days, truth));
    page["forecast"][key] = days;
    page["rmse"][key] = rmse(days, truth);
  };
  line("sales", "sales", truth);
  line("trained down the gradient", "gradient", forecast(trained));
  line("the same from a tenth of the weights", "gradient_small_weights", forecast(small));
  line("trained down the notebook's formula", "formula", forecast(misled));
  line("as on the day before", "persistence", as_before);
  line("mean of days 1 to 11", "mean", average);
  std::printf(R"(
After %zu epochs at a rate of %g the loss on the 8 training windows is %.3f by the gradient, %.3f from a tenth of
the weights and %.3f by the formula. The gradient lowers it most, and forecasts worst: weights of deviation 1 make
a wild function of 41 parameters, which 8 windows do not tame. None of the forecasts beats the mean.
)",
              kEpochs, kRate, losses.back(), losses_small.back(), losses_by_formula.back());

  page.draw_losses("sales_batches: sales scaled, rate 0.01", "training loss",
                   {{"down the gradient", losses}, {"down its formula", losses_by_formula}});
  page.time(1, [&] { epoch(updated, raw, sgd); });
  return page.finish();
}
