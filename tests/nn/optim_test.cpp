// Optimisers and clipping: their recursions, and what they refuse.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <functional>
#include <limits>
#include <nn/nn.hpp>

namespace ag = autograd;
using Var = ag::Var<double>;
using Adam = nn::Adam<double>;
using SGD = nn::SGD<double>;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

Var learned(const std::vector<double>& values) {
  ag::Array<double> array({values.size()});
  std::copy(values.begin(), values.end(), array.data());
  return ag::variable(array);
}

Var constant(const std::vector<double>& values) { return learned(values).detach(); }

std::vector<double> values(const Var& v) { return {v.array().data(), v.array().data() + v.size()}; }

// One step with a given gradient of one parameter.
void step_with(auto& optimiser, const Var& parameter, const std::vector<double>& gradient) {
  ag::Tape tape;
  optimiser.step(tape.backward(ag::sum(parameter * constant(gradient))));
}

template <class Optimiser>
void check_refuses_bad_gradients() {
  for (const double bad : {kNan, kInfinity, -kInfinity}) {
    CAPTURE(bad);
    const Var first = learned({1, 2}), second = learned({3, 4, 5});
    Optimiser optimiser({first, second}, {.lr = 0.1});
    step_with(optimiser, first, {0.5, -0.5});
    const auto a = values(first), b = values(second);
    for (const auto& [of_first, of_second] :
         {std::pair<std::vector<double>, std::vector<double>>{{1, 1}, {1, bad, 1}}, {{bad, 1}, {1, 1, 1}}}) {
      ag::Tape tape;
      const Var loss = ag::sum(first * constant(of_first)) + ag::sum(second * constant(of_second));
      const ag::Gradients gradients = tape.backward(loss);
      CHECK_THROWS_WITH_AS(optimiser.step(gradients),
                           doctest::Contains("is not finite; lower the learning rate"), ag::Error);
      CHECK(values(first) == a);
      CHECK(values(second) == b);
    }
    // Nothing of the bad steps is left in the optimiser: it goes on as one that never saw them.
    const Var twin = learned({1, 2});
    Optimiser fresh({twin}, {.lr = 0.1});
    step_with(fresh, twin, {0.5, -0.5});
    step_with(fresh, twin, {0.25, 1});
    step_with(optimiser, first, {0.25, 1});
    CHECK(values(first) == values(twin));
  }
}

}  // namespace

TEST_CASE("SGD with momentum and weight decay follows its recursion") {
  const std::vector<double> start = {0.5, -1, 2};
  const Var w = learned(start);
  SGD sgd({w}, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01});
  std::vector<double> expected = start, v(3);
  nn::Rng rng(1);
  for (int k = 0; k < 20; ++k) {
    const std::vector<double> g = {rng.normal(), rng.normal(), rng.normal()};
    for (std::size_t i = 0; i < 3; ++i) {
      v[i] = 0.9 * v[i] + g[i] + 0.01 * expected[i];
      expected[i] -= 0.1 * v[i];
    }
    step_with(sgd, w, g);
    for (std::size_t i = 0; i < 3; ++i) CHECK(values(w)[i] == doctest::Approx(expected[i]).epsilon(1e-14));
  }
}

TEST_CASE("Adam with coupled and decoupled decay follows its recursion") {
  for (const auto& [coupled, decoupled] : {std::pair{0.0, 0.0}, {0.1, 0.0}, {0.0, 0.1}, {0.05, 0.02}}) {
    const std::vector<double> start = {0.5, -1, 2};
    const Var w = learned(start);
    Adam adam({w}, {.lr = 0.05, .weight_decay = coupled, .decoupled_weight_decay = decoupled});
    std::vector<double> expected = start, m(3), v(3);
    nn::Rng rng(1);
    for (int t = 1; t <= 20; ++t) {
      const std::vector<double> gradient = {rng.normal(), rng.normal(), rng.normal()};
      for (std::size_t i = 0; i < 3; ++i) {
        expected[i] -= 0.05 * decoupled * expected[i];
        const double g = gradient[i] + coupled * expected[i];
        m[i] = 0.9 * m[i] + (1 - 0.9) * g;
        v[i] = 0.999 * v[i] + (1 - 0.999) * g * g;
        expected[i] -=
            0.05 * (m[i] / (1 - std::pow(0.9, t))) / (std::sqrt(v[i] / (1 - std::pow(0.999, t))) + 1e-8);
      }
      step_with(adam, w, gradient);
      for (std::size_t i = 0; i < 3; ++i) CHECK(values(w)[i] == doctest::Approx(expected[i]).epsilon(1e-12));
    }
  }
}

