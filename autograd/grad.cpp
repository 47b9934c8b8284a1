#include "grad.hpp"

#include "recorded_sweep.hpp"

namespace autograd {

using namespace detail;

namespace {

// Has sweeps keep the gradients of some places for as long as it lives.
class KeptGradients {
 public:
  KeptGradients(TapeStorage& tape, const std::vector<Place>& places) : tape_(tape), places_(places) {
    for (const Place& place : places) before_.push_back(std::exchange(tape.slots[place.slot()].keep, true));
  }
  KeptGradients(const KeptGradients&) = delete;
  ~KeptGradients() {
    for (std::size_t i = places_.size(); i-- > 0;) tape_.slots[places_[i].slot()].keep = before_[i];
  }

 private:
  TapeStorage& tape_;
  const std::vector<Place>& places_;
  std::vector<char> before_;
};

template <class T>
void need_use(const Var<T>& input, std::size_t index, const GradOptions& options) {
  if (!options.allow_unused)
    fail("grad: the output does not depend on ", called(input, "input " + std::to_string(index)),
         " of shape ", input.shape(), "; remove it, or ask for zeros with {.allow_unused = true}");
}

}  // namespace

template <class T>
std::vector<Var<T>> grad(const Var<T>& output, std::span<const Var<T>> inputs, GradOptions options) {
  TapeStorage* tape = recording();
  if (!context.active) fail("grad: no tape is active; record the computation with a Tape in scope");
  if (!tape || (output.tape_id() != tape->id && output.tape_id() == context.active->id))
    fail(
        "grad: the tape was consumed by an earlier backward or grad; record again on a new Tape, or keep it "
        "with {.keep_tape = true}");
  if (!output.defined()) fail("grad: the output is an empty Var; assign it a value first");
  if (output.size() != 1)
    fail("grad: the output has shape ", output.shape(), "; reduce it to a scalar, for example with sum");
  if (!output.differentiable())
    fail(
        "grad: the output is a constant; compute it from variables while the tape is alive (from gradients, "
        "if those were taken with {.create_graph = true})");
  check_versions(*tape, "grad");
  const Place seed = output.use("grad");
  std::vector<Place> places;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    places.push_back(inputs[i].use("grad"));
    if (!places.back().differentiable())
      fail("grad: input ", i, " of shape ", inputs[i].shape(),
           " is a constant; make it a variable with variable()");
  }

  std::vector<Var<T>> result;
  result.reserve(inputs.size());
  if (options.create_graph) {
    RecordedSweep<T> sweep(*tape);
    sweep.add(seed, output.shape(), Var<T>(Array<T>(output.shape(), T(1))));
    sweep.run(tape->last, nullptr);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Var<T> g = sweep.gradient(places[i], inputs[i].shape());
      if (!g.defined()) {
        if (!sweep.reached(places[i].slot())) need_use(inputs[i], i, options);
        g = zeros<T>(inputs[i].shape());
      }
      result.push_back(std::move(g));
    }
    return result;
  }

  const KeptGradients kept(*tape, places);
  const Seed one{seed, 1, nullptr};
  // An Error for an unused input must leave the tape as it is, so the tape can only be consumed after the
  // sweep.
  const bool consume = !options.keep_tape;
  run_sweep(*tape, {&one, 1}, consume && options.allow_unused);
  Sweep sweep(*tape);
  std::size_t first_unused = inputs.size();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Slot& slot = tape->slots[places[i].slot()];
    if (slot.low == slot.high && slot.size) first_unused = std::min(first_unused, i);
    Array<T> array(inputs[i].shape(), T(0));  // of its own: other inputs may be windows of the same slot
    if (const T* g = sweep.gradient<T>(places[i], array.size())) std::copy_n(g, array.size(), array.data());
    result.emplace_back(std::move(array));
  }
  clear_gradients(*tape);
  if (first_unused < inputs.size()) need_use(inputs[first_unused], first_unused, options);
  if (consume && !tape->consumed) {
    tape->release_nodes();
    tape->consumed = true;
  }
  return result;
}

template std::vector<Var<float>> grad(const Var<float>&, std::span<const Var<float>>, GradOptions);
template std::vector<Var<double>> grad(const Var<double>&, std::span<const Var<double>>, GradOptions);

}  // namespace autograd
