// Attention against loops over its definition, in every layout, and what a query may not see.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <cmath>
#include <functional>
#include <nn/nn.hpp>

#include "autograd/random_arrays.hpp"
#include "message_of.hpp"

namespace ag = autograd;
using test::message_of;
using Array = ag::Array<double>;
using Var = ag::Var<double>;

namespace {

constexpr std::size_t kBatch = 3, kQueries = 2, kKeys = 4, kSize = 5, kValue = 6;

// Batch first.
const Array query = test::random_array({kBatch, kQueries, kSize}, 1),
            key = test::random_array({kBatch, kKeys, kSize}, 2),
            value = test::random_array({kBatch, kKeys, kValue}, 3), v = test::random_array({kSize}, 4);

Var time_first(const Array& x) { return ag::permute(Var(x), {1, 0, 2}); }

double dot_score(const double* q, const double* k) {
  double sum = 0;
  for (std::size_t d = 0; d < kSize; ++d) sum += q[d] * k[d];
  return sum / std::sqrt(static_cast<double>(kSize));
}
double additive_score(const double* q, const double* k) {
  double sum = 0;
  for (std::size_t d = 0; d < kSize; ++d) sum += v.data()[d] * std::tanh(q[d] + k[d]);
  return sum;
}

// Weights (B, Q, S) and output (B, Q, V), by their definitions.
struct Expected {
  Array weights{ag::Shape{kBatch, kQueries, kKeys}, 0}, output{ag::Shape{kBatch, kQueries, kValue}, 0};

  Expected(double (*score)(const double*, const double*),
           const std::function<bool(std::size_t, std::size_t, std::size_t)>& sees) {
    for (std::size_t b = 0; b < kBatch; ++b)
      for (std::size_t q = 0; q < kQueries; ++q) {
        double total = 0;
        double* weight = weights.data() + (b * kQueries + q) * kKeys;
        for (std::size_t s = 0; s < kKeys; ++s) {
          if (!sees(b, q, s)) continue;
          weight[s] = std::exp(score(query[b][q].data(), key[b][s].data()));
          total += weight[s];
        }
        for (std::size_t s = 0; s < kKeys; ++s) {
          weight[s] /= total;
          for (std::size_t n = 0; n < kValue; ++n)
            output.data()[(b * kQueries + q) * kValue + n] += weight[s] * value[b][s].data()[n];
        }
      }
  }
};

using Attend = std::function<nn::Attention<double>(const Var&, const Var&, const Var&,
                                                   const nn::AttentionOptions<double>&)>;
nn::Attention<double> dot(const Var& q, const Var& k, const Var& values,
                          const nn::AttentionOptions<double>& options) {
  return nn::dot_product_attention(q, k, values, options);
}
nn::Attention<double> additive(const Var& q, const Var& k, const Var& values,
                               const nn::AttentionOptions<double>& options) {
  return nn::additive_attention(q, k, values, Var(v), options);
}

void check(const nn::Attention<double>& attention, const Var& output, const Var& weights) {
  CHECK(attention.output.shape() == output.shape());
  CHECK(attention.weights.shape() == weights.shape());
  CHECK(test::difference(attention.output, output) <= 1e-14);
  CHECK(test::difference(attention.weights, weights) <= 1e-14);
  for (std::size_t i = 0; i < weights.size(); ++i)
    CHECK((attention.weights.array().data()[i] == 0) == (weights.array().data()[i] == 0));
}

// In every layout; for one query each, the first is taken.
void check_layouts(const Attend& attend, const Expected& expected, nn::AttentionOptions<double> options,
                   const Var& mask_of_first) {
  const Var weights = expected.weights, output = expected.output;
  const auto first = [](const Var& x) {
    return ag::slice(x, {{}, {0, 1}}).reshape({kBatch, x.shape().back()});
  };
  check(attend(time_first(query), time_first(key), time_first(value), options), time_first(expected.output),
        weights);
  options.batch_first = true;
  check(attend(query, key, value, options), output, weights);
  options.mask = mask_of_first;
  check(attend(first(query), key, value, options), first(output), first(weights));
  options.batch_first = false;
  check(attend(first(query), time_first(key), time_first(value), options), first(output), first(weights));
}

nn::Rng& rng() {
  static nn::Rng generator(1);
  return generator;
}

}  // namespace

TEST_CASE("attention is the weighted mean of the values, in every layout") {
  const auto all = [](std::size_t, std::size_t, std::size_t) { return true; };
  check_layouts(dot, {dot_score, all}, {}, {});
  check_layouts(additive, {additive_score, all}, {}, {});
}

