// The hand-written limit: one training step of an RNN, GRU, LSTM or minimal gated unit with backpropagation
// through time coded by hand, all products batched as far as the mathematics allows (input projection and
// weight gradients over all time steps at once), elementwise parts fused in SIMD, every buffer allocated
// beforehand. What a generic tape costs is its time over this step's, on the same BLAS.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "handcoded_kernels.hpp"

namespace handcoded {

enum class Cell { rnn, gru, lstm, mgu };

inline Cell cell_named(const std::string& name) {
  return name == "gru" ? Cell::gru : name == "lstm" ? Cell::lstm : name == "mgu" ? Cell::mgu : Cell::rnn;
}

// Matrices are row-major and multiply from the right: Wx (I, G H), Wh (H, G H), Wy (H, O). The gates' order
// is i, f, g, o (LSTM), r, z, n (GRU) and f, n (minimal gated unit, whose Wh is Wf (H, H) and then Wn (H,
// H)).
template <class T>
struct Step {
  Cell cell;
  int T_, B, I, H, O, G;
  Vec<T> X, Yt, Wx, Wh, b, bh, Wy, by, dWx, dWh, db, dbh, dWy, dby;
  // P: projected inputs; Hs, Cs: states, the initial one first; A: activations of the gates; Tc: tanh(c);
  // R: h Wh of the GRU; FH: f h of the minimal gated unit
  Vec<T> P, Hs, Cs, A, Tc, R, FH, Y, dY, dH, dZ, dR, dFH, dc;

  Step(Cell c, int t, int batch, int in, int hidden, int out)
      : cell(c), T_(t), B(batch), I(in), H(hidden), O(out) {
    G = c == Cell::lstm ? 4 : c == Cell::gru ? 3 : c == Cell::mgu ? 2 : 1;
    std::mt19937 g(1);
    auto init = [&](Vec<T>& v, size_t n, double s) {
      std::normal_distribution<double> d(0, s);
      v.resize(n);
      for (auto& x : v) x = static_cast<T>(d(g));
    };
    const size_t TB = size_t(T_) * B, GH = size_t(G) * H;
    init(X, TB * I, 1);
    init(Yt, TB * O, 1);
    init(Wx, I * GH, 1 / std::sqrt(I));
    init(Wh, H * GH, 1 / std::sqrt(H));
    init(b, GH, 0.1);
    if (c == Cell::gru) init(bh, H, .1);
    init(Wy, size_t(H) * O, 1 / std::sqrt(H));
    by.assign(O, 0);
    dWx.resize(Wx.size());
    dWh.resize(Wh.size());
    db.resize(b.size());
    dbh.resize(bh.size());
    dWy.resize(Wy.size());
    dby.resize(O);
    P.resize(TB * GH);
    Hs.assign((TB + B) * H, 0);
    if (c != Cell::rnn) A.resize(TB * GH);
    if (c == Cell::lstm) {
      Cs.assign((TB + B) * H, 0);
      Tc.resize(TB * H);
      dc.resize(size_t(B) * H);
    }
    if (c == Cell::gru) R.resize(TB * GH), dR.resize(TB * GH);
    if (c == Cell::mgu) FH.resize(TB * H), dFH.resize(size_t(B) * H);
    Y.resize(TB * O);
    dY.resize(TB * O);
    dH.resize((TB + B) * H);
    dZ.resize(TB * GH);
  }

  // Bytes of the values that the forward pass leaves to the backward sweep, beside inputs and weights:
  // states, activations and the error of the outputs. Of R only the column block of n counts.
  size_t kept_bytes() const {
    const size_t block = size_t(T_) * B * H;
    return sizeof(T) * (Hs.size() + Cs.size() + A.size() + Tc.size() + FH.size() + dY.size() +
                        (cell == Cell::gru ? block : 0));
  }
  // Bytes of all buffers but inputs, targets and weights.
  size_t buffer_bytes() const {
    size_t count = 0;
    for (const Vec<T>* v : {&dWx, &dWh, &db, &dbh, &dWy, &dby, &P,  &Hs, &Cs,  &A,
                            &Tc,  &R,   &FH, &Y,   &dY,  &dH,  &dZ, &dR, &dFH, &dc})
      count += v->size();
    return sizeof(T) * count;
  }

