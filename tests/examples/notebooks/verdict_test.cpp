// The table over all seven programs.
#include "examples/notebooks/page.hpp"

TEST_CASE("verdict finds a wrong gradient in four of the six training programs") {
  const program::Folder folder;
  const auto run = program::run(folder, "notebooks/verdict");
  const auto result = run.result();
  CHECK(result["programs"] == 7);
  CHECK(result["training_programs"] == 6);
  CHECK(result["wrong_programs"] == 4);
  REQUIRE(result["table"].size() == 30);
  const std::vector<std::string> wrong{"sigmoid_rnn wo",   "many_to_one Wx",    "many_to_one Wh",
                                       "many_to_one bh",   "sales_step Wxh",    "sales_step Whh",
                                       "sales_step bh",    "sales_batches Wxh", "sales_batches Whh",
                                       "sales_batches bh", "sales_batches Why", "sales_batches by"};
  std::vector<std::string> found;
  for (const auto& row : result["table"]) {
    if (row["right"] == false)
      found.push_back(row["program"].get<std::string>() + " " + row["parameter"].get<std::string>());
    CHECK((row["largest_relative_error"] < 1e-9) == row["right"]);
  }
  CHECK(found == wrong);
  CHECK(run.out.find("4 of the 6 hand-written backward passes get a gradient wrong") != std::string::npos);
}

TEST_CASE("verdict names the program that it cannot run") {
  const program::Folder folder;
  std::filesystem::copy_file(UNROLL_EXAMPLES "/notebooks/verdict", folder.path / "verdict");
  const std::string command = "cd '" + folder.path.string() + "' && ./verdict >stdout 2>stderr";
  CHECK(std::system(command.c_str()) != 0);
  CHECK(program::read(folder.path / "stderr").find("scalar_rnn is not there") != std::string::npos);
}
