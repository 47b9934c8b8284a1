// Notebook 3, first program: a batch of sequences goes forward through a sigmoid network. Nothing is trained.
#include <xtensor/xmanipulation.hpp>

#include "common/page.hpp"

namespace ag = autograd;
using Var = ag::Var<double>;

constexpr auto kEquations =
    R"(Many to many, forward (notebook 3): a batch of 2, 4 steps, 10 inputs, 5 hidden units, 2 outputs

    h_t = sigmoid(x_t Wxh + h_{t-1} Whh + bh)   h_0 = 0
    y_t = sigmoid(h_t Why + by)
)";

struct Cell {
  Var Wxh, Whh, bh;

  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, bh.size()}); }
  Var project(const Var& x) const { return ag::affine(x, Wxh, bh); }
  Var step(const Var& projected, const Var& h) const { return sigmoid(projected + matmul(h, Whh)); }
};

struct Network {
  using value_type = double;
  Cell cell;
  Var Why, by;

  explicit Network(nn::Rng& rng) {
    const auto uniform = [&](const ag::Shape& shape) {
      return ag::variable(nn::init::uniform<double>(shape, 0, 1, rng));
    };
    cell.Wxh = uniform({10, 5});
    cell.Whh = uniform({5, 5});
    Why = uniform({5, 2});
    cell.bh = ag::variable(ag::Array<double>({5}, 0));
    by = ag::variable(ag::Array<double>({2}, 0));
  }

  auto fields(auto&& visit) {
    visit("Wxh", cell.Wxh), visit("Whh", cell.Whh), visit("Why", Why), visit("bh", cell.bh), visit("by", by);
  }

  Var operator()(const Var& x) const { return sigmoid(ag::affine(nn::unroll(cell, x).output, Why, by)); }
};

// (batch, time, features), as the notebook has it, to (time, batch, features), as unroll wants it; and back.
Var swap_batch_and_time(const Var& x) { return xt::transpose(x.value(), {1, 0, 2}); }

int main(int argc, char** argv) {
  notebooks::Page page(argc, argv, "batched_forward", kEquations);
  nn::Rng rng(1);  // as numpy.random.seed(1); numpy.random.rand
  const Var x = swap_batch_and_time(nn::init::uniform<double>({2, 4, 10}, 0, 1, rng));
  const Network network(rng);

  page.heading("Outputs: batch, time, unit");
  page.same_as_numpy("output", page.numpy().at("output"),
                     notebooks::entries(swap_batch_and_time(network(x))));
  page.say(R"(
The notebook set no seed, so that its own numbers (0.91366476 0.8217149 ...) cannot come back. NumPy's column is
its function on the values that NumPy and this program draw from seed 1. It starts from hidden_state[:, t-1, :],
which at t = 0 is the last step's, and right only because that is still 0.)");

  page.heading("Gradients of the sum of all outputs");
  page.gradients([&] { return sum(network(x)); }, network, {});
  page.say("  The notebook derives none: there is nothing to be right or wrong.");
  page.say("\npicture: none, since nothing is trained");
  page.time(
      1, [&] { network(x); }, "forward pass");
  return page.finish();
}
