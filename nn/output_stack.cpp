#include "output_stack.hpp"

#include "autograd/shape_ops.hpp"

namespace nn::detail {

using namespace ag::detail;

template <class T>
OutputStack<T>::OutputStack(std::size_t steps, std::size_t batch, std::size_t features, bool reverse,
                            OutputHabit& habit)
    : steps_(steps),
      reverse_(reverse),
      habit_(habit),
      tape_(current_tape()),
      saved_destination_(context.destination),
      saved_log_(context.log) {
  context.destination = {};
  context.log = nullptr;
  // Inputs of another width are likely to be another cell's.
  if (features != habit_.features) habit_ = {0, {}, features};
  if (habit_.index && habit_.shape.rank()) {
    ag::Shape step = habit_.shape;  // a guess; the first step tells
    step[0] = batch;
    make_stack(step);
  } else if (tape_) {
    slot_ = recording()->new_slot(0, sizeof(T));  // before all nodes that write to it
  }
}

template <class T>
OutputStack<T>::~OutputStack() {
  context.destination = saved_destination_;
  context.log = saved_log_;
}

template <class T>
void OutputStack<T>::make_stack(const ag::Shape& step) {
  stack_ = {};  // a wrong guess is given back first
  shape_ = step;
  const ag::Shape all = step.behind(steps_);
  if (tape_ && slot_ == kConstant) {
    Stack made = stack_on_tape(all.size(), sizeof(T));
    slot_ = made.slot;
    T* const data = static_cast<T*>(made.block->data());
    stack_ = {std::move(made.block), data, all};
  } else {
    stack_ = context.confined ? ag::Array<T>::confined(all) : ag::Array<T>(all);
    if (tape_) {
      tape_->check_slot(stack_.size());
      tape_->slots[slot_].size = stack_.size();
    }
  }
}

template <class T>
Place OutputStack<T>::place(std::size_t t) const {
  return {slot_, t * shape_.size()};
}

template <class T>
void OutputStack<T>::before_step(std::size_t t) {
  first_output_ = context.outputs;
  if (!scattered_.empty()) return;
  if (habit_.index && stack_.defined()) {
    char* const here = reinterpret_cast<char*>(stack_.data() + t * shape_.size());
    context.destination = {first_output_ + habit_.index,
                           stack_.block(),
                           here,
                           shape_.size() * sizeof(T),
                           place(t),
                           false,
                           false};
  } else {
    log_.clear();
    context.log = &log_;
  }
}

template <class T>
void OutputStack<T>::after_step(std::size_t t, ag::Var<T>& output) {
  const Destination& destination = context.destination;
  if (done_ && destination.taken && output.array().data() == reinterpret_cast<const T*>(destination.data) &&
      output.shape() == shape_ && scattered_.empty() && destination.recorded == differentiable_ &&
      output.place() == (differentiable_ ? destination.place : Place{}))
      [[likely]] {  // as it was meant to be
    ++done_;
    context.destination.at = 0;
    return;
  }
  const Destination made = std::exchange(context.destination, {});
  context.log = nullptr;
  output.use("unroll");
  const bool first = done_++ == 0;
  const bool same_place = made.recorded ? output.place() == place(t) : !output.differentiable();
  const bool in_place =
      made.taken && output.array().data() == stack_.data() + t * shape_.size() && same_place;
  if (first && made.taken &&
      !in_place) {  // the guess was another cell's, and another result has taken the place
    if (tape_) slot_ = recording()->new_slot(0, sizeof(T));
    stack_ = {};
  }
  if (!stack_.defined() || (first && !made.taken && !(output.shape() == shape_))) make_stack(output.shape());
  if (first && output.size() == shape_.size()) {  // the guess may have been another
    shape_ = output.shape();
    stack_ = stack_.reshape(shape_.behind(steps_));
  }
  if (!(output.shape() == shape_))
    fail("unroll: the output of step ", t, " has shape ", output.shape(), ", that of the steps before it ",
         shape_, "; a cell must give one shape");
  differentiable_ |= output.differentiable();
  if (!scattered_.empty()) {
    scattered_[t] = output;
    return;
  }
  if (in_place) return;
  if (made.taken && !first) {
    // Another result of the step lies where the output should: the cell does not do the same at each step.
    habit_.index = 0;
    scattered_.resize(steps_);
    for (std::size_t step = reverse_ ? t + 1 : 0; step < (reverse_ ? steps_ : t); ++step)
      scattered_[step] = in_stack(stack_[step], place(step));
    scattered_[t] = output;
    return;
  }
  habit_.index = 0;
  habit_.shape = shape_;
  for (const OutputRecord& result : log_)
    if (result.data == output.array().data() && result.bytes == output.size() * sizeof(T))
      habit_.index = result.index - first_output_;
  output = write_to(output, stack_[t], place(t));
}

template <class T>
ag::Var<T> OutputStack<T>::in_stack(ag::Array<T> rows, Place place) const {
  if (!tape_ || !differentiable_) return rows;
  return ag::Var<T>::recorded(std::move(rows), place, tape_->id);
}

template <class T>
ag::Var<T> OutputStack<T>::so_far() const {
  const std::size_t begin = reverse_ ? steps_ - done_ : 0;
  if (!scattered_.empty()) return ag::stack(std::span(scattered_).subspan(begin, done_));
  return in_stack(stack_.slice(begin, begin + done_), place(begin));
}

template class OutputStack<float>;
template class OutputStack<double>;

}  // namespace nn::detail
