#include "derivatives.hpp"

#include "elementwise.hpp"
#include "reduce.hpp"
#include "shape_ops.hpp"
#include "take_back.hpp"
#include "tangent_sweep.hpp"

namespace autograd {

using detail::fail;
using detail::Place;
using detail::TapeStorage;

namespace {

// Throws unless there is one vector for each value, of its shape.
template <class T>
void need_like(const char* call, const char* name, const std::vector<Var<T>>& vectors, const char* of,
               const std::vector<Var<T>>& values) {
  if (vectors.size() != values.size())
    fail(call, ": there are ", vectors.size(), " ", name, "s and ", values.size(), " ", of,
         "s; give one for each");
  for (std::size_t i = 0; i < values.size(); ++i) {
    vectors[i].require_value(call);
    values[i].require_value(call);
    if (!(vectors[i].shape() == values[i].shape()))
      fail(call, ": ", name, " ", i, " has shape ", vectors[i].shape(), "; that of its ", of, " is ",
           values[i].shape());
  }
}

// sum_k sum(values[k] vectors[k])
template <class T>
Var<T> inner(const std::vector<Var<T>>& values, const std::vector<Var<T>>& vectors) {
  Var<T> total;
  for (std::size_t k = 0; k < values.size(); ++k) {
    const Var<T> term = sum(values[k] * vectors[k]);
    total = total.defined() ? total + term : term;
  }
  return total;
}

Shape joined(const Shape& a, const Shape& b) {
  Shape shape = a;
  for (const std::size_t extent : b) shape.push_back(extent);
  return shape;
}

// The gradients of all entries of the output, as rows.
template <class T>
Var<T> rows_of_gradients(const Var<T>& output, const Var<T>& input, GradOptions options) {
  const Shape shape = joined(output.shape(), input.shape());
  if (output.size() == 0) return zeros<T>(shape);
  const Var<T> flat = output.reshape({output.size()});
  std::vector<Var<T>> rows;
  for (std::size_t i = 0; i < flat.size(); ++i) {
    GradOptions each = options;
    each.keep_tape = options.keep_tape || i + 1 < flat.size();
    rows.push_back(grad(flat[i], input, each));
  }
  return stack(rows).reshape(shape);
}

// The tape that forward mode can run on: null where the recorded way is needed, or is to say what is wrong.
// Recorded is what is to be differentiated again, and what a traced tape is to show and check for anomalies.
template <class T>
TapeStorage* forward_mode(const Var<T>& output, const std::vector<Var<T>>& inputs,
                          const GradOptions& options) {
  TapeStorage* tape = detail::recording();
  if (!tape || tape->trace || options.create_graph) return nullptr;
  if (!output.place().differentiable() || output.tape_id() != tape->id) return nullptr;
  for (const Var<T>& input : inputs)
    if (!input.is_variable() && !(input.place().differentiable() && input.tape_id() == tape->id))
      return nullptr;
  return tape;
}

// The tangents of all that a tape has recorded, for those of the inputs. Throws Error if the output does not
// depend on an input (unless allow_unused).
template <class T>
class Tangents {
 public:
  Tangents(const char* call, TapeStorage& tape, const Var<T>& output, const std::vector<Var<T>>& inputs,
           const std::vector<Var<T>>& tangents, const GradOptions& options)
      : places(places_of(call, tape, inputs)), recorded(tape), sweep(tape, inputs.size()) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      sweep.seed(i, places[i], inputs[i].size(), tangents[i].array().data());
    sweep.template run<T>();
    for (std::size_t i = 0; i < inputs.size() && !options.allow_unused; ++i)
      if (inputs[i].size() && !sweep.reached(output.place(), i))
        fail(call, ": the output does not depend on input ", i, " of shape ", inputs[i].shape(),
             "; remove it, or ask for zeros with {.allow_unused = true}");
  }

  std::vector<Place> places;  // of the inputs
  detail::TakeBack recorded;  // by rules of custom ops
  detail::TangentSweep sweep;

 private:
  static std::vector<Place> places_of(const char* call, TapeStorage& tape,
                                      const std::vector<Var<T>>& inputs) {
    check_versions(tape, call);
    std::vector<Place> places;
    for (const Var<T>& input : inputs) places.push_back(input.use(call));
    return places;
  }
};

void end_tape(TapeStorage& tape, const GradOptions& options) {
  if (options.keep_tape) return;
  tape.release_nodes();
  tape.consumed = true;
}

}  // namespace

template <class T>
std::vector<Var<T>> vjp(const std::vector<Var<T>>& outputs, const std::vector<Var<T>>& inputs,
                        const std::vector<Var<T>>& cotangents, GradOptions options) {
  need_like("vjp", "cotangent", cotangents, "output", outputs);
  if (outputs.empty()) fail("vjp: there are no outputs; at least one is needed");
  return grad(inner(outputs, cotangents), inputs, options);
}

template <class T>
Var<T> vjp(const Var<T>& output, const Var<T>& input, const Var<T>& cotangent, GradOptions options) {
  return vjp<T>(std::vector{output}, {input}, {cotangent}, options)[0];
}

