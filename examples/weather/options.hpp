// The command line.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace weather {

struct Options {
  std::string cell = "lstm";
  std::uint32_t seed = 1;
  std::size_t seeds = 5;
  std::size_t epochs = 0;  ///< 0: chosen on the hold-out year
  std::filesystem::path data = UNROLL_EXAMPLES_DIR "/data/seattle-weather.csv";
  std::filesystem::path output = "output";
};

/// Reads the options. On --help or a mistake it prints what is due and gives the exit code.
inline std::optional<int> read_options(int argc, char** argv, Options& options) {
  CLI::App app(
      "Forecasts tomorrow's maximum temperature in Seattle from the 14 days before with a recurrent "
      "network.\n"
      "Fits on 2012-2014 and tests on 2015; 2014 is held out first to choose the number of epochs.");
  app.add_option("--cell", options.cell, "recurrent cell: rnn, gru, lstm or mgu (written in the example)")
      ->type_name("CELL")
      ->check(CLI::IsMember({"rnn", "gru", "lstm", "mgu"}))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "first of the seeds")
      ->type_name("N")
      ->check(CLI::Range(0, 1000000000))
      ->capture_default_str();
  app.add_option("--seeds", options.seeds, "number of models, each with a seed of its own")
      ->type_name("N")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--epochs", options.epochs,
                 "train for so many epochs (default: what is best on 2014, of up to 30)")
      ->type_name("N")
      ->check(CLI::Range(1, 10000));
  app.add_option("--data", options.data, "daily weather as CSV")->type_name("FILE")->capture_default_str();
  app.add_option("--output", options.output, "folder for the pictures, made if needed")
      ->type_name("DIR")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

}  // namespace weather
