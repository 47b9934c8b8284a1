// xsimd, and with it the compiler's vector intrinsics (included before anything else that includes them), and
// parts of vectors.
#pragma once

#include <cstddef>
#include <type_traits>

// GCC 12 warns of uninitialised variables inside of its own AVX-512 header (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <xsimd/xsimd.hpp>
#pragma GCC diagnostic pop
#else
#include <xsimd/xsimd.hpp>
#endif

namespace autograd::detail {

template <class T>
using Batch = xsimd::batch<T>;

// The first `count` elements (at most a batch), zeros behind them.
template <class T>
[[gnu::always_inline]] inline Batch<T> load(const T* from, std::size_t count) {
  if (count >= Batch<T>::size) [[likely]]
    return Batch<T>::load_unaligned(from);
#ifdef __AVX512F__
  const auto mask = (1u << count) - 1;
  if constexpr (std::is_same_v<T, float>)
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
  else
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), from);
#else
  alignas(64) T buffer[Batch<T>::size] = {};
  for (std::size_t i = 0; i < count; ++i) buffer[i] = from[i];
  return Batch<T>::load_aligned(buffer);
#endif
}

template <class T>
[[gnu::always_inline]] inline void store(T* to, const Batch<T>& value, std::size_t count) {
  if (count >= Batch<T>::size) [[likely]] {
    value.store_unaligned(to);
    return;
  }
#ifdef __AVX512F__
  const auto mask = (1u << count) - 1;
  if constexpr (std::is_same_v<T, float>)
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(mask), value);
  else
    _mm512_mask_storeu_pd(to, static_cast<__mmask8>(mask), value);
#else
  alignas(64) T buffer[Batch<T>::size];
  value.store_aligned(buffer);
  for (std::size_t i = 0; i < count; ++i) to[i] = buffer[i];
#endif
}

}  // namespace autograd::detail
