// What every notebook program must show beside its own figures.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "examples/program.hpp"

namespace program {

/// A parameter, the largest relative error of the notebook's gradient of it (0: it is right), and words of
/// the reason.
struct Verdict {
  std::string parameter;
  double error;
  std::string why;
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The lines of a text that begin, after blanks, with a word.
inline std::vector<std::string> lines_of(const std::string& text, const std::string& word) {
  std::vector<std::string> found;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const std::size_t at = line.find_first_not_of(' ');
    if (at != std::string::npos && line.compare(at, word.size() + 1, word + " ") == 0) found.push_back(line);
  }
  return found;
}

/// That two lists are equal up to `relative` of each entry.
inline void check_equal(const nlohmann::json& here, const std::vector<double>& expected, double relative) {
  REQUIRE(here.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(here.at(i).get<double>() - expected.at(i)) <= relative * std::abs(expected.at(i)));
  }
}

/// The page's equations are printed, and the verdicts under `key`, in the report and in the table that is
/// read; and the tape agrees with finite differences at as many entries as there are.
inline void check_gradients(const Outcome& run, const std::vector<Verdict>& expected, std::size_t entries,
                            const std::string& key = "gradients") {
  CHECK(contains(run.out, "\n    h_t = "));
  const nlohmann::json result = run.result();
  CHECK(result.at(key).size() == expected.size());
  for (const Verdict& verdict : expected) {
    const std::string& parameter = verdict.parameter;
    CAPTURE(parameter);
    const nlohmann::json& gradient = result.at(key).at(parameter);
    const bool right = verdict.error == 0;
    CHECK(gradient.at("right") == right);
    const double error = gradient.at("largest_relative_error").get<double>();
    if (right)
      CHECK(error < 1e-12);
    else
      CHECK(std::abs(error - verdict.error) < 1e-5 * verdict.error);
    CHECK(contains(gradient.at("why").get<std::string>(), verdict.why));
    CHECK(contains(run.out, verdict.why));
    CHECK(gradient.at("tape").size() == gradient.at("notebook").size());
    bool shown = false;  // there may be more tables than one
    for (const std::string& line : lines_of(run.out, parameter))
      shown |= right ? line.ends_with(" right") : line.ends_with(" WRONG");
    CHECK(shown);
  }
  const nlohmann::json& gradcheck = result.at(key + "_gradcheck");
  CHECK(gradcheck.at("agrees") == true);
  CHECK(gradcheck.at("entries") == entries);
  CHECK(gradcheck.at("largest_error").get<double>() < 1e-8);
  CHECK(contains(run.out, "gradcheck: " + std::to_string(entries) + " entries"));
  CHECK(contains(run.out, "all agree"));
  CHECK_FALSE(contains(run.out, "DIFFERENT"));
  CHECK(result.at("holds") == true);
  CHECK(result.at("microseconds_per_epoch").get<double>() > 0);
  CHECK(result.at("microseconds_per_epoch").get<double>() < 10'000);
}

/// That a row of figures is shown as the same.
inline void check_same(const Outcome& run, const std::string& label) {
  CAPTURE(label);
  const auto lines = lines_of(run.out, label);
  REQUIRE(lines.size() >= 1);
  CHECK(contains(lines.at(0), "  the same"));
}

/// That a picture was drawn with these words in it, where gnuplot is there to draw it.
inline void check_picture(const Outcome& run, const test::TemporaryFolder& folder, const std::string& file,
                          const std::vector<std::string>& words) {
  if (std::system("command -v gnuplot >/dev/null 2>&1") != 0) return;
  CHECK(contains(run.out, "picture: output/" + file));
  CHECK(run.result().at("pictures").at(0) == "output/" + file);
  const std::string picture = read(folder.path() / "output" / file);
  CHECK(contains(picture, "</svg>"));
  for (const std::string& each : words) CHECK_MESSAGE(contains(picture, each), each);
}

}  // namespace program
