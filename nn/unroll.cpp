#include "unroll.hpp"

#include "autograd/indexing.hpp"
#include "autograd/views.hpp"

namespace nn {

void Lengths::check(std::size_t steps, std::size_t batch) const {
  if (values_.empty()) return;
  if (values_.size() != batch)
    detail::fail("unroll: there are ", values_.size(), " lengths for a batch of ", batch,
                 " sequences; give one for each");
  for (std::size_t b = 0; b < batch; ++b)
    if (values_[b] < 1 || values_[b] > static_cast<std::int64_t>(steps))
      detail::fail("unroll: length ", values_[b], " of sequence ", b, " is not in [1, ", steps,
                   "], the steps of the input; leave out what is empty, and pad the input to the longest");
}

bool Lengths::ragged(std::size_t steps) const {
  for (const std::int64_t length : values_)
    if (length != static_cast<std::int64_t>(steps)) return true;
  return false;
}

namespace detail {

template <class T>
ag::Var<T> active_steps(const Lengths& lengths, std::size_t steps) {
  const std::vector<std::int64_t>& values = lengths.values();
  ag::Array<T> active({steps, values.size(), 1});
  for (std::size_t t = 0; t < steps; ++t)
    for (std::size_t b = 0; b < values.size(); ++b)
      active.data()[t * values.size() + b] = static_cast<std::int64_t>(t) < values[b];
  return active;
}

template ag::Var<float> active_steps(const Lengths&, std::size_t);
template ag::Var<double> active_steps(const Lengths&, std::size_t);

template <class T>
ag::Var<T> swap_leading_axes(const ag::Var<T>& x) {
  ag::Shape shape{x.shape(1), x.shape(0)};
  for (const std::size_t extent : x.shape().suffix(2)) shape.push_back(extent);
  return ag::permute(x.reshape({shape[1], shape[0], x.shape().suffix(2).size()}), {1, 0, 2}).reshape(shape);
}

template ag::Var<float> swap_leading_axes(const ag::Var<float>&);
template ag::Var<double> swap_leading_axes(const ag::Var<double>&);

template <class T>
ag::Var<T> visible_outputs(const ag::Var<T>& active, std::size_t t, bool reverse) {
  const std::size_t begin = reverse ? t : 0, end = reverse ? active.shape(0) : t + 1, batch = active.shape(1);
  ag::Array<T> visible({batch, end - begin});
  const T* const within = active.array().data();
  for (std::size_t b = 0; b < batch; ++b)
    for (std::size_t step = begin; step < end; ++step)
      visible.data()[b * (end - begin) + step - begin] =
          within[t * batch + b] == T(0) || within[step * batch + b] != T(0);
  return visible;
}

template ag::Var<float> visible_outputs(const ag::Var<float>&, std::size_t, bool);
template ag::Var<double> visible_outputs(const ag::Var<double>&, std::size_t, bool);

template <class T>
ag::Var<T> where_active(const ag::Var<T>& active, const ag::Var<T>& now, const ag::Var<T>& before,
                        std::size_t axis) {
  if (now.rank() <= axis || now.shape(static_cast<std::ptrdiff_t>(axis)) != active.shape(0))
    fail("unroll: a step gave shape ", now.shape(), "; with lengths, axis ", axis, " must be the batch of ",
         active.shape(0));
  ag::Shape shape;
  for (std::size_t i = 0; i < now.rank(); ++i) shape.push_back(i == axis ? active.shape(0) : 1);
  return where(active.reshape(shape), now, before);
}

template ag::Var<float> where_active(const ag::Var<float>&, const ag::Var<float>&, const ag::Var<float>&,
                                     std::size_t);
template ag::Var<double> where_active(const ag::Var<double>&, const ag::Var<double>&, const ag::Var<double>&,
                                      std::size_t);

template <class T>
ag::Var<T> last_output(const ag::Var<T>& outputs, const UnrollOptions& options) {
  const std::size_t steps = outputs.shape(0), batch = outputs.shape(1);
  if (options.reverse) return outputs[0];
  if (!options.lengths.ragged(steps)) return outputs[steps - 1];
  std::vector<std::int64_t> rows;
  for (const std::int64_t length : options.lengths.values())
    rows.push_back((length - 1) * static_cast<std::int64_t>(batch) + static_cast<std::int64_t>(rows.size()));
  ag::Shape shape{steps * batch};
  for (const std::size_t extent : outputs.shape().suffix(2)) shape.push_back(extent);
  return ag::take(outputs.reshape(shape), ag::Indices({batch}, std::move(rows)));
}

template ag::Var<float> last_output(const ag::Var<float>&, const UnrollOptions&);
template ag::Var<double> last_output(const ag::Var<double>&, const UnrollOptions&);

}  // namespace detail
}  // namespace nn
