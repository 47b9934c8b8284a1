// A user's cell, of which the state is a nest, with every combinator around it: what each does to the state.
// (properties/user_cell_test.cpp has what is promised of all networks.)
#include <doctest/doctest.h>

#include "fixture.hpp"
#include "traces_cell.hpp"

namespace ag = autograd;
using Cell = test::TracesCell<double>;
using Var = ag::Var<double>;

namespace {

nn::Rng rng(1);
const Cell cell(2, 3, rng), other(3, 3, rng), square(3, 3, rng);
const Var x = nn::init::uniform<double>({5, 4, 2}, -1, 1, rng);
const Var x3 = nn::init::uniform<double>({5, 4, 3}, -1, 1, rng);

bool same(const Var& a, const Var& b) { return test::difference(a, b.array()) == 0; }

bool same_state(const Cell::State& a, const Cell::State& b) {
  return same(a.moving.first, b.moving.first) && same(a.moving.second, b.moving.second) &&
         a.traces.size() == b.traces.size() && same(a.traces[0], b.traces[0]) &&
         same(a.traces[1], b.traces[1]);
}

}  // namespace

TEST_CASE("a nest is a state, and keeps its kind through unroll") {
  static_assert(nn::Cell<Cell> && nn::State<Cell::State>);
  const auto [output, state] = nn::unroll(cell, x);
  static_assert(std::is_same_v<decltype(state), const Cell::State>);
  CHECK(same(output[4], state.moving.first * state.moving.second));
  CHECK(state.traces.size() == 2);
  const auto first = nn::unroll(cell, x.slice(0, 2));
  const auto second = nn::unroll(cell, x.slice(2, 5), first.state);
  CHECK(same_state(second.state, state));
}

TEST_CASE("combinators that change inputs or outputs leave a nest alone") {
  const auto plain = nn::unroll(cell, x), residual = nn::unroll(nn::residual(square), x3);
  CHECK(same(residual.output, x3 + nn::unroll(square, x3).output));
  CHECK(same_state(residual.state, nn::unroll(square, x3).state));
  const auto normalised = nn::unroll(nn::layer_norm(cell, 3), x);
  CHECK(same(normalised.output, nn::LayerNorm<double>(3)(plain.output)));
  CHECK(same_state(normalised.state, plain.state));
  CHECK(same_state(nn::unroll(nn::dropout(cell, {.output = 0.5}), x).state, plain.state));
  CHECK(same_state(nn::unroll(nn::checkpointed(cell, 2), x).state, plain.state));
  nn::Rng random(3);
  const nn::Training training(random);
  const auto dropped = nn::unroll(nn::dropout(cell, {.output = 0.5}), x);
  CHECK(same_state(dropped.state, plain.state));
  CHECK_FALSE(same(dropped.output, plain.output));
}

TEST_CASE("stacks and both directions have the nests of all as their state") {
  const auto lower = nn::unroll(cell, x), upper = nn::unroll(other, lower.output);
  const auto tuple = nn::unroll(nn::stack(cell, other), x);
  static_assert(std::is_same_v<decltype(tuple.state), std::tuple<Cell::State, Cell::State>>);
  CHECK(test::difference(tuple.output, upper.output.array()) <= 1e-14);  // one by one or all at once
  CHECK(same_state(std::get<0>(tuple.state), lower.state));
  const auto list = nn::unroll(nn::stack(std::vector{square, other}), x3);
  static_assert(std::is_same_v<decltype(list.state), std::vector<Cell::State>>);
  CHECK(same_state(list.state[0], nn::unroll(square, x3).state));
  const auto both = nn::unroll(nn::bidirectional(cell, cell), x);
  CHECK(same_state(both.state.forward, lower.state));
  CHECK(same_state(both.state.backward, nn::unroll(cell, x, {.reverse = true}).state));
}

TEST_CASE("zoneout takes a rate for each Var of a nest, in order") {
  const auto plain = cell.step(x[0], cell.initial_state(4)).second;
  const auto zoned = nn::zoneout(cell, {0, 0.5, 0.25, 0}).step(x[0], cell.initial_state(4)).second;
  CHECK(same(zoned.moving.first, plain.moving.first));
  CHECK(same(zoned.moving.second, plain.moving.second * 0.5));
  CHECK(same(zoned.traces[0], plain.traces[0] * 0.75));
  CHECK(same(zoned.traces[1], plain.traces[1]));
  CHECK_THROWS_WITH_AS(nn::zoneout(cell, {0.1, 0.2}),
                       "zoneout: there are 2 probabilities, and the state of TracesCell has 4 Vars; give one "
                       "for all, or one for each",
                       ag::Error);
}

