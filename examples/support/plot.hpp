// Pictures by gnuplot, through a pipe, as SVG.
#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>

namespace support {

/// Whether the program gnuplot can be run.
inline bool have_gnuplot() { return std::system("command -v gnuplot >/dev/null 2>&1") == 0; }

/// A gnuplot data block: `$name` with one line of blank-separated values for each call of row().
///
///     DataBlock block("days");
///     block.row("2015-01-01", 3.2);       // then: script << block << "plot $days using 1:2 with lines\n"
class DataBlock {
 public:
  explicit DataBlock(const std::string& name) { text_ << "$" << name << " << EOD\n"; }

  template <class... Values>
  void row(const Values&... values) {
    ((text_ << values << ' '), ...) << '\n';
  }

  friend std::ostream& operator<<(std::ostream& out, const DataBlock& block) {
    return out << block.text_.str() << "EOD\n";
  }

 private:
  std::ostringstream text_;
};

/// Draws an SVG file of a size in pixels with gnuplot commands. Throws std::runtime_error if gnuplot fails.
inline void draw_svg(const std::filesystem::path& file, int width, int height, const std::string& commands) {
  std::string quoted;  // a quote within gnuplot's single quotes is doubled
  for (const char c : file.string()) quoted += c == '\'' ? "''" : std::string(1, c);
  std::ostringstream script;
  script << "set terminal svg size " << width << "," << height
         << " enhanced background '#ffffff' font 'sans-serif,14'\n"
         << "set encoding utf8\nset locale 'C'\nset output '" << quoted << "'\n"
         << commands << "\nset output\n";
  const std::string text = script.str();

  // If gnuplot dies, writing to it must be an error here and not the end of this program.
  const auto previous = std::signal(SIGPIPE, SIG_IGN);
  FILE* pipe = popen("gnuplot --default-settings", "w");
  const bool written = pipe && std::fwrite(text.data(), 1, text.size(), pipe) == text.size();
  const bool finished = pipe && pclose(pipe) == 0;
  std::signal(SIGPIPE, previous);
  if (!written || !finished) throw std::runtime_error("gnuplot could not draw " + file.string());
}

}  // namespace support
