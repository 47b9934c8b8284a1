// Notebook 1: NumPy's seed 1, and the losses of 1,000 epochs.
#include "examples/notebooks/checks.hpp"

TEST_CASE("sequence_rnn gives the notebook's losses to 10 digits") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "notebooks/sequence_rnn");
  const auto result = run.result();
  program::check_equal({result.at("first_loss"), result.at("loss_after_one_update")},
                       {56.01962908037016, 53.17024697852227}, 5e-11);
  program::check_equal(result.at("losses"),
                       {53.17024697852227, 1.1758970565815385, 0.03515377404884714, 0.005957144536961547,
                        0.0024095217195119053, 0.00099951940562552, 0.0004127753103659227,
                        0.00016994859019575496, 6.983990646036436e-05, 2.8666615553039435e-05},
                       5e-11);
  for (const char* label : {"first_loss", "loss_after_one_update", "epoch 0", "epoch 900"})
    program::check_same(run, label);
  program::check_gradients(run,
                           {{"Wxh", 0, "halves the rate"},
                            {"Whh", 0, "halves the rate"},
                            {"Why", 0, "halves the rate"},
                            {"bh", 0, "halves the rate"},
                            {"by", 0, "halves the rate"}},
                           29);
  program::check_picture(run, folder, "sequence_rnn.svg", {"sequence_rnn: doubling"});
}
