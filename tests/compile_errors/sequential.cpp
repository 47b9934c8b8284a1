// Layers that do not fit behind each other, and what the compiler must say; see run.cmake.
#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

namespace ag = autograd;
using Var = ag::Var<double>;

struct Layer {
  Var operator()(const Var& x) const { return tanh(x); }
};

#ifdef MISTAKE_LAYER_NOT_CONST  // Sequential: a layer cannot be called (as const)
struct Mistaken {
  Var operator()(const Var& x) { return tanh(x); }
};
#define Layer Mistaken
#endif
#ifdef MISTAKE_LAYER_OF_ANOTHER_TYPE  // with what the layer before it gives, or the first one with the
                                      // arguments
struct Mistaken {
  ag::Var<float> operator()(const ag::Var<float>& x) const { return tanh(x); }
};
#define Layer Mistaken
#endif

inline void mistake(nn::Rng& rng, const Var& x) {
  const nn::Sequential layers(nn::Linear<double>(3, 4, rng), Layer{});
  layers(x);
}
