// How modules name, share, copy, count, save and load their parameters.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "temporary_folder.hpp"

namespace ag = autograd;
using ag::Array;
using ag::Var;
using Names = std::vector<std::string>;

namespace {

struct Encoder {
  nn::LSTM<> rnn;
  std::vector<nn::Linear<>> layers;
  std::vector<Var<>> scales;
  auto fields(auto&& visit) { visit("rnn", rnn), visit("layers", layers), visit("scales", scales); }
};

struct Model {
  Encoder encoder;
  nn::Linear<> head;
  auto fields(auto&& visit) { visit("encoder", encoder), visit("head", head); }
};

Var<> learned(const ag::Shape& shape, float value) { return ag::variable(Array<float>(shape, value)); }

Model make_model(std::uint32_t seed = 1) {
  nn::Rng rng(seed);
  return {{{2, 3, rng, {.bias = false}},
           {nn::Linear<>(3, 4, rng), nn::Linear<>(4, 5, rng, false)},
           {learned({3}, 1), learned({}, 2)}},
          {5, 1, rng}};
}

const Names kNames = {"encoder.rnn.weight_ih_l0",
                      "encoder.rnn.weight_hh_l0",
                      "encoder.layers.0.weight",
                      "encoder.layers.0.bias",
                      "encoder.layers.1.weight",
                      "encoder.scales.0",
                      "encoder.scales.1",
                      "head.weight",
                      "head.bias"};

template <class M>
Names names(const M& module) {
  Names result;
  for (const auto& [name, parameter] : nn::named_parameters(module)) result.push_back(name);
  return result;
}

template <class T>
bool equal(const Var<T>& a, const Var<T>& b) {
  return a.shape() == b.shape() &&
         std::equal(a.array().data(), a.array().data() + a.size(), b.array().data());
}

template <class M>
bool equal(const M& a, const M& b) {
  const auto pa = nn::parameters(a), pb = nn::parameters(b);
  bool result = pa.size() == pb.size();
  for (std::size_t i = 0; i < pa.size(); ++i) result = result && equal(pa[i], pb[i]);
  return result;
}

}  // namespace

TEST_CASE(
    "parameters are named by their paths, in the order of the fields; a bias that is off is passed over") {
  CHECK(names(make_model()) == kNames);
}

