// What a user does wrong, and what the library says of it, word by word: the call, the shapes, whose they
// are, and the remedy. Other mistakes are with the ops that refuse them (autograd/errors_test.cpp,
// nn/unroll_errors_test.cpp and others); those that the compiler answers are in compile_errors.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <cmath>
#include <functional>
#include <memory>
#include <nn/nn.hpp>
#include <thread>

#include "message_of.hpp"

namespace ag = autograd;
using ag::Shape;
using ag::Tape;
using Var = ag::Var<double>;

using test::message_of;

namespace {

struct Mistake {
  std::string what;
  std::function<void()> make;
  std::string message;
};

Var ones(const Shape& shape) { return ag::Array<double>(shape, 1); }
Var leaf(const Shape& shape) { return ag::variable(ag::Array<double>(shape, 1)); }
Var named(const std::string& name, const Shape& shape) {
  Var variable = leaf(shape);
  variable.set_name(name);
  return variable;
}
constexpr auto minus = [](std::size_t n) { return std::size_t{0} - n; };  // what a negative number becomes

struct Model {
  using value_type = double;
  nn::Linear<double> encoder, head;
  explicit Model(nn::Rng& rng) : encoder(3, 4, rng), head(4, 2, rng) {}
  auto fields(auto&& visit) { visit("encoder", encoder), visit("head", head); }
};

Model named_model() {
  nn::Rng rng(1);
  Model model(rng);
  nn::parameters(model);
  return model;
}

// A cell of a user: its state is its output, and sums broadcast.
struct LeakyCell {
  nn::Linear<double> in;
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 4}); }
  Var step(const Var& x, const Var& h) const { return tanh(in(x) + 0.5 * h); }
};
LeakyCell leaky() {
  nn::Rng rng(1);
  return {nn::Linear<double>(3, 4, rng)};
}
struct LosesBatch : LeakyCell {
  Var initial_state(std::size_t) const { return ag::zeros<double>({4}); }
  Var step(const Var& x, const Var& h) const { return tanh(ag::sum(in(x), 0) + h); }
};

nn::Rng& rng() {
  thread_local nn::Rng generator(1);
  return generator;
}

// A step of training, on values of its own.
void check_that_a_step_works() {
  const Var w = leaf({2});
  {
    Tape tape;
    const ag::Gradients gradients = tape.backward(ag::sum(square(w)));
    nn::SGD<double>({w}, {.lr = 0.5}).step(gradients);
  }
  CHECK(ag::sum(w).item() == 0);
}

void check(const std::vector<Mistake>& mistakes) {
  for (const Mistake& mistake : mistakes) {
    CAPTURE(mistake.what);
    CHECK(message_of(mistake.make) == mistake.message);
    check_that_a_step_works();
  }
}

}  // namespace

