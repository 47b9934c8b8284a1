#include "checkpoint.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "denormals.hpp"
#include "description.hpp"
#include "recorded_sweep.hpp"
#include "take_back.hpp"
#include "tangent_sweep.hpp"

namespace autograd {
namespace detail {
namespace {

// Has a tape record again that is being swept.
class Resumed {
 public:
  explicit Resumed(TapeStorage& tape)
      : tape_(tape), consumed_(std::exchange(tape.consumed, false)), saved_(context) {
    context.active = &tape;
    context.destination = {};
    context.log = nullptr;
  }
  ~Resumed() {
    tape_.consumed = consumed_;
    saved_.outputs = context.outputs;
    context = saved_;
  }
  Resumed(const Resumed&) = delete;

 private:
  TapeStorage& tape_;
  bool consumed_;
  Context saved_;
};

template <class T>
bool same_bits(const Var<T>& a, const Saved<T>& b) {
  return a.shape() == b.shape() && !std::memcmp(a.array().data(), b.data(), b.shape().size() * sizeof(T));
}

template <class T>
struct CheckpointNode : Node {
  using value_type = T;
  using Recorded = RecordedSweep<T>;

  struct Result {
    Saved<T> saved;  // at the place that its gradient arrives at
    bool own;        // f made it, and it is not part of an earlier one: its gradient goes into f by it
  };
  struct Op {
    TapeStorage* tape;
    CheckpointedFunction<T> f;
    unsigned float_settings;
    std::vector<Saved<T>> inputs;
    std::vector<Result> results;
    // What a tangent sweep has recorded of f, for the dual sweep that comes after it.
    std::vector<Var<T>> again;
    const Node* before = nullptr;
    Node* last = nullptr;
    std::size_t slots_after = 0;
  };
  Op* op;

  // The results once more, recorded.
  std::vector<Var<T>> run_again() const {
    const FloatSettings settings(op->float_settings);
    std::vector<Var<T>> inputs;
    for (const Saved<T>& input : op->inputs) inputs.push_back(input.var());
    std::vector<Var<T>> again = op->f(inputs);
    bool same = again.size() == op->results.size();
    for (std::size_t i = 0; same && i < again.size(); ++i) {
      const Result& result = op->results[i];
      same = again[i].defined() && same_bits(again[i], result.saved) &&
             (!result.own || again[i].differentiable());
    }
    if (!same)
      fail(
          "checkpoint: computed again for the reverse sweep, the function gave other results than before, so "
          "the "
          "gradients would be wrong; does it draw random numbers, or change a value that it captured?");
    return again;
  }

  template <class Pass>
  void each_own(const std::vector<Var<T>>& again, Pass&& pass) const {
    for (std::size_t i = 0; i < again.size(); ++i) {
      const Result& result = op->results[i];
      if (result.own) pass(result.saved, again[i]);
    }
  }

  void backward(Sweep& sweep) {
    const bool reached = std::any_of(op->results.begin(), op->results.end(), [&](const Result& result) {
      return sweep.gradient<T>(result.saved.place, result.saved.shape().size());
    });
    if (!reached) return;
    TapeStorage& tape = *op->tape;
    const Resumed resumed(tape);
    const TakeBack take_back(tape);
    const std::vector<Var<T>> again = run_again();
    each_own(again, [&](const Saved<T>& result, const Var<T>& y) {
      sweep.pass<T>(result.place, y.use("checkpoint"), y.size());
    });
    sweep_nodes(tape, sweep, take_back.last(), After::release);
    for (std::size_t i = take_back.deferred(); i < tape.deferred.size(); ++i)
      if (const Deferred& d = tape.deferred[i]; d.rows)
        sweep.flush(d.weight.differentiable() ? d.weight.slot() : d.bias.slot());
  }

  void record(Recorded& sweep) {
    TapeStorage& tape = *op->tape;
    const Node* const before = tape.last;
    const std::vector<Var<T>> again = run_again();
    Node* const last = tape.last;
    each_own(again, [&](const Saved<T>& result, const Var<T>& y) {
      if (const Var<T> g = sweep.gradient(result.place, result.shape()); g.defined())
        sweep.add(y.use("checkpoint"), y.shape(), g);
    });
    sweep.run(last, before);
  }

  void tangent(TangentSweep& sweep) {
    TapeStorage& tape = *op->tape;
    op->before = tape.last;
    tape.slots_at_last = static_cast<SlotId>(tape.slots.size());
    op->again = run_again();
    op->slots_after = tape.slots.size();
    op->last = tape.last;
    sweep.run<T>(op->before);
    each_own(op->again, [&](const Saved<T>& result, const Var<T>& y) {
      if (const Var<T> tangent = sweep.tangent_var<T>(y.use("checkpoint"), y.shape()); tangent.defined())
        sweep.add(result.place, tangent.array());
    });
  }

  void backward_dual(DualSweep& sweep) {
    const std::vector<Var<T>> again = std::exchange(op->again, {});
    each_own(again, [&](const Saved<T>& result, const Var<T>& y) {
      const Place inside = y.use("checkpoint");
      sweep.gradients().template pass<T>(result.place, inside, y.size());
      sweep.tangents().template pass<T>(result.place, inside, y.size());
    });
    sweep.run_back<T>(op->last, op->before, op->slots_after);
  }

