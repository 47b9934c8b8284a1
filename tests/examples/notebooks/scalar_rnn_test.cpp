// Notebook 0: every figure to its last printed digit.
#include "examples/notebooks/checks.hpp"

TEST_CASE("scalar_rnn gives the notebook's figures to every printed digit") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "notebooks/scalar_rnn");
  const auto result = run.result();
  const double hidden[] = {0.04995837, 0.12433251, 0.20903903};
  for (std::size_t t = 0; t < 3; ++t)
    CHECK(std::abs(result.at("hidden_states").at(t).get<double>() - hidden[t]) < 5e-9);
  // These were printed in full: as text they name one number each.
  CHECK(result.at("loss").dump() == "0.08378517767647224");
  CHECK(result.at("dL_dWx").dump() == "-0.16062445174417353");
  CHECK(result.at("dL_dWh").dump() == "-0.04615923298359283");
  CHECK(result.at("dL_dbh").dump() == "-0.8041053042318597");
  CHECK(result.at("dL_dWy").dump() == "-0.08233091265892165");
  CHECK(result.at("dL_dby").dump() == "-0.5444467220306203");
  CHECK(result.at("W_x").dump() == "0.5016062445174417");
  CHECK(result.at("W_h").dump() == "0.5004615923298359");
  CHECK(result.at("b_h").dump() == "0.008041053042318596");
  CHECK(result.at("W_y").dump() == "1.0008233091265892");
  CHECK(result.at("b_y").dump() == "0.005444467220306203");
  for (const char* label : {"hidden_states[0]", "loss", "dL_dWx", "dL_dby", "W_x", "b_y"})
    program::check_same(run, label);
  program::check_gradients(run,
                           {{"Wx", 0, "back through Wh"},
                            {"Wh", 0, "back through Wh"},
                            {"bh", 0, "back through Wh"},
                            {"Wy", 0, "y has no memory"},
                            {"by", 0, "1 in place of h"}},
                           5);
  program::check_equal(nlohmann::json::array({result.at("loss_after_1000_updates")}), {0.0008896180817965218},
                       1e-12);  // by NumPy
  program::check_picture(run, folder, "scalar_rnn.svg", {"scalar_rnn: 1,000 updates"});
}

TEST_CASE("a notebook program refuses what it does not know") {
  const test::TemporaryFolder folder;
  CHECK(program::run(folder, "notebooks/scalar_rnn", "--epochs 3").code == 2);
  CHECK(program::run(folder, "notebooks/scalar_rnn", "--help").code == 0);
  std::ofstream(folder.path() / "file") << "in the way";
  const auto run = program::run(folder, "notebooks/scalar_rnn", "--output file");
  CHECK(run.code == 1);
  CHECK(run.error.find("cannot write to the folder \"file\"") != std::string::npos);
}
