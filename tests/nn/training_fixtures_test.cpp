// Optimisers, clipping, training and derivatives of derivatives against PyTorch 1.13 in float64.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "parity.hpp"

namespace ag = autograd;
using test::Fixture;
using test::kParity;
using Var = ag::Var<double>;
using Adam = nn::Adam<double>;
using SGD = nn::SGD<double>;

namespace {

// Ten steps on mse(tanh(x W^T + b), y), with one optimiser for the weight and the bias or one for each.
template <class Optimiser>
void check_optimiser(const std::string& name, std::vector<typename Optimiser::Options> options) {
  CAPTURE(name);
  const Fixture fixture(name);
  const Var x = fixture["x"], y = fixture["y"];
  const Var weight = ag::variable(fixture["param.weight"]), bias = ag::variable(fixture["param.bias"]);
  std::vector<Optimiser> optimisers;
  if (options.size() == 1)
    optimisers.emplace_back(std::vector{weight, bias}, options[0]);
  else
    optimisers.emplace_back(std::vector{weight}, options[0]),
        optimisers.emplace_back(std::vector{bias}, options[1]);
  for (std::size_t k = 0; k < fixture["loss_steps"].size(); ++k) {
    CAPTURE(k);
    ag::Tape tape;
    const Var loss = nn::mse(tanh(ag::linear(x, weight, bias)), y);
    CHECK(test::difference(loss, fixture["loss_steps"][k]) <= kParity);
    const ag::Gradients gradients = tape.backward(loss);
    CHECK(test::difference(gradients.array(weight), fixture["weight_grads"][k]) <= kParity);
    CHECK(test::difference(gradients.array(bias), fixture["bias_grads"][k]) <= kParity);
    for (Optimiser& optimiser : optimisers) optimiser.step(gradients);
    CHECK(test::difference(weight, fixture["weight_steps"][k]) <= kParity);
    CHECK(test::difference(bias, fixture["bias_steps"][k]) <= kParity);
  }
}

// A recurrent layer with a linear readout, under the names of the fixtures.
template <class Layer>
struct Model {
  using value_type = double;
  Layer rnn;
  nn::Linear<double> head;
  auto fields(auto&& visit) { visit("rnn", rnn), visit("head", head); }
};

}  // namespace

TEST_CASE("every step of an optimiser is PyTorch's") {
  check_optimiser<SGD>("opt_sgd", {{.lr = 0.1}});
  check_optimiser<SGD>("opt_sgd_weight_decay", {{.lr = 0.1, .weight_decay = 0.05}});
  check_optimiser<Adam>("opt_adam_betas_eps", {{.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3}});
  check_optimiser<Adam>("opt_adam_groups", {{.lr = 0.05}, {.lr = 0.005, .beta1 = 0.5, .beta2 = 0.9}});
  check_optimiser<Adam>("opt_adamw", {{.lr = 0.05, .decoupled_weight_decay = 0.01}});
  check_optimiser<Adam>("opt_adamw_weight_decay", {{.lr = 0.05, .decoupled_weight_decay = 0.1}});
}

TEST_CASE("clip_grad_norm scales the gradients as PyTorch does") {
  for (const std::string name : {"clip_grad_norm_l2_clips", "clip_grad_norm_l2_noop"}) {
    CAPTURE(name);
    const double max_norm = name.ends_with("clips") ? 0.5 : 1000;
    const Fixture fixture(name);
    std::vector<Var> parameters;
    ag::Tape tape;
    Var loss(0);  // its gradients are grad_before
    for (const char* index : {"0", "1", "2"}) {
      const Var gradient = fixture[std::string("grad_before.") + index];
      parameters.push_back(ag::variable(ag::Array<double>(gradient.shape(), 0)));
      loss = loss + ag::sum(parameters.back() * gradient);
    }
    ag::Gradients gradients = tape.backward(loss);
    const double norm = nn::clip_grad_norm(gradients, max_norm);
    CHECK(std::abs(norm - fixture.scalar("total_norm")) <= kParity * std::max(1.0, norm));
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(test::difference(gradients.array(parameters[i]), fixture["grad_after." + std::to_string(i)]) <=
            kParity);
  }
}

