// Notebook 3, second program: three of its gradients are wrong, and its losses do not show it.
#include "examples/notebooks/checks.hpp"

TEST_CASE("many_to_one shows that dWh is off by more than 100 %, and the true gradient") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "notebooks/many_to_one");
  const auto result = run.result();
  program::check_gradients(run,
                           {{"Wx", 5.240811596874404e-07, "1 - tanh(h_3)^2"},
                            {"Wh", 1.599384916092311, "multiplies by h_3 at every step"},
                            {"Wy", 0, "h_3 is its h"},
                            {"bh", 5.365586594022273e-07, "1 - tanh(h_3)^2"},
                            {"by", 0, "1 in place of h"}},
                           22);
  program::check_gradients(run,
                           {{"Wx", 1.188609405500034, "1 - tanh(h_3)^2"},
                            {"Wh", 10.71536587762517, "multiplies by h_3 at every step"},
                            {"Wy", 0, "h_3 is its h"},
                            {"bh", 0.5379869750366691, "1 - tanh(h_3)^2"},
                            {"by", 0, "1 in place of h"}},
                           22, "gradients_large_weights");
  // The true gradient, by PyTorch 1.13.
  program::check_equal(result.at("gradients").at("Wh")["tape"],
                       {-4.856789600621803e-05, -2.048374159517505e-05, -6.317547118253568e-06,
                        -3.0486407985586036e-05, -1.2750864423190349e-05, -4.021845865298482e-06,
                        -4.055117983692045e-05, -1.707091193994961e-05, -5.291466437971965e-06},
                       1e-11);
  CHECK(result.at("gradients_off_numpy") < 1e-15);
  program::check_equal(
      result.at("losses_by_formula"),
      {0.9997942243518888, 0.817656798718026, 0.6686781721618978, 0.5468211932262085, 0.44714877706246164,
       0.3656232201971159, 0.298942164830274, 0.2444045060913396, 0.19980077627354173, 0.16332354054109363},
      1e-12);
  // By PyTorch 1.13.
  program::check_equal(result.at("losses_by_gradient"),
                       {0.9997942243518888, 0.8176567996295946, 0.6686781748288073, 0.5468211987610361,
                        0.4471487867832678, 0.36562323552103515, 0.29894218713897597, 0.24440453658936973,
                        0.1998008158613616, 0.16332358972072508},
                       1e-12);
  program::check_same(run, "epoch 90");
  program::check_equal({result.at("losses_notebook")[0], result.at("losses_notebook")[9]},
                       {0.9995626668420855, 0.16283229743959962}, 0);
  CHECK(result.at("largest_difference_of_losses") < 5e-7);
  CHECK(result.at("largest_difference_of_losses") > 0);
  program::check_picture(run, folder, "many_to_one.svg",
                         {"many_to_one: the answer", "down the gradient", "down its formula"});
}