TEST_CASE("built-in layers have PyTorch's names") {
  nn::Rng rng(1);
  const Names cell = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
  const Names layer = {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"};
  CHECK(names(nn::RNNCell<>(2, 3, rng)) == cell);
  CHECK(names(nn::LSTMCell<>(2, 3, rng)) == cell);
  CHECK(names(nn::GRUCell<>(2, 3, rng)) == cell);
  CHECK(names(nn::RNN<>(2, 3, rng)) == layer);
  CHECK(names(nn::LSTM<>(2, 3, rng)) == layer);
  CHECK(names(nn::GRU<>(2, 3, rng)) == layer);
  CHECK(names(nn::Linear<>(2, 3, rng)) == Names{"weight", "bias"});
  CHECK(names(nn::Linear<>(2, 3, rng, false)) == Names{"weight"});
}

TEST_CASE("parameters of several modules come one after the other, in the modules' type") {
  nn::Rng rng(1);
  const nn::GRU<double> rnn(2, 3, rng);
  const nn::Linear<double> head(3, 1, rng);
  const std::vector<Var<double>> all = nn::parameters(rnn, head);
  CHECK(all.size() == 6);
  CHECK(all[0].shape() == ag::Shape{9, 2});
  CHECK(all[5].shape() == ag::Shape{1});
}

TEST_CASE("parameter_count counts numbers") {
  CHECK(nn::parameter_count(make_model()) == 12 * 2 + 12 * 3 + (12 + 4) + 20 + (3 + 1) + (5 + 1));
  nn::Rng rng(1);
  CHECK(nn::parameter_count(nn::LSTM<>(8, 64, rng)) == 4 * 64 * (8 + 64 + 2));
}

TEST_CASE("a constant is refused by its path") {
  Model model = make_model();
  model.encoder.scales[1] = Var<>(2.0f);
  CHECK_THROWS_WITH_AS(
      nn::parameters(model),
      "parameters: encoder.scales.1 of shape () is not a variable, so it cannot be learned; make it "
      "with autograd::variable()",
      ag::Error);
  model.encoder.scales[1] = model.head.weight.detach();
  CHECK_THROWS_AS(nn::parameter_count(model), ag::Error);
  CHECK_THROWS_AS(nn::clone(model), ag::Error);
}

TEST_CASE("a copy of a module shares its parameters, a clone does not") {
  const Model model = make_model();
  const Model copy = model, clone = nn::clone(model);
  CHECK(equal(model, copy));
  CHECK(equal(model, clone));
  CHECK(names(clone) == kNames);
  for (Var<>& parameter : nn::parameters(model)) parameter.update_elements([&](float* w) { w[0] += 1; });
  CHECK(equal(model, copy));
  const auto changed = nn::parameters(model), untouched = nn::parameters(clone);
  for (std::size_t i = 0; i < changed.size(); ++i) {
    CHECK(untouched[i].is_variable());
    CHECK(changed[i].array().data()[0] == untouched[i].array().data()[0] + 1);
  }
}

namespace {
struct Tied {
  using value_type = double;
  std::vector<nn::Linear<double>> layers;
  auto fields(auto&& visit) { visit("layers", layers); }
};
}  // namespace

TEST_CASE("what shares a parameter shares one in a clone") {
  nn::Rng rng(1);
  const std::vector<nn::Linear<double>> layers(2, nn::Linear<double>(2, 2, rng));
  const Tied clone = nn::clone(Tied{layers});
  CHECK(clone.layers[0].weight.array().data() == clone.layers[1].weight.array().data());
  CHECK(clone.layers[0].weight.array().data() != layers[0].weight.array().data());
}

TEST_CASE("gradients of a shared module add up in one parameter, of a clone in its own") {
  nn::Rng rng(1);
  const nn::Linear<double> layer(2, 2, rng), copy = layer, clone = nn::clone(layer);
  const Var<double> x = Array<double>({1, 2}, 1);
  ag::Tape tape;
  const ag::Gradients gradients = tape.backward(ag::sum(layer(x)) + ag::sum(copy(x)) + ag::sum(clone(x)));
  CHECK(gradients.size() == 4);
  CHECK(gradients[layer.bias](0) == 2);
  CHECK(gradients[copy.bias](0) == 2);
  CHECK(gradients[clone.bias](0) == 1);
}

TEST_CASE("an optimiser moves the module that it was made from, and its copies") {
  nn::Rng rng(1);
  const nn::Linear<double> layer(1, 1, rng), copy = layer;
  const double before = layer.bias.item();
  nn::SGD<double> sgd(nn::parameters(layer), {.lr = 0.5});
  {
    ag::Tape tape;
    sgd.step(tape.backward(ag::sum(copy(Var<double>(Array<double>({1, 1}, 1))))));
  }
  CHECK(layer.bias.item() == before - 0.5);
  CHECK(copy.bias.item() == before - 0.5);
}

TEST_CASE("what is saved is what is loaded, to the bit") {
  const test::TemporaryFolder folder;
  const auto file = folder / "model.safetensors";
  const Model model = make_model(1), other = make_model(2);
  CHECK_FALSE(equal(model, other));
  nn::save(file, model);
  const Model sharer = other;
  nn::load(file, other);
  CHECK(equal(model, other));
  CHECK(equal(model, sharer));
  for (const Var<>& parameter : nn::parameters(other)) CHECK(parameter.is_variable());

  Names saved;
  for (const auto& [name, tensor] : nn::read_safetensors(file).tensors) saved.push_back(name);
  Names expected = kNames;
  std::sort(expected.begin(), expected.end());
  CHECK(saved == expected);
}

TEST_CASE("a double module loads what a float module saved, and the other way round") {
  const test::TemporaryFolder folder;
  const auto file = folder / "model.safetensors";
  nn::Rng rng(1);
  const nn::GRU<float> single(2, 3, rng);
  const nn::GRU<double> twice(2, 3, rng);
  nn::save(file, single);
  nn::load(file, twice);
  const auto a = nn::parameters(single);
  const auto b = nn::parameters(twice);
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t k = 0; k < a[i].size(); ++k)
      CHECK(static_cast<double>(a[i].array().data()[k]) == b[i].array().data()[k]);
  nn::save(file, twice);
  nn::load(file, single);
}

TEST_CASE("a file that does not fit is refused with every difference, and changes nothing") {
  const test::TemporaryFolder folder;
  const auto file = folder / "model.safetensors";
  nn::Rng rng(1);
  nn::save(file, nn::Linear<>(2, 3, rng));
  const Model model = make_model(), before = nn::clone(model);
  CHECK_THROWS_WITH_AS(nn::load(file, model), doctest::Contains("encoder.layers.1.weight"), ag::Error);
  CHECK_THROWS_WITH_AS(nn::load(file, model), doctest::Contains("head.bias"), ag::Error);
  CHECK(equal(model, before));

  const nn::Linear<> wide(4, 3, rng), wide_before = nn::clone(wide);
  CHECK_THROWS_WITH_AS(nn::load(file, wide), doctest::Contains("(3, 4)"), ag::Error);
  CHECK(equal(wide, wide_before));
  CHECK_THROWS_AS(nn::load(folder / "none.safetensors", wide), ag::Error);
}

TEST_CASE("a file whose tensors have other names is refused with the names that are missing") {
  nn::Rng rng(1);
  const nn::LSTM<double> layer(2, 3, rng);
  CHECK_THROWS_WITH_AS(nn::load(UNROLL_TESTS_DIR "/fixtures/lstm_l1.safetensors", layer),
                       doctest::Contains("missing: \"weight_ih_l0\""), ag::Error);
}
