// What the built-in cells say of inputs, states and sizes that do not fit, word by word.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

#include "message_of.hpp"

namespace ag = autograd;
using test::message_of;
using Var = ag::Var<double>;

namespace {

nn::Rng& rng() {
  static nn::Rng generator(1);
  return generator;
}
Var ones(const ag::Shape& shape) { return ag::Array<double>(shape, 1); }

// A cell of 3 features and 4 units, which projects to `width`, with mistakes that can be made with any.
template <class Cell>
void check(const std::string& name, const Cell& cell, std::size_t width) {
  CAPTURE(name);
  const std::string rows = std::to_string(width);
  const auto state = cell.initial_state(2);
  CHECK(message_of([&] {
          cell.project(ones({2, 7}));
        }) ==
        name +
            ": the input of shape (2, 7) has 7 features, and the cell was made for 3 (weight_ih has shape (" +
            rows + ", 3)); make them equal");
  CHECK(message_of([&] {
          nn::unroll(cell, ones({5, 2, 7}));
        }) == name +
                  ": the input of shape (5, 2, 7) has 7 features, and the cell was made for 3 (weight_ih has "
                  "shape (" +
                  rows + ", 3)); make them equal (in " + name + ")");
  CHECK(message_of([&] { cell.project(Var(1)); }) ==
        name + ": the input is a scalar, of shape (); it must have a last axis of 3 features");
  CHECK(message_of([&] { cell.project(Var()); }) ==
        name + ": an operand is an empty Var; assign it a value first");
  CHECK(message_of([&] {
          cell.step(ones({2, 3}), state);
        }) == name + ": step was given shape (2, 3); it takes one step of what project makes, (batch, " +
                  rows + "): step(project(x), state)");
  CHECK(message_of([&] {
          cell.step(cell.project(ones({5, 2, 3})), state);
        }) == name + ": step was given shape (5, 2, " + rows +
                  "); it takes one step of what project makes, (batch, " + rows +
                  "): step(project(x), state)");
  CHECK(message_of([&] {
          cell.step(cell.project(ones({3, 3})), state);
        }) ==
        name + ": the state h has shape (2, 4); for a batch of 3 and a hidden size of 4 it must be (3, 4)");
}

}  // namespace

TEST_CASE("cells name themselves, the shapes and what to do") {
  check("RNNCell", nn::RNNCell<double>(3, 4, rng()), 4);
  check("LSTMCell", nn::LSTMCell<double>(3, 4, rng()), 16);
  check("PeepholeLSTMCell", nn::PeepholeLSTMCell<double>(3, 4, rng()), 16);
  check("CoupledLSTMCell", nn::CoupledLSTMCell<double>(3, 4, rng()), 12);
  check("LayerNormLSTMCell", nn::LayerNormLSTMCell<double>(3, 4, rng()), 16);
  check("GRUCell", nn::GRUCell<double>(3, 4, rng()), 12);
  check("ResetBeforeGRUCell", nn::ResetBeforeGRUCell<double>(3, 4, rng()), 12);
  check("LayerNormGRUCell", nn::LayerNormGRUCell<double>(3, 4, rng()), 12);
  check("MGUCell", nn::MGUCell<double>(3, 4, rng()), 8);
  check("IndRNNCell", nn::IndRNNCell<double>(3, 4, rng()), 4);
}

TEST_CASE("states of an LSTM with a projection have two sizes") {
  const nn::LSTMCell<double> cell(3, 4, rng(), {.proj_size = 2});
  const Var projected = cell.project(ones({5, 3}));
  CHECK(message_of([&] {
          cell.step(projected, {ones({5, 4}), ones({5, 4})});
        }) ==
        "LSTMCell: the state h has shape (5, 4); for a batch of 5 and a proj_size of 2 it must be (5, 2)");
  CHECK(message_of([&] {
          cell.step(projected, {ones({5, 2}), ones({5, 2})});
        }) ==
        "LSTMCell: the state c has shape (5, 2); for a batch of 5 and a hidden size of 4 it must be (5, 4)");
  CHECK(message_of([&] {
          cell.step(projected, {ones({5, 2}), {}});
        }) == "LSTMCell: an operand is an empty Var; assign it a value first");
}

TEST_CASE("sizes that a cell cannot have") {
  CHECK(message_of([] { nn::LSTMCell<double>(3, 4, rng(), {.proj_size = 4}); }) ==
        "LSTMCell: proj_size is 4 and hidden is 4; the projection must be smaller, or 0 for none");
  CHECK(message_of([] { nn::LSTMCell<double>(3, 0, rng(), {.proj_size = 4}); }) ==
        "recurrent cell: hidden is 0; it must be at least 1");
  CHECK(message_of([] { nn::MGUCell<double>(0, 4, rng()); }) ==
        "recurrent cell: in is 0; it must be at least 1");
  CHECK(message_of([] { nn::PeepholeLSTMCell<double>(3, 0, rng()); }) ==
        "recurrent cell: hidden is 0; it must be at least 1");
  CHECK(message_of([] { nn::LayerNormLSTMCell<double>(3, 0, rng()); }) ==
        "recurrent cell: hidden is 0; it must be at least 1");
  CHECK(message_of([] { nn::IndRNNCell<double>(3, 0, rng()); }) ==
        "IndRNNCell: hidden is 0; it must be at least 1");
}
