#include "tangent_sweep.hpp"

#include "denormals.hpp"
#include "description.hpp"
#include "restoration.hpp"

namespace autograd::detail {
namespace {

// The nodes of T after `after`, the first first.
template <class T>
std::vector<Node*> nodes_after(const TapeStorage& tape, const Node* after) {
  std::vector<Node*> nodes;
  nodes.reserve(after ? 0 : tape.nodes);
  for (Node* node = tape.last; node != after; node = node->previous)
    if (node->type->element_bytes == sizeof(T)) nodes.push_back(node);
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}

}  // namespace

SlotArrays::~SlotArrays() {
  for (Slot& slot : slots) release(slot.gradient);
  for (Deferred& d : deferred) d.drop();
}

void SlotArrays::grow(const TapeStorage& tape) {
  slots.reserve(tape.slots.size());
  for (std::size_t i = slots.size(); i < tape.slots.size(); ++i) {
    Slot& slot = slots.emplace_back();
    slot.size = tape.slots[i].size;
    slot.element_bytes = tape.slots[i].element_bytes;
    slot.keep = tape.slots[i].keep;
  }
}

void SlotArrays::drop(std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) {
    if (slots[i].keep) continue;
    release(std::exchange(slots[i].gradient, nullptr));
    slots[i].low = slots[i].high = 0;
    slots[i].shared = false;
  }
}

template <class T>
void TangentSweep::seed(std::size_t input, Place place, std::size_t size, const T* tangent) {
  std::fill(current_.begin(), current_.end(), 0);
  current_[input / 64] = std::uint64_t{1} << input % 64;
  const Sink<T> to = result<T>(place, size);
  for (std::size_t i = 0; i < size; ++i) to.data[i] = to.accumulate ? to.data[i] + tangent[i] : tangent[i];
}

template <class T>
void TangentSweep::run(const Node* after) {
  [[maybe_unused]] const FlushDenormals flush_denormals;
  restore_values(tape_, tape_.last, after);
  grow();
  for (Node* node : nodes_after<T>(tape_, after)) {
    std::fill(current_.begin(), current_.end(), 0);
    node->type->tangent(*node, *this);
  }
}

template <class T>
Var<T> TangentSweep::tangent_var(Place place, const Shape& shape) {
  const T* data = tangent<T>(place, shape.size());
  if (!data) return {};
  if (!shape.size()) return Array<T>(shape);
  return Array<T>(BlockRef(retain(block(place))), const_cast<T*>(data), shape);
}

template <class T>
void TangentSweep::add(Place place, const Array<T>& tangent) {
  const Sink<T> to = result<T>(place, tangent.size());
  const T* from = tangent.data();
  for (std::size_t i = 0; i < tangent.size(); ++i)
    to.data[i] = to.accumulate ? to.data[i] + from[i] : from[i];
}

DualSweep::DualSweep(TapeStorage& tape, TangentSweep& values)
    : tape_(tape),
      values_(values),
      gradient_arrays_(tape),
      tangent_arrays_(tape),
      gradients_(gradient_arrays_.slots, gradient_arrays_.deferred, false),
      tangents_(tangent_arrays_.slots, tangent_arrays_.deferred, false),
      products_(static_cast<std::uint32_t>(tape.deferred.size())) {
  values_.grow();  // rules may have recorded something to find the tangents
  const auto copy = [](const Deferred& d, Place bias) {
    Deferred result{};
    result.weight = d.weight;
    result.bias = bias;
    result.in = d.in;
    result.out = d.out;
    result.out_by_in = d.out_by_in;
    return result;
  };
  for (const Deferred& d : tape.deferred) {
    gradient_arrays_.deferred.push_back(copy(d, d.bias));
    tangent_arrays_.deferred.push_back(copy(d, d.bias));
  }
  for (const Deferred& d : tape.deferred) tangent_arrays_.deferred.push_back(copy(d, {}));
}

template <class T>
void DualSweep::run(Place scalar, std::span<const Place> kept) {
  [[maybe_unused]] const FlushDenormals flush_denormals;
  for (const Place& place : kept) tangent_arrays_.slots[place.slot()].keep = true;
  *gradients_.accumulator<T>(scalar, 1) += T(1);
  run_back<T>(tape_.last, nullptr, gradient_arrays_.slots.size());
  for (Deferred& d : tangent_arrays_.deferred)
    if (d.rows) d.flush(tangents_, d);
}

template <class T>
void DualSweep::run_back(Node* from, const Node* until, std::size_t slots) {
  for (Node* node = from; node != until; node = node->previous) {
    if (node->type->element_bytes == sizeof(T)) node->type->backward_dual(*node, *this);
    if (node->first_slot >= slots) continue;
    gradient_arrays_.drop(node->first_slot, slots);
    tangent_arrays_.drop(node->first_slot, slots);
    slots = node->first_slot;
  }
}

template <class T>
void DualSweep::cross_product(std::uint32_t index, const T* a, Block* a_block, Place g_place,
                              std::size_t rows) {
  const Deferred& d = tangent_arrays_.deferred[index - 1];
  if (!d.weight.differentiable()) return;
  if (const T* g = gradients_.gradient<T>(g_place, rows * d.out))
    tangents_.product(products_ + index, a, a_block, g, gradients_.slot(g_place.slot()).gradient, rows);
}

template <class T>
void LinearNode<T>::tangent(TangentSweep& sweep) {
  Description description;
  type->describe(*this, description);
  std::vector<Var<T>> x, y;
  bool any = false;
  for (const Description::Value& operand : description.operands) {
    x.push_back(sweep.tangent_var<T>(operand.place, operand.shape));
    any |= x.back().defined();
  }
  if (!any) return;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!x[i].defined()) x[i] = zeros<T>(description.operands[i].shape);
  {
    const NoRecording off;
    const std::span<const Var<T>> operands(x);
    type->again(*this, &operands, &y);
  }
  for (std::size_t i = 0; i < y.size(); ++i) sweep.add(description.results[i].place, y[i].array());
}

#define UNROLL_INSTANTIATE(T)                                                                  \
  template void TangentSweep::seed(std::size_t, Place, std::size_t, const T*);                 \
  template void TangentSweep::run<T>(const Node*);                                             \
  template Var<T> TangentSweep::tangent_var(Place, const Shape&);                              \
  template void TangentSweep::add(Place, const Array<T>&);                                     \
  template void DualSweep::run<T>(Place, std::span<const Place>);                              \
  template void DualSweep::run_back<T>(Node*, const Node*, std::size_t);                       \
  template void DualSweep::cross_product(std::uint32_t, const T*, Block*, Place, std::size_t); \
  template struct LinearNode<T>;
UNROLL_INSTANTIATE(float)
UNROLL_INSTANTIATE(double)
#undef UNROLL_INSTANTIATE

}  // namespace autograd::detail
