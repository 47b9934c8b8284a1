// stream: a recurrent cell in use, where inputs come one at a time: in control, in audio, behind a sensor.
#pragma once

#include <algorithm>
#include <span>

#include "parameters.hpp"
#include "unroll.hpp"

namespace nn {

/// What a stream is made for.
struct StreamOptions {
  std::size_t batch = 1;       ///< sequences side by side, each with a state of its own
  std::size_t input_size = 0;  ///< features of an input; 0: the first input tells
};

namespace detail {

[[noreturn]] void wrong_input(const ag::Shape& given, std::size_t batch, std::size_t features);
[[noreturn]] void wrong_span(const char* which, std::size_t given, std::size_t batch, std::size_t each);
void need_output(const ag::Shape& given, std::size_t batch, std::size_t size);
void need_one_step(const ag::Shape& projected, const ag::Shape& input);
void need_shape(const std::string& which, const ag::Shape& given, const ag::Shape& wanted);

}  // namespace detail

/// A cell with the state that it is in, which steps one input at a time:
///
///     (y, state) = cell.step(x, state)
///
/// Its outputs are those of unroll over the same inputs. Nothing is recorded, even where a tape is alive, so
/// that no gradient flows; what an optimiser or load changes in the cell's parameters is seen by the next
/// step.
///
/// Once the first step is taken (or the stream is made with input_size, which tries one), a step takes
/// nothing from the heap: every array comes from the thread's pool. That needs a cell whose step allocates
/// nothing itself, as the built-in cells, maps, and layers do.
///
/// A copy goes on from the same state by itself. A stream belongs to one thread at a time, and so do the Vars
/// that a step computes: a cell that keeps some elsewhere than in its state must not give them to other
/// threads.
template <class C>
class Stream {
 public:
  static_assert(detail::HasInitialState<C>,
                "stream: the cell has no `State initial_state(size_t batch) const`, which gives the state "
                "before the first step");
  using State = CellState<C>;
  using value_type = CellNumber<C>;
  using T = value_type;
  static_assert(
      Cell<C>,
      "stream: this is no cell; it needs a `step(Var<T> x, State state) const` that returns a Var<T>, "
      "where that is also the state, or else a std::pair of output and next state");

  /// In the cell's initial state. The cell is copied, and a copy shares its parameters. Throws Error if batch
  /// is 0, and, given an input_size, if the cell does not take inputs (batch, input_size).
  explicit Stream(C cell, StreamOptions options = {})
      : cell_(std::move(cell)), batch_(options.batch), kept_(initial()) {
    if (options.input_size) learn_sizes(ag::zeros<T>({batch_, options.input_size}));
  }

  /// The output (B, H) for the next input x (B, F). Throws Error for another shape, and what the cell throws;
  /// the state is then as it was.
  ag::Var<T> step(const ag::Var<T>& x) {
    x.require_value("stream");
    if (x.rank() != 2 || x.shape()[0] != batch_ || (input_size_ && x.shape()[1] != input_size_))
      detail::wrong_input(x.shape(), batch_, input_size_);
    const ag::Var<T> input = x.detach();
    if (!input_size_) learn_sizes(input);
    ag::Var<T> output = advance(input.reshape(shape_of_input(input_size_)));
    output.publish();
    return output;
  }

  /// The same on bare numbers: in (B F) and out (B H), row-major, out may be in.
  ///
  /// For control loops: it does not throw. A span of a wrong size, and what the cell throws, is a mistake of
  /// the program that no step can mend: it ends in std::terminate, which prints the Error's message.
  void operator()(std::span<const T> in, std::span<T> out) noexcept {
    if (!input_size_ && in.size() && in.size() % batch_ == 0)
      learn_sizes(ag::zeros<T>({batch_, in.size() / batch_}));
    if (!input_size_ || in.size() != batch_ * input_size_)
      detail::wrong_span("input", in.size(), batch_, input_size_);
    if (out.size() != batch_ * output_size_) detail::wrong_span("output", out.size(), batch_, output_size_);
    std::copy(in.begin(), in.end(), writable_input());
    const ag::Var<T> output = advance(kept_.input);
    std::copy_n(output.array().data(), out.size(), out.begin());
  }

  /// Goes back to the cell's initial state.
  void reset() {
    kept_.state = initial();
    steps_ = 0;
  }

  /// The state after the last step, of constants.
  const State& state() const { return kept_.published(); }
  /// Goes on from another state, such as the last one of unroll; it is detached. Throws Error if its shapes
  /// are not those of state().
  void set_state(const State& state) requires nn::State<State> {
    auto check = [](const detail::StatePath& path, const auto& given, const auto& present) {
      detail::need_shape(path.text(), given.shape(), present.shape());
    };
    detail::visit_state(detail::StatePath{}, check, state, std::as_const(kept_.state));
    kept_.state = detach(state);
  }