TEST_CASE("keys behind the length of a sequence have weights of exactly 0") {
  const std::vector<std::size_t> lengths{4, 1, 2};
  const auto sees = [&](std::size_t b, std::size_t, std::size_t s) { return s < lengths[b]; };
  check_layouts(dot, {dot_score, sees}, {.lengths = lengths}, {});
  check_layouts(additive, {additive_score, sees}, {.lengths = lengths}, {});
}

TEST_CASE("a mask is broadcast to the weights, and holds beside lengths") {
  const xt::xarray<bool> causal{{true, false, true, false}, {true, true, false, true}};
  const xt::xarray<bool> of_first{true, false, true, false};
  const auto sees = [&](std::size_t, std::size_t q, std::size_t s) { return causal(q, s); };
  check_layouts(dot, {dot_score, sees}, {.mask = causal}, of_first);
  const std::vector<std::size_t> lengths{4, 1, 2};
  const auto both = [&](std::size_t b, std::size_t q, std::size_t s) {
    return causal(q, s) && s < lengths[b];
  };
  check_layouts(additive, {additive_score, both}, {.lengths = lengths, .mask = causal}, of_first);
}

TEST_CASE("a scale of 1 is the plain dot score, and large scores do not overflow") {
  const Var q = query, k = key, values = value;
  const auto plain =
      nn::dot_product_attention(q * std::sqrt(5.0), k, values, {.scale = 1 / 5.0, .batch_first = true});
  CHECK(test::difference(plain.weights,
                         nn::dot_product_attention(q, k, values, {.batch_first = true}).weights) <= 1e-14);
  const auto sharp = nn::dot_product_attention(ag::Var<float>(q.value()), ag::Var<float>(k.value()),
                                               ag::Var<float>(values.value()),
                                               {.lengths = {4, 2, 3}, .scale = 1e6, .batch_first = true});
  const ag::Var<float> sums = ag::sum(sharp.weights, -1);
  for (std::size_t i = 0; i < sums.size(); ++i) CHECK(sums.array().data()[i] == doctest::Approx(1));
}

TEST_CASE("gradients of attention pass to second order, and none reaches what is not seen") {
  const nn::AttentionOptions<double> options{.lengths = {4, 2, 2}, .batch_first = true};
  for (const Attend& attend : {Attend(dot), Attend(additive)}) {
    const auto f = [&](const std::vector<Var>& x) {
      const auto attention = attend(x[0], x[1], x[2], options);
      return ag::sum(square(attention.output)) + ag::sum(square(attention.weights));
    };
    const ag::GradcheckReport report =
        ag::gradcheck(f, {Var(query), Var(key), Var(value)}, {.atol = 1e-7, .order = 2});
    CHECK_MESSAGE(report, report);
    const std::vector<Var> x{ag::variable(query.copy()), ag::variable(key.copy()),
                             ag::variable(value.copy())};
    ag::Tape tape({.detect_anomaly = true});
    const ag::Gradients gradients = tape.backward(f(x));
    for (const Var& each : {x[1], x[2]})
      for (std::size_t s = 0; s < kKeys; ++s) {
        const Var of_key = gradients.array(each)[1][s];
        CHECK((ag::max(abs(of_key)).item() == 0) == (s >= 2));
      }
  }
}

// A decoder that attends at each step, as a user writes it.
struct Decoder {
  using value_type = double;
  nn::GRUCell<double> cell;
  nn::AdditiveAttention<double> attention;
  Var memory, projected;
  std::vector<std::size_t> lengths;

  auto fields(auto&& visit) { visit("cell", cell), visit("attention", attention); }
  Var initial_state(std::size_t batch) const { return cell.initial_state(batch); }
  Var step(const Var& x, const Var& h) const {
    const auto seen = attention.attend(h, projected, memory, {.lengths = lengths});
    return cell.step(cell.project(ag::concat({x, seen.output}, -1)), h);
  }
};

