// Structs that are no cells, and what the compiler must say of each; see run.cmake.
#include <autograd/autograd.hpp>
#include <nn/nn.hpp>

namespace ag = autograd;
using Var = ag::Var<double>;

struct Cell {
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 4}); }
  Var step(const Var& x, const Var& h) const { return tanh(x + h); }
};

#ifdef MISTAKE_NO_INITIAL_STATE  // the cell has no `State initial_state(size_t batch) const`
struct Mistaken {
  Var step(const Var& x, const Var& h) const { return tanh(x + h); }
};
#define Cell Mistaken
#endif
#ifdef MISTAKE_STEP_NOT_CONST  // the cell's step is not const
struct Mistaken {
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 4}); }
  Var step(const Var& x, const Var& h) { return tanh(x + h); }
};
#define Cell Mistaken
#endif
#ifdef MISTAKE_STATE_OF_NINE  // plain struct (no constructors, at most 8 members) of those
struct Mistaken {
  struct State {
    Var a, b, c, d, e, f, g, h, i;
  };
  State initial_state(std::size_t) const { return {}; }
  std::pair<Var, State> step(const Var& x, const State& state) const { return {x, state}; }
};
#define Cell Mistaken
#endif
#ifdef MISTAKE_NO_STEP  // the cell has no `step(Var<T> x, State state) const`
struct Mistaken {
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 4}); }
  Var step(const Var& x) const { return tanh(x); }
};
#define Cell Mistaken
#endif
#ifdef MISTAKE_STATE_IS_LOST  // or else a std::pair of output and next state
struct Mistaken {
  struct State {
    Var h, c;
  };
  State initial_state(std::size_t batch) const { return {ag::zeros<double>({batch, 4}), {}}; }
  Var step(const Var& x, const State& state) const { return tanh(x + state.h); }
};
#define Cell Mistaken
#endif
#ifdef MISTAKE_STATE_OF_ANOTHER_TYPE  // the cell's step must return a Var<T>, where that is also the state
struct Mistaken {
  Var initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 4}); }
  std::pair<Var, int> step(const Var& x, const Var& h) const { return {tanh(x + h), 1}; }
};
#define Cell Mistaken
#endif
#ifdef MISTAKE_FLOAT_CELL  // the cell computes in float and the input is double, or the other way round
#define Cell nn::LSTMCell<float>
#endif
#ifdef MISTAKE_PROJECT_NOT_CONST  // the cell's project must be `Var<T> project(const Var<T>& x) const`
struct Mistaken : Cell {
  Var project(const Var& x) { return x; }
};
#define Cell Mistaken
#endif

inline void mistake(const Cell& cell, const Var& x) { nn::unroll(cell, x); }
