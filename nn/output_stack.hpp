// Where the outputs of the steps of a cell go.
#pragma once

#include <vector>

#include "autograd/replay.hpp"

namespace nn::detail {

namespace ag = autograd;

// What the steps of a cell have in common: which of the results that a step makes is its output (1 is the
// first, 0 is not known), and of which shape, for inputs with as many features.
struct OutputHabit {
  std::uint64_t index = 0;
  ag::Shape shape;
  std::size_t features = 0;
};

// Gets the output of every step into one array. Where the op that makes it is the same at each step, which
// the first step shows, that op writes it there itself; otherwise it is copied.
template <class T>
class OutputStack {
 public:
  // `habit` is what an earlier unrolling of the same cell has shown. It is updated.
  OutputStack(std::size_t steps, std::size_t batch, std::size_t features, bool reverse, OutputHabit& habit);
  ~OutputStack();
  OutputStack(const OutputStack&) = delete;

  void before_step(std::size_t t);
  // Makes of the output of step t the one that is in the stack.
  void after_step(std::size_t t, ag::Var<T>& output);
  // The outputs of the steps that were taken.
  ag::Var<T> so_far() const;

 private:
  void make_stack(const ag::Shape& step);
  ag::detail::Place place(std::size_t t) const;
  ag::Var<T> in_stack(ag::Array<T> rows, ag::detail::Place place) const;

  std::size_t steps_, done_ = 0;
  bool reverse_;
  OutputHabit& habit_;
  ag::detail::TapeStorage* tape_;
  ag::detail::SlotId slot_ = ag::detail::kConstant;
  ag::detail::Destination saved_destination_;
  std::vector<ag::detail::OutputRecord>* saved_log_;
  std::vector<ag::detail::OutputRecord> log_;
  std::uint64_t first_output_ = 0;
  ag::Shape shape_;     // of one step's output
  ag::Array<T> stack_;  // (T, ...)
  bool differentiable_ = false;
  std::vector<ag::Var<T>> scattered_;  // all outputs, once one could not be had in place
};

extern template class OutputStack<float>;
extern template class OutputStack<double>;

}  // namespace nn::detail
