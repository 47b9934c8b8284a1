// Any recurrent network behind one interface, so that what is promised of all of them is written once and
// compiled once.
#pragma once

#include <autograd/autograd.hpp>
#include <filesystem>
#include <memory>
#include <nn/nn.hpp>
#include <string>
#include <vector>

namespace test {

namespace ag = autograd;

/// What unrolling gives, the Vars of the state in order.
template <class T>
struct Flat {
  ag::Var<T> output;
  std::vector<ag::Var<T>> state;
};

/// A recurrent network of which the type is forgotten. Without a state, calls begin from the initial one.
template <class T>
struct Network {
  virtual ~Network() = default;
  virtual Flat<T> unroll(const ag::Var<T>& x, const std::vector<ag::Var<T>>& state,
                         const nn::UnrollOptions& options) const = 0;
  /// The same of the network made checkpointed(), every so many steps.
  virtual Flat<T> unroll_checkpointed(std::size_t every, const ag::Var<T>& x,
                                      const std::vector<ag::Var<T>>& state,
                                      const nn::UnrollOptions& options) const = 0;
  virtual std::vector<ag::Var<T>> initial_state(std::size_t batch) const = 0;
  virtual nn::NamedVars<T> parameters() const = 0;
  /// The outputs of a Stream, and the state it ends in; empty if this is no cell.
  virtual Flat<T> stream(const ag::Var<T>& x) const = 0;
  /// The outputs of a Stateful that gets pieces, which end at `ends`, one after the other, and its state.
  virtual Flat<T> stateful(const ag::Var<T>& x, const std::vector<std::size_t>& ends) const = 0;
  virtual ag::GradcheckReport gradcheck(const ag::Var<double>& x,
                                        const ag::GradcheckOptions& options) const = 0;
  virtual void save(const std::filesystem::path& file) const = 0;
  virtual void load(const std::filesystem::path& file) const = 0;
};

/// The one of a net of a type C.
template <class T, class C>
class NetworkOf : public Network<T> {
 public:
  explicit NetworkOf(C net) : net_(std::move(net)) {}

  Flat<T> unroll(const ag::Var<T>& x, const std::vector<ag::Var<T>>& state,
                 const nn::UnrollOptions& options) const override {
    return unroll_any(net_, x, state, options);
  }
  Flat<T> unroll_checkpointed(std::size_t every, const ag::Var<T>& x, const std::vector<ag::Var<T>>& state,
                              const nn::UnrollOptions& options) const override {
    return unroll_any(nn::checkpointed(net_, every), x, state, options);
  }
  std::vector<ag::Var<T>> initial_state(std::size_t batch) const override {
    return vars(net_.initial_state(batch));
  }
  nn::NamedVars<T> parameters() const override { return nn::named_parameters(net_); }
  Flat<T> stream([[maybe_unused]] const ag::Var<T>& x) const override {
    if constexpr (nn::Cell<C> && kAll) {
      nn::Stream<C> stream(net_, {.batch = x.shape(1)});
      std::vector<ag::Var<T>> outputs;
      for (std::size_t t = 0; t < x.shape(0); ++t) outputs.push_back(stream.step(x[t]));
      return {ag::stack(outputs), vars(stream.state())};
    } else {
      return {};
    }
  }
  Flat<T> stateful([[maybe_unused]] const ag::Var<T>& x,
                   [[maybe_unused]] const std::vector<std::size_t>& ends) const override {
    if constexpr (!kAll) {
      return {};
    } else {
      nn::Stateful<C> stateful(net_);
      std::vector<ag::Var<T>> outputs;
      std::size_t begin = 0;
      for (const std::size_t end : ends)
        outputs.push_back(stateful(x.slice(std::exchange(begin, end), end)).output);
      return {ag::concat(outputs, 0), vars(stateful.state())};
    }
  }
  ag::GradcheckReport gradcheck([[maybe_unused]] const ag::Var<double>& x,
                                [[maybe_unused]] const ag::GradcheckOptions& options) const override {
    if constexpr (kAll)
      return nn::gradcheck(net_, x, options);
    else
      return {};
  }
  void save(const std::filesystem::path& file) const override { nn::save(file, net_); }
  void load(const std::filesystem::path& file) const override { nn::load(file, net_); }

 private:
  static constexpr bool kAll = std::is_same_v<T, double>;  // float is for unroll only

  static std::vector<ag::Var<T>> vars(const auto& state) {
    std::vector<ag::Var<T>> result;
    nn::detail::for_each_var([&](const ag::Var<T>& var) { result.push_back(var); }, state);
    return result;
  }
  static Flat<T> flat(const auto& unrolled) { return {unrolled.output, vars(unrolled.state)}; }
  static Flat<T> unroll_any(const auto& net, const ag::Var<T>& x, const std::vector<ag::Var<T>>& state,
                            const nn::UnrollOptions& options) {
    if (state.empty()) return flat(nn::unroll(net, x, options));
    auto given = net.initial_state(state[0].shape(0));
    std::size_t index = 0;
    nn::detail::for_each_var([&](ag::Var<T>& var) { var = state.at(index++); }, given);
    return flat(nn::unroll(net, x, std::move(given), options));
  }

  C net_;
};

template <class T, class C>
std::unique_ptr<Network<T>> network(C net) {
  return std::make_unique<NetworkOf<T, C>>(std::move(net));
}

}  // namespace test
