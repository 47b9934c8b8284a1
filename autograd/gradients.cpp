#include "gradients.hpp"

#include <cmath>
#include <cstring>

#include "var.hpp"

namespace autograd {

Gradients::~Gradients() {
  if (!entries_) return;
  const auto* entries = static_cast<const Entry*>(entries_->data());
  for (std::size_t i = 0; i < count_; ++i) detail::release(entries[i].gradient);
  detail::release(entries_);
}

template <class T>
const Gradients::Entry* Gradients::find(const Var<T>& x) const {
  if (!x.defined() || !x.is_variable()) return nullptr;
  const detail::Block* variable = x.array().block();
  const auto* entries = entries_ ? static_cast<const Entry*>(entries_->data()) : nullptr;
  const std::size_t hint = __atomic_load_n(&hint_, __ATOMIC_RELAXED);  // threads may look up at the same time
  std::size_t at = hint;
  for (std::size_t left = count_; left > 0; --left, ++at) {
    if (at >= count_) at = 0;
    if (entries[at].variable_id != variable->variable_id) continue;
    __atomic_store_n(&hint_, at + 1, __ATOMIC_RELAXED);
    return &entries[at];
  }
  return nullptr;
}

namespace {

// Calls f(T*, size) on the elements of a gradient.
void visit_elements(char* data, std::size_t size, std::size_t element_bytes, auto&& f) {
  element_bytes == sizeof(float) ? f(reinterpret_cast<float*>(data), size)
                                 : f(reinterpret_cast<double*>(data), size);
}

}  // namespace

double Gradients::norm() const {
  double sum = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const Entry& entry = static_cast<const Entry*>(entries_->data())[i];
    visit_elements(entry.data, entry.size, entry.element_bytes, [&](const auto* x, std::size_t size) {
      for (std::size_t k = 0; k < size; ++k) sum += static_cast<double>(x[k]) * static_cast<double>(x[k]);
    });
  }
  return std::sqrt(sum);
}

void Gradients::scale(double factor) {
  for (std::size_t i = 0; i < count_; ++i) {
    const Entry& entry = static_cast<const Entry*>(entries_->data())[i];
    visit_elements(entry.data, entry.size, entry.element_bytes, [&]<class T>(T* x, std::size_t size) {
      for (std::size_t k = 0; k < size; ++k) x[k] *= static_cast<T>(factor);
    });
  }
}

void Gradients::add(const Gradients& other) {
  const auto entry_of = [](const Gradients& gradients, std::size_t i) -> Entry& {
    return static_cast<Entry*>(gradients.entries_->data())[i];
  };
  const std::size_t own = count_;
  for (std::size_t i = 0; i < other.count_; ++i) {
    const Entry& from = entry_of(other, i);
    std::size_t at = i;  // where it is if both losses have met the same variables
    if (at >= own || entry_of(*this, at).variable_id != from.variable_id)
      for (at = 0; at < own && entry_of(*this, at).variable_id != from.variable_id;) ++at;
    if (at < own) {
      const Entry& to = entry_of(*this, at);
      visit_elements(to.data, to.size, to.element_bytes, [&]<class T>(T* x, std::size_t size) {
        const T* const y = reinterpret_cast<const T*>(from.data);
        for (std::size_t k = 0; k < size; ++k) x[k] += y[k];
      });
      continue;
    }
    const std::size_t bytes = from.size * from.element_bytes;
    const detail::BlockRef copy(detail::allocate_block(bytes));
    std::memcpy(copy->data(), from.data, bytes);
    detail::Block* const entries = detail::allocate_block((count_ + 1) * sizeof(Entry));
    if (count_) std::memcpy(entries->data(), entries_->data(), count_ * sizeof(Entry));
    detail::release(std::exchange(entries_, entries));
    Entry& added = entry_of(*this, count_++);
    added = from;
    added.gradient = detail::retain(copy.get());
    added.data = static_cast<char*>(copy->data());
  }
}

namespace {

// Where the elements of a handle begin in its variable.
template <class T>
std::ptrdiff_t offset(const Var<T>& variable) {
  return variable.array().data() - static_cast<const T*>(variable.array().block()->data());
}

}  // namespace

template <class T>
bool Gradients::contains(const Var<T>& variable) const {
  return find(variable) != nullptr;
}

template <class T>
const T* Gradients::data(const Var<T>& variable) const {
  const Entry* entry = find(variable);
  return entry ? reinterpret_cast<const T*>(entry->data) + offset(variable) : nullptr;
}

template <class T>
Array<T> Gradients::array(const Var<T>& variable) const {
  variable.require_value("Gradients");
  const Entry* entry = find(variable);
  if (!entry && variable.is_variable())
    detail::fail("Gradients: ", detail::called(variable, "the variable"), " of shape ", variable.shape(),
                 " took no part in the loss; ask contains() first");
  if (!entry)
    detail::fail("Gradients: ", variable.differentiable() ? "a result" : "a constant", " of shape ",
                 variable.shape(), " has no gradient here, only variables have; ",
                 variable.differentiable() ? "ask grad(loss, result)" : "make it with variable()");
  detail::publish(entry->gradient);
  return {detail::BlockRef(detail::retain(entry->gradient)),
          reinterpret_cast<T*>(entry->data) + offset(variable), variable.shape()};
}

template bool Gradients::contains(const Var<float>&) const;
template bool Gradients::contains(const Var<double>&) const;
template const float* Gradients::data(const Var<float>&) const;
template const double* Gradients::data(const Var<double>&) const;
template Array<float> Gradients::array(const Var<float>&) const;
template Array<double> Gradients::array(const Var<double>&) const;

}  // namespace autograd