  double step() {
    forward();
    const double loss = readout();
    backward();
    update();
    return loss;
  }

  void forward() {
    const int TB = T_ * B, GH = G * H, BH = B * H;
    gemm(false, false, TB, GH, I, X.data(), Wx.data(), T(0), P.data());
    addbias(P.data(), b.data(), TB, GH);
    for (int t = 0; t < T_; ++t) {
      T *p = &P[size_t(t) * B * GH], *h0 = &Hs[size_t(t) * BH], *h1 = h0 + BH;
      if (cell == Cell::gru) {
        gru_forward(t, p, h0, h1);
      } else if (cell == Cell::mgu) {
        mgu_forward(t, p, h0, h1);
      } else {
        gemm(false, false, B, GH, H, h0, Wh.data(), T(1), p);
        if (cell == Cell::rnn)
          simd<T>(BH, [&](int j, auto ld, auto st) { st(h1 + j, th(ld(p + j))); });
        else
          lstm_forward(t, p, h1);
      }
    }
  }

  void lstm_forward(int t, const T* p, T* h1) {
    const int GH = G * H, BH = B * H;
    T *a = &A[size_t(t) * B * GH], *c0 = &Cs[size_t(t) * BH], *c1 = c0 + BH, *tc = &Tc[size_t(t) * BH];
    for (int i = 0; i < B; ++i)
      simd<T>(H, [&](int j, auto ld, auto st) {
        const T* pi = p + i * GH + j;
        T* ai = a + i * GH + j;
        auto ig = sig(ld(pi));
        auto f = sig(ld(pi + H));
        auto g = th(ld(pi + 2 * H));
        auto o = sig(ld(pi + 3 * H));
        auto c = f * ld(c0 + i * H + j) + ig * g;
        auto tt = th(c);
        st(ai, ig);
        st(ai + H, f);
        st(ai + 2 * H, g);
        st(ai + 3 * H, o);
        st(c1 + i * H + j, c);
        st(tc + i * H + j, tt);
        st(h1 + i * H + j, o * tt);
      });
  }

  void gru_forward(int t, const T* p, const T* h0, T* h1) {
    const int GH = G * H;
    T *a = &A[size_t(t) * B * GH], *r = &R[size_t(t) * B * GH];
    gemm(false, false, B, GH, H, h0, Wh.data(), T(0), r);
    for (int i = 0; i < B; ++i)
      simd<T>(H, [&](int j, auto ld, auto st) {
        const T* pi = p + i * GH + j;
        T *ri = r + i * GH + j, *ai = a + i * GH + j;
        auto rr = sig(ld(pi) + ld(ri));
        auto z = sig(ld(pi + H) + ld(ri + H));
        auto hn = ld(ri + 2 * H) + ld(&bh[j]);
        auto n = th(ld(pi + 2 * H) + rr * hn);
        auto hp = ld(h0 + i * H + j);
        st(ai, rr);
        st(ai + H, z);
        st(ai + 2 * H, n);
        st(ri + 2 * H, hn);
        st(h1 + i * H + j, n + z * (hp - n));
      });
  }

  void mgu_forward(int t, T* p, const T* h0, T* h1) {
    const int GH = G * H, BH = B * H;
    T *a = &A[size_t(t) * B * GH], *fh = &FH[size_t(t) * BH];
    const T *Wf = Wh.data(), *Wn = Wf + H * H;
    gemm(false, false, B, H, H, h0, Wf, T(1), p, 0, 0, GH);
    for (int i = 0; i < B; ++i)
      simd<T>(H, [&](int j, auto ld, auto st) {
        auto f = sig(ld(p + i * GH + j));
        st(a + i * GH + j, f);
        st(fh + i * H + j, f * ld(h0 + i * H + j));
      });
    gemm(false, false, B, H, H, fh, Wn, T(1), p + H, 0, 0, GH);
    for (int i = 0; i < B; ++i)
      simd<T>(H, [&](int j, auto ld, auto st) {
        T* ai = a + i * GH + j;
        auto f = ld(ai);
        auto n = th(ld(p + i * GH + H + j));
        auto hp = ld(h0 + i * H + j);
        st(ai + H, n);
        st(h1 + i * H + j, hp + f * (n - hp));
      });
  }

