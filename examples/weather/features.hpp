// What the network sees of the days, and what it is to say.
#pragma once

#include <autograd/var.hpp>
#include <cmath>
#include <numbers>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>
#include <xtensor/xview.hpp>

#include "days.hpp"
#include "support/ridge.hpp"

namespace weather {

/// The angle of a date in the year, 2 pi day / 365.25.
inline double angle(int day_of_year) { return 2 * std::numbers::pi * day_of_year / 365.25; }

namespace detail {

/// x -> (x - mean) / deviation, with both taken over the training days.
struct Scale {
  double mean = 0, deviation = 1;

  Scale(const support::Vector& training, const std::string& name)
      : mean(xt::mean(training)()), deviation(std::sqrt(xt::mean(xt::square(training - mean))())) {
    if (!(deviation > 0)) throw std::runtime_error(name + " is the same on all training days");
  }
};

}  // namespace detail

/// The days in numbers of order 1. All means, deviations and the climatology come from the training days
/// [0, training) alone.
///
/// The inputs of day t, 11 columns:
///
///     0, 1    temp_max, temp_min less their climatology, a + b sin u + c cos u + d sin 2u + e cos 2u, u the
///     angle of
///             the day; divided by the deviation of this anomaly
///     2, 3    log(1 + precipitation), wind; standardised
///     4, 5    sin u, cos u of the day after, which is to be forecast
///     6 - 10  1 in the column of the weather's class
///
/// The target of day i is the change of temp_max from the day before, standardised: (x_i - x_{i-1} - mu) /
/// sigma.
class Features {
 public:
  static constexpr std::size_t kColumns = 11;  ///< of the inputs
  static constexpr std::size_t kWindow = 14;   ///< days that a forecast is made from

  Features(const std::vector<Day>& days, std::size_t training)
      : inputs_(xt::zeros<double>({days.size(), kColumns})), targets_(xt::zeros<double>({days.size()})) {
    const auto column = [&](auto value) {
      support::Vector result = xt::zeros<double>({days.size()});
      for (std::size_t t = 0; t < days.size(); ++t) result(t) = value(days[t]);
      return result;
    };
    const auto in_training = [&](const support::Vector& x) {
      return support::Vector(xt::view(x, xt::range(std::size_t{0}, training)));
    };
    const auto standardise = [&](std::size_t at, const support::Vector& x, const std::string& name) {
      const detail::Scale scale(in_training(x), name);
      xt::view(inputs_, xt::all(), at) = (x - scale.mean) / scale.deviation;
    };

    support::Matrix seasons = xt::ones<double>({days.size(), std::size_t{5}});
    for (std::size_t t = 0; t < days.size(); ++t) {
      const double u = angle(day_of_year(days[t].date)), next = angle(day_of_year(days[t].date) + 1);
      seasons(t, 1) = std::sin(u), seasons(t, 2) = std::cos(u);
      seasons(t, 3) = std::sin(2 * u), seasons(t, 4) = std::cos(2 * u);
      inputs_(t, 4) = std::sin(next), inputs_(t, 5) = std::cos(next);
      inputs_(t, 6 + days[t].weather) = 1;
    }
    const support::Matrix training_seasons =
        xt::view(seasons, xt::range(std::size_t{0}, training), xt::all());
    const auto anomaly = [&](const support::Vector& x) {
      const support::Vector climatology = support::least_squares(training_seasons, in_training(x));
      return support::Vector(x - xt::linalg::dot(seasons, climatology));
    };
    const support::Vector temp_max = column([](const Day& day) { return day.temp_max; });
    standardise(0, anomaly(temp_max), "temp_max");
    standardise(1, anomaly(column([](const Day& day) { return day.temp_min; })), "temp_min");
    standardise(2, column([](const Day& day) { return std::log1p(day.precipitation); }), "precipitation");
    standardise(3, column([](const Day& day) { return day.wind; }), "wind");

    before_ = temp_max;
    for (std::size_t i = 1; i < days.size(); ++i) before_(i) = temp_max(i - 1);
    const support::Vector change = temp_max - before_;
    const detail::Scale scale(xt::view(change, xt::range(std::size_t{1}, training)), "temp_max");
    mu_ = scale.mean, sigma_ = scale.deviation;
    targets_ = (change - mu_) / sigma_;
  }

  /// The inputs of the kWindow days before each of the given days, (kWindow, B, kColumns).
  template <class T>
  autograd::Var<T> inputs(std::span<const std::size_t> days) const {
    autograd::Array<T> result({kWindow, days.size(), kColumns});
    T* to = result.data();
    for (std::size_t back = kWindow; back > 0; --back)
      for (const std::size_t day : days)
        for (std::size_t k = 0; k < kColumns; ++k) *to++ = static_cast<T>(inputs_(day - back, k));
    return result;
  }

  /// The targets of the given days, (B, 1).
  template <class T>
  autograd::Var<T> targets(std::span<const std::size_t> days) const {
    autograd::Array<T> result({days.size(), 1});
    for (std::size_t b = 0; b < days.size(); ++b) result.data()[b] = static_cast<T>(targets_(days[b]));
    return result;
  }

  /// The temp_max in deg C that a model's output (a target, standardised) means on a day.
  double temp_max(std::size_t day, double output) const { return before_(day) + mu_ + sigma_ * output; }

  double sigma() const { return sigma_; }  ///< deg C per unit of the targets

 private:
  support::Matrix inputs_;
  support::Vector targets_, before_;
  double mu_ = 0, sigma_ = 1;
};

}  // namespace weather
