#include "body_program.hpp"

#include "map.hpp"

namespace autograd::detail {

template <class T>
void BodyProgram<T>::begin(const NodeType* type, std::size_t inputs) {
  type_ = type;
  values_ = static_cast<std::uint32_t>(inputs);
  steps_.clear();
  constants_.clear();
  outputs_.clear();
}

template <class T>
std::uint32_t BodyProgram<T>::index_of(const Symbol<T>& symbol) {
  if (symbol.program) return symbol.index;
  constants_.push_back({values_, symbol.number});
  return values_++;
}

template <class T>
Symbol<T> BodyProgram<T>::append(const ElementKernel<T>& kernel, std::initializer_list<Symbol<T>> x) {
  Step step{&kernel, {}, 0};
  std::size_t i = 0;
  for (const Symbol<T>& operand : x) step.x[i++] = index_of(operand);
  step.y = values_++;
  steps_.push_back(step);
  return {this, step.y, T(0)};
}

template class BodyProgram<float>;
template class BodyProgram<double>;

namespace {

// A run of elements of the output: from the c-th of row r.
struct Position {
  std::size_t row, col;
};

// Calls run(where the elements lie in an operand, which of the block they are, how many) for the elements
// from a position on, row by row.
template <class T, class Run>
void for_rows(const Operand<T>& operand, Position at, std::size_t cols, std::size_t count, Run&& run) {
  const RowStep step = row_step(operand, cols);
  std::size_t row = step.period ? at.row % step.period : at.row;
  for (std::size_t done = 0; done < count; at.col = 0) {
    const std::size_t n = std::min(cols - at.col, count - done);
    run(row * step.stride + (is_splat(operand.layout) ? 0 : at.col), done, n);
    done += n;
    if (++row == step.period) row = 0;
  }
}

// The elements of an operand (or its tangent) from a position on, with zeros up to a whole batch.
template <class T>
void gather(const Operand<T>& operand, const T* data, Position at, std::size_t cols, std::size_t count,
            T* to) {
  for_rows(operand, at, cols, count, [&](std::size_t from, std::size_t first, std::size_t n) {
    if (is_splat(operand.layout))
      std::fill_n(to + first, n, data[from]);
    else
      std::copy_n(data + from, n, to + first);
  });
  constexpr std::size_t kLanes = Batch<T>::size;
  for (std::size_t i = count; i % kLanes; ++i) to[i] = T(0);
}

// Adds such elements to the gradient of an operand, or writes them over garbage.
template <class T>
void scatter(const Operand<T>& operand, const Target<T>& target, Position at, std::size_t cols,
             std::size_t count, const T* from) {
  for_rows(operand, at, cols, count, [&](std::size_t to, std::size_t first, std::size_t n) {
    T* data = target.data + to;
    if (is_splat(operand.layout))
      for (std::size_t i = 0; i < n; ++i) *data += from[first + i];
    else if (target.accumulate)
      for (std::size_t i = 0; i < n; ++i) data[i] += from[first + i];
    else
      std::copy_n(from + first, n, data);
  });
}

// A program and the memory for its values.
template <class T>
class ProgramRun {
 public:
  static constexpr std::size_t kBlock = kProgramBlock<T>;

  // `arrays` of each value are of use: 2 without gradients, 4 with them.
  ProgramRun(const BodyProgram<T>& program, const BodyArguments<T>& arguments, std::size_t arrays)
      : program_(program), arguments_(arguments), memory_({program.values() * arrays * kBlock}) {
    values_.resize(program.values());
    T* next = memory_.data();
    for (ProgramValue<T>& value : values_)
      for (T** array : {&value.value, &value.tangent, &value.gradient, &value.gradient_tangent}) {
        const bool used = array == &value.value || array == &value.tangent || arrays == 4;
        *array = used ? std::exchange(next, next + kBlock) : nullptr;
      }
    const std::size_t most = std::min(kBlock, (size() + kLanes - 1) / kLanes * kLanes);
    for (const auto& constant : program.constants())
      std::fill_n(values_[constant.index].value, most, constant.number);
    tangents_.resize(arguments.inputs.size());
  }

