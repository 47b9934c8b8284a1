// What is promised in evaluation.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "../../fixture.hpp"
#include "runs.hpp"

namespace test {

namespace {

// The same sums in another order: BLAS adds in another one for each size of a product. A normalisation over
// three units divides by a deviation, which may be small, so not quite the last digits are the same.
constexpr double kRounding = 1e-11;

// The largest difference of two lists of arrays.
double difference(const Arrays<double>& a, const Arrays<double>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, test::difference(a[i], b[i]));
  return most;
}

// Calls f(element of a, element of its part) for all within entry `index` of an axis, with that axis of
// extent 1 in the part.
void over_entry(auto& a, auto& part, std::size_t axis, std::size_t index, const auto& f) {
  const std::size_t outer = a.shape().prefix(axis).size(), inner = a.shape().suffix(axis + 1).size();
  for (std::size_t i = 0; i < outer; ++i)
    for (std::size_t k = 0; k < inner; ++k)
      f(a.data()[(i * a.shape()[axis] + index) * inner + k], part.data()[i * inner + k]);
}

ag::Array<double> entry(const ag::Array<double>& a, std::size_t axis, std::size_t index) {
  ag::Shape shape = a.shape();
  shape[axis] = 1;
  ag::Array<double> part(shape);
  over_entry(a, part, axis, index, [](const double& from, double& to) { to = from; });
  return part;
}

void set_entry(ag::Array<double>& a, std::size_t axis, std::size_t index, const ag::Array<double>& part) {
  over_entry(a, part, axis, index, [](double& to, const double& from) { to = from; });
}

// Each sequence the other way round, within its length.
ag::Array<double> flipped(const ag::Array<double>& x, const Lengths& lengths) {
  ag::Array<double> result = x.copy();
  const std::size_t batch = x.shape()[1], features = x.shape()[2];
  for (std::size_t b = 0; b < batch; ++b) {
    const std::size_t steps = lengths.empty() ? x.shape()[0] : static_cast<std::size_t>(lengths[b]);
    for (std::size_t t = 0; t < steps; ++t)
      std::copy_n(x.data() + ((steps - 1 - t) * batch + b) * features, features,
                  result.data() + (t * batch + b) * features);
  }
  return result;
}

// The ragged batch against its sequences, one by one.
void check_ragged(const Network<double>& net, const Traits& traits, const ag::Array<double>& x,
                  const Arrays<double>& state, const nn::UnrollOptions& options) {
  const Outcome<double> whole = run(net, padded(x, options.lengths.values(), std::nan("")), state, options);
  const std::size_t parameters = net.parameters().size();
  Outcome<double> joined{ag::Array<double>(whole.output.shape(), 0), {}, {}};
  for (const auto& each : whole.state) joined.state.emplace_back(each.shape(), 0);
  for (const auto& each : whole.gradients) joined.gradients.emplace_back(each.shape(), 0);
  for (std::size_t b = 0; b < x.shape()[1]; ++b) {
    const auto steps = static_cast<std::size_t>(options.lengths.values()[b]);
    const std::size_t axis = options.last_only ? 0 : 1;
    Arrays<double> own_state, weights;
    for (const auto& each : state) own_state.push_back(entry(each, traits.batch_axis, b));
    weights.push_back(entry(random<double>(whole.output.shape(), 100), axis, b));
    if (!options.last_only) weights[0] = weights[0].slice(0, steps);
    for (std::uint32_t i = 0; i < whole.state.size(); ++i)
      weights.push_back(entry(random<double>(whole.state[i].shape(), 101 + i), traits.batch_axis, b));
    const Outcome<double> alone = run(net, entry(x, 1, b).slice(0, steps), own_state,
                                      {.reverse = options.reverse, .last_only = options.last_only}, weights);
    const auto longer = [&](const ag::Array<double>& a) {  // zeros past the end
      ag::Array<double> result(ag::Shape{x.shape()[0], 1, a.shape().back()}, 0);
      std::copy_n(a.data(), a.size(), result.data());
      return result;
    };
    set_entry(joined.output, axis, b, options.last_only ? alone.output : longer(alone.output));
    for (std::size_t i = 0; i < whole.state.size(); ++i)
      set_entry(joined.state[i], traits.batch_axis, b, alone.state[i]);
    for (std::size_t i = 0; i < parameters; ++i)
      for (std::size_t k = 0; k < joined.gradients[i].size(); ++k)
        joined.gradients[i].data()[k] += alone.gradients[i].data()[k];
    set_entry(joined.gradients[parameters], 1, b, longer(alone.gradients[parameters]));
    for (std::size_t i = parameters + 1; i < whole.gradients.size(); ++i)
      set_entry(joined.gradients[i], traits.batch_axis, b, alone.gradients[i]);
  }
  CHECK(test::difference(whole.output, joined.output) <= kRounding);
  CHECK(difference(whole.state, joined.state) <= kRounding);
  CHECK(difference(whole.gradients, joined.gradients) <= kRounding);
  if (options.last_only) return;
  CHECK(test::difference(padded(whole.output, options.lengths.values(), 0), whole.output) == 0);
  const ag::Array<double>& dx = whole.gradients[parameters];
  CHECK(test::difference(padded(dx, options.lengths.values(), 0), dx) == 0);
}

}  // namespace

