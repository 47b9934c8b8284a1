// Backpropagation through time written out by hand in plain loops, for one recurrent layer with a linear
// readout at every step and the mean squared error. It is here only to check what the tape does.
#pragma once

#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace oracle {

using Numbers = std::vector<double>;
using Arrays = std::map<std::string, Numbers>;

enum class Kind { rnn, gru, lstm };

inline std::size_t gates(Kind kind) { return kind == Kind::rnn ? 1 : kind == Kind::gru ? 3 : 4; }

struct Sizes {
  std::size_t T, B, I, H, O;
};

struct Result {
  double loss;
  Arrays gradients;
};

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Loss and gradients. `in` holds, row-major: x (T,B,I), y (T,B,O), h0 (B,H), c0 (B,H, for lstm), weight_ih
/// (G H, I), weight_hh (G H, H), bias_ih and bias_hh (G H), readout (O,H), readout_bias (O). Gradients under
/// the same names.
inline Result bptt(Kind kind, const Sizes& size, const Arrays& in) {
  const auto [T, B, I, H, O] = size;
  const std::size_t G = gates(kind) * H;
  const Numbers &x = in.at("x"), &y = in.at("y"), &wi = in.at("weight_ih"), &wh = in.at("weight_hh");
  const Numbers &bi = in.at("bias_ih"), &bh = in.at("bias_hh"), &ro = in.at("readout"),
                &rb = in.at("readout_bias");

  // Forward. xi and hi are W_ih x + b_ih and W_hh h + b_hh, act what the gates give; h and c have T + 1 rows.
  Numbers xi(T * B * G), hi(T * B * G), act(T * B * G), h((T + 1) * B * H), c((T + 1) * B * H),
      error(T * B * O);
  for (std::size_t k = 0; k < B * H; ++k) {
    h[k] = in.at("h0")[k];
    if (kind == Kind::lstm) c[k] = in.at("c0")[k];
  }
  double loss = 0;
  for (std::size_t t = 0; t < T; ++t)
    for (std::size_t b = 0; b < B; ++b) {
      const std::size_t row = t * B + b, next = row + B;  // rows of h: `row` before the step, `next` after it
      for (std::size_t g = 0; g < G; ++g) {
        double a = bi[g], r = bh[g];
        for (std::size_t i = 0; i < I; ++i) a += wi[g * I + i] * x[row * I + i];
        for (std::size_t j = 0; j < H; ++j) r += wh[g * H + j] * h[row * H + j];
        xi[row * G + g] = a;
        hi[row * G + g] = r;
      }
      for (std::size_t j = 0; j < H; ++j) {
        const double *a = &xi[row * G + j], *u = &hi[row * G + j];
        double* s = &act[row * G + j];
        if (kind == Kind::rnn) {
          s[0] = std::tanh(a[0] + u[0]);
          h[next * H + j] = s[0];
        } else if (kind == Kind::gru) {  // r, z, n
          s[0] = sigmoid(a[0] + u[0]);
          s[H] = sigmoid(a[H] + u[H]);
          s[2 * H] = std::tanh(a[2 * H] + s[0] * u[2 * H]);
          h[next * H + j] = (1 - s[H]) * s[2 * H] + s[H] * h[row * H + j];
        } else {  // i, f, g, o
          s[0] = sigmoid(a[0] + u[0]);
          s[H] = sigmoid(a[H] + u[H]);
          s[2 * H] = std::tanh(a[2 * H] + u[2 * H]);
          s[3 * H] = sigmoid(a[3 * H] + u[3 * H]);
          c[next * H + j] = s[H] * c[row * H + j] + s[0] * s[2 * H];
          h[next * H + j] = s[3 * H] * std::tanh(c[next * H + j]);
        }
      }
      for (std::size_t o = 0; o < O; ++o) {
        double p = rb[o];
        for (std::size_t j = 0; j < H; ++j) p += ro[o * H + j] * h[next * H + j];
        error[row * O + o] = p - y[row * O + o];
        loss += error[row * O + o] * error[row * O + o];
      }
    }
  const double count = static_cast<double>(T * B * O);

  // Backward. dh and dc are the gradients of the state after step t, then of the state before it.
  Result result{loss / count, {}};
  for (const auto& [name, values] : in)
    if (name != "y") result.gradients[name].assign(values.size(), 0);
  Arrays& d = result.gradients;
  Numbers dh(B * H), dc(B * H), dxi(G), dhi(G);
  for (std::size_t t = T; t-- > 0;)
    for (std::size_t b = 0; b < B; ++b) {
      const std::size_t row = t * B + b, next = row + B;
      for (std::size_t o = 0; o < O; ++o) {
        const double dp = 2 * error[row * O + o] / count;
        d["readout_bias"][o] += dp;
        for (std::size_t j = 0; j < H; ++j) {
          d["readout"][o * H + j] += dp * h[next * H + j];
          dh[b * H + j] += dp * ro[o * H + j];
        }
      }
      for (std::size_t j = 0; j < H; ++j) {
        const double* s = &act[row * G + j];
        const double g = dh[b * H + j];
        double direct = 0;  // what reaches the old h past the weights
        if (kind == Kind::rnn) {
          dxi[j] = dhi[j] = g * (1 - s[0] * s[0]);
        } else if (kind == Kind::gru) {
          const double r = s[0], z = s[H], n = s[2 * H], un = hi[row * G + 2 * H + j];
          const double dn = g * (1 - z) * (1 - n * n);
          dxi[j] = dhi[j] = dn * un * r * (1 - r);
          dxi[H + j] = dhi[H + j] = g * (h[row * H + j] - n) * z * (1 - z);
          dxi[2 * H + j] = dn;
          dhi[2 * H + j] = dn * r;
          direct = g * z;
        } else {
          const double i = s[0], f = s[H], m = s[2 * H], o = s[3 * H], tc = std::tanh(c[next * H + j]);
          const double dcell = dc[b * H + j] + g * o * (1 - tc * tc);
          dxi[j] = dhi[j] = dcell * m * i * (1 - i);
          dxi[H + j] = dhi[H + j] = dcell * c[row * H + j] * f * (1 - f);
          dxi[2 * H + j] = dhi[2 * H + j] = dcell * i * (1 - m * m);
          dxi[3 * H + j] = dhi[3 * H + j] = g * tc * o * (1 - o);
          dc[b * H + j] = dcell * f;
        }
        dh[b * H + j] = direct;
      }
      for (std::size_t g = 0; g < G; ++g) {
        d["bias_ih"][g] += dxi[g];
        d["bias_hh"][g] += dhi[g];
        for (std::size_t i = 0; i < I; ++i) {
          d["weight_ih"][g * I + i] += dxi[g] * x[row * I + i];
          d["x"][row * I + i] += dxi[g] * wi[g * I + i];
        }
        for (std::size_t j = 0; j < H; ++j) {
          d["weight_hh"][g * H + j] += dhi[g] * h[row * H + j];
          dh[b * H + j] += dhi[g] * wh[g * H + j];
        }
      }
    }
  d["h0"] = dh;
  if (kind == Kind::lstm) d["c0"] = dc;
  return result;
}

}  // namespace oracle
