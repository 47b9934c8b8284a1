// Tomorrow's maximum temperature from the weather of the 14 days before: a recurrent layer reads the days one
// by one, a linear head reads the layer's last output.
//
// 2012 to 2014 are for training, 2015 is the test and chooses nothing: the number of epochs comes from a
// first fit on 2012 and 2013 that is scored on 2014. The rest of the recipe is in fit(); the data are in
// weather/features.hpp, what they are compared with in weather/baselines.hpp.
#include <algorithm>
#include <autograd/autograd.hpp>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <nn/nn.hpp>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "support/output.hpp"
#include "support/progress.hpp"
#include "weather/options.hpp"
#include "weather/report.hpp"

namespace ag = autograd;

namespace {

using weather::Features;
using weather::Range;

constexpr std::size_t kHidden = 16;
constexpr std::size_t kBatch = 32;
constexpr std::size_t kMostEpochs = 30;  // that the hold-out may choose

// Minimal gated unit (Zhou et al. 2016): a cell as any user writes one. --cell mgu trains it.
//
//     f  = sigmoid(x Wf + h Uf + bf)
//     n  = tanh(x Wn + (f h) Un + bn)
//     h' = (1 - f) h + f n
template <class T>
struct MinimalGatedCell {
  nn::Linear<T> xf, hf, xn, hn;

  MinimalGatedCell(std::size_t in, std::size_t hidden, nn::Rng& rng)
      : xf(in, hidden, rng),
        hf(hidden, hidden, rng, false),
        xn(in, hidden, rng),
        hn(hidden, hidden, rng, false) {}

  auto fields(auto&& visit) { visit("xf", xf), visit("hf", hf), visit("xn", xn), visit("hn", hn); }

  ag::Var<T> initial_state(std::size_t batch) const { return ag::zeros<T>({batch, hf.weight.shape(0)}); }

  ag::Var<T> step(const ag::Var<T>& x, const ag::Var<T>& h) const {
    const auto f = sigmoid(xf(x) + hf(h));
    return ag::map([](auto f, auto n, auto h) { return (1 - f) * h + f * tanh(n); }, f, xn(x) + hn(f * h), h);
  }
};

// The model: (h_1, ..., h_L) = unroll(cell, x);  y = W h_L + b
template <template <class> class Cell, class T = float>
struct Forecaster {
  using value_type = T;
  Cell<T> cell;
  nn::Linear<T> head;

  explicit Forecaster(nn::Rng& rng) : cell(Features::kColumns, kHidden, rng), head(kHidden, 1, rng) {
    // Biases start at 0. Weights on the input start by Glorot's rule, those on the state orthogonal: gate by
    // gate, each a block of kHidden rows.
    nn::for_each_parameter(cell, [&](const std::string&, ag::Var<T>& p) {
      if (p.rank() == 1) return p.assign(xt::zeros<T>({p.size()}));
      p = ag::variable(
          nn::init::blocks(p.shape(0) / kHidden, {kHidden, p.shape(1)}, [&](const ag::Shape& gate) {
            return gate[1] == kHidden ? nn::init::orthogonal<T>(gate, rng)
                                      : nn::init::xavier_uniform<T>(gate, rng);
          }));
    });
    head.weight = ag::variable(nn::init::xavier_uniform<T>({1, kHidden}, rng));
    head.bias.assign(xt::zeros<T>({1}));
    // A forget gate that is nearly closed, sigmoid(-2) = 0.12: the last days count most.
    if constexpr (std::is_same_v<Cell<T>, nn::LSTMCell<T>>)
      cell.bias_ih.update([](auto&& b) { xt::view(b, xt::range(kHidden, 2 * kHidden)) = -2; });
  }

  auto fields(auto&& visit) { visit("cell", cell), visit("head", head); }

  ag::Var<T> operator()(const ag::Var<T>& x) const {
    const ag::Var<T> h = nn::unroll(cell, x).output;  // (L, B, H)
    return head(h[h.shape(0) - 1]);                   // (B, 1)
  }
};

// The parameters that learn. A built-in cell has two biases that are added to each other; one of them is
// enough and the other stays 0.
template <class Model>
std::vector<ag::Var<nn::value_type<Model>>> learned(const Model& model, std::size_t rank) {
  std::vector<ag::Var<nn::value_type<Model>>> result;
  for (const auto& [path, parameter] : nn::named_parameters(model))
    if (parameter.rank() == rank && !path.ends_with("bias_hh")) result.push_back(parameter);
  return result;
}

// The weights' average over the steps s = 1, 2, ..., which forecasts better than the weights of any one step:
//
//     e = d e + (1 - d) w        d = min(0.998, (1 + s) / (10 + s))
template <class Model>
struct WeightAverage {
  Model model;  // the average, from w_0
  std::vector<ag::Var<float>> from, to;
  double steps = 0;

  explicit WeightAverage(const Model& source)
      : model(nn::clone(source)), from(nn::parameters(source)), to(nn::parameters(model)) {}

  void update() {
    ++steps;
    const auto d = static_cast<float>(std::min(0.998, (1 + steps) / (10 + steps)));
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i].update([&](auto&& e) { xt::noalias(e) = d * e + (1 - d) * from[i].value(); });
  }
};

// Forecasts of temp_max in deg C for the days of a range.
template <class Model>
std::vector<double> forecast(const Model& model, const Features& features, Range range) {
  std::vector<std::size_t> days(range.size());
  std::iota(days.begin(), days.end(), range.begin);
  const ag::Var<float> y = model(features.inputs<float>(days));
  std::vector<double> result;
  for (std::size_t i = 0; i < days.size(); ++i)
    result.push_back(features.temp_max(days[i], static_cast<double>(y.array().data()[i])));
  return result;
}

