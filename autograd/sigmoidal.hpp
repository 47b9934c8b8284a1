// tanh and the logistic function of SIMD lanes, which are most of what gates cost: xsimd's own take
// a third longer in float, and three times as long in double.
#pragma once

#include <array>
#include <cstdint>
#include <numbers>

#include "simd.hpp"

namespace autograd::detail {

// sum_i c_i x^i: of pairs of terms, in powers of x^2, so that it takes half as long as one by one.
template <class T, std::size_t kTerms>
[[gnu::always_inline]] inline Batch<T> polynomial(const std::array<T, kTerms>& c, const Batch<T>& x) {
  const Batch<T> square = x * x;
  constexpr std::size_t kLast = (kTerms - 1) / 2 * 2;
  const auto pair = [&](std::size_t i) __attribute__((always_inline)) {
    return i + 1 < kTerms ? xsimd::fma(Batch<T>(c[i + 1]), x, Batch<T>(c[i])) : Batch<T>(c[i]);
  };
  Batch<T> sum = pair(kLast);
#pragma GCC unroll 16
  for (std::size_t i = kLast; i > 0; i -= 2) sum = xsimd::fma(sum, square, pair(i - 2));
  return sum;
}

// The polynomials are minimax of their degree, by Remez' algorithm: off by less than two fifths of a unit in
// the last place of what they are part of.
template <class T>
struct SigmoidalConstants;
template <>
struct SigmoidalConstants<float> {
  using Bits = std::int32_t;
  static constexpr int kMantissa = 23;
  static constexpr Bits kOne = 0x3f800000;  // 1 as bits
  // Their sum is ln 2, and multiples of the first are exact.
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  static constexpr float kLogOfMost = 87.33654f;  // of the largest number of which the reciprocal is normal
  // (e^r - 1) / r for |r| <= ln 2 / 2
  static constexpr std::array kExp{1.0f,
                                   0.4999999812349362062f,
                                   0.1666650615589758780f,
                                   0.04166713645612841779f,
                                   0.008369075685536726294f,
                                   0.001388886910141990262f};
  // (2^r - 1) / r for |r| <= 1 / 2
  static constexpr std::array kPower{0.693147187926631208f,   0.24022649794877507f,
                                     0.0555035743377684306f,  0.00961823750812457583f,
                                     0.00133907354424145109f, 0.000154035084661077035f};
  // (tanh x - x) / x^3 in powers of x^2, for |x| <= kSmall
  static constexpr float kSmall = 0.625f;
  static constexpr std::array kTanh{-0.33333281942380768164f, 0.13331442202343419848f,
                                    -0.053739715213865533623f, 0.020639087318328305259f,
                                    -0.0057049868776346442576f};
};
template <>
struct SigmoidalConstants<double> {
  using Bits = std::int64_t;
  static constexpr int kMantissa = 52;
  static constexpr Bits kOne = 0x3ff0000000000000;
  static constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kLogOfMost = 708.39641;
  // (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2
  static constexpr std::array kExp{
      0.5000000000000000008,   0.1666666666666667651,    0.04166666666666650878,   0.008333333333321691439,
      0.001388888888896237124, 0.0001984126988596618321, 2.480158717253648311e-05, 2.755724437392619144e-6,
      2.755740264538302591e-7, 2.510897897394396977e-8,  2.087532896622002171e-9};
};

// e^y = 2^k e^r for |y| <= kLogOfMost: k = round(y / ln 2), r = y - k ln 2 (Cody and Waite 1980).
template <class T>
struct Reduced {
  Batch<T> k, power;  // 2^k

  // y = n x
  [[gnu::always_inline]] explicit Reduced(const Batch<T>& x, T n = 1) {
    using C = SigmoidalConstants<T>;
    using Integers = xsimd::batch<typename C::Bits>;
    // Added to y / ln 2, this leaves k in the lowest bits.
    constexpr T kShift = T(3) * T(std::uint64_t{1} << (C::kMantissa - 1));
    const Batch<T> shifted = xsimd::fma(x, Batch<T>(n / std::numbers::ln2_v<T>), Batch<T>(kShift));
    k = shifted - Batch<T>(kShift);
    power = xsimd::bitwise_cast<Batch<T>>((xsimd::bitwise_cast<Integers>(shifted) << C::kMantissa) +
                                          Integers(C::kOne));
  }
  [[gnu::always_inline]] Batch<T> r(const Batch<T>& y) const {
    using C = SigmoidalConstants<T>;
    return xsimd::fnma(k, Batch<T>(C::kLn2Low), xsimd::fnma(k, Batch<T>(C::kLn2High), y));
  }
};

// e^r - 1
[[gnu::always_inline]] inline Batch<double> exp_minus_one(const Batch<double>& r) {
  return xsimd::fma(r * r, polynomial(SigmoidalConstants<double>::kExp, r), r);
}

// e^y + 1
[[gnu::always_inline]] inline Batch<double> exp_plus_one(const Batch<double>& y) {
  const Reduced<double> reduced(y);
  const Batch<double> one(1);
  return xsimd::fma(reduced.power, one + exp_minus_one(reduced.r(y)), one);
}
[[gnu::always_inline]] inline Batch<float> exp_plus_one(const Batch<float>& y) {
  const Reduced<float> reduced(y);
  const Batch<float> r = reduced.r(y);
  return xsimd::fma(reduced.power * r, polynomial(SigmoidalConstants<float>::kExp, r),
                    reduced.power + Batch<float>(1));
}

// Within 1.6 units in the last place.
[[gnu::always_inline]] inline Batch<float> tanh_of(const Batch<float>& x) {
  using C = SigmoidalConstants<float>;
  using V = Batch<float>;
  const V size = xsimd::abs(x), square = x * x;
  const auto small = size < V(C::kSmall);
  const V near = xsimd::fma(polynomial(C::kTanh, square) * square, size, size);
  if (xsimd::all(small)) return xsimd::copysign(near, x);  // as most of a state is, often
  // 1 - 2 / (e^2|x| + 1), for which 2|x| / ln 2 - k is exact enough, and quicker than Cody's and Waite's r
  const V bounded = xsimd::min(V(10), size);  // tanh(10) is 1; in this order NaN stays
  const Reduced<float> reduced(bounded, 2);
  const V r = xsimd::fms(bounded, V(2 / std::numbers::ln2_v<float>), reduced.k);
  const V plus_one = xsimd::fma(reduced.power * r, polynomial(C::kPower, r), reduced.power + V(1));
  return xsimd::copysign(xsimd::select(small, near, V(1) - V(2) / plus_one), x);
}

// Within 2.7 units in the last place.
[[gnu::always_inline]] inline Batch<double> tanh_of(const Batch<double>& x) {
  using V = Batch<double>;
  const V bounded = xsimd::min(V(22), xsimd::abs(x));  // as above
  const Reduced<double> reduced(bounded, 2);
  const V rest = exp_minus_one(reduced.r(bounded + bounded));
  const V minus_one = xsimd::fma(reduced.power, rest, reduced.power - V(1));  // e^2|x| - 1
  return xsimd::copysign(minus_one / (minus_one + V(2)), x);
}

// Within 2.5 units in the last place; 0 where it is less than the smallest normal number.
template <class T>
[[gnu::always_inline]] inline Batch<T> sigmoid_of(const Batch<T>& x) {
  using V = Batch<T>;
  const V most(SigmoidalConstants<T>::kLogOfMost);
  const V y = V(1) / exp_plus_one(xsimd::min(most, xsimd::max(-most, -x)));
  return xsimd::select(x < -most, V(0), y);
}

}  // namespace autograd::detail
