// What the two sales programs of notebook 4 have in common: 15 days of sales, and a network that reads three
// days.
#pragma once

#include <autograd/autograd.hpp>
#include <cmath>
#include <nn/nn.hpp>
#include <span>
#include <vector>

namespace notebooks {

using Days = std::vector<double>;

inline const Days kSales{100, 90, 120, 80, 150, 110, 130, 140, 115, 105, 90, 125, 135, 100, 95};
constexpr std::size_t kWindow = 3;  // days that are read before one is predicted

/// (x - mean) / deviation, both of the first days.
struct Scaling {
  double mean = 0, deviation = 0;

  explicit Scaling(std::span<const double> days) {
    const auto n = static_cast<double>(days.size());
    for (const double day : days) mean += day / n;
    for (const double day : days) deviation += (day - mean) * (day - mean) / n;
    deviation = std::sqrt(deviation);
  }
  double operator()(double day) const { return (day - mean) / deviation; }
  double undo(double scaled) const { return mean + deviation * scaled; }
  Days operator()(Days days) const {
    for (double& day : days) day = (*this)(day);
    return days;
  }
};

/// Windows of days `first`, `first` + 1, ...: what is read (time, window, 1), and the days after (window, 1).
struct Windows {
  autograd::Var<double> x, target;

  Windows(const Days& days, std::size_t first, std::size_t count) {
    xt::xarray<double> read = xt::zeros<double>({kWindow, count, std::size_t{1}});
    xt::xarray<double> wanted = xt::zeros<double>({count, std::size_t{1}});
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t t = 0; t < kWindow; ++t) read(t, i, 0) = days.at(first + i + t);
      wanted(i, 0) = days.at(first + i + kWindow);
    }
    x = read;
    target = wanted;
  }
};

///     h_t = tanh(x_t Wxh + h_{t-1} Whh + bh)
struct SalesCell {
  autograd::Var<double> Wxh, Whh, bh;

  autograd::Var<double> initial_state(std::size_t batch) const {
    return autograd::zeros<double>({batch, bh.size()});
  }
  autograd::Var<double> project(const autograd::Var<double>& x) const { return affine(x, Wxh, bh); }
  autograd::Var<double> step(const autograd::Var<double>& projected, const autograd::Var<double>& h) const {
    return autograd::map([](auto xW, auto hW) { return tanh(xW + hW); }, projected, matmul(h, Whh));
  }
};

///     y = h_3 Why + by
struct SalesNetwork {
  using value_type = double;
  SalesCell cell;
  autograd::Var<double> Why, by;

  /// Five hidden units, with weights as numpy.random.randn gives them.
  explicit SalesNetwork(nn::Rng& rng) {
    const auto normal = [&](const autograd::Shape& shape) {
      return autograd::variable(nn::init::normal<double>(shape, 0, 1, rng));
    };
    cell.Wxh = normal({1, 5});
    cell.Whh = normal({5, 5});
    Why = normal({5, 1});
    cell.bh = autograd::variable(autograd::Array<double>({5}, 0));
    by = autograd::variable(autograd::Array<double>({1}, 0));
  }

  auto fields(auto&& visit) {
    visit("Wxh", cell.Wxh), visit("Whh", cell.Whh), visit("bh", cell.bh), visit("Why", Why), visit("by", by);
  }

  autograd::Var<double> operator()(const autograd::Var<double>& x) const {
    return affine(nn::unroll(cell, x).state, Why, by);
  }
};

///     L = 1/2 mean (y - target)^2        over the windows
inline autograd::Var<double> sales_loss(const SalesNetwork& network, const Windows& windows) {
  return nn::mse(network(windows.x), windows.target) / 2;
}

}  // namespace notebooks
