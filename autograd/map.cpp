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
// order that matters. `cols` is the width of blocks of columns.
bool overlap(const auto& a, std::size_t a_size, const auto& b, std::size_t b_size, std::size_t cols) {
  if (!a.place.differentiable() || a.place.slot != b.place.slot) return false;
  if (a.place.offset + a_size <= b.place.offset || b.place.offset + b_size <= a.place.offset) return false;
  if (a.place.offset != b.place.offset || a.layout != b.layout) return true;
  if (a.layout == Layout::full) return false;
  return a.layout != Layout::columns || a.width != b.width ||
         (a.first < b.first + cols && b.first < a.first + cols);
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
void add_operand(Operand<T>*& next, const Var<T>& x, const Shape& shape, Var<T>& owner, const char* op) {
  Operand<T>& operand = *next++;
  const Var<T>* source = &x;
  operand.layout = Layout::full;
  if (!(x.shape() == shape) && !find_layout(x.shape(), shape, operand.layout)) {
    owner = broadcast_to(x, shape);
    source = &owner;
    operand.layout = Layout::full;
  }
  operand.place = source->use(op);
  operand.data = source->array().data();
  operand.block = source->array().block();
  operand.width = source->size();
  operand.first = 0;
}

template <class T>
void add_columns(Operand<T>*& next, const Var<T>& matrix, std::size_t first, std::size_t width,
                 std::size_t count, const Shape& shape, const char* op) {
  const Place place = matrix.use(op);
  if (with_last_axis(matrix.shape(), width).size() != shape.size())
    fail(op, ": a block of columns of shape ", with_last_axis(matrix.shape(), width),
         " cannot broadcast to shape ", shape, "; take it as a value of its own with columns(...).var()");
  for (std::size_t i = 0; i < count; ++i) {
    Operand<T>& operand = *next++;
    operand.layout = Layout::columns;
    operand.place = place;
    operand.first = first + i * width;
    operand.data = matrix.array().data() + operand.first;
    operand.block = matrix.array().block();
    operand.width = matrix.shape().back();
  }
}

template <class T>
bool lay_out(Operand<T>* operands, std::size_t count, const Shape& shape, std::size_t& rows,
             std::size_t& cols) {
  const std::size_t size = shape.size();
  cols = size;
  for (std::size_t i = 0; i < count; ++i) {
    const Layout layout = operands[i].layout;
    if (layout == Layout::suffix) cols = std::min(cols, operands[i].width);
    if (layout == Layout::column || layout == Layout::columns) cols = std::min(cols, shape.back());
  }
  // Divisions are slow enough to be worth avoiding: at batch 1 they would cost as much as the arithmetic.
  rows = cols == size           ? size != 0
         : cols == shape.back() ? shape.prefix(shape.rank() - 1).size()
                                : size / cols;
  bool overlapping = false;
  for (std::size_t i = 0; i < count; ++i) {
    Operand<T>& operand = operands[i];
    operand.period = 0;
    switch (operand.layout) {
      case Layout::full:
        operand.row_stride = cols;
        break;
      case Layout::suffix:
        operand.row_stride = cols;
        operand.period = cols ? operand.width / cols : 0;
        break;
      case Layout::scalar:
        operand.row_stride = 0;
        break;
      case Layout::column:
        operand.row_stride = 1;
        break;
      case Layout::columns:
        operand.row_stride = operand.width;
        break;
    }
    const auto extent = [&](const Operand<T>& o) {
      return o.layout == Layout::columns ? rows * o.width : o.width;
    };
    for (std::size_t k = 0; k < i; ++k)
      overlapping |= overlap(operand, extent(operand), operands[k], extent(operands[k]), cols);
  }
  return overlapping;
}

template void add_operand(Operand<float>*&, const Var<float>&, const Shape&, Var<float>&, const char*);
template void add_operand(Operand<double>*&, const Var<double>&, const Shape&, Var<double>&, const char*);
template void add_columns(Operand<float>*&, const Var<float>&, std::size_t, std::size_t, std::size_t,
                          const Shape&, const char*);
template void add_columns(Operand<double>*&, const Var<double>&, std::size_t, std::size_t, std::size_t,
                          const Shape&, const char*);
template bool lay_out(Operand<float>*, std::size_t, const Shape&, std::size_t&, std::size_t&);
template bool lay_out(Operand<double>*, std::size_t, const Shape&, std::size_t&, std::size_t&);

}  // namespace autograd::detail
