// What the notebook programs have in common. A page opens with equations, holds figures against the
// notebook's and gradients against finite differences and the notebook's formulas, and ends with the result
// as JSON.
#pragma once

#include <autograd/autograd.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <nn/nn.hpp>
#include <string>
#include <vector>

#include "formula.hpp"

namespace notebooks {

/// JSON that keeps its keys in the order in which they came.
using Json = nlohmann::ordered_json;

/// A loss for each epoch.
struct Curve {
  std::string label;
  std::vector<double> losses;
};

/// The elements of a value.
inline std::vector<double> entries(const autograd::Var<double>& x) {
  return {x.array().data(), x.array().data() + x.size()};
}

/// Every n-th element, from the first.
inline std::vector<double> every(std::size_t n, const std::vector<double>& x) {
  std::vector<double> result;
  for (std::size_t i = 0; i < x.size(); i += n) result.push_back(x[i]);
  return result;
}

/// The output of one program, in order: title and equations come from the constructor, the last line from
/// finish(), everything else from the call that is named for it.
class Page {
 public:
  /// Reads the command line, [--output DIR]; on --help, a mistake in it or a folder that cannot be written to
  /// the program ends here. `name` is the program's, of its picture and of its part of data/numpy.json.
  Page(int argc, char** argv, const std::string& name, const std::string& equations);

  /// What NumPy gave for this program's notebook; data/SOURCES.md tells how.
  const Json& numpy() const { return numpy_; }

  void heading(const std::string& text);
  void say(const std::string& text) const;

  /// Figures beside those that the notebook printed, each given as it stands there; reported under `key`.
  /// They hold if they are the same to the last printed digit, or to so many significant digits. With
  /// `epochs` they are those of every so many epochs.
  void figures(const std::string& key, const std::vector<std::string>& notebook,
               const std::vector<double>& here, int digits = 0, std::size_t epochs = 0);
  void figure(const std::string& key, const std::string& notebook, double here, int digits = 0);

  /// Figures beside what NumPy gave for the notebook's computation from the same start. They hold if they
  /// are the same to 12 digits.
  void same_as_numpy(const std::string& key, const std::vector<double>& numpy,
                     const std::vector<double>& here, std::size_t epochs = 0);

  /// The gradient of loss() for the parameters of a network: the tape's against finite differences, and the
  /// notebook's formulas against the tape's. Reports of each formula its Judgement, all under
  /// `key`; formulas are held against NumPy's where numpy() has that key.
  template <class Loss, nn::Module Network>
  void gradients(const Loss& loss, const Network& network, const Formulas& formulas,
                 const std::string& key = "gradients") {
    finite_differences(nn::gradcheck(loss, network), key);
    autograd::Tape tape;
    const autograd::Gradients gradients = tape.backward(loss());
    std::map<std::string, autograd::Array<double>> by_tape;
    for (const auto& [path, parameter] : nn::named_parameters(network))
      by_tape.emplace(path, gradients.array(parameter));
    compare(by_tape, formulas, key);
  }

  /// The median time of an epoch, in microseconds, of runs of train(), which are so many epochs each. `what`
  /// is what an epoch is called.
  void time(std::size_t epochs, const std::function<void()>& train, const std::string& what = "epoch");

  /// One or two loss curves on a logarithmic axis, which `loss` names, as NAME.svg in the output folder.
  void draw_losses(const std::string& title, const std::string& loss, const std::vector<Curve>& curves);
  /// NAME.svg by gnuplot commands.
  void draw(const std::string& commands);

  /// Reports anything else.
  Json& operator[](const std::string& key) { return result_[key]; }

  /// Prints the last line, `result {json}`; gives the exit code, 1 if anything did not hold.
  int finish();

 private:
  void finite_differences(const autograd::GradcheckReport& report, const std::string& key);
  void compare(const std::map<std::string, autograd::Array<double>>& by_tape, const Formulas& formulas,
               const std::string& key);
  void row(const std::string& label, const char* source, const std::string& theirs, double here, bool holds,
           int digits);

  std::string name_;
  std::filesystem::path output_;
  std::string columns_;  // whose figures the open table has beside ours
  Json numpy_, result_;
  bool holds_ = true;
};

}  // namespace notebooks