TEST_CASE("mistakes with tapes") {
  check({
      {"backward twice",
       [] {
         const Var w = leaf({3});
         Tape tape;
         const Var loss = ag::sum(w * w);
         (void)tape.backward(loss);
         (void)tape.backward(loss);
       },
       "backward: this tape was consumed by an earlier backward; record again on a new Tape, or keep it with "
       "backward(loss, {.keep_tape = true})"},
      {"a second loss after backward",
       [] {
         const Var w = leaf({3});
         Tape tape;
         (void)tape.backward(ag::sum(w * w));
         (void)tape.backward(ag::sum(w));
       },
       "backward: this tape was consumed by an earlier backward; record again on a new Tape, or keep it with "
       "backward(loss, {.keep_tape = true})"},
      {"a loss that is no scalar",
       [] {
         const Var w = leaf({2, 1});
         Tape tape;
         (void)tape.backward(square(w));
       },
       "backward: the loss has shape (2, 1); reduce it to a scalar, for example with mean or sum"},
      {"a loss that was never assigned",
       [] {
         Tape tape;
         (void)tape.backward(Var());
       },
       "backward: the loss is an empty Var; assign it a value first"},
      {"a loss that was computed before the tape",
       [] {
         const Var w = leaf({3});
         const Var loss = ag::sum(w * w);
         Tape tape;
         (void)tape.backward(loss);
       },
       "backward: the loss was not recorded on this tape; compute it from variables while the tape is alive"},
      {"a loss of another tape",
       [] {
         const Var w = leaf({3});
         Tape outer;
         Tape inner;
         const Var loss = ag::sum(w * w);
         (void)outer.backward(loss);
       },
       "backward: the loss was not recorded on this tape; call backward on the tape that was active when it "
       "was computed"},
      {"a value of an outer tape",
       [] {
         const Var w = leaf({3});
         Tape outer;
         const Var y = w * w;
         Tape inner;
         y* w;
       },
       "multiply: an operand of shape (3,) was recorded on another tape than the one that records now (tapes "
       "nest, the innermost records), so its gradient would be lost; detach() it, or use it while its tape "
       "records"},
      {"a value of a tape that has ended",
       [] {
         const Var w = leaf({3});
         Var y;
         {
           Tape tape;
           y = w * w;
         }
         Tape tape;
         y* w;
       },
       "multiply: an operand of shape (3,) was recorded on a tape that has ended (or is another thread's), "
       "so its gradient would be lost; detach() what is carried over, at the end of each tape: state = "
       "state.detach() (of a struct, nn::detach(state))"},
      {"a state carried over from a tape that has ended",
       [] {
         const nn::GRUCell<double> cell(3, 4, rng());
         Var state = cell.initial_state(2);
         for (int batch = 0; batch < 2; ++batch) {
           Tape tape;
           state = nn::unroll(cell, ones({5, 2, 3}), state).state;
           (void)tape.backward(ag::sum(state));
         }
       },
       "linear: an operand of shape (2, 4) was recorded on a tape that has ended (or is another thread's), "
       "so its gradient would be lost; detach() what is carried over, at the end of each tape: state = "
       "state.detach() (of a struct, nn::detach(state)) (in GRUCell / step 0)"},
      {"a state of several Vars carried over, of which one was detached",
       [] {
         const nn::LSTMCell<double> cell(3, 4, rng());
         auto state = cell.initial_state(2);
         for (int batch = 0; batch < 2; ++batch) {
           Tape tape;
           state = nn::unroll(cell, ones({5, 2, 3}), {state.h.detach(), state.c}).state;
         }
       },
       "map: an operand of shape (2, 4) was recorded on a tape that has ended (or is another thread's), so "
       "its gradient would be lost; detach() what is carried over, at the end of each tape: state = "
       "state.detach() (of a struct, nn::detach(state)) (in LSTMCell / step 0)"},
      {"a step of an optimiser between two backwards of a kept tape",
       [] {
         const Model model = named_model();
         nn::SGD<double> sgd(nn::parameters(model), {.lr = 0.1});
         Tape tape;
         const Var loss = ag::sum(square(model.head(model.encoder(ones({5, 3})))));
         sgd.step(tape.backward(loss, {.keep_tape = true}));
         sgd.step(tape.backward(loss));
       },
       "backward: encoder.weight of 12 elements was updated (by an optimiser's step, a load, assign or "
       "update) after this tape recorded its value, so gradients would mix old and new values; run backward "
       "before the update, or record again after it"},
      {"a value assigned between recording and backward",
       [] {
         Var w = leaf({3});
         Tape tape;
         const Var loss = ag::sum(w * w);
         w.assign(xt::zeros<double>({3}));
         (void)tape.backward(loss);
       },
       "backward: a variable of 3 elements was updated (by an optimiser's step, a load, assign or update) "
       "after this tape recorded its value, so gradients would mix old and new values; run backward before "
       "the update, or record again after it"},
      {"a detached value that is updated between recording and grad",
       [] {
         Var w = named("w", {3});
         const Var x = leaf({3});
         Tape tape;
         const Var loss = ag::sum(x * w.detach());
         w.update([](auto&& elements) { elements *= 2; });
         ag::grad(loss, x);
       },
       "grad: w of 3 elements was updated (by an optimiser's step, a load, assign or update) after this tape "
       "recorded its value, so gradients would mix old and new values; run backward before the update, or "
       "record again after it"},
      {"backward on another thread",
       [] {
         const Var w = leaf({3});
         Tape tape;
         const Var loss = ag::sum(w * w);
         std::string message;
         std::thread([&] { message = message_of([&] { (void)tape.backward(loss); }); }).join();
         throw ag::Error(message);
       },
       "backward: this tape belongs to another thread; record and run backward on one thread, each thread "
       "with a tape of its own"},
      {"a value of another thread's tape",
       [] {
         const Var w = leaf({3});
         Tape tape;
         const Var y = w * w;
         std::string message;
         std::thread([&] {
           Tape other;
           message = message_of([&] { y* w; });
         }).join();
         throw ag::Error(message);
       },
       "multiply: an operand of shape (3,) was recorded on a tape that has ended (or is another thread's), "
       "so its gradient would be lost; detach() what is carried over, at the end of each tape: state = "
       "state.detach() (of a struct, nn::detach(state))"},
  });
}