  std::size_t batch() const { return batch_; }
  /// F, the features of an input, and H, those of an output; 0 before the first step of a stream that was
  /// made without input_size.
  std::size_t input_size() const { return input_size_; }
  std::size_t output_size() const { return output_size_; }
  const C& cell() const { return cell_; }

 private:
  struct Result {
    ag::Var<T> output;
    State state;
  };
  // Where the Vars of a state can be found, they are published when others may get them, and not before.
  struct None {};
  using Confinement = std::conditional_t<nn::State<State>, ag::detail::Confined, None>;

  // A copy of the stream gets the state, published, and memory for inputs of its own.
  struct Kept {
    State state;
    ag::Var<T> input;  // of the spans

    explicit Kept(State initial) : state(std::move(initial)) {}
    Kept(const Kept& other) : state(other.published()) {}
    Kept(Kept&&) noexcept = default;
    Kept& operator=(Kept other) noexcept {
      state = std::move(other.state);
      input = std::move(other.input);
      return *this;
    }

    const State& published() const {
      if constexpr (nn::State<State>) detail::for_each_var([](const auto& var) { var.publish(); }, state);
      return state;
    }
  };

  State initial() const {
    detail::need_size("stream", "batch", batch_);
    const ag::detail::NoRecording guard;
    if constexpr (nn::State<State>)
      return detach(cell_.initial_state(batch_));
    else
      return cell_.initial_state(batch_);
  }

  Result result_of(const ag::Var<T>& x, const State& state) const {
    const ag::Scope scope(ag::detail::type_name<C>());
    ag::Var<T> input;
    if constexpr (!detail::HasProject<C, T>) {
      input = x;
    } else {
      const ag::Var<T> projected = cell_.project(x);
      const bool sole = projected.fresh();  // nobody but this function sees it
      detail::need_one_step(projected.shape(), x.shape());
      input = projected[0];
      if (sole) input.mark_fresh();
    }
    const ag::Scope step("step", steps_);
    auto result = cell_.step(std::move(input), state);
    if constexpr (detail::IsPair<decltype(result)>::value) {
      detail::need_output(result.first.shape(), batch_, output_size_);
      return {std::move(result.first), std::move(result.second)};
    } else {
      detail::need_output(result.shape(), batch_, output_size_);
      return {result, std::move(result)};
    }
  }

  ag::Var<T> advance(const ag::Var<T>& x) {
    const ag::detail::NoRecording guard;
    [[maybe_unused]] const Confinement confined;
    Result result = result_of(x, kept_.state);
    kept_.state = std::move(result.state);
    ++steps_;
    return std::move(result.output);
  }

  // Tries two steps, which tells the output's size and leaves in the pool what a step needs while somebody
  // holds the output and the state of the one before.
  void learn_sizes(const ag::Var<T>& x) {
    const ag::detail::NoRecording guard;
    [[maybe_unused]] const Confinement confined;
    const ag::Var<T> input = x.reshape(shape_of_input(x.shape()[1]));
    const Result first = result_of(input, kept_.state);
    const Result second = result_of(input, first.state);
    output_size_ = first.output.size() / batch_;
    input_size_ = x.shape()[1];
    writable_input();
  }

  // What the cell takes for a step: one time step to project, where it does.
  ag::Shape shape_of_input(std::size_t features) const {
    if constexpr (detail::HasProject<C, T>)
      return {1, batch_, features};
    else
      return {batch_, features};
  }

  // Where the next input goes. The cell may have kept the last one, in its state.
  T* writable_input() {
    ag::Var<T>& input = kept_.input;
    if (!input.defined() || __atomic_load_n(&input.shared()->references, __ATOMIC_ACQUIRE) != 1 ||
        __atomic_load_n(&input.array().block()->references, __ATOMIC_ACQUIRE) != 1)
      input = ag::Array<T>::confined(shape_of_input(input_size_));
    return const_cast<T*>(input.array().data());
  }

  C cell_;
  std::size_t batch_, input_size_ = 0, output_size_ = 0, steps_ = 0;
  Kept kept_;
};

/// A cell that steps one input at a time with kept state, see Stream:
///
///     auto lstm = nn::stream(cell);                            // any cell, batch 1
///     ag::Var<float> y = lstm.step(x);                         // x (1, F), y (1, H)
///
///     auto controller = nn::stream(cell, {.input_size = 3});
///     controller(sensors, commands);                           // std::span: no allocation, no exception
///
/// Throws Error as its constructor does.
template <class C>
Stream<C> stream(const C& cell, StreamOptions options = {}) {
  return Stream<C>(cell, options);
}

}  // namespace nn
