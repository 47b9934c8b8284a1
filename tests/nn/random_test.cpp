// The generator is NumPy's legacy one, number for number.
#include <doctest/doctest.h>

#include <algorithm>
#include <autograd/autograd.hpp>
#include <nn/random.hpp>
#include <nn/safetensors.hpp>

using nn::Rng;

// The fixture is NumPy's own output: numpy.random.seed(s), and then 1,000 numbers
// (tests/fixtures/numpy_random.py).
TEST_CASE("the first 1,000 normals and uniforms are NumPy's, to the bit") {
  const auto file = nn::read_safetensors(UNROLL_TESTS_DIR "/fixtures/numpy_random.safetensors");
  for (const std::uint32_t seed : {0u, 1u, 4294967295u}) {
    CAPTURE(seed);
    const auto expected = [&](const std::string& name) {
      const std::string key = name + "." + std::to_string(seed);
      return nn::to_array<double>(file.tensors.at(key), key);
    };
    const auto normals = expected("randn"), uniforms = expected("random_sample");
    REQUIRE(normals.size() == 1000);
    REQUIRE(uniforms.size() == 1000);
    Rng normal(seed), uniform(seed);
    std::size_t same = 0;
    for (std::size_t i = 0; i < 1000; ++i)
      same += (normal.normal() == normals.data()[i]) + (uniform.uniform() == uniforms.data()[i]);
    CHECK(same == 2000);
  }
}

TEST_CASE("normals and uniforms mix as in NumPy: the spare normal waits") {
  Rng rng(7);  // random_sample(3), randn(3), random_sample(), randn()
  for (const double expected : {0.07630828937395717, 0.7799187922401146, 0.4384092314408935})
    CHECK(rng.uniform() == expected);
  for (const double expected : {0.09316606097975175, 3.200914709117712, -0.1569886595634109})
    CHECK(rng.normal() == expected);
  CHECK(rng.uniform() == 0.49988250082555996);
  CHECK(rng.normal() == -0.2901313829291646);
}

TEST_CASE("the 10,000th uniform is NumPy's") {
  Rng rng(0);
  for (int k = 0; k < 9999; ++k) rng.uniform();
  CHECK(rng.uniform() == 0.8135750799512289);
}

TEST_CASE("a copy goes on as the original does") {
  Rng rng(3);
  rng.normal();
  Rng copy = rng;
  for (int k = 0; k < 5; ++k) CHECK(copy.normal() == rng.normal());
}

TEST_CASE("uniform of a range stays in it") {
  Rng rng(4);
  double low = 1, high = -1;
  for (int k = 0; k < 10'000; ++k) {
    const double u = rng.uniform(-0.25, 0.5);
    low = std::min(low, u), high = std::max(high, u);
  }
  CHECK(low >= -0.25);
  CHECK(low < -0.249);
  CHECK(high < 0.5);
  CHECK(high > 0.499);
}

TEST_CASE("below gives every number equally often") {
  Rng rng(5);
  constexpr std::size_t kBound = 7, kDraws = 70'000;
  std::vector<double> count(kBound);
  for (std::size_t k = 0; k < kDraws; ++k) ++count.at(rng.below(kBound));
  double chi2 = 0;
  for (const double c : count) chi2 += (c - 1e4) * (c - 1e4) / 1e4;
  CHECK(chi2 < 22.5);  // 6 degrees of freedom: exceeded once in 1000 seeds
  CHECK(rng.below(1) == 0);
  CHECK_THROWS_WITH_AS(rng.below(0), "Rng::below: the bound is 0; it must be at least 1", autograd::Error);
}

TEST_CASE("below reaches the upper half of large ranges") {
  Rng rng(6);
  const std::size_t bound = std::size_t{3} << 62;  // not a power of two
  std::size_t upper = 0;
  for (int k = 0; k < 1000; ++k) {
    const std::size_t draw = rng.below(bound);
    CHECK(draw < bound);
    upper += draw >= bound / 2;
  }
  CHECK(upper > 420);
  CHECK(upper < 580);
}

TEST_CASE("permutation is one, and all are equally likely") {
  Rng rng(8);
  for (const std::size_t n : {0, 1, 2, 17, 1000}) {
    std::vector<std::size_t> order = rng.permutation(n);
    REQUIRE(order.size() == n);
    std::sort(order.begin(), order.end());
    for (std::size_t i = 0; i < n; ++i) CHECK(order[i] == i);
  }
  std::vector<double> count(27);
  for (int k = 0; k < 6000; ++k) {
    const auto order = rng.permutation(3);
    ++count[order[0] * 9 + order[1] * 3 + order[2]];
  }
  double chi2 = 0;
  std::size_t seen = 0;
  for (const double c : count)
    if (c > 0) chi2 += (c - 1000) * (c - 1000) / 1000, ++seen;
  CHECK(seen == 6);
  CHECK(chi2 < 20.6);  // 5 degrees of freedom: exceeded once in 1000 seeds
}
