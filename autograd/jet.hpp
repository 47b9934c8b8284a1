// Jets: batches with one tangent, and the kernels that interpret a body on them.
#pragma once

#include "body_program.hpp"

namespace autograd::detail {

// A batch and its derivative along a direction, if it has one other than zero. Slopes are computed on jets,
// too: the tangent of a slope is a second derivative along the direction.
template <class T>
struct Jet {
  using value_type = T;
  Batch<T> value, tangent;
  bool live = false;

  explicit Jet(const Batch<T>& of) : value(of), tangent(T(0)) {}
  template <Number X>
  explicit Jet(X number) : value(static_cast<T>(number)), tangent(T(0)) {}
  Jet(const ProgramValue<T>& x, std::size_t at)
      : value(Batch<T>::load_aligned(x.value + at)),
        tangent(x.live ? Batch<T>::load_aligned(x.tangent + at) : Batch<T>(T(0))),
        live(x.live) {}
};

template <class T>
struct IsLane<Jet<T>> : std::true_type {};
template <class X, class T>
struct LiftedLane<X, Jet<T>> {
  static Jet<T> lift(const X& number) { return Jet<T>(number); }
};

template <class F, std::size_t kOperand, class... X>
using SlopeOf = std::remove_cvref_t<decltype(F::template slope<kOperand>(std::declval<const X&>()...))>;

template <class F, class T, class... Rest>
[[gnu::always_inline]] inline Jet<T> apply(const Jet<T>& first, const Rest&... rest) {
  Jet<T> y(F::value(first.value, rest.value...));
  const auto add = [&]<std::size_t kOperand>(const Jet<T>& operand) {
    using Slope = SlopeOf<F, kOperand, Batch<T>, std::conditional_t<true, Batch<T>, Rest>..., Batch<T>>;
    if constexpr (!std::is_same_v<Slope, Zero>) {
      if (!operand.live) return;
      const Batch<T> term =
          chain(F::template slope<kOperand>(first.value, rest.value..., y.value), operand.tangent);
      y.tangent = y.live ? y.tangent + term : term;
      y.live = true;
    }
  };
  [&]<std::size_t... kI>(std::index_sequence<kI...>) {
    add.template operator()<0>(first);
    (add.template operator()<kI + 1>(rest), ...);
  }
  (std::index_sequence_for<Rest...>{});
  return y;
}

// The slopes of F on lanes of type V.
template <class F, class T, class Indices>
struct ElementKernels;
template <class F, class T, std::size_t... kI>
struct ElementKernels<F, T, std::index_sequence<kI...>> {
  using B = Batch<T>;
  using Value = ProgramValue<T>;
  template <std::size_t, class V>
  using Same = V;
  template <std::size_t kOperand>
  using Slope = SlopeOf<F, kOperand, Same<kI, Jet<T>>..., Jet<T>>;

  static void forward(const Value* const* x, Value& y, std::size_t batches) {
    for (std::size_t at = 0; at < batches * B::size; at += B::size) {
      const Jet<T> result = apply<F>(Jet<T>(*x[kI], at)...);
      result.value.store_aligned(y.value + at);
      if (y.live) result.tangent.store_aligned(y.tangent + at);
    }
  }

  static void backward(Value* const* x, const Value& y, std::size_t batches) {
    (backward_operand<kI>(x, y, batches), ...);
  }

  template <std::size_t kOperand>
  static void backward_operand(Value* const* x, const Value& y, std::size_t batches) {
    using S = Slope<kOperand>;
    if constexpr (!std::is_same_v<S, Zero>) {
      Value& to = *x[kOperand];
      if (!to.reached) return;
      for (std::size_t at = 0; at < batches * B::size; at += B::size) {
        B g = B::load_aligned(y.gradient + at), of_g = B::load_aligned(y.gradient_tangent + at);
        if constexpr (std::is_same_v<S, MinusOne>) {
          g = -g;
          of_g = -of_g;
        } else if constexpr (!std::is_same_v<S, One>) {
          const S slope = F::template slope<kOperand>(Jet<T>(*x[kI], at)..., Jet<T>(y, at));
          if constexpr (std::is_same_v<S, Jet<T>>) {
            of_g = slope.value * of_g;
            if (slope.live) of_g = of_g + slope.tangent * g;
            g = slope.value * g;
          } else {  // a gate: its condition has no derivative
            const auto pass = [&]<bool kWhere>(const Gate<Jet<T>, kWhere>& gate, const B& partial) {
              return chain(Gate<B, kWhere>{gate.condition.value}, partial);
            };
            g = pass(slope, g);
            of_g = pass(slope, of_g);
          }
        }
        if (to.written) {
          g = g + B::load_aligned(to.gradient + at);
          of_g = of_g + B::load_aligned(to.gradient_tangent + at);
        }
        g.store_aligned(to.gradient + at);
        of_g.store_aligned(to.gradient_tangent + at);
      }
      to.written = true;
    }
  }

  static constexpr ElementKernel<T> kernel{
      sizeof...(kI), {!std::is_same_v<Slope<kI>, Zero>...}, forward, backward};
};

}  // namespace autograd::detail
