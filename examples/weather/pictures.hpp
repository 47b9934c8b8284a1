// The two pictures.
#pragma once

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "days.hpp"
#include "support/plot.hpp"

namespace weather {

/// What an epoch of the hold-out runs gave, in deg C: one entry per seed.
struct EpochErrors {
  std::vector<double> training, held_out;
};

/// Forecast and truth over a year, and below it what the forecast was wrong by.
inline void draw_forecast(const std::filesystem::path& file, const std::vector<Day>& days, Range range,
                          const std::vector<double>& forecasts, const std::string& title) {
  support::DataBlock block("days");
  for (std::size_t i = 0; i < range.size(); ++i) {
    const Day& day = days[range.begin + i];
    block.row(to_string(day.date), day.temp_max, forecasts[i], forecasts[i] - day.temp_max);
  }
  const std::string first = to_string(days[range.begin].date);
  const std::string last = to_string(days[range.end - 1].date + std::chrono::days(1));
  std::ostringstream script;
  script << block << "first = '" << first << "'\nlast = '" << last << "'\nheading = \"" << title << "\"\n"
         << R"gnuplot(
set xdata time
set timefmt '%Y-%m-%d'
set xrange [first:last]
set xtics 2678400 out nomirror
set ytics out nomirror
set grid back lc rgb '#dddddd' lt 1
set border 3 lc rgb '#555555'
set lmargin 9
set rmargin 3
set multiplot
set origin 0, 0.31
set size 1, 0.69
set key tmargin center horizontal reverse Left samplen 2
set ylabel "maximum temperature (°C)" offset 1
set format x ""
set title heading font ',16'
plot $days using 1:2 with lines lw 2.5 lc rgb '#b5b5b5' title "measured", \
     $days using 1:3 with lines lw 1.4 lc rgb '#0072b2' title "forecast on the day before"
set origin 0, 0
set size 1, 0.33
unset title
set format x "%b"
set ylabel "error (°C)" offset 1
set yrange [*<-10:10<*]
set ytics 5
set xlabel "2015"
plot $days using 1:4 with impulses lw 1.2 lc rgb '#d55e00' notitle, 0 lc rgb '#555555' lt 1 notitle
unset multiplot
)gnuplot";
  support::draw_svg(file, 1000, 640, script.str());
}

/// The errors by epoch, with the epoch that was chosen: the mean of the seeds as a line in the band of all
/// seeds.
inline void draw_loss(const std::filesystem::path& file, const std::vector<EpochErrors>& epochs,
                      std::size_t chosen, double ridge, const std::string& title) {
  support::DataBlock block("epochs");
  const auto statistics = [](const std::vector<double>& x) {
    double sum = 0;
    for (const double each : x) sum += each;
    std::ostringstream text;
    text << sum / static_cast<double>(x.size()) << ' ' << *std::ranges::min_element(x) << ' '
         << *std::ranges::max_element(x);
    return text.str();
  };
  for (std::size_t e = 0; e < epochs.size(); ++e)
    block.row(e + 1, statistics(epochs[e].training), statistics(epochs[e].held_out));
  std::ostringstream script;
  script << block << "ridge = " << ridge << "\nchosen = " << chosen
         << "\nlast = " << std::max<std::size_t>(epochs.size(), 2) << "\nheading = \"" << title << "\"\n"
         << R"gnuplot(
set title heading font ',16' offset 0, 0.5
set xrange [1:last]
set tmargin 4
set xlabel "epoch"
set ylabel "root mean square error (°C)"
set xtics out nomirror
set ytics out nomirror
set grid back lc rgb '#dddddd' lt 1
set border 3 lc rgb '#555555'
set key bmargin center horizontal reverse Left samplen 2
set arrow from chosen, graph 0 to chosen, graph 1 nohead dt 2 lc rgb '#555555'
set label sprintf("epoch %d chosen", chosen) at chosen, graph 1 center offset 0, 0.6 textcolor rgb '#555555'
set style fill solid noborder
plot $epochs using 1:3:4 with filledcurves lc rgb '#cce3f0' notitle, \
     $epochs using 1:6:7 with filledcurves lc rgb '#f7dfcc' notitle, \
     $epochs using 1:2 with linespoints pt 7 ps 0.3 lw 2 lc rgb '#0072b2' title "training, 2012-2013", \
     $epochs using 1:5 with linespoints pt 7 ps 0.3 lw 2 lc rgb '#d55e00' title "hold-out, 2014 (averaged weights)", \
     ridge with lines lw 1.5 lc rgb '#009e73' title "ridge regression, 2014"
)gnuplot";
  support::draw_svg(file, 900, 560, script.str());
}

}  // namespace weather
