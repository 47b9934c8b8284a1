#include "recorded_sweep.hpp"

#include <algorithm>

#include "elementwise.hpp"
#include "restoration.hpp"
#include "shape_ops.hpp"
#include "trace.hpp"

namespace autograd::detail {

template <class T>
Var<T> RecordedSweep<T>::gradient(Place place, const Shape& shape) {
  if (!place.differentiable()) return {};
  const std::size_t begin = place.offset(), end = begin + shape.size();
  // Pieces that lie side by side are joined; layers of those are added.
  std::vector<Piece> inside;
  for (const Piece& piece : pieces(place.slot())) {
    const std::size_t low = std::max(begin, piece.offset),
                      high = std::min(end, piece.offset + piece.value.size());
    if (low >= high) continue;
    const bool whole = low == piece.offset && high == piece.offset + piece.value.size();
    inside.push_back({low, whole ? piece.value : piece.value.slice(low - piece.offset, high - piece.offset)});
  }
  std::stable_sort(inside.begin(), inside.end(),
                   [](const Piece& a, const Piece& b) { return a.offset < b.offset; });
  Var<T> sum;
  while (!inside.empty()) {
    std::vector<Var<T>> layer;
    std::vector<Piece> left;
    std::size_t at = begin;
    for (const Piece& piece : inside) {
      if (piece.offset < at) {
        left.push_back(piece);
        continue;
      }
      if (piece.offset > at) layer.push_back(zeros<T>({piece.offset - at}));
      layer.push_back(piece.value);
      at = piece.offset + piece.value.size();
    }
    if (at < end) layer.push_back(zeros<T>({end - at}));
    const Var<T> joined = layer.size() == 1 ? layer[0] : concat(std::span<const Var<T>>(layer));
    sum = sum.defined() ? sum + joined : joined;
    inside = std::move(left);
  }
  return sum.defined() ? sum.reshape(shape) : sum;
}

template <class T>
void RecordedSweep<T>::add(Place place, const Shape& shape, const Var<T>& gradient) {
  if (!place.differentiable()) return;
  const Var<T> own = gradient.size() == shape.size() ? gradient : sum_to(gradient, shape);
  pieces(place.slot()).push_back({place.offset(), own.reshape({own.size()})});
}

template <class T>
void RecordedSweep<T>::run(Node* from, const Node* until) {
  restore_values(tape_, from, until);
  // On a traced tape, a scope tells whose gradient is recorded. (A map runs the rules of its body's nodes
  // itself; those are part of its own gradient.)
  if (tape_.trace && !until) [[unlikely]] {
    tape_.trace->end(tape_);
    std::size_t entry = tape_.trace->entries().size();
    for (Node* node = from; node; node = node->previous) {
      const std::string name = "gradient of " + tape_.trace->name_of_node(--entry);
      const Scope scope(name);
      if (node->type->element_bytes == sizeof(T)) node->type->record(*node, this);
    }
    return;
  }
  for (Node* node = from; node != until; node = node->previous)
    if (node->type->element_bytes == sizeof(T)) node->type->record(*node, this);
}

template class RecordedSweep<float>;
template class RecordedSweep<double>;

}  // namespace autograd::detail