TEST_CASE("an encoder's outputs are keys as they are, and a decoder's state is a query") {
  const nn::GRUCell<double> encoder(2, 3, rng());
  const Var memory = nn::unroll(encoder, Var(test::random_array({4, 2, 2}, 1))).output.detach();  // (S, B, H)
  Decoder decoder{{2 + 3, 3, rng()}, {3, 3, 4, rng()}, memory, {}, {4, 2}};
  CHECK(nn::named_parameters(decoder).back().first == "attention.v");
  const Var x = test::random_array({3, 2, 2}, 2);
  const ag::GradcheckReport report = nn::gradcheck(
      [&] {
        Decoder each = decoder;
        each.projected = decoder.attention.project(memory);
        return sum(square(nn::unroll(each, x).output));
      },
      decoder, {.atol = 1e-7});
  CHECK_MESSAGE(report, report);
  CHECK(report.checked == nn::parameter_count(decoder));

  const Var h = test::random_array({2, 3}, 3);
  const auto once = decoder.attention(h, memory, memory, {.lengths = {4, 2}});
  const auto twice =
      decoder.attention.attend(h, decoder.attention.project(memory), memory, {.lengths = {4, 2}});
  CHECK(test::difference(once.output, twice.output) == 0);
  CHECK(once.weights.shape() == ag::Shape{2, 4});
}

TEST_CASE("mistakes with attention") {
  const auto ones = [](const ag::Shape& shape) { return Var(Array(shape, 1)); };
  const auto message = [&](const ag::Shape& q, const ag::Shape& k, const ag::Shape& values,
                           const nn::AttentionOptions<double>& options = {}) {
    return message_of([&] { nn::dot_product_attention(ones(q), ones(k), ones(values), options); });
  };
  CHECK(message({5}, {4, 3, 5}, {4, 3, 6}) ==
        "dot_product_attention: the query has shape (5,); it must be (batch, features), or (queries, batch, "
        "features) for several (in dot_product_attention)");
  CHECK(message({3, 5}, {3, 5}, {4, 3, 6}) ==
        "dot_product_attention: the key has shape (3, 5); it must be (keys, batch, features) (in "
        "dot_product_attention)");
  CHECK(message({3, 5}, {4, 3, 5}, {2, 3, 6}) ==
        "dot_product_attention: the key has shape (4, 3, 5) and the value (2, 3, 6); there must be one value "
        "for each key, their first two axes equal (in dot_product_attention)");
  CHECK(
      message({3, 5}, {3, 4, 5}, {3, 4, 6}) ==
      "dot_product_attention: the query of shape (3, 5) is for a batch of 3, and the key of shape (3, 4, 5) "
      "for one of 4; keys are (keys, batch, features) here (in dot_product_attention)");
  CHECK(
      message({3, 2}, {4, 3, 5}, {4, 3, 6}) ==
      "dot_product_attention: the query of shape (3, 2) has 2 features and the key of shape (4, 3, 5) has 5; "
      "they must be equal, project one of them (in dot_product_attention)");
  CHECK(message({3, 5}, {0, 3, 5}, {0, 3, 6}) ==
        "dot_product_attention: the key has shape (0, 3, 5), which is no key; at least one is needed (in "
        "dot_product_attention)");
  CHECK(message({3, 5}, {4, 3, 5}, {4, 3, 6}, {.lengths = {4, 4}}) ==
        "dot_product_attention: there are 2 lengths for a batch of 3; give one for each sequence (in "
        "dot_product_attention)");
  CHECK(message({3, 5}, {4, 3, 5}, {4, 3, 6}, {.lengths = {4, 5, 4}}) ==
        "dot_product_attention: the length of sequence 1 is 5, and there are 4 keys; it must be at most that "
        "(in dot_product_attention)");
  CHECK(
      message({2, 3, 5}, {4, 3, 5}, {4, 3, 6}, {.lengths = {4, 0, 4}}) ==
      "dot_product_attention: lengths or mask leave query 0 of sequence 1 no key; each must see at least one "
      "(in dot_product_attention)");
  CHECK(message({2, 3, 5}, {4, 3, 5}, {4, 3, 6}, {.mask = ones({3, 4})}) ==
        "dot_product_attention: the mask has shape (3, 4); it must broadcast to the weights' (3, 2, 4) (in "
        "dot_product_attention)");
  CHECK(message({3, 5}, {4, 3, 5}, {4, 3, 6}, {.scale = NAN}) ==
        "dot_product_attention: scale is nan; it must be finite (in dot_product_attention)");
  CHECK(message_of([&] {
          nn::additive_attention(ones({3, 5}), ones({4, 3, 5}), ones({4, 3, 6}), ones({6}));
        }) ==
        "additive_attention: v has shape (6,); for a query of shape (3, 5) it must be (5,) (in "
        "additive_attention)");
  CHECK(message_of([&] { nn::AdditiveAttention<double>(3, 3, 0, rng()); }) ==
        "Linear: out is 0; it must be at least 1");
}