TEST_CASE("mistakes with gradients") {
  check({
      {"grad without a tape",
       [] {
         const Var w = leaf({});
         ag::grad(w * w, w);
       },
       "grad: no tape is active; record the computation with a Tape in scope"},
      {"grad after backward",
       [] {
         const Var w = leaf({3});
         Tape tape;
         const Var loss = ag::sum(w * w);
         (void)tape.backward(loss);
         ag::grad(loss, w);
       },
       "grad: the tape was consumed by an earlier backward or grad; record again on a new Tape, or keep it "
       "with {.keep_tape = true}"},
      {"grad of what is no scalar",
       [] {
         const Var w = leaf({3});
         Tape tape;
         ag::grad(w * w, w);
       },
       "grad: the output has shape (3,); reduce it to a scalar, for example with sum"},
      {"grad with respect to a constant",
       [] {
         const Var w = leaf({3}), x = ones({3});
         Tape tape;
         ag::grad(ag::sum(w * x), {w, x});
       },
       "grad: input 1 of shape (3,) is a constant; make it a variable with variable()"},
      {"grad with respect to a parameter that the loss does not use",
       [] {
         const Model model = named_model();
         Tape tape;
         ag::grad(ag::sum(model.encoder(ones({5, 3}))), nn::parameters(model));
       },
       "grad: the output does not depend on head.weight of shape (2, 4); remove it, or ask for zeros with "
       "{.allow_unused = true}"},
      {"grad with respect to an unused variable without a name",
       [] {
         const Var w = leaf({3}), x = leaf({2});
         Tape tape;
         ag::grad(ag::sum(w * w), {w, x});
       },
       "grad: the output does not depend on input 1 of shape (2,); remove it, or ask for zeros with "
       "{.allow_unused = true}"},
      {"the derivative of a gradient that was not recorded",
       [] {
         const Var w = leaf({3});
         Tape tape;
         const Var slope = ag::grad(ag::sum(w * w * w), w, {.keep_tape = true});
         ag::grad(ag::sum(slope), w);
       },
       "grad: the output is a constant; compute it from variables while the tape is alive (from gradients, "
       "if those were taken with {.create_graph = true})"},
      {"the gradient of a parameter that took no part",
       [] {
         const Model model = named_model();
         Tape tape;
         (void)tape.backward(ag::sum(model.encoder(ones({5, 3}))))[model.head.bias];
       },
       "Gradients: head.bias of shape (2,) took no part in the loss; ask contains() first"},
      {"the gradient of a constant",
       [] {
         const Var w = leaf({3}), x = ones({3});
         Tape tape;
         (void)tape.backward(ag::sum(w * x))[x];
       },
       "Gradients: a constant of shape (3,) has no gradient here, only variables have; make it with "
       "variable()"},
      {"the gradient of a detached parameter",
       [] {
         const Var w = leaf({3});
         Tape tape;
         (void)tape.backward(ag::sum(w * w))[w.detach()];
       },
       "Gradients: a constant of shape (3,) has no gradient here, only variables have; make it with "
       "variable()"},
      {"the gradient of a result",
       [] {
         const Var w = leaf({3});
         Tape tape;
         const Var y = w * w;
         (void)tape.backward(ag::sum(y))[y];
       },
       "Gradients: a result of shape (3,) has no gradient here, only variables have; ask grad(loss, result)"},
      {"the gradient of a Var that was moved from",
       [] {
         Var w = leaf({3});
         Tape tape;
         const ag::Gradients gradients = tape.backward(ag::sum(w * w));
         const Var moved = std::move(w);
         (void)gradients[w];
       },
       "Gradients: an operand is an empty Var; assign it a value first"},
      {"a change of what is no variable",
       [] {
         const Var w = leaf({3});
         Tape tape;
         Var y = w * w;
         y.update([](auto&& elements) { elements *= 2; });
       },
       "update: this Var of shape (3,) is not a variable, and other values never change; make it with "
       "variable()"},
      {"a change by an expression of another shape",
       [] {
         named("w", {2, 3}).update([](auto&& elements) { elements -= xt::ones<double>({4}); });
       },
       "update: the change of w of shape (2, 3) computes with shapes that do not broadcast; give it "
       "expressions "
       "of shape (2, 3), or of shapes that broadcast to it"},
      {"an expression of another size in place of the elements",
       [] {
         leaf({2, 3}).update([](auto&& elements) { elements = xt::ones<double>({3}); });
       },
       "update: the change assigns something of another size to a variable of shape (2, 3), which keeps its "
       "shape; assign an expression of shape (2, 3), for example by xt::broadcast, and a number by "
       "fill(number)"},
      {"a number in place of the elements",
       [] {
         named("w", {2, 3}).update([](auto&& elements) { elements = 0; });
       },
       "update: the change assigns something of another size to w of shape (2, 3), which keeps its shape; "
       "assign an expression of shape (2, 3), for example by xt::broadcast, and a number by fill(number)"},
      {"the transposed elements in place of the elements",
       [] {
         named("w", {2, 3}).update([](auto&& elements) { elements = xt::ones<double>({3, 2}); });
       },
       "update: the change assigned an expression of shape (3, 2) to w of shape (2, 3), so that its elements "
       "are "
       "in another order now; assign one of shape (2, 3)"},
      {"a name for a constant", [] { ones({3}).set_name("x"); },
       "set_name: this Var of shape (3,) is not a variable, and other values never change; make it with "
       "variable()"},
      {"the item of several",
       [] {
         (void)leaf({3, 1}).item();
       },
       "item: shape (3, 1) is not a single element; index it first"},
  });
}