  // Outputs of all steps, the loss, and the gradient of the outputs.
  double readout() {
    const int TB = T_ * B;
    gemm(false, false, TB, O, H, Hs.data() + B * H, Wy.data(), T(0), Y.data());
    addbias(Y.data(), by.data(), TB, O);
    double loss = 0;
    const T s = T(2) / T(size_t(TB) * O);
    for (size_t k = 0; k < Y.size(); ++k) {
      T e = Y[k] - Yt[k];
      loss += double(e) * e;
      dY[k] = s * e;
    }
    return loss / (double(TB) * O);
  }

  void backward() {
    const int TB = T_ * B, GH = G * H, BH = B * H;
    T *hs = Hs.data() + BH, *dh = dH.data() + BH;
    gemm(true, false, H, O, TB, hs, dY.data(), T(0), dWy.data());
    colsum(dY.data(), dby.data(), TB, O);
    gemm(false, true, TB, H, O, dY.data(), Wy.data(), T(0), dh);
    std::fill(dH.begin(), dH.begin() + BH, T(0));
    std::fill(dc.begin(), dc.end(), T(0));
    for (int t = T_ - 1; t >= 0; --t) {
      T *h0 = &Hs[size_t(t) * BH], *h1 = h0 + BH, *dz = &dZ[size_t(t) * B * GH];
      T *g1 = &dH[size_t(t + 1) * BH], *g0 = g1 - BH;
      if (cell == Cell::gru) {
        gru_backward(t, h0, g1, g0, dz);
      } else if (cell == Cell::mgu) {
        mgu_backward(t, h0, g1, g0, dz);
      } else {
        if (cell == Cell::rnn)
          simd<T>(BH, [&](int j, auto ld, auto st) {
            auto h = ld(h1 + j);
            st(dz + j, ld(g1 + j) * (decltype(h)(T(1)) - h * h));
          });
        else
          lstm_backward(t, g1, dz);
        gemm(false, true, B, H, GH, dz, Wh.data(), T(1), g0);
      }
    }
    if (cell == Cell::mgu) {
      gemm(true, false, H, H, TB, Hs.data(), dZ.data(), T(0), dWh.data(), 0, GH);
      gemm(true, false, H, H, TB, FH.data(), dZ.data() + H, T(0), dWh.data() + H * H, 0, GH);
    } else {
      gemm(true, false, H, GH, TB, Hs.data(), cell == Cell::gru ? dR.data() : dZ.data(), T(0), dWh.data());
    }
    gemm(true, false, I, GH, TB, X.data(), dZ.data(), T(0), dWx.data());
    colsum(dZ.data(), db.data(), TB, GH);
    if (cell == Cell::gru) {
      std::fill(dbh.begin(), dbh.end(), T(0));
      for (int k = 0; k < TB; ++k)
        for (int j = 0; j < H; ++j) dbh[j] += dR[size_t(k) * GH + 2 * H + j];
    }
  }

  void lstm_backward(int t, const T* g1, T* dz) {
    const int GH = G * H, BH = B * H;
    T *a = &A[size_t(t) * B * GH], *c0 = &Cs[size_t(t) * BH], *tc = &Tc[size_t(t) * BH];
    for (int i = 0; i < B; ++i)
      simd<T>(H, [&](int j, auto ld, auto st) {
        T *ai = a + i * GH + j, *zi = dz + i * GH + j;
        auto gh = ld(g1 + i * H + j);
        using V = decltype(gh);
        V one(T(1));
        auto ig = ld(ai);
        auto f = ld(ai + H);
        auto g = ld(ai + 2 * H);
        auto o = ld(ai + 3 * H);
        auto tt = ld(tc + i * H + j);
        auto d = ld(&dc[i * H + j]) + gh * o * (one - tt * tt);
        st(zi, d * g * ig * (one - ig));
        st(zi + H, d * ld(c0 + i * H + j) * f * (one - f));
        st(zi + 2 * H, d * ig * (one - g * g));
        st(zi + 3 * H, gh * tt * o * (one - o));
        st(&dc[i * H + j], d * f);
      });
  }

