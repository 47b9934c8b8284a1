// Every mistake that the library can see is answered by an Error that names the call, the shapes and the
// remedy, and loses nothing: the next step is right.
#include <doctest/doctest.h>

#include <functional>
#include <nn/random.hpp>
#include <xtensor/xview.hpp>

#include "message_of.hpp"
#include "random_arrays.hpp"

namespace ag = autograd;
using ag::Shape;
using ag::Tape;
using V = ag::Var<double>;
using Vars = std::vector<V>;

using test::message_of;

namespace {

struct Mistake {
  std::function<void()> make;
  std::string message;
};

V constant(const Shape& shape) { return test::random_array(shape, 1); }
V leaf(const Shape& shape) { return test::random_variable(shape, 2); }
std::span<const V> span(const Vars& parts) { return parts; }

// A step of training, on values of its own.
void check_that_a_step_works() {
  const V w = ag::variable(xt::xarray<double>{{1, 2}, {3, 4}});
  Tape tape;
  const ag::Gradients g = tape.backward(ag::sum(square(ag::linear(V(xt::xarray<double>{1, -1}), w))));
  CHECK(test::numbers(g.array(w)) == std::vector<double>{-2, 2, -2, 2});
}

void check(const std::vector<Mistake>& mistakes) {
  for (const bool taped : {false, true})
    for (const Mistake& mistake : mistakes) {
      {
        const std::unique_ptr<Tape> tape = taped ? std::make_unique<Tape>() : nullptr;
        CHECK(message_of(mistake.make) == mistake.message);
        if (taped) CHECK(tape->size() == 0);
      }
      check_that_a_step_works();
    }
}

}  // namespace

TEST_CASE("shapes that do not fit") {
  check({
      {[] { leaf({3}) + leaf({2}); },
       "add: shapes (3,) and (2,) do not broadcast: axis -1 is 3 and 2; make them equal, or one of them 1"},
      {[] {
         constant({3, 2}) - leaf({2, 1, 5});
       },
       "subtract: shapes (3, 2) and (2, 1, 5) do not broadcast: axis -1 is 2 and 5; make them equal, or one "
       "of them 1"},
      {[] {
         leaf({3, 2}) * leaf({2, 2});
       },
       "multiply: shapes (3, 2) and (2, 2) do not broadcast: axis -2 is 3 and 2; make them equal, or one of "
       "them 1"},
      {[] { leaf({0}) / leaf({2}); },
       "divide: shapes (0,) and (2,) do not broadcast: axis -1 is 0 and 2; make them equal, or one of them "
       "1"},
      {[] { ag::map([](auto a, auto b, auto c) { return a * b * c; }, leaf({3}), leaf({}), leaf({4})); },
       "map: shapes (3,) and () and (4,) do not broadcast: axis -1 is 3 and 4; make them equal, or one of "
       "them 1"},
      {[] {
         ag::map([](auto a, auto b) { return a * b; }, ag::columns(leaf({2, 4}), 0, 2), leaf({3, 2}));
       },
       "map: shapes (2, 2) and (3, 2) do not broadcast: axis -2 is 2 and 3; make them equal, or one of them "
       "1"},
      {[] {
         ag::map([](auto a, auto b) { return a * b; }, ag::columns(leaf({1, 4}), 0, 2), leaf({3, 2}));
       },
       "map: a block of columns of shape (1, 2) cannot broadcast to shape (3, 2); take it as a value of its "
       "own with columns(...).var()"},
      {[] { ag::linear(leaf({3}), leaf({3})); },
       "linear: the weight has shape (3,); it must be (out_features, in_features)"},
      {[] {
         ag::linear(leaf({2, 3}), leaf({3, 2}));
       },
       "linear: the input of shape (2, 3) has 3 features, and the weight of shape (3, 2) (out_features, "
       "in_features) takes 2; make them equal"},
      {[] {
         ag::linear(leaf({2, 3}), leaf({4, 3}), leaf({3}));
       },
       "linear: the bias has shape (3,); with a weight of shape (4, 3) it must be (4,)"},
      {[] {
         ag::add_linear(leaf({4}), leaf({2, 3}), leaf({4, 3}));
       },
       "add_linear: the addend has shape (4,); x W^T has shape (2, 4), and both must be equal"},
      {[] {
         ag::add_linear(leaf({2, 4}), leaf({2, 2}), leaf({4, 3}), leaf({4}));
       },
       "add_linear: the input of shape (2, 2) has 2 features, and the weight of shape (4, 3) (out_features, "
       "in_features) takes 3; make them equal"},
      {[] {
         ag::broadcast_to(leaf({3}), {2, 4});
       },
       "broadcast_to: shape (3,) does not broadcast to (2, 4); its axes must be equal to the last of the "
       "target, or 1"},
      {[] {
         ag::concat(span({leaf({2, 3}), leaf({2, 4})}));
       },
       "concat: parts of shape (2, 3) and (2, 4) cannot be joined along axis 0; their other axes must be "
       "equal"},
      {[] { ag::concat(span({})); }, "concat: no parts to join; at least one is needed"},
      {[] {
         ag::stack(span({leaf({2}), leaf({3})}));
       },
       "stack: parts of shape (2,) and (3,); all must have one shape, reshape or broadcast_to the others"},
      {[] { ag::stack(span({})); }, "stack: no parts to join; at least one is needed"},
      {[] {
         leaf({2, 3}).reshape({4});
       },
       "reshape: 6 elements of shape (2, 3) do not fit shape (4,); the product of its extents must be 6"},
      {[] {
         ag::pick(leaf({2, 3}), xt::xarray<int>{0, 1, 2});
       },
       "pick: indices of shape (3,) do not fit values of shape (2, 3); there must be one index for each row "
       "of the last axis"},
  });
}

