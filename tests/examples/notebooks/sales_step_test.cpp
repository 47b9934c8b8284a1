// Notebook 4, first program: saturated from the first step.
#include "examples/notebooks/checks.hpp"

TEST_CASE("sales_step shows the vanished gradient, what scaling does, and which formulas are wrong") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "notebooks/sales_step");
  const auto result = run.result();
  REQUIRE(result.at("hidden_unscaled").size() == 15);
  for (const double h : result.at("hidden_unscaled")) CHECK(std::abs(h) == 1);
  CHECK(result.at("gradient_unscaled") == 0);
  CHECK(result.at("update_off_gradient") < 1e-15);
  // By PyTorch 1.13, except for the zeros.
  const double expected[][2] = {{1, 0},
                                {0.3, 0},
                                {0.1, 0.1360368332072463},
                                {0.03, 9.3386294576399},
                                {0.01, 86.90749766142413},
                                {0.003, 57.91162382666838},
                                {0.001, 23.236961819361355},
                                {0.0003, 9.765839063741439},
                                {0.0001, 3.7999263800134084}};
  REQUIRE(result.at("gradient_by_factor").size() == std::size(expected));
  for (std::size_t i = 0; i < std::size(expected); ++i)
    program::check_equal(result.at("gradient_by_factor").at(i), {expected[i][0], expected[i][1]}, 1e-9);
  // By NumPy 1.24.
  program::check_equal(result.at("updated_Why"),
                       {-0.6122269767112212, -0.4761873018700652, -0.7666064751336872, -0.9246394165128073,
                        -0.5918123558227313},
                       1e-12);
  CHECK(result.at("updated_by").at(0) == doctest::Approx(0.07943377501408783).epsilon(1e-12));
  program::check_same(run, "updated_Why[4]");
  program::check_gradients(run,
                           {{"Wxh", 17.16353707212166, "only the first step's part is left"},
                            {"Whh", 14.433547313547765, "only the first step's part is left"},
                            {"bh", 1.1054688853768257, "only the first step's part is left"},
                            {"Why", 0, "h_3 is its h"},
                            {"by", 0, "1 in place of h"}},
                           41);
  CHECK(result.at("gradients_off_numpy") < 1e-12);
  program::check_picture(run, folder, "sales_step.svg", {"sales_step: inputs of 100"});
}
