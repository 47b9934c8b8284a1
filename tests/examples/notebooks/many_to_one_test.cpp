// Notebook 3, second program: three of its gradients are wrong, and its losses do not show it.
#include "examples/notebooks/page.hpp"

TEST_CASE("many_to_one shows that dWh is off by more than 100 %, and the true gradient") {
  const program::Folder folder;
  const auto run = program::run(folder, "notebooks/many_to_one");
  const auto result = run.result();
  program::check_gradients(result, {{"Wx", 5.240811596874404e-07},
                                    {"Wh", 1.599384916092311},
                                    {"Wy", 0},
                                    {"bh", 5.365586594022273e-07},
                                    {"by", 0}});
  program::check_gradients(result,
                           {{"Wx", 1.188609405500034},
                            {"Wh", 10.71536587762517},
                            {"Wy", 0},
                            {"bh", 0.5379869750366691},
                            {"by", 0}},
                           "gradients_large_weights");
  CHECK(result["gradients_off_numpy"] < 1e-15);
  program::check_equal(
      result["losses_by_formula"],
      {0.9997942243518888, 0.817656798718026, 0.6686781721618978, 0.5468211932262085, 0.44714877706246164,
       0.3656232201971159, 0.298942164830274, 0.2444045060913396, 0.19980077627354173, 0.16332354054109363},
      1e-12);
  // By PyTorch 1.13.
  program::check_equal(result["losses_by_gradient"],
                       {0.9997942243518888, 0.8176567996295946, 0.6686781748288073, 0.5468211987610361,
                        0.4471487867832678, 0.36562323552103515, 0.29894218713897597, 0.24440453658936973,
                        0.1998008158613616, 0.16332358972072508},
                       1e-12);
  CHECK(result["largest_difference_of_losses"] < 5e-7);
  CHECK(result["largest_difference_of_losses"] > 0);
  program::check_picture(run, folder, "many_to_one.svg");
}
