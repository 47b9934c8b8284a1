// Stateful: a recurrent network that goes on from the state that it was left in.
#pragma once

#include <optional>

#include "state.hpp"
#include "unroll.hpp"

namespace nn {

/// A cell, or any recurrent network that unroll takes, with a state that is kept, detached, from call to
/// call: for training in windows (see windows.hpp), and for sequences that come in pieces.
///
///     nn::Stateful lstm(cell);
///     auto [output, state] = lstm(x);          // from the initial state
///     auto [more, last] = lstm(next);          // from `state`, detached
///     lstm.reset();                            // before a sequence of its own
///
/// What a call gives is attached to the tape that records; only what is kept is not. In evaluation, pieces so
/// give what the whole sequence gives. For a step at a time there is Stream.
template <class Net>
class Stateful {
 public:
  static_assert(
      detail::HasInitialState<Net>,
      "Stateful: the network has no `State initial_state(size_t batch) const`, which gives the state "
      "before the first step");
  using State = CellState<Net>;
  static_assert(
      nn::State<State>,
      "Stateful: the state must be a Var, or a pair, tuple, array, vector or plain struct of states: "
      "it is detached Var by Var");
  using T = CellNumber<Net>;

  /// The network is copied, and a copy shares its parameters. Throws Error for a bidirectional one, which
  /// would need the whole sequence.
  explicit Stateful(Net net) : net_(std::move(net)) {
    if (detail::goes_both_ways(net_))
      detail::fail(
          "Stateful: the network goes over its inputs in both directions, and the second one begins where "
          "the sequence ends, which is not in this piece; give it whole sequences, by unroll");
  }

  /// unroll(net, x, state, options) from the state that the last call has left, or from the initial state of
  /// the batch. Throws Error for a batch of another size than the one of the state, and where unroll does;
  /// the state is then as it was.
  auto operator()(const ag::Var<T>& x, const UnrollOptions& options = {}) {
    const bool batch_first = options.batch_first || detail::is_batch_first(net_);
    detail::need_sequence(x.shape(), batch_first);
    const std::size_t batch = x.shape()[batch_first ? 0 : 1];
    if (state_ && batch_ && batch != batch_)
      detail::fail("Stateful: the input of shape ", x.shape(), " has a batch of ", batch,
                   ", and the state that was kept is one of ", batch_,
                   "; call reset() where other sequences begin");
    auto result = state_ ? unroll(net_, x, *state_, options) : unroll(net_, x, options);
    state_ = detach(result.state);
    batch_ = batch;
    return result;
  }

  /// Forgets the state: the next call begins from the initial state.
  void reset() {
    state_.reset();
    batch_ = 0;
  }

  /// The state after the last call, of constants. Throws Error if there is none.
  const State& state() const {
    if (!state_)
      detail::fail(
          "Stateful: there is no state before the first call or after reset(); call, or set_state()");
    return *state_;
  }
  bool has_state() const { return state_.has_value(); }
  /// The next call goes on from this state; it is detached.
  void set_state(const State& state) {
    state_ = detach(state);
    batch_ = 0;  // unroll checks it
  }

  const Net& net() const { return net_; }

 private:
  Net net_;
  std::optional<State> state_;
  std::size_t batch_ = 0;  // of the state; 0 if the user gave it
};

}  // namespace nn
