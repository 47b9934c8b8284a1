// Notebook 2: its losses come from a formula that is not the gradient.
#include "examples/notebooks/checks.hpp"

TEST_CASE("sigmoid_rnn gives the notebook's losses down its formula, and others down the gradient") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "notebooks/sigmoid_rnn");
  const auto result = run.result();
  const std::vector<double> printed{0.34250106, 0.03610157, 0.03159182, 0.03063116, 0.02972769,
                                    0.0286496,  0.02734849, 0.02582265, 0.02409911, 0.0222216,
                                    0.02024075, 0.01820815, 0.0161737,  0.01418451, 0.01228353,
                                    0.01050741, 0.00888419, 0.00743158, 0.00615671, 0.0050573};
  REQUIRE(result.at("losses_by_formula").size() == printed.size());
  for (std::size_t i = 0; i < printed.size(); ++i)
    CHECK(std::abs(result.at("losses_by_formula").at(i).get<double>() - printed[i]) <
          5e-9);  // all 8 printed decimals
  // Of the same training with dWy summed, in NumPy 1.24.
  program::check_equal(
      result.at("losses_by_gradient"),
      {0.34250106145579895,  0.030218547339951288, 0.028528168366099865, 0.02728944372945886,
       0.026122702970907415, 0.02501858249940086,  0.023969876089053172, 0.022970751354836796,
       0.02201645714774725,  0.021103092633108306, 0.02022742518202824,  0.019386747477560348,
       0.018578765999357167, 0.017801514464182457, 0.017053286968051105, 0.016332586552703095,
       0.01563808573943574,  0.014968596261058637, 0.014323045795926779, 0.013700459981502832},
      1e-10);
  CHECK(result.at("formula_ahead_from_epoch") == 1002);
  program::check_same(run, "epoch 1900");
  program::check_gradients(run,
                           {{"wx", 0, "each with its own x and h"},
                            {"wh", 0, "each with its own x and h"},
                            {"wo", 0.6808815948669735, "every step overwrites it"},
                            {"bx", 0, "each with its own x and h"},
                            {"by", 0, "each with its own x and h"}},
                           19);
  program::check_picture(run, folder, "sigmoid_rnn.svg",
                         {"sigmoid_rnn: two directions", "down the gradient", "down its formula"});
}