  void gru_backward(int t, const T* h0, const T* g1, T* g0, T* dz) {
    const int GH = G * H;
    T *a = &A[size_t(t) * B * GH], *r = &R[size_t(t) * B * GH], *dr = &dR[size_t(t) * B * GH];
    for (int i = 0; i < B; ++i)
      simd<T>(H, [&](int j, auto ld, auto st) {
        T *ai = a + i * GH + j, *zi = dz + i * GH + j, *dri = dr + i * GH + j;
        auto gh = ld(g1 + i * H + j);
        using V = decltype(gh);
        V one(T(1));
        auto rr = ld(ai);
        auto z = ld(ai + H);
        auto n = ld(ai + 2 * H);
        auto hn = ld(r + i * GH + j + 2 * H);
        auto hp = ld(h0 + i * H + j);
        auto dn = gh * (one - z) * (one - n * n);
        auto dzz = gh * (hp - n) * z * (one - z);
        auto drr = dn * hn * rr * (one - rr);
        st(zi, drr);
        st(zi + H, dzz);
        st(zi + 2 * H, dn);
        st(dri, drr);
        st(dri + H, dzz);
        st(dri + 2 * H, dn * rr);
        st(g0 + i * H + j, ld(g0 + i * H + j) + gh * z);
      });
    gemm(false, true, B, H, GH, dr, Wh.data(), T(1), g0);
  }

  void mgu_backward(int t, const T* h0, const T* g1, T* g0, T* dz) {
    const int GH = G * H;
    const T *a = &A[size_t(t) * B * GH], *Wf = Wh.data(), *Wn = Wf + H * H;
    for (int i = 0; i < B; ++i)
      simd<T>(H, [&](int j, auto ld, auto st) {
        auto n = ld(a + i * GH + H + j);
        st(dz + i * GH + H + j, ld(g1 + i * H + j) * ld(a + i * GH + j) * (decltype(n)(T(1)) - n * n));
      });
    gemm(false, true, B, H, H, dz + H, Wn, T(0), dFH.data(), GH);
    for (int i = 0; i < B; ++i)
      simd<T>(H, [&](int j, auto ld, auto st) {
        auto gh = ld(g1 + i * H + j);
        using V = decltype(gh);
        V one(T(1));
        auto f = ld(a + i * GH + j);
        auto n = ld(a + i * GH + H + j);
        auto hp = ld(h0 + i * H + j);
        auto dfh = ld(&dFH[i * H + j]);
        st(dz + i * GH + j, (gh * (n - hp) + dfh * hp) * f * (one - f));
        st(g0 + i * H + j, ld(g0 + i * H + j) + gh * (one - f) + dfh * f);
      });
    gemm(false, true, B, H, H, dz, Wf, T(1), g0, GH);
  }

  void update() {
    sgd(Wx, dWx);
    sgd(Wh, dWh);
    sgd(b, db);
    sgd(bh, dbh);
    sgd(Wy, dWy);
    sgd(by, dby);
  }

  // The largest relative error of entries of every weight's gradient against central differences: in double,
  // this shows that the step is right.
  double check() {
    const std::vector<Vec<T>*> weights{&Wx, &Wh, &b, &bh, &Wy, &by};
    std::vector<Vec<T>> saved, gradients;
    for (const Vec<T>* w : weights) saved.push_back(*w);
    const auto loss_with = [&](size_t weight, size_t entry, double change) {
      for (size_t w = 0; w < weights.size(); ++w) *weights[w] = saved[w];
      (*weights[weight])[entry] += static_cast<T>(change);
      return step();
    };
    step();
    for (const Vec<T>* g : {&dWx, &dWh, &db, &dbh, &dWy, &dby}) gradients.push_back(*g);
    double worst = 0;
    const double e = 1e-5;
    for (size_t w = 0; w < weights.size(); ++w) {
      const size_t size = saved[w].size(), stride = std::max<size_t>(1, size / 8);
      for (size_t k = 0; k < size; k += stride) {  // eight or more, in all gates
        const double numeric = (loss_with(w, k, e) - loss_with(w, k, -e)) / (2 * e);
        const double analytic = static_cast<double>(gradients[w][k]);
        worst = std::max(worst, std::abs(numeric - analytic) / (std::abs(analytic) + 1e-4));
      }
    }
    for (size_t w = 0; w < weights.size(); ++w) *weights[w] = saved[w];
    return worst;
  }
};

}  // namespace handcoded
