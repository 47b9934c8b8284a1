// Sequential: layers and functions in a row, and the names of their parameters.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "autograd/random_arrays.hpp"
#include "message_of.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

namespace {

constexpr auto relu_layer = [](const auto& x) { return relu(x); };

std::vector<std::string> names(const auto& module) {
  std::vector<std::string> result;
  for (const auto& each : nn::named_parameters(module)) result.push_back(each.first);
  return result;
}

}  // namespace

TEST_CASE("Sequential calls its layers in order") {
  nn::Rng rng(1);
  const nn::Linear<double> first(3, 4, rng), second(4, 2, rng);
  const nn::Sequential mlp(first, relu_layer, second);
  const Var x = test::random_array({5, 3}, 1);
  CHECK(test::difference(mlp(x), second(relu(first(x)))) == 0);
  const ag::GradcheckReport report = nn::gradcheck([&] { return sum(square(mlp(x))); }, mlp);
  CHECK_MESSAGE(report, report);
  CHECK(report.checked == 3 * 4 + 4 + 4 * 2 + 2);
}

TEST_CASE("parameters are named by the places of their layers, as PyTorch names them") {
  nn::Rng rng(1);
  const nn::Sequential inner(nn::Linear<double>(4, 4, rng), relu_layer);
  const nn::Sequential net(nn::Linear<double>(3, 4, rng, false), relu_layer, inner, nn::LayerNorm<double>(4));
  CHECK(names(net) == std::vector<std::string>{"0.weight", "2.0.weight", "2.0.bias", "3.weight", "3.bias"});
  static_assert(std::is_same_v<nn::value_type<decltype(net)>, double>);
  CHECK(net.get<0>().weight.name() == "0.weight");
  CHECK(test::message_of([&] {
          net(ag::zeros<double>({2, 7}));
        }) ==
        "linear: the input of shape (2, 7) has 7 features, and 0.weight of shape (4, 3) (out_features, "
        "in_features) takes 3; make them equal");
}

TEST_CASE("a Sequential of functions has no parameters") {
  const nn::Sequential functions(relu_layer, [](const auto& x) { return x + x; });
  CHECK(names(functions).empty());
  CHECK(functions(ag::Var<float>(-1.f)).item() == 0);
}

TEST_CASE("layers hand on whatever the next one takes") {
  nn::Rng rng(1);
  const nn::Sequential tagger(
      nn::Embedding<double>(6, 3, rng), nn::GRU<double>(3, 4, rng),
      [](const auto& unrolled) { return unrolled.output; }, nn::Linear<double>(4, 2, rng));
  CHECK(tagger(ag::Indices(xt::xarray<int>{{1, 2}, {0, 5}, {3, 3}})).shape() == ag::Shape{3, 2, 2});
  CHECK(names(tagger)[1] == "1.weight_ih_l0");
  const nn::Sequential two_inputs([](const auto& x, const auto& y) { return x * y; }, relu_layer);
  CHECK(two_inputs(Var(2.0), Var(3.0)).item() == 6);
}

TEST_CASE("a clone of a Sequential is trained without the original") {
  nn::Rng rng(1);
  const nn::Sequential net(nn::Linear<double>(3, 4, rng), relu_layer, nn::Linear<double>(4, 1, rng));
  const auto copy = nn::clone(net);
  const Var x = test::random_array({5, 3}, 1);
  const double before = ag::sum(net(x)).item();
  {
    ag::Tape tape;
    nn::SGD<double>(nn::parameters(copy), {.lr = 0.1}).step(tape.backward(ag::sum(copy(x))));
  }
  CHECK(ag::sum(net(x)).item() == before);
  CHECK(ag::sum(copy(x)).item() < before);
}
