// Losses against PyTorch 1.13 in float64.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "parity.hpp"

namespace ag = autograd;
using test::Fixture;
using test::kParity;
using Var = ag::Var<double>;

namespace {

bool has(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }

ag::Indices labels(const Fixture& fixture) {
  const std::vector<std::int64_t> target = fixture.integers("target");
  return xt::xarray<std::int64_t>(xt::adapt(target, {target.size()}));
}

}  // namespace

TEST_CASE("mse is the mean of PyTorch's squared errors") {
  const Fixture fixture("loss_mse_none");
  const Var input = ag::variable(fixture["input"]), target = fixture["target"];
  const Var expected = ag::mean(Var(fixture["output"]));
  // the fixture's loss is sum(cot * (input - target)^2)
  const Var gradient =
      Var(fixture["grad.input"]) / Var(fixture["cot.output"]) / static_cast<double>(input.size());
  ag::Tape tape;
  const Var loss = nn::mse(input, target);
  CHECK(test::difference(loss, expected.item()) <= kParity);
  CHECK(test::difference(tape.backward(loss).array(input), gradient.array()) <= kParity);
}

TEST_CASE("cross_entropy gives PyTorch's mean, and its sum from the mean") {
  for (const std::string name : {"loss_cross_entropy_mean", "loss_cross_entropy_sum"}) {
    CAPTURE(name);
    const Fixture fixture(name);
    const double factor = has(name, "_sum") ? static_cast<double>(fixture.integers("target").size()) : 1;
    const Var input = ag::variable(fixture["input"]);
    ag::Tape tape;
    const Var loss = nn::cross_entropy(input, labels(fixture)) * factor;
    CHECK(test::difference(loss, fixture.scalar("loss")) <= kParity);
    CHECK(test::difference(tape.backward(loss).array(input), fixture["grad.input"]) <= kParity);
  }
}

TEST_CASE("cross_entropy of extreme logits gives PyTorch's loss of each row") {
  const Fixture fixture("loss_cross_entropy_extreme_none");
  const Var input = ag::variable(fixture["input"]);
  const std::vector<std::int64_t> target = fixture.integers("target");
  ag::Tape tape;
  Var loss(0);
  for (std::size_t row = 0; row < target.size(); ++row) {
    const Var of_row = nn::cross_entropy(input.slice(row, row + 1), xt::xarray<std::int64_t>{target[row]});
    CHECK(test::difference(of_row, fixture["output"][row]) <= kParity);
    loss = loss + of_row * fixture["cot.output"].data()[row];
  }
  CHECK(test::difference(loss, fixture.scalar("loss")) <= kParity);
  CHECK(test::difference(tape.backward(loss).array(input), fixture["grad.input"]) <= kParity);
}
