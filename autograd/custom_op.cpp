#include "custom_op.hpp"

#include <memory>

#include "description.hpp"
#include "recorded_sweep.hpp"
#include "shape_ops.hpp"
#include "tangent_sweep.hpp"

namespace autograd {
namespace detail {
namespace {

template <class T>
struct CustomNode : Node {
  using value_type = T;
  using Recorded = RecordedSweep<T>;
  struct Op {
    std::string name;
    Forward<T> forward;
    Rule<T> rule;
    detail::SourceLocation where;
    std::vector<Saved<T>> inputs;
    Saved<T> output;

    // The gradients of the inputs, each of its input's shape or empty.
    std::vector<Var<T>> gradients(const Var<T>& g, const std::vector<Var<T>>& x, const Var<T>& y) const {
      std::vector<Var<T>> result = rule(g, x, y);
      if (result.size() != inputs.size())
        fail(name, ": the rule gave ", result.size(), " gradients for ", inputs.size(),
             " inputs; give one for each, an empty Var where there is none");
      for (std::size_t i = 0; i < result.size(); ++i) {
        const Shape& shape = inputs[i].shape();
        if (!result[i].defined() || result[i].shape() == shape) continue;
        try {
          result[i] = sum_to(result[i], shape);
        } catch (const Error&) {
          fail(name, ": the rule gave input ", i, " of shape ", shape, " a gradient of shape ",
               result[i].shape(), "; give it the input's shape, or one that the input broadcasts to");
        }
      }
      return result;
    }
  };
  Op* op;

  void backward(Sweep& sweep) {
    const Saved<T>& y = op->output;
    const T* g = sweep.gradient<T>(y.place, y.shape().size());
    if (!g) return;
    const NoRecording off;
    Array<T> gradient(y.shape());
    std::copy_n(g, gradient.size(), gradient.data());
    std::vector<Var<T>> x;
    for (const Saved<T>& input : op->inputs) x.push_back(constant(input));
    const std::vector<Var<T>> result = op->gradients(Var<T>(std::move(gradient)), x, constant(y));
    for (std::size_t i = 0; i < result.size(); ++i) {
      const Saved<T>& input = op->inputs[i];
      if (!input.place.differentiable() || !result[i].defined()) continue;
      add(sweep, input, result[i].array());
    }
  }

  // The rule is linear in the gradient, g -> J^T g; transposed, it is the tangent, J x'.
  void tangent(TangentSweep& sweep) {
    std::vector<Var<T>> of_inputs;
    bool any = false;
    for (const Saved<T>& input : op->inputs) {
      of_inputs.push_back(sweep.tangent_var<T>(input.place, input.shape()));
      any |= of_inputs.back().defined();
    }
    if (!any) return;
    TapeStorage& tape = sweep.tape();
    const Var<T> g = differentiable(tape, Array<T>(op->output.shape(), T(0)));
    Node* const before = tape.last;
    const std::vector<Var<T>> gradients = recorded_rule(g);
    Node* const last = tape.last;
    Recorded transposed(tape);
    for (std::size_t i = 0; i < gradients.size(); ++i)
      if (of_inputs[i].defined() && gradients[i].defined())
        transposed.add(gradients[i].use(op->name.c_str()), op->inputs[i].shape(), of_inputs[i]);
    transposed.run(last, before);
    if (const Var<T> result = transposed.gradient(g.place(), g.shape()); result.defined())
      sweep.add(op->output.place, result.array());
  }

  // The rule once more, recorded: its values are what arrives at the inputs, its tangents the tangents of
  // that.
  void backward_dual(DualSweep& sweep) {
    const Saved<T>& y = op->output;
    const std::size_t size = y.shape().size();
    const T* of_y[] = {sweep.gradients().template gradient<T>(y.place, size),
                       sweep.tangents().template gradient<T>(y.place, size)};
    if (!of_y[0] && !of_y[1]) return;
    const auto array = [&](const T* from) {
      Array<T> result(y.shape(), T(0));
      if (from) std::copy_n(from, size, result.data());
      return result;
    };
    TapeStorage& tape = sweep.values().tape();
    const Var<T> g = differentiable(tape, array(of_y[0]));
    Node* const before = tape.last;
    const std::vector<Var<T>> gradients = recorded_rule(g);
    std::vector<Place> places;
    for (const Var<T>& gradient : gradients)
      places.push_back(gradient.defined() ? gradient.use(op->name.c_str()) : Place{});
    sweep.values().run_on(before, g.place(), array(of_y[1]));
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      const Saved<T>& input = op->inputs[i];
      if (!input.place.differentiable() || !gradients[i].defined()) continue;
      add(sweep.gradients(), input, gradients[i].array());
      const Var<T> tangent = sweep.values().template tangent_var<T>(places[i], input.shape());
      if (tangent.defined()) add(sweep.tangents(), input, tangent.array());
    }
  }

