// Denormal numbers while a sweep runs.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace autograd::detail {

// A gradient that shrinks over many steps ends in denormal numbers, which are some hundred times slower to
// compute with. They are flushed to zero while a sweep runs; what the caller had set comes back after it.
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u); }
  ~FlushDenormals() { _mm_setcsr(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
#endif
};

// Brings back, for as long as it lives, the floating-point settings of an earlier time: what is computed
// again within a sweep must come out as it did before.
class FloatSettings {
 public:
#if defined(__SSE2__)
  static unsigned now() { return _mm_getcsr(); }
  explicit FloatSettings(unsigned earlier) : saved_(_mm_getcsr()) { _mm_setcsr(earlier); }
  ~FloatSettings() { _mm_setcsr(saved_); }
  FloatSettings(const FloatSettings&) = delete;

 private:
  unsigned saved_;
#else
  static unsigned now() { return 0; }
  explicit FloatSettings(unsigned) {}
  FloatSettings(const FloatSettings&) = delete;
#endif
};

}  // namespace autograd::detail
