#include "custom_op.hpp"

#include <memory>

#include "description.hpp"
#include "recorded_sweep.hpp"
#include "shape_ops.hpp"

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
        const Shape& shape = inputs[i].shape;
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
    const T* g = sweep.gradient<T>(y.place, y.shape.size());
    if (!g) return;
    const NoRecording off;
    Array<T> gradient(y.shape);
    std::copy_n(g, gradient.size(), gradient.data());
    std::vector<Var<T>> x;
    for (const Saved<T>& input : op->inputs) x.push_back(constant(input));
    const std::vector<Var<T>> result = op->gradients(Var<T>(std::move(gradient)), x, constant(y));
    for (std::size_t i = 0; i < result.size(); ++i) {
      const Saved<T>& input = op->inputs[i];
      if (!input.place.differentiable() || !result[i].defined()) continue;
      const T* from = result[i].array().data();
      const Sink<T> to = sweep.sink<T>(input.place, input.shape.size());
      for (std::size_t k = 0; k < input.shape.size(); ++k)
        to.data[k] = to.accumulate ? to.data[k] + from[k] : from[k];
    }
  }

  void record(Recorded& sweep) {
    const Saved<T>& y = op->output;
    const Var<T> g = sweep.gradient(y.place, y.shape);
    if (!g.defined()) return;
    std::vector<Var<T>> x;
    for (const Saved<T>& input : op->inputs) x.push_back(input.var());
    const std::vector<Var<T>> result = op->gradients(g, x, y.var());
    for (std::size_t i = 0; i < result.size(); ++i)
      if (result[i].defined()) sweep.add(op->inputs[i].place, op->inputs[i].shape, result[i]);
  }

  void describe(Description& d) const {
    d.op = op->name;
    d.detail = detail::file_and_line(op->where);
    for (const Saved<T>& input : op->inputs) d.operand(input);
    d.result(op->output.place, op->output.shape);
  }
  std::vector<Var<T>> again(std::span<const Var<T>> x) const;

  void release() {
    if (!op) return;
    for (Saved<T>& input : op->inputs) input.release();
    op->output.release();
    delete std::exchange(op, nullptr);
  }

  static Var<T> constant(const Saved<T>& saved) {
    return Array<T>(BlockRef(retain(saved.block)), saved.data, saved.shape);
  }
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
    for (std::size_t i = 0; i < inputs.size(); ++i) op->inputs.emplace_back(inputs[i].array(), places[i]);
    op->output = Saved<T>(out.array(), out.place());
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
