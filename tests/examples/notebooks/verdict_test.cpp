// The table over all seven programs.
#include <map>

#include "examples/notebooks/checks.hpp"

TEST_CASE("verdict finds a wrong gradient in four of the six training programs") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "notebooks/verdict");
  const auto result = run.result();
  CHECK(result.at("programs") == 7);
  CHECK(result.at("training_programs") == 6);
  CHECK(result.at("wrong_programs") == 4);
  REQUIRE(result.at("table").size() == 30);
  const std::map<std::string, double> wrong{{"sigmoid_rnn wo", 0.6808815948669735},
                                            {"many_to_one Wx", 5.240811596874404e-07},
                                            {"many_to_one Wh", 1.599384916092311},
                                            {"many_to_one bh", 5.365586594022273e-07},
                                            {"sales_step Wxh", 17.16353707212166},
                                            {"sales_step Whh", 14.433547313547765},
                                            {"sales_step bh", 1.1054688853768257},
                                            {"sales_batches Wxh", 5.996157275012843},
                                            {"sales_batches Whh", 40.61390898874785},
                                            {"sales_batches bh", 2.714625357178295},
                                            {"sales_batches Why", 3},
                                            {"sales_batches by", 3}};
  std::size_t found = 0;
  for (const auto& row : result.at("table")) {
    const std::string program = row.at("program"), parameter = row.at("parameter");
    CAPTURE(program);
    CAPTURE(parameter);
    const auto expected = wrong.find(program + " " + parameter);
    const double error = row.at("largest_relative_error");
    CHECK(row.at("right") == (expected == wrong.end()));
    if (expected == wrong.end()) {
      CHECK(error < 1e-12);
    } else {
      CHECK(std::abs(error - expected->second) < 1e-5 * expected->second);
      ++found;
    }
  }
  CHECK(found == wrong.size());
  CHECK(result.at("gradchecks_that_agree") == 7);
  bool shown = false;
  for (const std::string& line : program::lines_of(run.out, "many_to_one"))
    shown |=
        program::contains(line, " Wh ") && program::contains(line, " WRONG ") && line.ends_with(" 159.9 %");
  CHECK(shown);
  CHECK(run.out.find("4 of the 6 hand-written backward passes get a gradient wrong") != std::string::npos);
}

TEST_CASE("verdict names the program that it cannot run") {
  const test::TemporaryFolder folder;
  std::filesystem::copy_file(UNROLL_EXAMPLES "/notebooks/verdict", folder.path() / "verdict");
  const std::string command = "cd '" + folder.path().string() + "' && ./verdict >stdout 2>stderr";
  CHECK(std::system(command.c_str()) != 0);
  CHECK(program::read(folder.path() / "stderr").find("scalar_rnn is not there") != std::string::npos);
}
