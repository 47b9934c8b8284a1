// What every notebook program must show beside its own figures.
#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "examples/program.hpp"

namespace program {

/// A parameter, and the largest relative error of the notebook's gradient of it: 0 if it is right.
using Verdicts = std::vector<std::pair<std::string, double>>;

/// The verdicts under `key`, and that the tape agrees with finite differences.
inline void check_gradients(const nlohmann::json& result, const Verdicts& expected,
                            const std::string& key = "gradients") {
  CHECK(result.at(key).size() == expected.size());
  for (const auto& [parameter, error] : expected) {
    CAPTURE(parameter);
    const nlohmann::json& gradient = result.at(key).at(parameter);
    CHECK(gradient.at("right") == (error == 0));
    if (error == 0)
      CHECK(gradient.at("largest_relative_error") < 1e-12);
    else
      CHECK(gradient.at("largest_relative_error") == doctest::Approx(error).epsilon(1e-6));
    CHECK(gradient.at("why").get<std::string>().size() > 20);
    CHECK(gradient.at("tape").size() == gradient.at("notebook").size());
  }
  CHECK(result.at(key + "_gradcheck").at("agrees") == true);
  CHECK(result.at(key + "_gradcheck").at("entries") > 0);
  CHECK(result.at(key + "_gradcheck").at("largest_error") < 1e-8);
}

/// That two lists are equal up to `relative` of each entry (of the largest, if so asked).
inline void check_equal(const nlohmann::json& here, const std::vector<double>& expected, double relative) {
  REQUIRE(here.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(here[i].get<double>() - expected[i]) <= relative * std::abs(expected[i]));
  }
}

/// That a picture was drawn, where gnuplot is there to draw it.
inline void check_picture(const Outcome& run, const Folder& folder, const std::string& file) {
  if (run.out.find("gnuplot was not found") != std::string::npos) return;
  CHECK(run.out.find("picture: output/" + file) != std::string::npos);
  CHECK(run.result().at("pictures").at(0) == "output/" + file);
  const std::string picture = read(folder.path / "output" / file);
  CHECK(picture.find("</svg>") != std::string::npos);
  CHECK(picture.find(file.substr(0, file.find('.')) + ": ") !=
        std::string::npos);  // the title, as it was given
}

}  // namespace program
