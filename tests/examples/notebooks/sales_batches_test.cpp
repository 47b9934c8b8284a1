// Notebook 4, second program: no gradient of it is right.
#include "examples/notebooks/checks.hpp"

TEST_CASE("sales_batches gives NumPy's errors down the formula, others down the gradient, and a forecast") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "notebooks/sales_batches");
  const auto result = run.result();
  program::check_equal(result.at("errors_by_formula"),
                       {7171.128869522656, 6120.015831945664, 5945.770185716248}, 1e-12);
  // By PyTorch 1.13, as are the forecast and the training loss below.
  program::check_equal(result.at("errors_by_gradient"),
                       {7171.128869522656, 6351.92308440767, 6391.1161882880915}, 1e-12);
  program::check_same(run, "errors_by_formula[2]");
  program::check_gradients(run,
                           {{"Wxh", 5.996157275012843, "states 4, 5 and 6"},
                            {"Whh", 40.61390898874785, "states 4, 5 and 6"},
                            {"bh", 2.714625357178295, "states 4, 5 and 6"},
                            {"Why", 3, "4 times"},
                            {"by", 3, "4 times"}},
                           41);
  CHECK(result.at("gradients_off_numpy") < 1e-12);
  program::check_equal(result.at("forecast")["gradient"],
                       {79.70372398888819, 93.32981899093797, 117.76965458513087, 88.57211175486253}, 1e-9);
  program::check_equal(result.at("forecast")["gradient_small_weights"],
                       {120.41397750711026, 107.34016937210394, 114.17225921596714, 123.24815174965859},
                       1e-9);
  program::check_equal(result.at("forecast")["formula"],
                       {115.21991274209624, 110.06307300994891, 110.13513007003117, 126.82552578664222},
                       1e-9);  // by NumPy
  program::check_equal(result.at("forecast")["sales"], {125, 135, 100, 95}, 0);
  program::check_equal(result.at("forecast")["persistence"], {90, 125, 135, 100}, 0);
  const double mean = 1230. / 11;
  program::check_equal(result.at("forecast")["mean"], {mean, mean, mean, mean}, 1e-14);
  const nlohmann::json &loss = result.at("training_loss"), &rmse = result.at("rmse");
  program::check_equal({loss["gradient"], loss["gradient_small_weights"], loss["formula"]},
                       {0.12901612054106157, 0.464480977945995, 0.6359836439165714}, 1e-9);
  program::check_equal(
      {rmse["gradient"], rmse["gradient_small_weights"], rmse["formula"], rmse["persistence"], rmse["mean"]},
      {32.1917496308047, 21.124090756914796, 21.40727322437428, 25.37222891273055, 16.83506523562066}, 1e-9);
  CHECK(program::contains(run.out, "lowers it most, and forecasts worst"));
  // What the notebook printed gives away that two of its gradients are four times too large.
  CHECK(std::abs(result.at("third_error_if_fourfold").get<double>() - 5643.544407327385) < 0.01);
  program::check_equal(nlohmann::json::array({result.at("third_error_if_right")}), {5845.9585}, 1e-7);
  program::check_picture(
      run, folder, "sales_batches.svg",
      {"sales_batches: sales scaled", "training loss", "down the gradient", "down its formula"});
}