void check_ragged(const Make<double>& make, const Traits& traits) {
  INFO("a ragged batch is each sequence alone");
  const nn::Evaluation evaluation;
  const auto net = make(1);
  const auto x = random<double>({7, 4, traits.features}, 2);
  for (const Lengths& lengths : {Lengths{5, 2, 7, 1}, {7, 5, 2, 1}, {1, 6, 6, 3}})
    for (const bool reverse : {false, true})
      for (const bool last_only : {false, true})
        for (const bool given : {false, true}) {
          CAPTURE(lengths[0]);
          CAPTURE(reverse);
          CAPTURE(last_only);
          CAPTURE(given);
          check_ragged(*net, traits, x, given ? random_state(*net, 4) : Arrays<double>{},
                       {.lengths = lengths, .reverse = reverse, .last_only = last_only});
        }
}

void check_reverse(const Make<double>& make, const Traits& traits) {
  INFO("reverse over the reversed sequence is the sequence");
  const nn::Evaluation evaluation;
  const auto net = make(1);
  const auto x = random<double>({6, 3, traits.features}, 2);
  const std::size_t parameters = net->parameters().size();
  for (const Lengths& lengths : {Lengths{}, {4, 6, 1}})
    for (const bool last_only : {false, true}) {
      CAPTURE(lengths.size());
      CAPTURE(last_only);
      const Arrays<double> state = random_state(*net, 3);
      Outcome<double> ahead = run(*net, x, state, {.lengths = lengths, .last_only = last_only});
      Arrays<double> weights;
      weights.push_back(random<double>(ahead.output.shape(), 100));
      if (!last_only) {
        weights[0] = flipped(weights[0], lengths);
        ahead.output = flipped(ahead.output, lengths);
      }
      ahead.gradients[parameters] = flipped(ahead.gradients[parameters], lengths);
      const Outcome<double> back =
          run(*net, flipped(x, lengths), state, {.lengths = lengths, .reverse = true, .last_only = last_only},
              std::move(weights));
      CHECK(test::difference(back.output, ahead.output) <= kRounding);
      CHECK(difference(back.state, ahead.state) <= kRounding);
      CHECK(difference(back.gradients, ahead.gradients) <= kRounding);
    }
}

void check_last_only(const Make<double>& make, const Traits& traits) {
  if (traits.both_ways == BothWays::given) return;  // the last of each direction are not of one step
  INFO("last_only gives the output of the last step");
  const nn::Evaluation evaluation;
  const auto net = make(1);
  const ag::Var<double> x(random<double>({6, 3, traits.features}, 2));
  for (const Lengths& lengths : {Lengths{}, {4, 6, 1}})
    for (const bool reverse : {false, true}) {
      CAPTURE(lengths.size());
      CAPTURE(reverse);
      const Flat<double> all = net->unroll(x, {}, {.lengths = lengths, .reverse = reverse});
      const Flat<double> last =
          net->unroll(x, {}, {.lengths = lengths, .reverse = reverse, .last_only = true});
      REQUIRE(last.output.shape() == all.output.shape().suffix(1));
      for (std::size_t b = 0; b < 3; ++b) {
        const std::int64_t length = lengths.empty() ? 6 : lengths[b];
        const std::size_t t = reverse ? 0 : static_cast<std::size_t>(length - 1);
        CHECK(same_bits(last.output[b].array(), all.output[t][b].array()));
      }
      for (std::size_t i = 0; i < all.state.size(); ++i)
        CHECK(same_bits(last.state[i].array(), all.state[i].array()));
    }
}