TEST_CASE("truncated backpropagation with a detached state trains as PyTorch does") {
  const Fixture fixture("truncated_bptt");
  nn::Rng rng(1);
  const Model<nn::LSTM<double>> model{{2, 4, rng}, {4, 1, rng}};
  test::set_parameters(fixture, model);
  SGD sgd(nn::parameters(model), {.lr = 0.1});
  const Var x = fixture["input"], y = fixture["target"];
  nn::Stateful lstm(model.rnn);
  const nn::Windows windows = nn::windows(x.shape(0), 5);
  CHECK(windows.size() == fixture["losses"].size());
  for (const nn::Window& window : windows) {
    CAPTURE(window.index);
    ag::Tape tape;
    const Var output = lstm(x.slice(window.begin, window.end)).output;
    const Var loss = nn::mse(model.head(output), y.slice(window.begin, window.end));
    CHECK(test::difference(loss, fixture["losses"][window.index]) <= kParity);
    sgd.step(tape.backward(loss));
  }
  test::check_parameters(fixture, model, "final.");
}

TEST_CASE("two LSTM layers trained with Adam and clipping follow PyTorch's thirty steps") {
  const Fixture fixture("train_adam_clip_lstm");
  nn::Rng rng(1);
  const Model<nn::LSTM<double>> model{{3, 5, rng, {.num_layers = 2}}, {5, 2, rng}};
  test::set_parameters(fixture, model);
  Adam adam(nn::parameters(model), {.lr = 0.02});
  const Var x = fixture["input"], y = fixture["target"];
  for (std::size_t k = 0; k < fixture["losses"].size(); ++k) {
    CAPTURE(k);
    ag::Tape tape;
    const Var loss = nn::mse(model.head(model.rnn(x).output), y);
    CHECK(test::difference(loss, fixture["losses"][k]) <= kParity);
    ag::Gradients gradients = tape.backward(loss);
    CHECK(std::abs(nn::clip_grad_norm(gradients, 0.25) - fixture["grad_norms"].data()[k]) <= kParity);
    adam.step(gradients);
  }
  test::check_parameters(fixture, model, "final.");
}

TEST_CASE("a penalty on the gradient of an RNN's inputs has PyTorch's gradients") {
  const Fixture fixture("gradient_penalty_rnn_tanh");
  nn::Rng rng(1);
  const Model<nn::RNN<double>> model{{3, 4, rng}, {4, 1, rng}};
  test::set_parameters(fixture, model);
  const Var x = ag::variable(fixture["input"]);
  ag::Tape tape;
  const Var score = ag::sum(model.head(model.rnn(x).state));
  CHECK(test::difference(score, fixture.scalar("score")) <= kParity);
  const Var slope = ag::grad(score, x, {.create_graph = true});
  CHECK(test::difference(slope, fixture["input_grad"]) <= kParity);
  const Var norms = sqrt(ag::sum(square(slope), {0, 2}));
  CHECK(test::difference(norms, fixture["norms"]) <= kParity);
  const Var penalty = ag::mean(square(norms - 1));
  CHECK(test::difference(penalty, fixture.scalar("penalty")) <= kParity);
  const Var loss = score + 10 * penalty;
  CHECK(test::difference(loss, fixture.scalar("loss")) <= kParity);
  const ag::Gradients gradients = tape.backward(loss);
  CHECK(test::difference(gradients.array(x), fixture["grad.input"]) <= kParity);
  test::check_gradients(fixture, model, gradients);
}

TEST_CASE("the Hessian of a GRU's loss times a vector is PyTorch's") {
  const Fixture fixture("hvp_gru");
  nn::Rng rng(1);
  const Model<nn::GRU<double>> model{{2, 3, rng}, {3, 2, rng}};
  test::set_parameters(fixture, model);
  ag::Tape tape;
  const Var loss = nn::mse(model.head(model.rnn(Var(fixture["input"])).output), Var(fixture["target"]));
  CHECK(test::difference(loss, fixture.scalar("loss")) <= kParity);
  const auto named = nn::named_parameters(model);
  const std::vector<Var> first = ag::grad(loss, nn::parameters(model), {.create_graph = true});
  Var along(0);
  for (std::size_t i = 0; i < named.size(); ++i) {
    INFO(named[i].first);
    CHECK(test::difference(first[i], fixture["grad.param." + named[i].first]) <= kParity);
    along = along + ag::sum(first[i] * Var(fixture["v." + named[i].first]));
  }
  test::check_gradients(fixture, model, tape.backward(along), "hv.");
}

TEST_CASE("three derivatives in a row are PyTorch's") {
  const Fixture fixture("third_derivative");
  const Var x = ag::variable(fixture["x"]);
  ag::Tape tape;
  Var y = tanh(1.3 * x) * sigmoid(x) + exp(-square(x));
  CHECK(test::difference(y, fixture["y"]) <= kParity);
  for (const char* name : {"d1", "d2", "d3"}) {
    y = ag::grad(ag::sum(y), x, {.create_graph = true});
    CAPTURE(name);
    CHECK(test::difference(y, fixture[name]) <= 1e-8);
  }
}
