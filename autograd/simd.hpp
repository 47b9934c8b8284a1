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

// The first `count` elements of a vector, fewer than all. Loaded, there are zeros behind them; what lies
// behind them in memory is neither read nor written.
template <class T>
class Part {
 public:
#if defined(__AVX512F__)
  explicit Part(std::size_t count) : mask_(static_cast<Mask>((1u << count) - 1)) {}

  [[gnu::always_inline]] Batch<T> load(const T* from) const {
    if constexpr (sizeof(T) == 4)
      return _mm512_maskz_loadu_ps(mask_, from);
    else
      return _mm512_maskz_loadu_pd(mask_, from);
  }
  [[gnu::always_inline]] void store(T* to, const Batch<T>& value) const {
    if constexpr (sizeof(T) == 4)
      _mm512_mask_storeu_ps(to, mask_, value);
    else
      _mm512_mask_storeu_pd(to, mask_, value);
  }

 private:
  using Mask = std::conditional_t<sizeof(T) == 4, __mmask16, __mmask8>;
  Mask mask_;
#else
  explicit Part(std::size_t count) : count_(count) {}

  // In pieces of powers of two, and not by masks: a processor passes on what was just stored only to a load
  // that it contains.
#if defined(__SSE2__)
  [[gnu::always_inline]] Batch<T> load(const T* from) const {
#if defined(__AVX__)
    if (count_ < kHalf) return widen(few(from, count_));
    return join(whole(from), few(from + kHalf, count_ - kHalf));
#else
    return few(from, count_);
#endif
  }
  [[gnu::always_inline]] void store(T* to, const Batch<T>& value) const {
#if defined(__AVX__)
    if (count_ < kHalf) return put_few(to, low(value), count_);
    put_whole(to, low(value));
    put_few(to + kHalf, high(value), count_ - kHalf);
#else
    put_few(to, value, count_);
#endif
  }

 private:
#if defined(__AVX__)
  static constexpr std::size_t kHalf = Batch<T>::size / 2;  // what 16 bytes hold
  static __m128 whole(const float* from) { return _mm_loadu_ps(from); }
  static __m128d whole(const double* from) { return _mm_loadu_pd(from); }
  static void put_whole(float* to, __m128 x) { _mm_storeu_ps(to, x); }
  static void put_whole(double* to, __m128d x) { _mm_storeu_pd(to, x); }
  static __m256 widen(__m128 x) { return _mm256_zextps128_ps256(x); }
  static __m256d widen(__m128d x) { return _mm256_zextpd128_pd256(x); }
  static __m256 join(__m128 low, __m128 high) { return _mm256_set_m128(high, low); }
  static __m256d join(__m128d low, __m128d high) { return _mm256_set_m128d(high, low); }
  static __m128 low(__m256 x) { return _mm256_castps256_ps128(x); }
  static __m128d low(__m256d x) { return _mm256_castpd256_pd128(x); }
  static __m128 high(__m256 x) { return _mm256_extractf128_ps(x, 1); }
  static __m128d high(__m256d x) { return _mm256_extractf128_pd(x, 1); }
#endif
  // Of 16 bytes, fewer than all.
  [[gnu::always_inline]] static __m128 few(const float* from, std::size_t count) {
    if (count == 0) return _mm_setzero_ps();
    if (count == 1) return _mm_load_ss(from);
    const __m128 two = _mm_loadl_pi(_mm_setzero_ps(), reinterpret_cast<const __m64*>(from));
    return count == 2 ? two : _mm_movelh_ps(two, _mm_load_ss(from + 2));
  }
  [[gnu::always_inline]] static __m128d few(const double* from, std::size_t count) {
    return count ? _mm_load_sd(from) : _mm_setzero_pd();
  }
  [[gnu::always_inline]] static void put_few(float* to, __m128 x, std::size_t count) {
    if (count == 0) return;
    if (count == 1) return _mm_store_ss(to, x);
    _mm_storel_pi(reinterpret_cast<__m64*>(to), x);
    if (count == 3) _mm_store_ss(to + 2, _mm_movehl_ps(x, x));
  }
  [[gnu::always_inline]] static void put_few(double* to, __m128d x, std::size_t count) {
    if (count) _mm_store_sd(to, x);
  }
#else
  [[gnu::always_inline]] Batch<T> load(const T* from) const {
    alignas(64) T buffer[Batch<T>::size] = {};
    for (std::size_t i = 0; i < count_; ++i) buffer[i] = from[i];
    return Batch<T>::load_aligned(buffer);
  }
  [[gnu::always_inline]] void store(T* to, const Batch<T>& value) const {
    alignas(64) T buffer[Batch<T>::size];
    value.store_aligned(buffer);
    for (std::size_t i = 0; i < count_; ++i) to[i] = buffer[i];
  }

 private:
#endif
  std::size_t count_;
#endif
};

// The first `count` elements (at most a batch), zeros behind them.
template <class T>
[[gnu::always_inline]] inline Batch<T> load(const T* from, std::size_t count) {
  if (count >= Batch<T>::size) [[likely]]
    return Batch<T>::load_unaligned(from);
  return Part<T>(count).load(from);
}

template <class T>
[[gnu::always_inline]] inline void store(T* to, const Batch<T>& value, std::size_t count) {
  if (count >= Batch<T>::size) [[likely]]
    return value.store_unaligned(to);
  Part<T>(count).store(to, value);
}

}  // namespace autograd::detail