TEST_CASE("products of shapes that do not fit") {
  check({
      {[] {
         ag::matmul(leaf({2, 3}), leaf({2, 3}));
       },
       "matmul: shapes (2, 3) and (2, 3) do not fit: axis -1 of the first is 3 and axis -2 of the second is "
       "2; the product sums over them, so they must be equal"},
      {[] {
         ag::matmul(leaf({2, 3}), leaf({2}));
       },
       "matmul: shapes (2, 3) and (2,) do not fit: axis -1 of the first is 3 and axis -1 of the second is 2; "
       "the product sums over them, so they must be equal"},
      {[] { ag::matmul(leaf({3}), leaf({0})); },
       "matmul: shapes (3,) and (0,) do not fit: axis -1 of the first is 3 and axis -1 of the second is 0; "
       "the product sums over them, so they must be equal"},
      {[] {
         ag::matmul(leaf({2}), leaf({4, 3, 2}));
       },
       "matmul: shapes (2,) and (4, 3, 2) do not fit: axis -1 of the first is 2 and axis -2 of the second is "
       "3; the product sums over them, so they must be equal"},
      {[] {
         ag::matmul(leaf({5, 2, 3}), leaf({5, 2, 3}));
       },
       "matmul: shapes (5, 2, 3) and (5, 2, 3) do not fit: axis -1 of the first is 3 and axis -2 of the "
       "second is 2; the product sums over them, so they must be equal"},
      {[] {
         ag::matmul(leaf({2, 2, 3}), leaf({4, 3, 2}));
       },
       "matmul: shapes (2, 2, 3) and (4, 3, 2) do not fit: axis -3 is 2 and 4; make them equal, or one of "
       "them 1"},
      {[] {
         ag::matmul(leaf({2, 1, 2, 3}), constant({3, 4, 3, 2}));
       },
       "matmul: shapes (2, 1, 2, 3) and (3, 4, 3, 2) do not fit: axis -4 is 2 and 3; make them equal, or one "
       "of them 1"},
      {[] {
         ag::matmul(leaf({0, 2, 3}), leaf({2, 3, 2}));
       },
       "matmul: shapes (0, 2, 3) and (2, 3, 2) do not fit: axis -3 is 0 and 2; make them equal, or one of "
       "them 1"},
      {[] {
         ag::matmul(leaf({}), leaf({2, 3}));
       },
       "matmul: shapes () and (2, 3) do not fit: a scalar has no axis to sum over; multiply with *"},
      {[] { ag::matmul(leaf({3}), leaf({})); },
       "matmul: shapes (3,) and () do not fit: a scalar has no axis to sum over; multiply with *"},
      {[] { ag::matmul(leaf({3}), V()); }, "matmul: an operand is an empty Var; assign it a value first"},
      {[] { ag::dot(leaf({3}), leaf({2})); },
       "dot: shapes (3,) and (2,) do not fit; both must have the same number of entries"},
      {[] {
         ag::dot(leaf({2, 3}), leaf({3}));
       },
       "dot: shapes (2, 3) and (3,) are not two vectors; use matmul for matrices"},
      {[] { ag::dot(leaf({3}), leaf({})); },
       "dot: shapes (3,) and () are not two vectors; use matmul for matrices"},
      {[] { ag::dot(V(), leaf({3})); }, "dot: an operand is an empty Var; assign it a value first"},
      {[] { ag::outer(leaf({3}), V()); }, "outer: an operand is an empty Var; assign it a value first"},
      {[] { ag::affine(leaf({3}), leaf({3})); },
       "affine: the weight has shape (3,); it must be (in_features, out_features)"},
      {[] {
         ag::affine(leaf({2, 3}), leaf({4, 3}));
       },
       "affine: the input of shape (2, 3) has 3 features, and the weight of shape (4, 3) (in_features, "
       "out_features) takes 4; make them equal"},
      {[] {
         ag::affine(leaf({}), leaf({4, 3}));
       },
       "affine: the input is a scalar, of shape (); it must have a last axis of 4 features"},
      {[] {
         ag::affine(leaf({2, 3}), leaf({3, 4}), leaf({3}));
       },
       "affine: the bias has shape (3,); with a weight of shape (3, 4) it must be (4,)"},
      {[] {
         ag::affine(leaf({2, 3}), leaf({3, 4}), V());
       },
       "affine: an operand is an empty Var; assign it a value first"},
  });
}

