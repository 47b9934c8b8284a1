// A variable that a module uses and does not name in fields(): it would be neither trained, nor saved, nor
// checked.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>
#include <sstream>

#include "message_of.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

namespace {

// h' = tanh(W x + leak h), whose fields() may have forgotten the leak.
struct LeakyCell {
  using value_type = double;
  nn::Linear<double> in;
  Var leak;
  bool names_leak;
  LeakyCell(bool named, nn::Rng& rng)
      : in(2, 3, rng), leak(ag::variable(ag::Array<double>({3}, 0.5))), names_leak(named) {}
  auto fields(auto&& visit) {
    visit("in", in);
    if (names_leak) visit("leak", leak);
  }
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 3}); }
  Var step(const Var& x, const Var& h) const { return tanh(in(x) + leak * h); }
};

std::string lines(const auto& list) {
  std::ostringstream text;
  for (const auto& each : list) text << each << '\n';
  return text.str();
}

}  // namespace

TEST_CASE("untrained tells the variables that took part and that no fields() names") {
  nn::Rng rng(1);
  const LeakyCell whole(true, rng), cell(false, rng);
  const nn::Linear<double> head(3, 1, rng);
  const Var x = nn::init::normal<double>({4, 2, 2}, 0, 1, rng);
  const auto untrained = [&](const LeakyCell& c, ag::TapeOptions options, const auto&... modules) {
    ag::Tape tape(options);
    const Var loss = ag::mean(square(head(nn::unroll(c, x).output)));
    return lines(nn::untrained(tape, modules...));
  };
  CHECK(untrained(whole, {}, whole, head) == "");
  CHECK(untrained(cell, {}, cell, head) == "a variable of shape (3,), taken by multiply\n");
  CHECK(untrained(cell, {.trace = true}, cell, head) ==
        "a variable of shape (3,), taken by multiply in LeakyCell / step 0\n");
  nn::parameters(head);  // which gives them names
  CHECK(untrained(whole, {.trace = true}, whole) ==
        "weight of shape (1, 3), taken by linear\nbias of shape (1,), taken by linear\n");
  Var named = cell.leak;
  named.set_name("leak");
  CHECK(untrained(cell, {}, cell, head) == "leak of shape (3,), taken by multiply\n");

  // What is only used detached takes no part.
  ag::Tape tape;
  const Var loss = ag::sum(cell.in(x[0]) * cell.leak.detach());
  CHECK(nn::untrained(tape, cell).empty());
  (void)tape.backward(loss);
  CHECK(test::message_of([&] { nn::untrained(tape, cell); }) ==
        "other_variables: this tape was consumed by backward and its nodes are gone; make it with Tape "
        "tape({.trace = true}), or look at it before");
}

TEST_CASE("gradcheck tells the variables that it has not checked") {
  nn::Rng rng(1);
  const LeakyCell whole(true, rng), cell(false, rng);
  const Var x = nn::init::normal<double>({3, 2, 2}, 0, 1, rng);
  const ag::GradcheckReport good = nn::gradcheck(whole, x), report = nn::gradcheck(cell, x);
  CHECK(static_cast<bool>(good));
  CHECK(good.unchecked.empty());
  CHECK(static_cast<bool>(report));
  REQUIRE(report.unchecked.size() == 1);
  std::ostringstream text;
  text << report;
  const std::string note =
      "\n  not checked, since it is none of the inputs (of a module: fields() does not name it): a variable "
      "of "
      "shape (3,), taken by multiply in LeakyCell / step 0";
  CHECK(text.str().find(note) != std::string::npos);
}
