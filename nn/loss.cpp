#include "loss.hpp"

#include "autograd/composites.hpp"
#include "autograd/map.hpp"

namespace nn {

using autograd::Var;
using autograd::detail::fail;

template <class T>
Var<T> mse(const Var<T>& prediction, const std::type_identity_t<Var<T>>& target) {
  prediction.use("mse");
  target.use("mse");
  if (!(prediction.shape() == target.shape()))
    fail("mse: the prediction has shape ", prediction.shape(), ", the target ", target.shape(),
         "; they must be equal, reshape one of them");
  if (prediction.size() == 0)
    fail("mse: the prediction and the target have shape ", prediction.shape(),
         ", which has no entries to average; leave out empty batches");
  const autograd::Scope scope("mse");
  return mean(autograd::map([](auto p, auto y) { return square(p - y); }, prediction, target));
}

template <class T>
Var<T> cross_entropy(const Var<T>& logits, const autograd::Indices& labels, CrossEntropyOptions options) {
  logits.use("cross_entropy");
  if (logits.rank() == 0 || !(logits.shape().prefix(logits.rank() - 1) == labels.shape()))
    fail("cross_entropy: labels of shape ", labels.shape(), " do not fit logits of shape ", logits.shape(),
         "; there must be one label for each row of the last axis");
  if (labels.values().empty())
    fail("cross_entropy: the logits have shape ", logits.shape(),
         ", which has no rows to average; leave out empty batches");
  const std::size_t classes = logits.shape().back();
  std::vector<std::int64_t> rows, classes_of_rows;
  for (std::size_t i = 0; i < labels.values().size(); ++i) {
    const std::int64_t label = labels.values()[i];
    if (label == options.ignore_index) continue;
    if (label < 0 || label >= static_cast<std::int64_t>(classes))
      fail("cross_entropy: label ", label, " at row ", i, " is not one of the ", classes,
           " classes of logits of shape ", logits.shape(), "; labels count from 0");
    rows.push_back(static_cast<std::int64_t>(i));
    classes_of_rows.push_back(label);
  }
  if (rows.empty())
    fail("cross_entropy: all ", labels.values().size(), " labels are ", options.ignore_index,
         ", the ignore_index, so that there are no rows to average; leave out such batches");
  const autograd::Scope scope("cross_entropy");
  if (rows.size() == labels.values().size()) return -mean(pick(log_softmax(logits), labels));
  const autograd::Shape count{rows.size()};
  const Var<T> counted =
      take(logits.reshape({labels.values().size(), classes}), autograd::Indices(count, std::move(rows)));
  return -mean(pick(log_softmax(counted), autograd::Indices(count, std::move(classes_of_rows))));
}

template Var<float> mse(const Var<float>&, const Var<float>&);
template Var<double> mse(const Var<double>&, const Var<double>&);
template Var<float> cross_entropy(const Var<float>&, const autograd::Indices&, CrossEntropyOptions);
template Var<double> cross_entropy(const Var<double>&, const autograd::Indices&, CrossEntropyOptions);

}  // namespace nn