TEST_CASE("the learning rate may change between steps") {
  const Var w = learned({1});
  SGD sgd({w}, {.lr = 1});
  step_with(sgd, w, {0.25});
  sgd.options.lr = 0.5;
  step_with(sgd, w, {0.25});
  CHECK(w.item() == 1 - 0.25 - 0.125);
}

TEST_CASE("Adam finds the minimum of a quadratic") {
  const Var w = learned({3, -2});
  Adam adam({w}, {.lr = 0.1});
  for (int k = 0; k < 500; ++k) {
    ag::Tape tape;
    adam.step(tape.backward(ag::sum(square(w - constant({1, 2})) * constant({1, 10}))));
  }
  CHECK(values(w)[0] == doctest::Approx(1).epsilon(1e-3));
  CHECK(values(w)[1] == doctest::Approx(2).epsilon(1e-3));
}

TEST_CASE("a parameter that took no part in the loss stays, and keeps its own count of steps") {
  const Var used = learned({1}), late = learned({1});
  Adam adam({used, late}, {.lr = 0.1});
  step_with(adam, used, {0.3});
  CHECK(late.item() == 1);
  step_with(adam, late, {0.3});
  CHECK(late.item() == doctest::Approx(used.item()).epsilon(1e-15));  // both after their first step
}

TEST_CASE("a parameter that is named twice is learned once") {
  const Var w = learned({1, 2});
  SGD sgd({w, learned({3}), w}, {.lr = 0.5});
  step_with(sgd, w, {1, 2});
  CHECK(values(w) == std::vector<double>{0.5, 1});
  Adam adam({w, w}, {.lr = 0.5, .eps = 0});
  step_with(adam, w, {1, 1});
  CHECK(values(w) == std::vector<double>{0, 0.5});
}

TEST_CASE("windows of one variable are learned each by itself") {
  const Var w = learned({1, 2});
  SGD sgd({w.slice(0, 1), w.slice(1, 2)}, {.lr = 0.5});
  step_with(sgd, w, {1, 2});
  CHECK(values(w) == std::vector<double>{0.5, 1});
}

TEST_CASE("no parameter in the loss is an error, as the model was not used") {
  const Var mine = learned({1}), other = learned({1});
  ag::Tape tape;
  const ag::Gradients gradients = tape.backward(ag::sum(square(other)));
  SGD sgd({mine, learned({1})}, {});
  CHECK_THROWS_WITH_AS(sgd.step(gradients),
                       "SGD: none of the 2 parameters took part in the loss; give the gradients of a loss "
                       "that was computed from them",
                       ag::Error);
  Adam adam({mine}, {});
  CHECK_THROWS_WITH_AS(adam.step(gradients),
                       "Adam: none of the 1 parameters took part in the loss; give the gradients of a loss "
                       "that was computed from them",
                       ag::Error);
}

TEST_CASE("a gradient that is not finite changes no parameter") {
  check_refuses_bad_gradients<SGD>();
  check_refuses_bad_gradients<Adam>();
}

TEST_CASE("no parameters, or a constant among them, is an error") {
  CHECK_THROWS_WITH_AS(SGD(std::vector<Var>{}),
                       "SGD: there are no parameters to learn; give it nn::parameters(model)", ag::Error);
  CHECK_THROWS_WITH_AS(Adam(std::vector<Var>{}),
                       "Adam: there are no parameters to learn; give it nn::parameters(model)", ag::Error);
  const char* message = "parameter 1 of shape (2,) is not a variable; make it with autograd::variable()";
  CHECK_THROWS_WITH_AS(SGD({learned({1}), constant({1, 2})}), (std::string("SGD: ") + message).c_str(),
                       ag::Error);
  CHECK_THROWS_WITH_AS(Adam({learned({1}), constant({1, 2})}), (std::string("Adam: ") + message).c_str(),
                       ag::Error);
  CHECK_THROWS_AS(SGD({Var{}}), ag::Error);
  CHECK_THROWS_AS(Adam({Var{}}), ag::Error);
}

