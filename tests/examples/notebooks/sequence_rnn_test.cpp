// Notebook 1: NumPy's seed 1, and the losses of 1,000 epochs.
#include "examples/notebooks/page.hpp"

TEST_CASE("sequence_rnn gives the notebook's losses to 10 digits") {
  const program::Folder folder;
  const auto run = program::run(folder, "notebooks/sequence_rnn");
  const auto result = run.result();
  program::check_equal({result["first_loss"], result["loss_after_one_update"]},
                       {56.01962908037016, 53.17024697852227}, 5e-11);
  program::check_equal(result["losses"],
                       {53.17024697852227, 1.1758970565815385, 0.03515377404884714, 0.005957144536961547,
                        0.0024095217195119053, 0.00099951940562552, 0.0004127753103659227,
                        0.00016994859019575496, 6.983990646036436e-05, 2.8666615553039435e-05},
                       5e-11);
  program::check_gradients(result, {{"Wxh", 0}, {"Whh", 0}, {"Why", 0}, {"bh", 0}, {"by", 0}});
  program::check_picture(run, folder, "sequence_rnn.svg");
}
