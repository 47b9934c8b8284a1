// Notebook 3, first program: equal to NumPy.
#include "examples/notebooks/checks.hpp"

TEST_CASE("batched_forward is equal to the notebook's function in NumPy to 1e-12") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "notebooks/batched_forward");
  const auto result = run.result();
  program::check_equal(result.at("output"),
                       {0.9504176321503708, 0.8575818027749026, 0.9685832622574883, 0.8950003785504173,
                        0.9698887575103958, 0.8971006696450167, 0.969434562564926, 0.8970180598502592,
                        0.9626159768791634, 0.8817921391026686, 0.9678031588099071, 0.8937617687482614,
                        0.9689831410161263, 0.8961349087398637, 0.9691654540651298, 0.8961490349672458},
                       1e-12);
  CHECK(result.at("output_off_numpy") < 1e-12);
  program::check_same(run, "output[15]");
  program::check_gradients(run, {}, 92);  // the notebook derives none
  CHECK(program::contains(run.out, "The notebook derives none"));
  CHECK(result.at("pictures").empty());
}