  void describe(Description& d) const {
    d.op = "checkpoint";
    for (const Saved<T>& input : op->inputs) d.operand(input);
    for (const Result& result : op->results) d.result(result.saved.place, result.saved.shape());
  }

  std::vector<Var<T>> again(std::span<const Var<T>> inputs) const {
    return op->f(std::vector<Var<T>>(inputs.begin(), inputs.end()));
  }

  void release() {
    if (!op) return;
    for (Saved<T>& input : op->inputs) input.release();
    for (Result& result : op->results) result.saved.release();
    delete std::exchange(op, nullptr);
  }
};

// A result that f has made: where its gradient is, in f and outside, and where it lies.
template <class T>
struct Made {
  Place inside, outside;
  std::size_t size;
  Array<T> memory;

  bool contains(Place place, std::size_t count) const {
    return place.slot() == inside.slot() && place.offset() >= inside.offset() &&
           place.offset() + count <= inside.offset() + size;
  }
};

template <class T>
Array<T> part(const Array<T>& array, std::size_t offset, const Shape& shape) {
  return {BlockRef(retain(array.block())), const_cast<T*>(array.data()) + offset, shape};
}

}  // namespace

template <class T>
std::vector<Var<T>> checkpoint(CheckpointedFunction<T> f, const std::vector<Var<T>>& inputs,
                               const Homes<T>& homes) {
  TapeStorage* const tape = recording();
  std::vector<Place> places;
  for (const Var<T>& input : inputs) places.push_back(input.use("checkpoint"));
  const unsigned float_settings = FloatSettings::now();
  const std::size_t slots = tape->slots.size();
  std::vector<Var<T>> results;
  {
    const TakeBack take_back(*tape);
    results = f(inputs);
    for (const Var<T>& result : results) result.require_value("checkpoint");
  }

  std::vector<Made<T>> made;
  std::vector<char> own(results.size());
  bool any = false;
  for (std::size_t i = 0; i < results.size(); ++i) {
    Var<T>& result = results[i];
    const Array<T> array = result.array();
    Home<T> own_home;
    if (homes) own_home = homes(i, array);
    const bool home = own_home.memory.defined();
    if (home) std::copy_n(array.data(), array.size(), own_home.memory.data());
    const bool inside = result.place().differentiable() && result.place().slot() >= slots;
    if (!(home ? result.differentiable() : inside)) {
      if (home) result = Var<T>(part(own_home.memory, 0, array.shape()));
      continue;
    }
    const auto whole = std::find_if(made.begin(), made.end(), [&](const Made<T>& each) {
      return !home && each.contains(result.place(), array.size());
    });
    if (whole != made.end()) {
      const std::size_t offset = result.place().offset() - whole->inside.offset();
      const Place outside{whole->outside.slot(), whole->outside.offset() + offset};
      result = Var<T>::recorded(part(whole->memory, offset, array.shape()), outside, tape->id);
      continue;
    }
    const Place outside = home ? own_home.place : Place{tape->new_slot(array.size(), sizeof(T)), 0};
    const Array<T> memory = home ? part(own_home.memory, 0, array.shape()) : array;
    made.push_back({result.place(), outside, array.size(), memory});
    result = Var<T>::recorded(memory, outside, tape->id);
    own[i] = any = true;
  }
  if (!any) return results;

  auto op = std::make_unique<typename CheckpointNode<T>::Op>();
  op->tape = tape;
  op->f = std::move(f);
  op->float_settings = float_settings;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    op->inputs.emplace_back(inputs[i], places[i]);
    inputs[i].shared()->restorable = false;  // held here, and made before what runs again
  }
  for (std::size_t i = 0; i < results.size(); ++i)
    op->results.push_back({Saved<T>(results[i], results[i].place()), own[i] != 0});
  tape->emplace<CheckpointNode<T>>().op = op.release();
  return results;
}

template std::vector<Var<float>> checkpoint(CheckpointedFunction<float>, const std::vector<Var<float>>&,
                                            const Homes<float>&);
template std::vector<Var<double>> checkpoint(CheckpointedFunction<double>, const std::vector<Var<double>>&,
                                             const Homes<double>&);

}  // namespace detail

template <class T>
std::vector<Var<T>> checkpoint(std::type_identity_t<CheckpointedFunction<T>> f,
                               const std::vector<Var<T>>& inputs) {
  if (!f) detail::fail("checkpoint: the function is empty; give one that computes results from the inputs");
  if (detail::drops_checkpointed()) return detail::checkpoint(std::move(f), inputs, {});
  std::vector<Var<T>> results = f(inputs);
  for (const Var<T>& result : results) result.require_value("checkpoint");
  return results;
}

template std::vector<Var<float>> checkpoint(CheckpointedFunction<float>, const std::vector<Var<float>>&);
template std::vector<Var<double>> checkpoint(CheckpointedFunction<double>, const std::vector<Var<double>>&);

}  // namespace autograd
