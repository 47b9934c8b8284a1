// A batch in parts on several threads has the gradients of the batch.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/data_parallel.hpp>
#include <nn/nn.hpp>

#include <atomic>

#include "../autograd/random_arrays.hpp"
#include "../message_of.hpp"

namespace ag = autograd;

namespace {

constexpr std::size_t kSteps = 4, kFeatures = 3, kHidden = 5;

struct Model {
  using value_type = double;
  nn::LSTMCell<double> cell;
  nn::Linear<double> head;

  explicit Model(nn::Rng& rng) : cell(kFeatures, kHidden, rng), head(kHidden, 2, rng) {}
  auto fields(auto&& visit) { visit("cell", cell), visit("head", head); }

  ag::Var<double> loss(const ag::Var<double>& x, const ag::Var<double>& y, std::size_t begin,
                       std::size_t end) const {
    const auto part = [&](const ag::Var<double>& all) { return ag::slice(all, {{}, {begin, end}}); };
    return nn::mse(head(nn::unroll(cell, part(x)).output), part(y));
  }
};

struct Data {
  ag::Var<double> x, y;
  explicit Data(std::size_t batch)
      : x(test::random_array({kSteps, batch, kFeatures}, 1)), y(test::random_array({kSteps, batch, 2}, 2)) {}
};

}  // namespace

TEST_CASE("the gradients of parts on threads add up to those of the batch") {
  nn::Rng rng(1);
  Model model(rng);
  const std::vector<ag::Var<double>> parameters = nn::parameters(model);
  for (const std::size_t threads : {1, 2, 3, 5}) {
    nn::DataParallel parallel(threads);
    CHECK(parallel.threads() == threads);
    for (const std::size_t batch : {1, 2, 7, 7, 12}) {
      CAPTURE(threads);
      CAPTURE(batch);
      const Data data(batch);
      const auto [loss, gradients] = parallel.backward(
          batch, [&](std::size_t begin, std::size_t end) { return model.loss(data.x, data.y, begin, end); });
      ag::Tape tape;
      const ag::Var<double> whole = model.loss(data.x, data.y, 0, batch);
      const ag::Gradients expected = tape.backward(whole);
      CHECK(loss == doctest::Approx(whole.item()).epsilon(1e-14));
      CHECK(gradients.size() == expected.size());
      for (const ag::Var<double>& parameter : parameters)
        CHECK(test::difference(gradients.array(parameter), expected.array(parameter)) <= 1e-14);
    }
  }
}

TEST_CASE("parts are as equal as can be, and none is empty") {
  nn::DataParallel parallel(4);
  const ag::Var<double> w = ag::variable(2.0);
  for (const std::size_t samples : {1, 3, 4, 10}) {
    std::atomic<std::size_t> seen = 0, largest = 0, smallest = samples, parts = 0;
    const auto [loss, gradients] = parallel.backward(samples, [&](std::size_t begin, std::size_t end) {
      ++parts;
      seen += end - begin;
      for (std::size_t now = largest;
           end - begin > now && !largest.compare_exchange_weak(now, end - begin);) {
      }
      for (std::size_t now = smallest;
           end - begin < now && !smallest.compare_exchange_weak(now, end - begin);) {
      }
      return w * w;
    });
    CHECK(seen == samples);
    CHECK(parts == std::min<std::size_t>(4, samples));
    CHECK(smallest >= 1);
    CHECK(largest - smallest <= 1);
    CHECK(loss == doctest::Approx(4));
    CHECK(gradients[w]() == doctest::Approx(4));
  }
}

TEST_CASE("a variable that only one part uses has its gradient") {
  nn::DataParallel parallel(3);
  const ag::Var<double> a = ag::variable(2.0), b = ag::variable(3.0), c = ag::variable(5.0);
  const auto [loss, gradients] = parallel.backward(3, [&](std::size_t begin, std::size_t) {
    return begin == 0 ? square(a) : begin == 1 ? b * c : a * b;
  });
  CHECK(loss == doctest::Approx((4 + 15 + 6) / 3.0));
  CHECK(gradients.size() == 3);
  CHECK(gradients[a]() == doctest::Approx((2 * 2 + 3) / 3.0));
  CHECK(gradients[b]() == doctest::Approx((5 + 2) / 3.0));
  CHECK(gradients[c]() == doctest::Approx(3 / 3.0));
}

TEST_CASE("in training each part has random numbers of its own, and the same ones again") {
  nn::DataParallel parallel(2);
  const ag::Var<double> w = ag::variable(ag::Array<double>({64}, 1.0));
  const auto masks = [&](std::uint32_t seed) {
    nn::Rng rng(seed);
    const nn::Training training(rng);
    const auto result = parallel.backward(2, [&](std::size_t begin, std::size_t) {
      const ag::Var<double> kept = nn::dropout(w, 0.5);
      return ag::sum(begin ? 1000.0 * kept : kept);
    });
    return test::numbers(result.gradients.array(w));
  };
  const std::vector<double> one = masks(1);
  CHECK(one == masks(1));
  CHECK(one != masks(2));
  std::size_t alike = 0;
  for (const double g : one) alike += g == 0 || g == 1001;
  CHECK(alike > 0);
  CHECK(alike < 64);  // else both parts have dropped the same

  const nn::Evaluation evaluation;
  const auto result =
      parallel.backward(2, [&](std::size_t, std::size_t) { return ag::sum(nn::dropout(w, 0.5)); });
  CHECK(test::numbers(result.gradients.array(w)) == std::vector<double>(64, 1.0));
}

TEST_CASE("what goes wrong in a part is thrown") {
  nn::DataParallel parallel(2);
  const ag::Var<double> w = ag::variable(ag::Array<double>({2}, 1.0));
  const auto parts = [&](auto first, auto second) {
    return [=](std::size_t begin, std::size_t) { return begin ? second() : first(); };
  };
  const auto good = [&] { return ag::sum(w); };
  const auto vector = [&] { return w * w; };
  const auto random = [&] { return ag::sum(nn::dropout(w, 0.5)); };
  CHECK(test::message_of([&] {
          parallel.backward(2, parts(good, vector));
        }).find("backward: the loss has shape (2,)") != std::string::npos);
  CHECK(test::message_of([&] {
          parallel.backward(2, parts(vector, good));
        }).find("backward: the loss has shape (2,)") != std::string::npos);
  CHECK(test::message_of([&] {
          parallel.backward(2, parts(good, random));
        }).find("neither training nor evaluation") != std::string::npos);
  CHECK(test::message_of([&] { parallel.backward(0, parts(good, good)); }) ==
        "DataParallel: samples is 0; it must be at least 1");
  CHECK(test::numbers(parallel.backward(2, parts(good, good)).gradients.array(w)) ==
        std::vector<double>{1, 1});
}
