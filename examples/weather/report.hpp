// What comes out: the table, the pictures and the result as JSON.
#pragma once

#include <cmath>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "baselines.hpp"
#include "options.hpp"
#include "pictures.hpp"

namespace weather {

/// Mean and sample standard deviation (0 for one number).
struct Statistics {
  double mean = 0, deviation = 0;

  explicit Statistics(const std::vector<double>& x) {
    for (const double each : x) mean += each / static_cast<double>(x.size());
    for (const double each : x) deviation += (each - mean) * (each - mean);
    deviation = x.size() > 1 ? std::sqrt(deviation / static_cast<double>(x.size() - 1)) : 0;
  }
};

/// What a run with all seeds has found.
struct Findings {
  std::vector<EpochErrors> by_epoch;           ///< of the hold-out runs
  std::size_t epochs = 0;                      ///< how many of them were chosen
  std::vector<std::vector<double>> forecasts;  ///< for the test year, by seed
};

/// Draws the pictures and prints the table; gives the result.
inline nlohmann::json report(const Options& options, const std::vector<Day>& days, Range held_out, Range test,
                             const Findings& found) {
  const RidgeForecast ridge{days};
  const double lambda = ridge.choose_lambda(held_out);
  const double ridge_held_out = rmse(days, held_out, ridge(held_out.begin, held_out, lambda));
  const double ridge_test = rmse(days, test, ridge(test.begin, test, lambda));
  const double persistence_held_out = rmse(days, held_out, persistence(days, held_out));
  const double persistence_test = rmse(days, test, persistence(days, test));
  std::vector<double> errors;
  for (const auto& forecasts : found.forecasts) errors.push_back(rmse(days, test, forecasts));
  const Statistics model_held_out(found.by_epoch[found.epochs - 1].held_out), model_test(errors);

  std::string name = options.cell;
  for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
  const std::string seeds = std::to_string(options.seeds) + (options.seeds == 1 ? " seed" : " seeds");
  std::cout << '\n' << std::fixed;
  if (support::have_gnuplot()) {
    std::ostringstream title;
    title << "Maximum temperature in Seattle, 2015: " << name << " fitted on 2012-2014, RMSE " << std::fixed
          << std::setprecision(2) << errors[0] << " °C";
    const auto forecast_svg = options.output / "forecast.svg", loss_svg = options.output / "loss.svg";
    try {
      draw_forecast(forecast_svg, days, test, found.forecasts[0], title.str());
      draw_loss(loss_svg, found.by_epoch, found.epochs, ridge_held_out,
                name + " by epoch: mean and range of " + seeds);
      std::cout << "pictures: " << forecast_svg.string() << ", " << loss_svg.string() << "\n\n";
    } catch (const std::runtime_error& error) {
      std::cout << "pictures: none, since " << error.what() << "\n\n";
    }
  } else {
    std::cout << "pictures: none, since gnuplot was not found (apt-get install gnuplot-nox)\n\n";
  }

  const auto row = [](const std::string& label, double a, double b) {
    std::cout << std::left << std::setw(40) << label << std::right << std::setprecision(3) << std::setw(14)
              << a << std::setw(12) << b << '\n';
  };
  std::ostringstream ridge_label;
  ridge_label << "ridge regression, 30 lags, lambda " << lambda;
  std::cout << std::left << std::setw(40) << "RMSE, deg C" << std::right << std::setw(14) << "hold-out 2014"
            << std::setw(12) << "test 2015" << '\n';
  row("persistence: as today", persistence_held_out, persistence_test);
  row(ridge_label.str(), ridge_held_out, ridge_test);
  row(name + ", mean of " + seeds, model_held_out.mean, model_test.mean);
  row(name + ", standard deviation", model_held_out.deviation, model_test.deviation);

  const auto rounded = [](double x) { return std::round(x * 1e4) / 1e4; };
  return {{"cell", options.cell},
          {"seeds", options.seeds},
          {"epochs", found.epochs},
          {"holdout_rmse", rounded(model_held_out.mean)},
          {"rmse_mean", rounded(model_test.mean)},
          {"rmse_std", rounded(model_test.deviation)},
          {"persistence", rounded(persistence_test)},
          {"ridge", rounded(ridge_test)}};
}

}  // namespace weather