TEST_CASE("axes and entries that do not exist") {
  check({
      {[] {
         ag::sum(leaf({2, 3}), {2});
       },
       "sum: axis 2 does not exist in shape (2, 3); axes are -2 to 1"},
      {[] {
         ag::mean(leaf({2, 3}), {-3});
       },
       "mean: axis -3 does not exist in shape (2, 3); axes are -2 to 1"},
      {[] {
         ag::sum(leaf({2, 3}), {1, -1});
       },
       "sum: axis -1 of shape (2, 3) is named twice"},
      {[] {
         ag::mean(leaf({0, 3}));
       },
       "mean: shape (0, 3) has no entries, so it has no mean; check for that first"},
      {[] {
         ag::logsumexp(leaf({2, 0}));
       },
       "logsumexp: shape (2, 0) has no entries to reduce; at least one is needed"},
      {[] {
         ag::permute(leaf({2, 3}), {0});
       },
       "permute: 1 axes for shape (2, 3); each of its 2 must be named once"},
      {[] {
         ag::permute(leaf({2, 3}), {1, -1});
       },
       "permute: axis -1 of shape (2, 3) is named twice"},
      {[] {
         ag::permute(leaf({2, 3}), {0, 2});
       },
       "permute: axis 2 does not exist in shape (2, 3); axes are -2 to 1"},
      {[] {
         ag::expand_dims(leaf({2, 3}), 3);
       },
       "expand_dims: axis 3 does not exist in the result of 3 axes; axes are -3 to 2"},
      {[] {
         ag::squeeze(leaf({2, 1}), 0);
       },
       "squeeze: axis 0 of shape (2, 1) has extent 2; only axes of extent 1 can be left out"},
      {[] {
         ag::slice(leaf({3}), {{0, 1}, {}});
       },
       "slice: 2 ranges for shape (3,); give at most one for each axis"},
      {[] {
         ag::slice(leaf({3, 2}), {{}, {0, 1, 0}});
       },
       "slice: the step of axis 1 is 0; it must be positive or negative"},
      {[] {
         ag::flip(leaf({3}), {0, 0});
       },
       "flip: axis 0 of shape (3,) is named twice"},
      {[] {
         ag::pad(leaf({2, 3}), {{1, 1}});
       },
       "pad: 1 pairs of widths for shape (2, 3); there must be one for each axis"},
      {[] {
         ag::split(leaf({2, 5}), 3, 1);
       },
       "split: axis 1 of shape (2, 5) cannot be cut into 3 equal parts; give their extents, or use chunk"},
      {[] {
         ag::split(leaf({5}), {2, 2});
       },
       "split: the extents add up to 4; axis 0 of shape (5,) has 5; make the two equal"},
      {[] { ag::chunk(leaf({5}), 0); }, "chunk: the count is 0; at least one part is needed"},
      {[] {
         ag::concat({leaf({2, 3}), leaf({2, 4})});
       },
       "concat: parts of shape (2, 3) and (2, 4) cannot be joined along axis 0; their other axes must be "
       "equal"},
      {[] {
         ag::concat({leaf({2, 3}), leaf({2})}, 1);
       },
       "concat: parts of shape (2, 3) and (2,) cannot be joined along axis 1; their other axes must be "
       "equal"},
      {[] {
         ag::concat({leaf({2, 3})}, 2);
       },
       "concat: axis 2 does not exist in shape (2, 3); axes are -2 to 1"},
      {[] { ag::stack({leaf({2})}, 2); },
       "stack: axis 2 does not exist in the result of 2 axes; axes are -2 to 1"},
      {[] {
         ag::take(leaf({3, 2}), xt::xarray<int>{0, 3});
       },
       "take: index 3 at position 1 is out of range for an axis of 3 of shape (3, 2); indices are at least "
       "-3 and less than 3"},
      {[] {
         ag::take(leaf({3, 2}), xt::xarray<int>{-3}, 1);
       },
       "take: index -3 at position 0 is out of range for an axis of 2 of shape (3, 2); indices are at least "
       "-2 and less than 2"},
      {[] { ag::take(leaf({}), xt::xarray<int>{0}); },
       "take: axis 0 does not exist in shape (); a scalar has no axes"},
      {[] { ag::Indices({2}, {1}); }, "Indices: 1 values for shape (2,), which has 2"},
      {[] { ag::max(leaf({0})); }, "max: shape (0,) has no entries to reduce; at least one is needed"},
      {[] {
         ag::min(leaf({2, 0}), 1);
       },
       "min: shape (2, 0) has no entries to reduce; at least one is needed"},
      {[] {
         ag::argmax(leaf({2, 0}), 1);
       },
       "argmax: shape (2, 0) has no entries to reduce; at least one is needed"},
      {[] { ag::argmin(leaf({2}), 1); }, "argmin: axis 1 does not exist in shape (2,); axes are -1 to 0"},
      {[] {
         ag::var(leaf({2, 1}), 1, {.ddof = 1});
       },
       "var: there are 1 entries of shape (2, 1) to reduce and ddof is 1; there must be more entries than "
       "that"},
      {[] { ag::cumsum(leaf({2}), 1); }, "cumsum: axis 1 does not exist in shape (2,); axes are -1 to 0"},
      {[] {
         ag::softmax(leaf({2, 0}));
       },
       "log_softmax: shape (2, 0) has no entries along axis -1; at least one is needed"},
      {[] { ag::layer_norm(leaf({})); },
       "layer_norm: shape () has no entries along its last axis; at least one is needed"},
      {[] {
         ag::layer_norm(leaf({2, 3}), leaf({3}), leaf({2}));
       },
       "layer_norm: the bias has shape (2,); for an input of shape (2, 3) it must be (3,)"},
      {[] {
         nn::Rng rng(1);
         ag::dropout(leaf({3}), 1.0, rng);
       },
       "dropout: the probability is 1; it must be in [0, 1)"},
      {[] { where(constant({3}), leaf({2}), 1); },
       "where: shapes (3,) and (2,) and () do not broadcast: axis -1 is 3 and 2; make them equal, or one of "
       "them 1"},
      {[] { leaf({3}).slice(2, 4); },
       "slice: [2, 4) is outside axis 0 of shape (3,); give 0 <= begin <= end <= the extent of axis 0"},
      {[] { leaf({3}).slice(2, 1); },
       "slice: [2, 1) is outside axis 0 of shape (3,); give 0 <= begin <= end <= the extent of axis 0"},
      {[] { leaf({}).slice(0, 1); },
       "slice: [0, 1) is outside axis 0 of shape (); a scalar has no axis to slice"},
      {[] {
         leaf({3, 2})[3];
       },
       "operator[]: entry 3 is outside axis 0 of shape (3, 2); give 0 <= entry < the extent of axis 0"},
      {[] { leaf({3})[SIZE_MAX]; },
       "operator[]: entry -1 is outside axis 0 of shape (3,); give 0 <= entry < the extent of axis 0"},
      {[] {
         ag::columns(leaf({2, 3}), 2, 2);
       },
       "columns: [2, 4) is outside the last axis of shape (2, 3); give a range inside of it"},
      {[] {
         ag::chunk<4>(leaf({2, 6}));
       },
       "chunk: the last axis of shape (2, 6) cannot be cut into 4 equal blocks; its extent must be a "
       "multiple of 4"},
      {[] {
         ag::pick(leaf({2, 3}), xt::xarray<int>{0, 3});
       },
       "pick: index 3 at position 1 is out of range for an axis of 3 of shape (2, 3); indices are at least "
       "-3 and less than 3"},
      {[] {
         ag::pick(leaf({2, 3}), xt::xarray<int>{-4, 0});
       },
       "pick: index -4 at position 0 is out of range for an axis of 3 of shape (2, 3); indices are at least "
       "-3 and less than 3"},
      {[] { leaf({2}).item(); }, "item: shape (2,) is not a single element; index it first"},
  });
}