// Trains a model on all days before `training_end`: Adam on the mean squared error of batches of 32 days in
// random order, the gradient clipped to norm 1, strong decay of the weights (not of the biases), and the
// weights' average as the result. Calls after_epoch(average, mean loss of the epoch).
template <template <class> class Cell, class AfterEpoch>
Forecaster<Cell> fit(const Features& features, std::size_t training_end, std::size_t epochs,
                     std::uint32_t seed, const AfterEpoch& after_epoch) {
  nn::Rng rng(seed);
  const Forecaster<Cell> model(rng);
  nn::Adam weights(learned(model, 2), {.lr = 0.01, .decoupled_weight_decay = 1});
  nn::Adam biases(learned(model, 1), {.lr = 0.01});
  WeightAverage average(model);
  const std::size_t days = training_end - Features::kWindow;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    std::vector<std::size_t> order = rng.permutation(days);
    for (std::size_t& day : order) day += Features::kWindow;
    double loss_sum = 0;
    const std::size_t batches = days / kBatch;  // the incomplete last one is left out
    for (std::size_t b = 0; b < batches; ++b) {
      const auto batch = std::span<const std::size_t>(order).subspan(b * kBatch, kBatch);
      ag::Tape tape;
      const auto loss = nn::mse(model(features.inputs<float>(batch)), features.targets<float>(batch));
      auto gradients = tape.backward(loss);
      nn::clip_grad_norm(gradients, 1.0);
      weights.step(gradients);
      biases.step(gradients);
      average.update();
      loss_sum += static_cast<double>(loss.item());
    }
    after_epoch(average.model, loss_sum / static_cast<double>(batches));
  }
  return average.model;
}

// The model's gradient against finite differences, in double and on real days.
template <template <class> class Cell>
void check_gradient(const Features& features, std::uint32_t seed) {
  nn::Rng rng(seed);
  const Forecaster<Cell, double> model(rng);
  const std::vector<std::size_t> days{100, 200};
  const auto x = features.inputs<double>(days).slice(Features::kWindow - 4, Features::kWindow);
  const auto y = features.targets<double>(days);
  const auto report = nn::gradcheck([&] { return nn::mse(model(x), y); }, model);
  std::cout << "over 4 days in double, " << report << "\n\n";
  if (!report) throw std::runtime_error("the gradient check failed");
}

template <template <class> class Cell>
nlohmann::json run(const weather::Options& options) {
  const auto days = weather::read_days(options.data);
  const Range held_out{weather::start_of(2014), weather::start_of(2015)}, test{held_out.end, days.size()};
  std::cout << "data: " << options.data.string() << ", " << days.size() << " days\n";
  const Features until_2013(days, held_out.begin), until_2014(days, test.begin);
  check_gradient<Cell>(until_2013, options.seed);
  const auto seed = [&](std::size_t s) { return options.seed + static_cast<std::uint32_t>(s); };
  weather::Findings found;

  // The hold-out: fit on 2012 and 2013, forecast 2014 after every epoch.
  found.by_epoch.resize(options.epochs ? options.epochs : kMostEpochs);
  support::Progress holding_out("hold-out, seed by seed", options.seeds * found.by_epoch.size());
  for (std::size_t s = 0; s < options.seeds; ++s) {
    auto epoch = found.by_epoch.begin();
    fit<Cell>(
        until_2013, held_out.begin, found.by_epoch.size(), seed(s), [&](const auto& model, double loss) {
          epoch->training.push_back(until_2013.sigma() * std::sqrt(loss));
          epoch->held_out.push_back(weather::rmse(days, held_out, forecast(model, until_2013, held_out)));
          ++epoch;
          holding_out.advance(loss);
        });
  }
  const auto mean = [](const weather::EpochErrors& errors) {
    return weather::Statistics(errors.held_out).mean;
  };
  const auto best = std::ranges::min_element(found.by_epoch, {}, mean);
  found.epochs =
      options.epochs ? options.epochs : static_cast<std::size_t>(best - found.by_epoch.begin()) + 1;
  std::cout << found.epochs << (options.epochs ? " epochs, as asked for: " : " epochs do best: ") << "RMSE "
            << std::setprecision(4) << mean(found.by_epoch[found.epochs - 1])
            << " deg C on 2014, fitted on 2012-2013\n\n";

  // The test: fit again, on 2012 to 2014, for so many epochs; forecast 2015.
  support::Progress testing("test, seed by seed", options.seeds * found.epochs);
  for (std::size_t s = 0; s < options.seeds; ++s) {
    const auto model = fit<Cell>(until_2014, test.begin, found.epochs, seed(s),
                                 [&](const auto&, double loss) { testing.advance(loss); });
    found.forecasts.push_back(forecast(model, until_2014, test));
  }
  return report(options, days, held_out, test, found);
}

}  // namespace

int main(int argc, char** argv) try {
  const auto start = std::chrono::steady_clock::now();
  weather::Options options;
  if (const auto code = weather::read_options(argc, argv, options)) return *code;
  support::prepare_output(options.output);
  std::cout << ag::runtime_info() << "\n\n";

  auto result = options.cell == "rnn"    ? run<nn::RNNCell>(options)
                : options.cell == "gru"  ? run<nn::GRUCell>(options)
                : options.cell == "lstm" ? run<nn::LSTMCell>(options)
                                         : run<MinimalGatedCell>(options);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  result["seconds"] = std::round(seconds.count() * 100) / 100;
  std::cout << "result " << result << std::endl;
} catch (const std::exception& error) {
  std::cout << std::flush;
  std::cerr << "weather: " << error.what() << '\n';
  return 1;
}