  std::size_t size() const { return arguments_.rows * arguments_.cols; }
  ProgramValue<T>& operator[](std::size_t index) { return values_[index]; }

  // Looks up the tangents of the operands, and tells whether there are any.
  bool find_tangents(TangentSweep& sweep) {
    bool any = false;
    for (std::size_t i = 0; i < tangents_.size(); ++i) {
      const auto [index, block] = arguments_.inputs[i];
      const Operand<T>& operand = arguments_.in[index];
      tangents_[i] = sweep.tangent<T>(operand.place, operand_size(operand, arguments_.rows, arguments_.cols));
      any |= values_[i].live = tangents_[i];
      if (tangents_[i]) tangents_[i] += operand.first + block * arguments_.cols;
    }
    for (const auto& step : program_.steps())
      for (std::size_t i = 0; i < step.kernel->operands; ++i)
        values_[step.y].live |= step.kernel->passes[i] && values_[step.x[i]].live;
    return any;
  }

  // Calls visit(first element, how many, its position) for all blocks.
  template <class Visit>
  void for_blocks(Visit&& visit) {
    Position at{0, 0};
    for (std::size_t first = 0; first < size(); first += kBlock) {
      const std::size_t count = std::min(kBlock, size() - first);
      visit(first, count, at);
      at.col += count;
      at.row += at.col / arguments_.cols;
      at.col %= arguments_.cols;
    }
  }

  // All values of a block and their tangents.
  void forward(std::size_t count, Position at) {
    for (std::size_t i = 0; i < tangents_.size(); ++i) {
      const auto [index, block] = arguments_.inputs[i];
      const Operand<T>& operand = arguments_.in[index];
      gather(operand, operand.data + block * arguments_.cols, at, arguments_.cols, count, values_[i].value);
      if (tangents_[i]) gather(operand, tangents_[i], at, arguments_.cols, count, values_[i].tangent);
    }
    const std::size_t batches = batches_of(count);
    for (const auto& step : program_.steps()) {
      const ProgramValue<T>* x[] = {&values_[step.x[0]], &values_[step.x[1]], &values_[step.x[2]]};
      step.kernel->forward(x, values_[step.y], batches);
    }
  }

  // The gradients of a block from those that `values` hold, and their tangents.
  void backward(std::size_t count) {
    const std::size_t batches = batches_of(count);
    for (auto step = program_.steps().rbegin(); step != program_.steps().rend(); ++step) {
      ProgramValue<T>& y = values_[step->y];
      if (!y.written) continue;
      ProgramValue<T>* x[] = {&values_[step->x[0]], &values_[step->x[1]], &values_[step->x[2]]};
      step->kernel->backward(x, y, batches);
    }
  }

 private:
  static constexpr std::size_t kLanes = Batch<T>::size;
  static std::size_t batches_of(std::size_t count) { return (count + kLanes - 1) / kLanes; }