TEST_CASE("an empty array makes no variable") {
  CHECK_THROWS_AS(ag::variable(ag::Array<double>()), ag::Error);
}

TEST_CASE("an empty Var is refused by every op") {
  const V e, x = leaf({2, 2});
  const auto empty = [](const std::string& op) {
    return op + ": an operand is an empty Var; assign it a value first";
  };
  check({
      {[=] { x + e; }, empty("add")},
      {[=] { 2 / e; }, empty("divide")},
      {[=] { -e; }, empty("negate")},
      {[=] { tanh(e); }, empty("tanh")},
      {[=] { ag::map([](auto a, auto b) { return a + b; }, x, e); }, empty("map")},
      {[=] { ag::matmul(x, e); }, empty("matmul")},
      {[=] { ag::linear(x, x, e); }, empty("linear")},
      {[=] { ag::add_linear(e, x, x); }, "add_linear: an operand is an empty Var; assign it a value first"},
      {[=] { ag::sum(e); }, empty("sum")},
      {[=] { ag::mean(e, {0}); }, empty("mean")},
      {[=] {
         ag::concat(span({x, e}));
       },
       empty("concat")},
      {[=] { ag::stack(span({e})); }, empty("stack")},
      {[=] { ag::transpose(e); }, empty("transpose")},
      {[=] { ag::broadcast_to(e, {2}); }, empty("broadcast_to")},
      {[=] { ag::pick(e, xt::xarray<int>{0}); }, empty("pick")},
      {[=] { ag::gradcheck([](const V& y) { return y; }, {e}); },
       "gradcheck: input 0 is an empty Var; assign it a value first"},
  });
}

