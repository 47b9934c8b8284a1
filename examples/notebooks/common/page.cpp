#include "page.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <utility>

#include "support/output.hpp"
#include "support/plot.hpp"

namespace notebooks {
namespace {

// What NumPy gave, for the program of this name; null if it has no part there.
Json read_numpy(const std::string& name) {
  const std::filesystem::path file = UNROLL_EXAMPLES_DIR "/data/numpy.json";
  std::ifstream in(file);
  if (!in) throw std::runtime_error(file.string() + ": cannot be read");
  try {
    return Json::parse(in).value(name, Json());
  } catch (const Json::exception& error) {
    throw std::runtime_error(file.string() + ": " + error.what());
  }
}

// As few digits as name the number.
std::string shortest(double x) { return Json(x).dump(); }

std::string rounded(const char* format, double x) {
  char text[64];
  std::snprintf(text, sizeof text, format, x);
  return text;
}

// Half a unit of the last digit of a number as text, or of its `digits`-th significant digit.
double half_unit(const std::string& text, int digits) {
  if (digits > 0) return 0.5 * std::pow(10, std::floor(std::log10(std::abs(std::stod(text)))) - (digits - 1));
  const std::size_t exponent_at = std::min(text.find('e'), text.size()), point = text.find('.');
  const int exponent = exponent_at < text.size() ? std::stoi(text.substr(exponent_at + 1)) : 0;
  const auto decimals = point == std::string::npos ? 0 : static_cast<int>(exponent_at - point - 1);
  return 0.5 * std::pow(10, exponent - decimals);
}

std::string to_text(const std::vector<std::size_t>& index) {
  std::string text = "[";
  for (const std::size_t i : index) text += (text.size() > 1 ? ", " : "") + std::to_string(i);
  return text + "]";
}

// The index of the `at`-th entry of a shape, row by row.
std::vector<std::size_t> unravel(std::size_t at, const autograd::Shape& shape) {
  std::vector<std::size_t> index(shape.rank());
  for (std::size_t axis = shape.rank(); axis-- > 0; at /= shape[axis]) index[axis] = at % shape[axis];
  return index;
}

// Infinite if one of the differences is no number.
double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = std::isnan(difference) ? HUGE_VAL : difference;
  }
  return largest;
}

// What stands before the i-th of some figures.
std::string label(const std::string& key, std::size_t i, std::size_t count, std::size_t epochs) {
  if (epochs) return "epoch " + std::to_string(i * epochs);
  return count == 1 ? key : key + "[" + std::to_string(i) + "]";
}

}  // namespace

Page::Page(int argc, char** argv, const std::string& name, const std::string& equations)
    : name_(name), output_("output") {
  CLI::App app(equations);
  app.add_option("--output", output_, "folder for the pictures, made if needed")
      ->type_name("DIR")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  try {
    support::prepare_output(output_);
    numpy_ = read_numpy(name);
  } catch (const std::runtime_error& error) {
    std::cerr << name << ": " << error.what() << '\n';
    std::exit(1);
  }
  result_["program"] = name;
  result_["pictures"] = Json::array();
  std::cout << equations;
}

void Page::heading(const std::string& text) {
  columns_.clear();
  std::cout << '\n' << text << '\n' << std::string(text.size(), '-') << '\n';
}

void Page::say(const std::string& text) const { std::cout << text << '\n'; }

void Page::row(const std::string& label, const char* source, const std::string& theirs, double here,
               bool holds, int digits) {
  if (std::exchange(columns_, source) != source) std::printf("  %-22s %24s %24s\n", "", source, "here");
  const std::string same = digits > 0 ? "the same to " + std::to_string(digits) + " digits" : "the same";
  std::printf("  %-22s %24s %24s   %s\n", label.c_str(), theirs.c_str(), shortest(here).c_str(),
              holds ? same.c_str() : "DIFFERENT");
  holds_ &= holds;
}

void Page::figures(const std::string& key, const std::vector<std::string>& notebook,
                   const std::vector<double>& here, int digits, std::size_t epochs) {
  if (notebook.size() != here.size())
    throw std::logic_error(key + ": " + std::to_string(notebook.size()) + " figures in the notebook and " +
                           std::to_string(here.size()) + " here");
  for (std::size_t i = 0; i < here.size(); ++i)
    row(label(key, i, here.size(), epochs), "the notebook", notebook[i], here[i],
        std::abs(here[i] - std::stod(notebook[i])) <= half_unit(notebook[i], digits), digits);
  result_[key] = here;
}

void Page::figure(const std::string& key, const std::string& notebook, double here, int digits) {
  figures(key, {notebook}, {here}, digits);
  result_[key] = here;
}

void Page::same_as_numpy(const std::string& key, const std::vector<double>& numpy,
                         const std::vector<double>& here, std::size_t epochs) {
  if (numpy.size() != here.size())
    throw std::logic_error(key + ": " + std::to_string(numpy.size()) + " figures of NumPy and " +
                           std::to_string(here.size()) + " here");
  const auto same = [&](std::size_t i) { return std::abs(here[i] - numpy[i]) <= 1e-12 * std::abs(numpy[i]); };
  const std::size_t shown = here.size() > 20 ? 3 : here.size();
  std::size_t different = 0;
  for (std::size_t i = 0; i < here.size(); ++i) {
    different += !same(i);
    if (i < shown) row(label(key, i, here.size(), epochs), "NumPy", shortest(numpy[i]), here[i], same(i), 12);
  }
  if (shown < here.size()) {
    std::printf("  ... and %zu more, %zu of them different\n", here.size() - shown, different);
    holds_ &= different == 0;
  }
  result_[key] = here;
  result_[key + "_off_numpy"] = largest_difference(here, numpy);
}

