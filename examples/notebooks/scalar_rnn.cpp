// Notebook 0: the smallest recurrent network there is, and what the tape does with it. No layer is used here,
// only autograd: the loop over time is written out, and the gradient follows it back.
#include "common/page.hpp"

namespace ag = autograd;
using notebooks::Page;
using Scalar = ag::Var<double>;

constexpr auto kEquations = R"(A recurrent network of scalars (notebook 0): three steps, one update

    h_t = tanh(Wx x_t + Wh h_{t-1} + bh)        h_0 = 0
    y_t = Wy h_t + by
    L   = 1/3 sum_t (y_t - target_t)^2
    W   = W - 0.01 dL/dW                        for all five parameters
)";

const std::vector<Scalar> kX{0.1, 0.2, 0.3}, kTarget{0.2, 0.4, 0.6};

struct Network {
  using value_type = double;
  Scalar Wx = ag::variable(0.5), Wh = ag::variable(0.5), bh = ag::variable(0.0);
  Scalar Wy = ag::variable(1.0), by = ag::variable(0.0);

  auto fields(auto&& visit) {
    visit("Wx", Wx), visit("Wh", Wh), visit("bh", bh), visit("Wy", Wy), visit("by", by);
  }

  std::vector<Scalar> hidden() const {
    const auto step = [](auto x, auto h, auto Wx, auto Wh, auto bh) { return tanh(Wx * x + Wh * h + bh); };
    std::vector<Scalar> states;
    Scalar h = 0;
    for (const Scalar& x : kX) states.push_back(h = ag::map(step, x, h, Wx, Wh, bh));
    return states;
  }

  Scalar loss() const {
    const auto error = [](auto h, auto Wy, auto by, auto target) { return square(Wy * h + by - target); };
    const std::vector<Scalar> h = hidden();
    Scalar sum = 0;
    for (std::size_t t = 0; t < h.size(); ++t) sum = sum + ag::map(error, h[t], Wy, by, kTarget[t]);
    return sum / 3;
  }
};

std::vector<double> train(const Network& network, std::size_t epochs) {
  nn::SGD sgd(nn::parameters(network), {.lr = 0.01});
  std::vector<double> losses;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    ag::Tape tape;
    const Scalar loss = network.loss();
    sgd.step(tape.backward(loss));
    losses.push_back(loss.item());
  }
  return losses;
}

// The notebook's backward loop, by hand: from the last step to the first, carrying dL/dh back through Wh.
notebooks::Formulas notebook_gradients(const Network& network) {
  const double Wh = network.Wh.item(), Wy = network.Wy.item(), by = network.by.item();
  std::vector<double> h;
  for (const Scalar& state : network.hidden()) h.push_back(state.item());
  double dWx = 0, dWh = 0, dbh = 0, dWy = 0, dby = 0, carried = 0;
  for (std::size_t t = h.size(); t-- > 0;) {
    const double dy = 2 * (Wy * h[t] + by - kTarget[t].item()) / 3;
    const double dz = (dy * Wy + carried) * (1 - h[t] * h[t]);
    dWy += dy * h[t];
    dby += dy;
    dWx += dz * kX[t].item();
    dWh += dz * (t > 0 ? h[t - 1] : 0);
    dbh += dz;
    carried = dz * Wh;
  }
  const std::string why =
      "each step adds its part, with its own x and h, and hands its share back through Wh";
  return {{"Wx", dWx, why},
          {"Wh", dWh, why},
          {"bh", dbh, why},
          {"Wy", dWy, "y has no memory: the sum over the steps, each with its own h, is all of it"},
          {"by", dby, "the same, with 1 in place of h"}};
}

int main(int argc, char** argv) {
  Page page(argc, argv, "scalar_rnn", kEquations);
  const Network network;

  page.heading("Forward");
  std::vector<double> hidden;
  for (const Scalar& h : network.hidden()) hidden.push_back(h.item());
  page.figures("hidden_states", {"0.04995837", "0.12433251", "0.20903903"}, hidden);
  page.figure("loss", "0.08378517767647224", network.loss().item());

  page.heading("Gradients");
  {
    ag::Tape tape;
    const auto gradients = tape.backward(network.loss());
    page.figure("dL_dWx", "-0.16062445174417353", gradients[network.Wx]());
    page.figure("dL_dWh", "-0.04615923298359283", gradients[network.Wh]());
    page.figure("dL_dbh", "-0.8041053042318597", gradients[network.bh]());
    page.figure("dL_dWy", "-0.08233091265892165", gradients[network.Wy]());
    page.figure("dL_dby", "-0.5444467220306203", gradients[network.by]());
  }
  page.gradients([&] { return network.loss(); }, network, notebook_gradients(network));

  page.heading("Updated parameters");
  const Network updated = nn::clone(network);
  train(updated, 1);
  page.figure("W_x", "0.5016062445174417", updated.Wx.item());
  page.figure("W_h", "0.5004615923298359", updated.Wh.item());
  page.figure("b_h", "0.008041053042318596", updated.bh.item());
  page.figure("W_y", "1.0008233091265892", updated.Wy.item());
  page.figure("b_y", "0.005444467220306203", updated.by.item());

  const std::vector<double> losses = train(nn::clone(network), 1000);
  page["loss_after_1000_updates"] = losses.back();
  page.draw_losses("scalar_rnn: 1,000 updates, where the notebook makes one", "L", {{"", losses}});
  page.time(1000, [&] { train(nn::clone(network), 1000); });
  return page.finish();
}