TEST_CASE("recurrent and variational dropout drop the first Var of a nest") {
  nn::Rng random(3);
  const nn::Training training(random);
  Cell::State state = cell.initial_state(4);
  const Var ones = ag::Array<double>({4, 3}, 1);
  state.moving = {ones, ones};
  const auto begun = nn::recurrent_dropout(cell, 0.5).step(x[0], state).second;
  const auto plain = cell.step(x[0], state).second;
  CHECK_FALSE(same(begun.moving.first, plain.moving.first));  // it saw h with holes
  // v' = 3/4 v + 1/4 h' of the whole v.
  CHECK(same(begun.moving.second, 0.75 * ones + 0.25 * begun.moving.first));
  const auto dropped = nn::unroll(nn::variational(cell, {.state = 0.5}), x);
  CHECK_FALSE(same(dropped.output, nn::unroll(cell, x).output));
}

TEST_CASE("the learned initial state of a nest has a parameter for each Var") {
  const auto learned = nn::learned_state(cell);
  std::vector<std::string> names;
  for (const auto& [path, parameter] : nn::named_parameters(learned))
    if (path.starts_with("initial_state")) {
      names.push_back(path);
      CHECK(parameter.shape() == ag::Shape{1, 3});
    }
  CHECK(names ==
        std::vector<std::string>{"initial_state.0", "initial_state.1", "initial_state.2", "initial_state.3"});
  for (auto& [path, parameter] : nn::named_parameters(learned))
    if (path == "initial_state.2") parameter.update_elements([](double* elements) { elements[1] = 7; });
  CHECK(learned.initial_state(4).traces[0].array().data()[3 * 3 + 1] == 7);
  CHECK(learned.initial_state(4).traces[1].array().data()[3 * 3 + 1] == 0);
}

TEST_CASE("a learned initial state is kept by combinators that go to the cells within") {
  const auto learned = nn::learned_state(nn::bidirectional(cell, cell));
  for (auto& [path, parameter] : nn::named_parameters(learned))
    if (path == "initial_state.5") parameter.update_elements([](double* elements) { elements[1] = 7; });
  const auto check = [&](const auto& net) {
    CHECK(net.initial_state(4).backward.moving.second.array().data()[3 * 3 + 1] == 7);
    const auto parameters = nn::parameters(net), expected = nn::parameters(learned);
    REQUIRE(parameters.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(parameters[i].array().data() == expected[i].array().data());
  };
  check(nn::zoneout(learned, 0.5));
  check(nn::recurrent_dropout(learned, 0.5));
  check(nn::checkpointed(learned, 2));
}

TEST_CASE("Stream and Stateful keep a nest") {
  const auto whole = nn::unroll(cell, x);
  auto stream = nn::stream(nn::zoneout(cell, 0.0), {.batch = 4});
  for (std::size_t t = 0; t < 5; ++t) CHECK(same(stream.step(x[t]), whole.output[t]));
  CHECK(same_state(stream.state(), whole.state));
  nn::Stateful stateful(cell);
  stateful(x.slice(0, 3));
  stateful(x.slice(3, 5));
  CHECK(same_state(stateful.state(), whole.state));
}

TEST_CASE("the Vars of a nest are called by their places in errors") {
  const Var wrong = ag::zeros<double>({4, 2});
  const auto message = [&](const Cell::State& state) {
    try {
      nn::unroll(cell, x, state);
    } catch (const ag::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const Cell::State good = cell.initial_state(4);
  Cell::State state = good;
  state.moving.second = wrong;
  CHECK(message(state) ==
        "unroll: the given state[0][1] has shape (4, 2); for a batch of 4 it must be (4, 3)");
  state = good;
  state.traces[0] = wrong;
  CHECK(message(state) ==
        "unroll: the given state[1][0] has shape (4, 2); for a batch of 4 it must be (4, 3)");
  state = good;
  state.traces.pop_back();
  CHECK(message(state) ==
        "state[1] is a list of 1 where there must be 2; give one for each layer, as "
        "initial_state(batch) does");
}