TEST_CASE("variables and what is none") {
  V w = leaf({3}), c = constant({3});
  check({
      {[&] { c.update([](auto&&) {}); },
       "update: this Var of shape (3,) is not a variable, and other values never change; make it with "
       "variable()"},
      {[&] { w.assign(xt::ones<double>({4})); },
       "assign: values of shape (4,) do not fit the variable's shape (3,)"},
      {[&] { w.assign(xt::ones<double>({1})); },
       "assign: values of shape (1,) do not fit the variable's shape (3,)"},
  });
}

TEST_CASE("gradcheck") {
  check({
      {[] { ag::gradcheck([](const V& x) { return x; }, {leaf({2})}, {.order = 3}); },
       "gradcheck: order 3 was asked for; it must be 1 or 2"},
      {[] {
         ag::gradcheck([](const V& x) { return x; }, {leaf({2}), leaf({2})});
       },
       "gradcheck: the function takes 1 inputs and got 2; give it as many"},
      {[] { ag::gradcheck([](const V&) { return V(); }, {leaf({2})}); },
       "gradcheck: the function returned an empty Var; return what it computed"},
      {[] { ag::gradcheck([](const V& x) { return log(x - x); }, {V(1.0)}); },
       "gradcheck: the function is -inf at or next to the inputs; check it where it is finite"},
  });
}