  // A value of the tape that no node has made.
  static Var<T> differentiable(TapeStorage& tape, Array<T> array) {
    const SlotId slot = tape.new_slot(array.size(), sizeof(T));
    return Var<T>::recorded(std::move(array), {slot, 0}, tape.id);
  }

  std::vector<Var<T>> recorded_rule(const Var<T>& g) const {
    std::vector<Var<T>> x;
    for (const Saved<T>& input : op->inputs) x.push_back(input.var());
    return op->gradients(g, x, op->output.var());
  }

  static void add(Sweep& sweep, const Saved<T>& input, const Array<T>& gradient) {
    const Sink<T> to = sweep.sink<T>(input.place, input.shape().size());
    const T* from = gradient.data();
    for (std::size_t k = 0; k < gradient.size(); ++k)
      to.data[k] = to.accumulate ? to.data[k] + from[k] : from[k];
  }

  void record(Recorded& sweep) {
    const Saved<T>& y = op->output;
    const Var<T> g = sweep.gradient(y.place, y.shape());
    if (!g.defined()) return;
    const std::vector<Var<T>> result = recorded_rule(g);
    for (std::size_t i = 0; i < result.size(); ++i)
      if (result[i].defined()) sweep.add(op->inputs[i].place, op->inputs[i].shape(), result[i]);
  }

  void describe(Description& d) const {
    d.op = op->name;
    d.detail = detail::file_and_line(op->where);
    for (const Saved<T>& input : op->inputs) d.operand(input);
    d.result(op->output.place, op->output.shape());
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const;

  void release() {
    if (!op) return;
    for (Saved<T>& input : op->inputs) input.release();
    op->output.release();
    delete std::exchange(op, nullptr);
  }

  static Var<T> constant(const Saved<T>& saved) { return Array<T>(saved.value->array); }
};

}  // namespace
}  // namespace detail

using namespace detail;

template <class T>
Var<T> custom_op(std::string name, const std::vector<Var<T>>& inputs,
                 std::type_identity_t<Forward<T>> forward, std::type_identity_t<Rule<T>> rule,
                 detail::SourceLocation where) {
  if (!forward)
    fail(name, ": the forward function is empty; give one that computes the value from the inputs");
  if (!rule) fail(name, ": the rule is empty; give a function of the gradient, the inputs and the output");
  std::vector<Place> places;
  bool differentiable = false;
  for (const Var<T>& input : inputs) {
    places.push_back(input.use(name.c_str()));
    differentiable |= places.back().differentiable();
  }
  Array<T> value;
  {
    const NoRecording off;
    value = forward(inputs);
  }
  if (!value.defined()) fail(name, ": the value is an empty array; compute it from the inputs");
  TapeStorage* tape = differentiable ? recording() : nullptr;
  Var<T> out = new_output<T>(value.shape(), tape);
  std::copy_n(value.data(), value.size(), const_cast<T*>(out.array().data()));
  if (tape) {
    auto op = std::make_unique<typename CustomNode<T>::Op>();
    op->name = std::move(name);
    op->forward = std::move(forward);
    op->rule = std::move(rule);
    op->where = where;
    for (std::size_t i = 0; i < inputs.size(); ++i) op->inputs.emplace_back(inputs[i], places[i]);
    op->output = Saved<T>(out, out.place());
    tape->emplace<CustomNode<T>>().op = op.release();
  }
  return out;
}

template <class T>
std::vector<Var<T>> CustomNode<T>::again(std::span<const Var<T>> x) const {
  return {custom_op(op->name, std::vector<Var<T>>(x.begin(), x.end()), op->forward, op->rule, op->where)};
}

template Var<float> custom_op(std::string, const std::vector<Var<float>>&, Forward<float>, Rule<float>,
                              detail::SourceLocation);
template Var<double> custom_op(std::string, const std::vector<Var<double>>&, Forward<double>, Rule<double>,
                               detail::SourceLocation);

}  // namespace autograd
