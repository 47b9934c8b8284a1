// A struct that is no module, and what the compiler must say of it; see run.cmake.
#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

struct Module {
  autograd::Var<double> w;
  using value_type = double;
  auto fields(auto&& visit) { visit("w", w); }
};

#ifdef MISTAKE_NO_FIELDS  // it has no `auto fields(auto&& visit)` that names its parameters and layers
struct Mistaken {
  autograd::Var<double> w;
};
#define Module Mistaken
#endif

inline void mistake(const Module& module) { nn::parameters(module); }