// What they say is in nn/user_mistakes_test.cpp; here, that they leave the tape as it was.
TEST_CASE("a refused backward or grad leaves the tape as it was") {
  const V w = leaf({3}), x = leaf({3});
  Tape tape;
  const V y = w * 2, loss = ag::sum(y);
  const auto refuses_backward = [&](const V& of) {
    CHECK_THROWS_AS((void)tape.backward(of), ag::Error);
    CHECK_THROWS_AS((void)tape.backward(of, {.keep_tape = true}), ag::Error);
  };
  const auto refuses_grad = [&](const V& of, const Vars& inputs) {
    CHECK_THROWS_AS(ag::grad(of, inputs), ag::Error);
    CHECK_THROWS_AS(ag::grad(of, inputs, {.keep_tape = true}), ag::Error);
    CHECK_THROWS_AS(ag::grad(of, inputs, {.create_graph = true}), ag::Error);
  };
  refuses_backward(y);
  refuses_backward({});
  refuses_backward(1.0);
  refuses_backward(loss.detach());
  {
    Tape inner;
    const V other = ag::sum(w);
    refuses_backward(other);
    refuses_grad(loss, {w});
    CHECK_THROWS_AS(y + 1, ag::Error);
    CHECK(test::numbers(inner.backward(other).array(w)) == std::vector<double>{1, 1, 1});
  }
  refuses_grad(y, {w});
  refuses_grad({}, {w});
  refuses_grad(1.0, {w});
  refuses_grad(loss, {w, constant({3})});
  refuses_grad(loss, {w, V()});
  refuses_grad(loss, {w, x});  // not used

  const ag::Gradients gradients = tape.backward(loss);
  CHECK(test::numbers(gradients.array(w)) == std::vector<double>{2, 2, 2});
  CHECK_THROWS_AS(gradients[x], ag::Error);
  CHECK_THROWS_AS(gradients[constant({2})], ag::Error);
  refuses_backward(loss);
  refuses_grad(loss, {w});
  check_that_a_step_works();
}

TEST_CASE("a Var of a tape that has ended is a number without a tape, and detached on one") {
  const V w = leaf({3});
  V state;
  {
    const Tape tape;
    state = w * 2;
  }
  CHECK(test::numbers(state + 1) == test::numbers(2 * w + 1));
  Tape tape;
  CHECK_THROWS_AS(state * w, ag::Error);
  CHECK(test::numbers(tape.backward(ag::sum(state.detach() * w)).array(w)) == test::numbers(2 * w));
}

TEST_CASE("no sweep runs after a variable was updated") {
  V w = leaf({3});
  Tape tape;
  const V loss = ag::sum(w * w);
  w.update([](auto&& elements) { elements *= 2; });
  CHECK_THROWS_AS((void)tape.backward(loss), ag::Error);
  CHECK_THROWS_AS(ag::grad(loss, w), ag::Error);
  CHECK_THROWS_AS(ag::grad(loss, w, {.create_graph = true}), ag::Error);
  check_that_a_step_works();
}

TEST_CASE("an extent is found by its axis, counted from the end if negative") {
  const V x = leaf({2, 3});
  CHECK(x.shape(0) == 2);
  CHECK(x.shape(-1) == 3);
  CHECK_THROWS_AS((void)x.shape(-3), ag::Error);
  CHECK_THROWS_AS((void)leaf({}).shape(0), ag::Error);
}

TEST_CASE("more axes than six") {
  const std::string message = message_of([] {
    V(xt::xarray<double>(xt::ones<double>({1, 1, 1, 1, 1, 1, 1})));
  });
  CHECK(message.find("more than 6 axes; reshape to fewer axes") != std::string::npos);
  const V x = constant({1, 1, 1, 1, 1, 1});
  CHECK(message_of([&] { ag::stack(span({x, x})); }).find("more than 6 axes") != std::string::npos);
}