TEST_CASE("mistakes with shapes") {
  check({
      {"features that a layer does not take",
       [] {
         const Model model = named_model();
         model.head(ones({5, 7}));
       },
       "linear: the input of shape (5, 7) has 7 features, and head.weight of shape (2, 4) (out_features, "
       "in_features) takes 4; make them equal"},
      {"a weight that was not transposed",
       [] {
         ag::matmul(ones({2, 3}), named("w", {4, 5}));
       },
       "matmul: shapes (2, 3) and (4, 5) of w do not fit: axis -1 of the first is 3 and axis -2 of the "
       "second is 4; the product sums over them, so they must be equal"},
      {"a bias of another size",
       [] {
         ones({2, 3}) + named("decoder.bias", {4});
       },
       "add: shapes (2, 3) and (4,) of decoder.bias do not broadcast: axis -1 is 3 and 4; make them equal, "
       "or one of them 1"},
      {"a bias that does not fit its weight",
       [] {
         ag::linear(ones({2, 3}), named("w", {4, 3}), named("b", {3}));
       },
       "linear: b has shape (3,); with a weight of shape (4, 3) of w it must be (4,)"},
      {"a weight that is a vector", [] { ag::linear(ones({3}), named("w", {3})); },
       "linear: w has shape (3,); it must be (out_features, in_features)"},
      {"vectors of different sizes", [] { ag::dot(ones({3}), named("w", {2})); },
       "dot: shapes (3,) and (2,) of w do not fit; both must have the same number of entries"},
      {"parts that cannot be joined",
       [] {
         ag::concat({ones({2, 3}), named("w", {3, 4})});
       },
       "concat: parts of shape (2, 3) and (3, 4) of w cannot be joined along axis 0; their other axes must "
       "be equal"},
      {"rows of an embedding that do not exist",
       [] {
         ag::take(named("embedding", {10, 4}), xt::xarray<int>{3, 10});
       },
       "take: index 10 at position 1 is out of range for an axis of 10 of shape (10, 4) of embedding; "
       "indices are at least -10 and less than 10"},
      {"an index that was -1 before it became unsigned",
       [] { ag::take(ones({3}), xt::xarray<std::size_t>{minus(1)}); },
       "Indices: 18446744073709551615 at position 0 is no index; was it a negative number before it became "
       "unsigned?"},
      {"a shape of another size",
       [] {
         ones({2, 3}).reshape({4, 2});
       },
       "reshape: 6 elements of shape (2, 3) do not fit shape (4, 2); the product of its extents must be 6"},
      {"two extents to be computed",
       [] {
         ones({2, 3}).reshape({-1, minus(1)});
       },
       "reshape: the extents of axes 0 and 1 are both -1; give one of them"},
      {"extents whose product overflows to the right size",
       [] {
         ones({6}).reshape({minus(2), minus(3)});
       },
       "reshape: extent -2 of axis 0 is negative; only -1 stands for what is left"},
      {"an extent that was negative before it became unsigned, in a shape",
       [] {
         ones({6}).reshape(Shape{minus(1), 6});
       },
       "reshape: 6 elements of shape (6,) do not fit shape (-1, 6); the product of its extents must be 6"},
      {"the last entry by -1", [] { ones({3})[minus(1)]; },
       "operator[]: entry -1 is outside axis 0 of shape (3,); give 0 <= entry < the extent of axis 0"},
      {"a slice to -1", [] { ones({3}).slice(0, minus(1)); },
       "slice: [0, -1) is outside axis 0 of shape (3,); give 0 <= begin <= end <= the extent of axis 0"},
      {"an axis that does not exist",
       [] {
         (void)ones({2, 3}).shape(2);
       },
       "shape: axis 2 does not exist in shape (2, 3); axes are -2 to 1"},
      {"a pad of -1",
       [] {
         ag::pad(ones({3}), {{minus(1), minus(1)}});
       },
       "pad: the widths of axis 0 are -1 and -1; they must be at least 0, cut with slice"},
      {"a split into parts of which one is too large",
       [] {
         ag::split(ones({5}), {minus(1), 6});
       },
       "split: an extent is -1; axis 0 of shape (5,) has 5; give extents that add up to that"},
      {"a negative extent", [] { ag::zeros<double>({minus(1)}); },
       "Array: shape (-1,) has a negative extent, or more elements than memory has bytes"},
      {"more elements than can be counted",
       [] {
         ag::zeros<double>({std::size_t{1} << 32, std::size_t{1} << 32});
       },
       "Array: shape (4294967296, 4294967296) has a negative extent, or more elements than memory has bytes"},
      {"more elements than memory has",
       [] {
         ones({1 << 24, 1}) + ones({1, 1 << 24});
       },
       "Array: shape (16777216, 16777216) has a negative extent, or more elements than memory has bytes"},
      {"a negative eps", [] { ag::layer_norm(ones({3}), -1e-5); },
       "layer_norm: eps is -1e-05; it must be at least 0"},
  });
}