TEST_CASE("options that make no sense are named with their range") {
  const std::vector<Var> w = {learned({1})};
  CHECK_THROWS_WITH_AS(SGD(w, {.lr = -1}), "SGD: lr is -1; it must be finite and at least 0", ag::Error);
  CHECK_THROWS_WITH_AS(SGD(w, {.momentum = -0.5}), "SGD: momentum is -0.5; it must be finite and at least 0",
                       ag::Error);
  CHECK_THROWS_WITH_AS(SGD(w, {.weight_decay = kNan}),
                       "SGD: weight_decay is nan; it must be finite and at least 0", ag::Error);
  CHECK_THROWS_WITH_AS(Adam(w, {.lr = kNan}), "Adam: lr is nan; it must be finite and at least 0", ag::Error);
  CHECK_THROWS_WITH_AS(Adam(w, {.beta1 = 1}), "Adam: beta1 is 1; it must be in [0, 1)", ag::Error);
  CHECK_THROWS_WITH_AS(Adam(w, {.beta2 = -0.1}), "Adam: beta2 is -0.1; it must be in [0, 1)", ag::Error);
  CHECK_THROWS_WITH_AS(Adam(w, {.eps = -1}), "Adam: eps is -1; it must be finite and at least 0", ag::Error);
  CHECK_THROWS_WITH_AS(Adam(w, {.weight_decay = -1}),
                       "Adam: weight_decay is -1; it must be finite and at least 0", ag::Error);
  CHECK_THROWS_WITH_AS(Adam(w, {.decoupled_weight_decay = -1}),
                       "Adam: decoupled_weight_decay is -1; it must be finite and at least 0", ag::Error);
  CHECK_THROWS_AS(SGD(w, {.lr = kInfinity}), ag::Error);
  CHECK_THROWS_AS(Adam(w, {.lr = kInfinity}), ag::Error);
}

TEST_CASE("clip_grad_norm refuses what it cannot do and then changes nothing") {
  const Var w = learned({1, 1});
  const auto gradients_of = [&](const std::vector<double>& g) {
    ag::Tape tape;
    return tape.backward(ag::sum(w * constant(g)));
  };
  ag::Gradients good = gradients_of({3, 4});
  for (const double max_norm : {0.0, -1.0, kNan})
    CHECK_THROWS_AS(nn::clip_grad_norm(good, max_norm), ag::Error);
  CHECK_THROWS_WITH_AS(nn::clip_grad_norm(good, 0), "clip_grad_norm: max_norm is 0; it must be positive",
                       ag::Error);
  CHECK(good[w](0) == 3);
  CHECK(nn::clip_grad_norm(good, 1e300) == 5);
  CHECK(good[w](0) == 3);
  CHECK(nn::clip_grad_norm(good, 1) == 5);
  CHECK(good.norm() == doctest::Approx(1).epsilon(1e-6));

  ag::Gradients bad = gradients_of({3, kInfinity});
  CHECK_THROWS_WITH_AS(nn::clip_grad_norm(bad, 1), doctest::Contains("the norm of the gradients is inf"),
                       ag::Error);
  CHECK(bad[w](0) == 3);
}

TEST_CASE("the norm of large gradients does not overflow") {
  const ag::Var<float> w = ag::variable(ag::Array<float>({4}, 1.0f));
  ag::Tape tape;
  ag::Gradients gradients = tape.backward(ag::sum(w * 1e30f));  // its square is above the largest float
  CHECK(nn::clip_grad_norm(gradients, 1) == doctest::Approx(2e30));
  CHECK(gradients.norm() == doctest::Approx(1).epsilon(1e-6));
}