  const BodyProgram<T>& program_;
  const BodyArguments<T>& arguments_;
  Array<T> memory_;
  std::vector<ProgramValue<T>> values_;  // the inputs first
  std::vector<const T*> tangents_;       // of the operands, or null
};

}  // namespace

template <class T>
void tangent_of_body(const BodyProgram<T>& program, const BodyArguments<T>& arguments, TangentSweep& sweep) {
  ProgramRun<T> run(program, arguments, 2);
  if (!run.find_tangents(sweep)) return;
  const std::size_t outputs = arguments.out.size();
  std::vector<Sink<T>> to(outputs);
  for (std::size_t o = 0; o < outputs; ++o)
    if (run[program.outputs()[o]].live) to[o] = sweep.result<T>(arguments.out[o], run.size());
  run.for_blocks([&](std::size_t first, std::size_t count, Position at) {
    run.forward(count, at);
    for (std::size_t o = 0; o < outputs; ++o) {
      if (!to[o].data) continue;
      const T* tangent = run[program.outputs()[o]].tangent;
      T* data = to[o].data + first;
      if (to[o].accumulate)
        for (std::size_t i = 0; i < count; ++i) data[i] += tangent[i];
      else
        std::copy_n(tangent, count, data);
    }
  });
}

template <class T>
void backward_dual_of_body(const BodyProgram<T>& program, const BodyArguments<T>& arguments,
                           DualSweep& sweep) {
  const std::size_t outputs = arguments.out.size(), inputs = arguments.inputs.size();
  std::vector<const T*> gradient(outputs), tangent(outputs);
  bool any = false;
  const std::size_t size = arguments.rows * arguments.cols;
  for (std::size_t o = 0; o < outputs; ++o) {
    gradient[o] = sweep.gradients().gradient<T>(arguments.out[o], size);
    tangent[o] = sweep.tangents().gradient<T>(arguments.out[o], size);
    any |= gradient[o] || tangent[o];
  }
  if (!any) return;
  ProgramRun<T> run(program, arguments, 4);
  run.find_tangents(sweep.values());

  // Through which values a gradient gets from an output to an operand.
  for (std::size_t i = 0; i < inputs; ++i)
    run[i].reached = arguments.in[arguments.inputs[i].operand].place.differentiable();
  for (const auto& step : program.steps())
    for (std::size_t i = 0; i < step.kernel->operands; ++i)
      run[step.y].reached |= step.kernel->passes[i] && run[step.x[i]].reached;

  std::vector<Target<T>> to_gradient(arguments.in.size()), to_tangent(arguments.in.size());
  const auto find = [&](Sweep& of, std::vector<Target<T>>& targets, auto&& wanted) {
    for (std::size_t i = 0; i < arguments.in.size(); ++i)
      find_target(of, arguments.in.data(), arguments.blocks.data(), arguments.in.size(), i, arguments.rows,
                  arguments.cols, arguments.overlapping, targets.data(), wanted);
  };
  find(sweep.gradients(), to_gradient,
       [&](const Operand<T>& operand) { return sweep.flows_on(operand.place); });
  find(sweep.tangents(), to_tangent,
       [](const Operand<T>& operand) { return operand.place.differentiable(); });

  run.for_blocks([&](std::size_t first, std::size_t count, Position at) {
    run.forward(count, at);
    for (std::size_t k = 0; k < program.values(); ++k) run[k].written = false;
    for (std::size_t o = 0; o < outputs; ++o) {
      ProgramValue<T>& y = run[program.outputs()[o]];
      if (!y.reached || !(gradient[o] || tangent[o])) continue;
      const auto arrive = [&](const T* from, T* to) {
        for (std::size_t i = 0; i < count; ++i) {
          const T g = from ? from[first + i] : T(0);
          to[i] = y.written ? to[i] + g : g;
        }
        for (std::size_t i = count; i % Batch<T>::size; ++i) to[i] = T(0);
      };
      arrive(gradient[o], y.gradient);
      arrive(tangent[o], y.gradient_tangent);
      y.written = true;
    }
    run.backward(count);
    for (std::size_t i = 0; i < inputs; ++i) {
      ProgramValue<T>& x = run[i];
      const auto [index, block] = arguments.inputs[i];
      const Operand<T>& operand = arguments.in[index];
      const std::size_t first = block * arguments.cols;
      const auto deliver = [&](Target<T> to, T* from) {
        if (!to.data) return;
        to.data += first;
        if (!x.written) {
          if (to.accumulate) return;
          std::fill_n(from, count, T(0));
        }
        scatter(operand, to, at, arguments.cols, count, from);
      };
      deliver(to_gradient[index], x.gradient);
      deliver(to_tangent[index], x.gradient_tangent);
    }
  });
}

#define UNROLL_INSTANTIATE(T)                                                                   \
  template void tangent_of_body(const BodyProgram<T>&, const BodyArguments<T>&, TangentSweep&); \
  template void backward_dual_of_body(const BodyProgram<T>&, const BodyArguments<T>&, DualSweep&);
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd::detail
