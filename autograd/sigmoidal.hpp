// tanh and the logistic function of SIMD lanes, which are most of what gates cost. In double, xsimd's own
// take three times as long.
#pragma once

#include <array>
#include <cstdint>

#include "simd.hpp"

namespace autograd::detail {

// sum_i c_i x^i. The terms of odd degree are summed beside the others, so that it takes half as long.
template <class T, std::size_t kTerms>
[[gnu::always_inline]] inline Batch<T> polynomial(const std::array<T, kTerms>& c, const Batch<T>& x) {
  const Batch<T> square = x * x;
  constexpr std::size_t kEven = (kTerms - 1) / 2 * 2, kOdd = kTerms / 2 * 2 - 1;
  Batch<T> even(c[kEven]), odd(c[kOdd]);
#pragma GCC unroll 16
  for (std::size_t i = kEven; i > 0; i -= 2) even = xsimd::fma(even, square, Batch<T>(c[i - 2]));
#pragma GCC unroll 16
  for (std::size_t i = kOdd; i > 1; i -= 2) odd = xsimd::fma(odd, square, Batch<T>(c[i - 2]));
  return xsimd::fma(odd, x, even);
}

// The polynomials are minimax of their degree, by Remez' algorithm: off by less than a tenth of a unit in the
// last place of what they are part of.
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
  // (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2
  static constexpr std::array kExp{0.5000000044105602792f,   0.1666666636578712497f,
                                   0.04166636095988977607f,  0.008333390249049281978f,
                                   0.001394062814313951948f, 0.0001984547251248915202f};
};
template <>
struct SigmoidalConstants<double> {
  using Bits = std::int64_t;
  static constexpr int kMantissa = 52;
  static constexpr Bits kOne = 0x3ff0000000000000;
  static constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kLogOfMost = 708.39641;
  static constexpr std::array kExp{
      0.5000000000000000008,   0.1666666666666667651,    0.04166666666666650878,   0.008333333333321691439,
      0.001388888888896237124, 0.0001984126988596618321, 2.480158717253648311e-05, 2.755724437392619144e-6,
      2.755740264538302591e-7, 2.510897897394396977e-8,  2.087532896622002171e-9};
};

// e^x = scale (1 + rest) for |x| <= kLogOfMost: scale = 2^k, k = round(x / ln 2), and rest = e^r - 1 with
// r = x - k ln 2 (Cody and Waite 1980).
template <class T>
struct Exponential {
  Batch<T> scale, rest;

  [[gnu::always_inline]] explicit Exponential(const Batch<T>& x) {
    using C = SigmoidalConstants<T>;
    using Integers = xsimd::batch<typename C::Bits>;
    // Added to x / ln 2, this leaves k in the lowest bits.
    constexpr T kShift = T(3) * T(std::uint64_t{1} << (C::kMantissa - 1));
    const Batch<T> shifted = xsimd::fma(x, Batch<T>(T(1.44269504088896340736)), Batch<T>(kShift));
    const Batch<T> k = shifted - Batch<T>(kShift);
    scale = xsimd::bitwise_cast<Batch<T>>((xsimd::bitwise_cast<Integers>(shifted) << C::kMantissa) +
                                          Integers(C::kOne));
    const Batch<T> r = xsimd::fnma(k, Batch<T>(C::kLn2Low), xsimd::fnma(k, Batch<T>(C::kLn2High), x));
    rest = xsimd::fma(r * r, polynomial(C::kExp, r), r);
  }
};

// Within 2.7 units in the last place.
template <class T>
[[gnu::always_inline]] inline Batch<T> tanh_of(const Batch<T>& x) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return xsimd::tanh(x);  // within 1.4, and quicker than this for small values, such as most of a state
  } else {
    const Batch<T> size =
        xsimd::min(Batch<T>(T(22)), xsimd::abs(x));  // tanh(22) is 1; in this order NaN stays
    const Exponential<T> power(size + size);
    const Batch<T> minus_one =
        xsimd::fma(power.scale, power.rest, power.scale - Batch<T>(T(1)));  // e^2|x| - 1
    return xsimd::copysign(minus_one / (minus_one + Batch<T>(T(2))), x);
  }
}

// Within 2.5 units in the last place; 0 where it is less than the smallest normal number.
template <class T>
[[gnu::always_inline]] inline Batch<T> sigmoid_of(const Batch<T>& x) {
  const Batch<T> most(SigmoidalConstants<T>::kLogOfMost);
  const Batch<T> one(T(1));
  const Exponential<T> power(xsimd::min(most, xsimd::max(-most, -x)));
  const Batch<T> y = one / xsimd::fma(power.scale, one + power.rest, one);
  return xsimd::select(x < -most, Batch<T>(T(0)), y);
}

}  // namespace autograd::detail