template <class T>
Var<T> jvp(const Var<T>& output, const std::vector<Var<T>>& inputs, const std::vector<Var<T>>& tangents,
           GradOptions options) {
  output.require_value("jvp");
  need_like("jvp", "tangent", tangents, "input", inputs);
  if (inputs.empty()) fail("jvp: there are no inputs; at least one is needed");
  if (TapeStorage* tape = forward_mode(output, inputs, options)) {
    Array<T> result(output.shape(), T(0));
    {
      Tangents<T> tangents_of("jvp", *tape, output, inputs, tangents, options);
      if (const T* tangent = tangents_of.sweep.template tangent<T>(output.place(), output.size()))
        std::copy_n(tangent, result.size(), result.data());
    }
    end_tape(*tape, options);
    return result;
  }
  const Var<T> u = variable(Array<T>(output.shape(), T(0)));
  GradOptions first = options;
  first.create_graph = true;
  const Var<T> directional = inner(vjp<T>({output}, inputs, {u}, first), tangents);
  if (!directional.differentiable()) return zeros<T>(output.shape());  // nothing depends on the inputs
  GradOptions second = options;
  second.allow_unused = true;
  return grad(directional, u, second);
}

template <class T>
Var<T> jvp(const Var<T>& output, const Var<T>& input, const Var<T>& tangent, GradOptions options) {
  return jvp<T>(output, std::vector{input}, {tangent}, options);
}

template <class T>
Var<T> jacobian(const Var<T>& output, const Var<T>& input, GradOptions options) {
  output.require_value("jacobian");
  input.require_value("jacobian");
  return rows_of_gradients(output, input, options);
}

template <class T>
Var<T> hessian(const Var<T>& output, const Var<T>& input, GradOptions options) {
  GradOptions first = options;
  first.create_graph = true;
  const Var<T> gradient = grad(output, input, first);
  const Shape shape = joined(input.shape(), input.shape());
  if (!gradient.differentiable()) return zeros<T>(shape);  // the output is linear in the input
  GradOptions second = options;
  second.allow_unused = true;
  return rows_of_gradients(gradient, input, second);
}

template <class T>
std::vector<Var<T>> hvp(const Var<T>& output, const std::vector<Var<T>>& inputs,
                        const std::vector<Var<T>>& vectors, GradOptions options) {
  need_like("hvp", "vector", vectors, "input", inputs);
  if (inputs.empty()) fail("hvp: there are no inputs; at least one is needed");
  if (TapeStorage* tape = forward_mode(output, inputs, options); tape && output.size() == 1) {
    std::vector<Var<T>> result;
    {
      Tangents<T> tangents_of("hvp", *tape, output, inputs, vectors, options);
      detail::DualSweep sweep(*tape, tangents_of.sweep);
      sweep.template run<T>(output.place(), tangents_of.places);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        Array<T> product(inputs[i].shape(), T(0));
        if (const T* row = sweep.tangents().template gradient<T>(tangents_of.places[i], product.size()))
          std::copy_n(row, product.size(), product.data());
        result.emplace_back(std::move(product));
      }
    }
    end_tape(*tape, options);
    return result;
  }
  GradOptions first = options;
  first.create_graph = true;
  const Var<T> directional = inner(grad(output, inputs, first), vectors);
  if (directional.differentiable()) {
    GradOptions second = options;
    second.allow_unused = true;
    return grad(directional, inputs, second);
  }
  std::vector<Var<T>> result;  // the output is linear in all inputs
  for (const Var<T>& input : inputs) result.push_back(zeros<T>(input.shape()));
  return result;
}

template <class T>
Var<T> hvp(const Var<T>& output, const Var<T>& input, const Var<T>& vector, GradOptions options) {
  return hvp<T>(output, std::vector{input}, {vector}, options)[0];
}

#define UNROLL_INSTANTIATE(T)                                                                              \
  template std::vector<Var<T>> vjp(const std::vector<Var<T>>&, const std::vector<Var<T>>&,                 \
                                   const std::vector<Var<T>>&, GradOptions);                               \
  template Var<T> vjp(const Var<T>&, const Var<T>&, const Var<T>&, GradOptions);                           \
  template Var<T> jvp(const Var<T>&, const std::vector<Var<T>>&, const std::vector<Var<T>>&, GradOptions); \
  template Var<T> jvp(const Var<T>&, const Var<T>&, const Var<T>&, GradOptions);                           \
  template Var<T> jacobian(const Var<T>&, const Var<T>&, GradOptions);                                     \
  template Var<T> hessian(const Var<T>&, const Var<T>&, GradOptions);                                      \
  template std::vector<Var<T>> hvp(const Var<T>&, const std::vector<Var<T>>&, const std::vector<Var<T>>&,  \
                                   GradOptions);                                                           \
  template Var<T> hvp(const Var<T>&, const Var<T>&, const Var<T>&, GradOptions);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd
