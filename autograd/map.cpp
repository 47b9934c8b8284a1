#include "map.hpp"

#include "shape_ops.hpp"

namespace autograd::detail {

Shape broadcast_shapes(const char* op, std::span<const Shape> shapes, std::span<const Block* const> blocks) {
  std::size_t rank = 0;
  for (const Shape& shape : shapes) rank = std::max(rank, shape.rank());
  Shape result;
  for (std::size_t i = 0; i < rank; ++i) result.push_back(1);
  for (const Shape& shape : shapes)
    for (std::size_t i = 0; i < shape.rank(); ++i) {
      std::size_t& extent = result[rank - 1 - i];
      const std::size_t own = shape[shape.rank() - 1 - i];
      if (own == extent || own == 1) continue;
      if (extent != 1) {
        std::ostringstream list;
        for (std::size_t k = 0; k < shapes.size(); ++k) {
          const std::string name = name_of(blocks[k]);
          list << (k ? " and " : "") << shapes[k] << (name.empty() ? "" : " of ") << name;
        }
        fail(op, ": shapes ", list.str(), " do not broadcast: axis -", i + 1, " is ", extent, " and ", own,
             "; make them equal, or one of them 1");
      }
      extent = own;
    }
  return result;
}

namespace {

bool find_layout(const Shape& operand, const Shape& output, Layout& layout) {
  if (operand.size() == output.size())
    layout = Layout::full;
  else if (operand.size() == 1)
    layout = Layout::scalar;
  else {
    std::size_t first = 0;
    while (first < operand.rank() && operand[first] == 1) ++first;
    const Shape core = operand.suffix(first);
    if (core == output.suffix(output.rank() - core.rank()))
      layout = Layout::suffix;
    else if (operand.rank() == output.rank() && operand.back() == 1 &&
             operand.prefix(operand.rank() - 1) == output.prefix(output.rank() - 1))
      layout = Layout::column;
    else
      return false;
  }
  return true;
}

// Whether the kernel, which writes the gradients of both in one pass, would write to the same elements in an
// order that matters. The widths are those of the columns that are read.
template <class T>
bool overlap(const Operand<T>& a, std::size_t a_width, const Operand<T>& b, std::size_t b_width,
             std::size_t rows, std::size_t cols) {
  if (!a.place.differentiable() || a.place.slot() != b.place.slot()) return false;
  if (a.place.offset() + operand_size(a, rows, cols) <= b.place.offset() ||
      b.place.offset() + operand_size(b, rows, cols) <= a.place.offset())
    return false;
  if (a.place.offset() != b.place.offset() || a.layout != b.layout) return true;
  if (a.layout == Layout::full) return false;
  return a.layout != Layout::columns || a.width != b.width ||
         (a.first < b.first + b_width && b.first < a.first + a_width);
}

}  // namespace

Shape operand_shape(Layout layout, std::size_t width, const Shape& output) {
  switch (layout) {
    case Layout::scalar:
      return {};
    case Layout::suffix: {
      std::size_t axis = output.rank(), size = 1;
      while (size < width) size *= output[--axis];
      return output.suffix(axis);
    }
    case Layout::column: {
      Shape shape = output;
      shape[shape.rank() - 1] = 1;
      return shape;
    }
    case Layout::columns: {
      Shape shape = output;
      shape[shape.rank() - 1] = width;
      return shape;
    }
    case Layout::full:
      break;
  }
  return output;
}

template <class T>
void fill_broadcast(Operand<T>& operand, const Var<T>& x, const Shape& shape, Var<T>& owner, const char* op) {
  Layout layout = Layout::full;
  const bool fits = x.shape() == shape || find_layout(x.shape(), shape, layout);
  if (!fits) owner = broadcast_to(x, shape);
  const Var<T>& full = fits ? x : owner;
  fill_full(operand, full, full.size(), current_tape(), op);
  operand.layout = layout;
}

void check_columns(const char* op, const Shape& matrix, std::size_t width, const Shape& shape) {
  const Shape block = with_last_axis(matrix, width);
  if (block.size() != shape.size())
    fail(op, ": a block of columns of shape ", block, " cannot broadcast to shape ", shape,
         "; take it as a value of its own with columns(...).var()");
}

template <class T>
bool lay_out(const Operand<T>* in, const std::size_t* blocks, std::size_t operands, const Shape& shape,
             std::size_t& rows, std::size_t& cols) {
  const std::size_t size = shape.size();
  cols = size;
  for (std::size_t i = 0; i < operands; ++i) {
    const Layout layout = in[i].layout;
    if (layout == Layout::suffix) cols = std::min(cols, in[i].width);
    if (layout == Layout::column || layout == Layout::columns) cols = std::min(cols, shape.back());
  }
  // Divisions are slow enough to be worth avoiding: at batch 1 they would cost as much as the arithmetic.
  rows = cols == size           ? size != 0
         : cols == shape.back() ? shape.prefix(shape.rank() - 1).size()
                                : size / cols;
  bool overlapping = false;
  for (std::size_t i = 0; i < operands; ++i)
    for (std::size_t k = 0; k < i; ++k)
      overlapping |= overlap(in[i], blocks[i] * cols, in[k], blocks[k] * cols, rows, cols);
  return overlapping;
}

template void fill_broadcast(Operand<float>&, const Var<float>&, const Shape&, Var<float>&, const char*);
template void fill_broadcast(Operand<double>&, const Var<double>&, const Shape&, Var<double>&, const char*);
template bool lay_out(const Operand<float>*, const std::size_t*, std::size_t, const Shape&, std::size_t&,
                      std::size_t&);
template bool lay_out(const Operand<double>*, const std::size_t*, std::size_t, const Shape&, std::size_t&,
                      std::size_t&);

}  // namespace autograd::detail
