// The weather forecast: its result as it is run by default, and input that it must refuse.
#include "program.hpp"

TEST_CASE("weather beats ridge regression and persistence on the test year") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "weather", "--output pictures");
  const auto result = run.result();
  CHECK(result.at("cell") == "lstm");
  CHECK(result.at("seeds") == 5);
  CHECK(result.at("epochs") > 0);
  CHECK(result.at("holdout_rmse") > 0);
  CHECK(result.at("rmse_mean") < result.at("ridge"));
  CHECK(result.at("ridge") < result.at("persistence"));
  CHECK(result.at("ridge") < 2.68);
  CHECK(result.at("persistence") ==
        doctest::Approx(2.907).epsilon(0.0003));  // of the data, known without any model
  CHECK(result.at("rmse_std") > 0);
  CHECK(result.at("rmse_std") < 0.03);
  CHECK(result.at("seconds") < 60);
  if (run.out.find("gnuplot was not found") == std::string::npos) {
    CHECK(program::read(folder.path() / "pictures/forecast.svg").find("</svg>") != std::string::npos);
    CHECK(program::read(folder.path() / "pictures/loss.svg").find("</svg>") != std::string::npos);
  }
}

TEST_CASE("weather names the file, the line and the remedy of what it refuses") {
  const test::TemporaryFolder folder;
  const std::string header = "date,precipitation,temp_max,temp_min,wind,weather\n";
  const std::string day = "2012-01-01,0.0,12.8,5.0,4.7,drizzle\n";
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder.path() / name) << text;
  };
  write("truncated.csv", header + day + "2012-01-02,10.9,1");
  write("ends.csv", header + day);
  write("gap.csv", header + day + "2012-01-03,0.8,11.7,7.2,2.3,rain\n");

  const auto refuses = [&](int code, const std::string& arguments, const std::string& message) {
    CAPTURE(arguments);
    const auto run = program::run(folder, "weather", arguments);
    CHECK(run.code == code);
    CHECK_MESSAGE(run.error.find(message) != std::string::npos, run.error);
  };
  refuses(2, "--cell transformer", "--cell");
  refuses(2, "--epochs 0", "--epochs");
  refuses(1, "--data no_such.csv", "no_such.csv: cannot be read");
  refuses(1, "--data truncated.csv", "truncated.csv:3: there are 3 fields");
  refuses(1, "--data ends.csv", "ends.csv:2: the file ends before 2012-01-02");
  refuses(1, "--data gap.csv", "gap.csv:3: this is 2012-01-03 where 2012-01-02 is due");
  refuses(1, "--output gap.csv", "cannot write to the folder \"gap.csv\"");
  refuses(1, "--output gap.csv", "--output DIR");
}