TEST_CASE("mistakes with losses") {
  check({
      {"predictions (N, 1) and targets (N)",
       [] {
         nn::mse(leaf({2, 1}), ones({2}));
       },
       "mse: the prediction has shape (2, 1), the target (2,); they must be equal, reshape one of them"},
      {"a loss of an empty batch",
       [] {
         nn::mse(leaf({0, 3}), ones({0, 3}));
       },
       "mse: the prediction and the target have shape (0, 3), which has no entries to average; leave out "
       "empty batches"},
      {"labels that are one-hot",
       [] {
         nn::cross_entropy(leaf({2, 3}), xt::xarray<int>{{1, 0, 0}, {0, 0, 1}});
       },
       "cross_entropy: labels of shape (2, 3) do not fit logits of shape (2, 3); there must be one label for "
       "each row of the last axis"},
      {"labels that count from 1",
       [] {
         nn::cross_entropy(leaf({2, 3}), xt::xarray<int>{1, 3});
       },
       "cross_entropy: label 3 at row 1 is not one of the 3 classes of logits of shape (2, 3); labels count "
       "from 0"},
      {"labels of an empty batch",
       [] {
         nn::cross_entropy(leaf({0, 3}), ag::Indices({0}, {}));
       },
       "cross_entropy: the logits have shape (0, 3), which has no rows to average; leave out empty batches"},
      {"targets that are NaN",
       [] {
         const Model model = named_model();
         Tape tape;
         const Var loss = nn::mse(model.encoder(ones({1, 3})), ones({1, 4}) * NAN);
         nn::SGD<double>(nn::parameters(model)).step(tape.backward(loss));
       },
       "SGD: the gradient of encoder.weight of shape (4, 3) is not finite; lower the learning rate, clip the "
       "gradients, or look for the first value that is not finite, which a Tape made with {.detect_anomaly = "
       "true} names"},
  });
}

