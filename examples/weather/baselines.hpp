// What a network has to beat.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "features.hpp"

namespace weather {

/// Root mean square error in deg C of forecasts of temp_max for the days of a range.
template <class Forecasts>
double rmse(const std::vector<Day>& days, Range range, const Forecasts& forecasts) {
  double sum = 0;
  for (std::size_t i = 0; i < range.size(); ++i)
    sum += std::pow(forecasts[i] - days[range.begin + i].temp_max, 2);
  return std::sqrt(sum / static_cast<double>(range.size()));
}

/// Persistence: tomorrow is as today.
inline std::vector<double> persistence(const std::vector<Day>& days, Range range) {
  std::vector<double> result;
  for (std::size_t i = range.begin; i < range.end; ++i) result.push_back(days[i - 1].temp_max);
  return result;
}

/// Ridge regression from the temp_max of the 30 days before, and sine and cosine of the angle of the day.
struct RidgeForecast {
  static constexpr std::size_t kLags = 30;
  const std::vector<Day>& days;

  support::Matrix inputs(Range range) const {
    support::Matrix x = xt::zeros<double>({range.size(), kLags + 2});
    for (std::size_t i = 0; i < range.size(); ++i) {
      for (std::size_t lag = 1; lag <= kLags; ++lag) x(i, lag - 1) = days[range.begin + i - lag].temp_max;
      const double u = angle(day_of_year(days[range.begin + i].date));
      x(i, kLags) = std::sin(u), x(i, kLags + 1) = std::cos(u);
    }
    return x;
  }

  /// Forecasts for a range from a fit on the days before `training_end`.
  support::Vector operator()(std::size_t training_end, Range range, double lambda) const {
    const Range training{kLags, training_end};
    support::Vector y = xt::zeros<double>({training.size()});
    for (std::size_t i = 0; i < training.size(); ++i) y(i) = days[training.begin + i].temp_max;
    return support::Ridge(inputs(training), y, lambda)(inputs(range));
  }

  /// The lambda that does best on `held_out` after a fit on the days before it.
  double choose_lambda(Range held_out) const {
    double best = 0, best_rmse = std::numeric_limits<double>::infinity();
    for (const double lambda : {0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0}) {
      const double error = rmse(days, held_out, (*this)(held_out.begin, held_out, lambda));
      if (error < best_rmse) best = lambda, best_rmse = error;
    }
    return best;
  }
};

}  // namespace weather