void Page::finite_differences(const autograd::GradcheckReport& report, const std::string& key) {
  std::cout << "  the tape against finite differences: " << report << '\n';
  result_[key] = Json::object();
  result_[key + "_gradcheck"] = {
      {"agrees", bool(report)}, {"entries", report.checked}, {"largest_error", report.largest_error}};
  holds_ &= bool(report);
}

void Page::compare(const std::map<std::string, autograd::Array<double>>& by_tape, const Formulas& formulas,
                   const std::string& key) {
  if (formulas.empty()) return;
  std::printf("\n  %-9s %-12s %22s %22s %14s\n", "parameter", "worst entry", "the tape", "its formula",
              "off by");
  double off_numpy = 0;
  for (const Formula& formula : formulas) {
    const autograd::Array<double>& tape = by_tape.at(formula.parameter);
    const std::vector<double> by_formula = entries(formula.gradient);
    const Judgement found = judge(formula, tape);
    std::printf("  %-9s %-12s %22s %22s %14s   %s\n", formula.parameter.c_str(),
                to_text(unravel(found.worst, tape.shape())).c_str(),
                shortest(tape.data()[found.worst]).c_str(), shortest(by_formula[found.worst]).c_str(),
                rounded(found.right() ? "%.1e %%" : "%.4g %%", 100 * found.error).c_str(),
                found.right() ? "right" : "WRONG");
    result_[key][formula.parameter] = {{"tape", std::vector<double>(tape.data(), tape.data() + tape.size())},
                                       {"notebook", by_formula},
                                       {"largest_relative_error", found.error},
                                       {"right", found.right()},
                                       {"why", formula.why}};
    if (numpy_.contains(key)) {
      const auto numpy = numpy_.at(key).at(formula.parameter).get<std::vector<double>>();
      if (numpy.size() != by_formula.size())
        throw std::logic_error(formula.parameter + ": NumPy's gradient has another size");
      off_numpy = std::max(off_numpy, largest_difference(by_formula, numpy));
    }
  }
  std::printf("  off by: the largest |formula - tape| / |tape| of an entry; WRONG is above 1e-7 %%\n\n");
  if (numpy_.contains(key)) {
    std::printf("  NumPy gives the same for the notebook's formulas: the largest difference is %.1e\n\n",
                off_numpy);
    result_[key + "_off_numpy"] = off_numpy;
    holds_ &= off_numpy < 1e-12;
  }
  for (std::size_t i = 0; i < formulas.size(); ++i) {  // neighbours of one explanation share it
    const bool more = i + 1 < formulas.size() && formulas[i + 1].why == formulas[i].why;
    std::cout << (i > 0 && formulas[i - 1].why == formulas[i].why ? "" : "  ") << formulas[i].parameter
              << (more ? ", " : ": " + formulas[i].why + "\n");
  }
}

void Page::time(std::size_t epochs, const std::function<void()>& train, const std::string& what) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> runs;
  const auto end = Clock::now() + std::chrono::milliseconds(100);
  do {
    const auto start = Clock::now();
    train();
    runs.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  } while (Clock::now() < end || runs.size() < 5);
  const auto middle = runs.begin() + static_cast<std::ptrdiff_t>(runs.size() / 2);
  std::ranges::nth_element(runs, middle);
  const double epoch = *middle / static_cast<double>(epochs);
  std::printf("\ntime: %.2f us for one %s (median of %zu runs of %zu)\n", epoch, what.c_str(), runs.size(),
              epochs);
  result_["microseconds_per_epoch"] = epoch;
}

void Page::draw_losses(const std::string& title, const std::string& loss, const std::vector<Curve>& curves) {
  std::ostringstream script;
  std::string plot;
  const char* const colours[] = {"#0072b2", "#d55e00"};
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const std::string block = "curve" + std::to_string(c);
    support::DataBlock data(block);
    for (std::size_t epoch = 0; epoch < curves[c].losses.size(); ++epoch)
      data.row(epoch, curves[c].losses[epoch]);
    script << data;
    plot += (c ? ", $" : "plot $") + block + " using 1:2 with lines lc rgb '" + colours[c % 2] +
            (c ? "' lw 2 dt (12,12)" : "' lw 4") + " title \"" + curves[c].label + "\"";
  }
  script << "set title \"" << title << "\" noenhanced font ',16'\n"
         << "set logscale y\nset format y '10^{%T}'\nset xlabel 'epoch'\nset ylabel \"" << loss
         << "\" noenhanced\n"
         << "set grid back lc rgb '#dddddd' lt 1\nset border 3 lc rgb '#555555'\n"
         << "set xtics out nomirror\nset ytics out nomirror\nset key "
         << (curves.size() > 1 ? "reverse Left samplen 4" : "off") << '\n'
         << plot << '\n';
  draw(script.str());
}

void Page::draw(const std::string& commands) {
  const std::filesystem::path file = output_ / (name_ + ".svg");
  if (!support::have_gnuplot())
    return say("\npicture: none, since gnuplot was not found (apt-get install gnuplot-nox)");
  try {
    support::draw_svg(file, 800, 450, commands);
  } catch (const std::runtime_error& error) {
    return say(std::string("\npicture: none, since ") + error.what());
  }
  say("\npicture: " + file.string());
  result_["pictures"].push_back(file.string());
}

int Page::finish() {
  result_["holds"] = holds_;
  std::cout << "result " << result_ << std::endl;
  return holds_ && std::cout && !std::ferror(stdout) ? 0 : 1;
}

}  // namespace notebooks