TEST_CASE("mistakes with cells and states") {
  check({
      {"a layer that was made for other features",
       [] {
         const nn::LSTM<double> lstm(3, 4, rng());
         nn::parameters(lstm);
         lstm(ones({5, 2, 7}));
       },
       "LSTMCell: the input of shape (5, 2, 7) has 7 features, and the cell was made for 3 (weight_ih_l0 has "
       "shape (16, 3)); make them equal (in LSTM / LSTMCell)"},
      {"a layer in a cell that was made for other features",
       [] {
         const LeakyCell cell = leaky();
         nn::unroll(cell, ones({5, 2, 7}));
       },
       "linear: the input of shape (2, 7) has 7 features, and the weight of shape (4, 3) (out_features, "
       "in_features) takes 3; make them equal (in LeakyCell / step 0)"},
      {"an input without a batch axis",
       [] {
         nn::unroll(leaky(), ones({5, 3}));
       },
       "unroll: the input has shape (5, 3); (time, batch, features) is needed"},
      {"an input without time steps",
       [] {
         nn::unroll(leaky(), ones({0, 2, 3}));
       },
       "unroll: the input of shape (0, 2, 3) has no time steps; at least one is needed"},
      {"the state of one sequence for a batch",
       [] {
         nn::unroll(leaky(), ones({5, 2, 3}), ones({1, 4}));
       },
       "unroll: the given state has shape (1, 4); for a batch of 2 it must be (2, 4)"},
      {"the state of a batch for one sequence",
       [] {
         nn::unroll(leaky(), ones({5, 1, 3}), ones({2, 4}));
       },
       "unroll: the given state has shape (2, 4); for a batch of 1 it must be (1, 4)"},
      {"h and c of another batch",
       [] {
         nn::unroll(nn::LSTMCell<double>(3, 4, rng()), ones({5, 2, 3}), {ones({2, 4}), ones({3, 4})});
       },
       "unroll: the given state[1] has shape (3, 4); for a batch of 2 it must be (2, 4)"},
      {"a cell that sums over the batch",
       [] {
         nn::unroll(LosesBatch{leaky()}, ones({5, 2, 3}));
       },
       "unroll: the output of step 0 has shape (4,) for a batch of 2; its first axis must be the batch (is "
       "the state that of another batch?) (in LosesBatch / step 0)"},
      {"a layer without inputs", [] { nn::Linear<double>(0, 4, rng()); },
       "Linear: in is 0; it must be at least 1"},
      {"a cell without units", [] { nn::LSTMCell<double>(3, 0, rng()); },
       "recurrent cell: hidden is 0; it must be at least 1"},
      {"a range that is infinite", [] { nn::init::uniform<double>({3}, -1 / 0.0, 1 / 0.0, rng()); },
       "uniform: the range is [-inf, inf); both ends must be finite"},
      {"a deviation that is negative", [] { nn::init::normal<double>({3}, 0, -0.1, rng()); },
       "normal: the mean is 0 and the deviation -0.1; both must be finite, and the deviation at least 0"},
      {"blocks of scalars",
       [] { nn::init::blocks(4, {}, [](const Shape& shape) { return ag::Array<double>(shape, 0); }); },
       "blocks: the shape of a block is (), and a scalar has no rows; name its axes"},
      {"blocks of another shape than the one asked for",
       [] {
         nn::init::blocks(4, {2, 3}, [](const Shape&) { return ag::Array<double>({8, 3}, 0); });
       },
       "blocks: make gave shape (8, 3) for a block of shape (2, 3); both must be equal"},
  });
}