void check_pieces(const Make<double>& make, const Traits& traits) {
  const auto net = make(1);
  const ag::Var<double> x(random<double>({9, 3, traits.features}, 2));
  const Flat<double> whole = net->unroll(x, {}, {});
  const auto check = [&](const Flat<double>& pieces) {
    CHECK(test::difference(pieces.output, whole.output.array()) <= kRounding);
    REQUIRE(pieces.state.size() == whole.state.size());
    for (std::size_t i = 0; i < whole.state.size(); ++i)
      CHECK(test::difference(pieces.state[i], whole.state[i].array()) <= kRounding);
  };
  {
    INFO("a stream gives what unroll gives");
    const Flat<double> streamed = net->stream(x);
    if (streamed.output.defined()) check(streamed);
  }
  if (traits.both_ways != BothWays::no) return;
  INFO("a sequence in pieces is the sequence");
  check(net->stateful(x, {4, 8, 9}));
}

void check_batch_first(const Make<double>& make, const Traits& traits) {
  INFO("the batch as first axis changes the order of the axes only");
  const nn::Evaluation evaluation;
  const auto net = make(1);
  const ag::Array<double> x = random<double>({6, 3, traits.features}, 2);
  const auto swapped = [](const ag::Array<double>& a) {
    return ag::permute(ag::Var<double>(a), {1, 0, 2}).array().copy();
  };
  const std::size_t parameters = net->parameters().size();
  for (const Lengths& lengths : {Lengths{}, {4, 6, 1}})
    for (const bool last_only : {false, true}) {
      CAPTURE(lengths.size());
      CAPTURE(last_only);
      Outcome<double> time_first = run(*net, x, {}, {.lengths = lengths, .last_only = last_only});
      Arrays<double> weights;
      weights.push_back(random<double>(time_first.output.shape(), 100));
      if (!last_only) {
        weights[0] = swapped(weights[0]);
        time_first.output = swapped(time_first.output);
      }
      time_first.gradients[parameters] = swapped(time_first.gradients[parameters]);
      const Outcome<double> batch_first =
          run(*net, swapped(x), {}, {.lengths = lengths, .batch_first = true, .last_only = last_only},
              std::move(weights));
      CHECK(same_bits(batch_first, time_first));
    }
  INFO("a tape changes no number");
  const Flat<double> silent = net->unroll(ag::Var<double>(x), {}, {});
  const Outcome<double> recorded = run(*net, x, {}, {});
  CHECK(same_bits(silent.output.array(), recorded.output));
  for (std::size_t i = 0; i < silent.state.size(); ++i)
    CHECK(same_bits(silent.state[i].array(), recorded.state[i]));
}

void check_gradients(const Make<double>& make, const Traits& traits) {
  INFO("gradients agree with finite differences");
  // A central difference is off by h^2 / 6 of the third derivative, which a normalisation over three units
  // makes large, and by rounding, 1e-16 / h: both are small for this h.
  const ag::GradcheckReport report =
      make(1)->gradcheck(random<double>({4, 2, traits.features}, 2), {.step = 1e-6});
  CHECK_MESSAGE(static_cast<bool>(report), report);
  CHECK(report.largest_error <= 1e-6);
}

void check_saved(const Make<double>& make, const Make<double>& cell, const Traits& traits) {
  INFO("what is saved and loaded gives the same outputs");
  const auto file = std::filesystem::temp_directory_path() /
                    ("unroll_promises_" + std::to_string(getpid()) + ".safetensors");
  const auto net = make(1), other = make(2), plain = cell(3);
  const ag::Var<double> x(random<double>({5, 3, traits.features}, 2));
  const auto output = [&](const Network<double>& of) { return of.unroll(x, {}, {}).output.array(); };
  CHECK_FALSE(same_bits(output(*other), output(*net)));
  net->save(file);
  other->load(file);
  CHECK(same_bits(output(*other), output(*net)));
  if (traits.same_names) {
    INFO("the names of the parameters are the cell's");
    plain->save(file);
    CHECK_NOTHROW(net->load(file));
    net->save(file);
    CHECK_NOTHROW(plain->load(file));
  }
  std::filesystem::remove(file);
}

void check_in_evaluation(const Make<double>& make, const Make<double>& cell, const Traits& traits) {
  check_ragged(make, traits);
  check_reverse(make, traits);
  check_last_only(make, traits);
  check_pieces(make, traits);
  check_batch_first(make, traits);
  check_gradients(make, traits);
  check_saved(make, cell, traits);
}

}  // namespace test
