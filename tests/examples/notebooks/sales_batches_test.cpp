// Notebook 4, second program: no gradient of it is right.
#include "examples/notebooks/page.hpp"

TEST_CASE("sales_batches gives NumPy's errors down the formula, others down the gradient, and a forecast") {
  const program::Folder folder;
  const auto run = program::run(folder, "notebooks/sales_batches");
  const auto result = run.result();
  program::check_equal(result["errors_by_formula"], {7171.128869522656, 6120.015831945664, 5945.770185716248},
                       1e-12);
  // By PyTorch 1.13, as are the forecast and the training loss below.
  program::check_equal(result["errors_by_gradient"],
                       {7171.128869522656, 6351.92308440767, 6391.1161882880915}, 1e-12);
  program::check_gradients(result, {{"Wxh", 5.996157275012843},
                                    {"Whh", 40.61390898874785},
                                    {"bh", 2.714625357178295},
                                    {"Why", 3},
                                    {"by", 3}});
  CHECK(result["gradients_off_numpy"] < 1e-12);
  program::check_equal(result["forecast"]["gradient"],
                       {79.70372398888819, 93.32981899093797, 117.76965458513087, 88.57211175486253}, 1e-9);
  CHECK(result["training_loss"] == doctest::Approx(0.12901612054106157).epsilon(1e-9));
  CHECK(result["training_loss_by_formula"] == doctest::Approx(0.6359836439165714).epsilon(1e-9));  // by NumPy
  CHECK(result["rmse"]["gradient"] == doctest::Approx(32.1917496308047));
  CHECK(result["rmse"]["persistence"] == doctest::Approx(25.37222891273055));
  CHECK(result["rmse"]["mean"] == doctest::Approx(16.83506523562066));
  // What the notebook printed gives away that two of its gradients are four times too large.
  CHECK(std::abs(result["third_error_if_fourfold"].get<double>() - 5643.544407327385) < 0.01);
  CHECK(result["third_error_if_right"] > 5800);
  program::check_picture(run, folder, "sales_batches.svg");
}