TEST_CASE("mistakes with optimisers") {
  check({
      {"no parameters", [] { nn::Adam<double>({}); },
       "Adam: there are no parameters to learn; give it nn::parameters(model)"},
      {"a parameter that was never assigned",
       [] {
         nn::Adam<double>({leaf({2}), Var()});
       },
       "Adam: parameter 1 is an empty Var; assign it a variable first"},
      {"a parameter that is a constant",
       [] {
         nn::Adam<double>({leaf({2}), ones({3})});
       },
       "Adam: parameter 1 of shape (3,) is not a variable; make it with autograd::variable()"},
      {"a parameter that was overwritten by a result",
       [] {
         Model model = named_model();
         model.head.weight = model.head.weight * 0.9;
         nn::parameters(model);
       },
       "parameters: head.weight of shape (2, 4) is not a variable, so it cannot be learned; make it with "
       "autograd::variable()"},
      {"a learning rate that is NaN", [] { nn::Adam<double>({leaf({2})}, {.lr = NAN}); },
       "Adam: lr is nan; it must be finite and at least 0"},
      {"a momentum that is infinite", [] { nn::SGD<double>({leaf({2})}, {.momentum = 1 / 0.0}); },
       "SGD: momentum is inf; it must be finite and at least 0"},
      {"a schedule that makes the learning rate NaN",
       [] {
         const Var w = leaf({2});
         nn::SGD<double> sgd({w});
         sgd.options.lr *= NAN;
         Tape tape;
         sgd.step(tape.backward(ag::sum(w)));
       },
       "SGD: lr is nan; it must be finite and at least 0"},
      {"the gradients of another model",
       [] {
         const Model model = named_model(), other = named_model();
         nn::Adam<double> adam(nn::parameters(model));
         Tape tape;
         adam.step(tape.backward(ag::sum(other.head(ones({1, 4})))));
       },
       "Adam: none of the 4 parameters took part in the loss; give the gradients of a loss that was computed "
       "from them"},
      {"no backward",
       [] {
         nn::Adam<double> adam(nn::parameters(named_model()));
         adam.step({});
       },
       "Adam: the gradients are empty; give what tape.backward(loss) returns"},
      {"a gradient that is infinite",
       [] {
         const Var w = leaf({2}), x = named("scale", {});
         Tape tape;
         nn::SGD<double>({w, x}).step(tape.backward(ag::sum(w / (x - 1))));
       },
       "SGD: the gradient of parameter 0 of shape (2,) is not finite; lower the learning rate, clip the "
       "gradients, or look for the first value that is not finite, which a Tape made with {.detect_anomaly = "
       "true} names"},
      {"gradients that are NaN, clipped",
       [] {
         const Var w = leaf({2});
         Tape tape;
         ag::Gradients gradients = tape.backward(ag::sum(w * NAN));
         nn::clip_grad_norm(gradients, 1);
       },
       "clip_grad_norm: the norm of the gradients is nan; lower the learning rate, or look for the first "
       "value that is not finite, which a Tape made with {.detect_anomaly = true} names"},
      {"clipping to 0",
       [] {
         ag::Gradients gradients;
         nn::clip_grad_norm(gradients, 0);
       },
       "clip_grad_norm: max_norm is 0; it must be positive"},
  });
}
