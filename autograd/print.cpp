#include <iomanip>

#include "var.hpp"

namespace autograd {

namespace {

// Prints an array as NumPy does, with the entries of an axis that is too long left out.
template <class T>
class Printer {
 public:
  Printer(std::ostream& out, const Array<T>& array)
      : out_(out), array_(array), most_(array.size() > 100 ? 6 : 12) {
    number_.copyfmt(out);
    number_.width(0);
    visit(0, 0, [&](std::size_t at) { width_ = std::max(width_, text(at).size()); });
  }

  void print(std::size_t axis, std::size_t at) {
    const Shape& shape = array_.shape();
    if (axis == shape.rank()) {
      out_ << std::setw(static_cast<int>(width_)) << text(at);
      return;
    }
    out_ << '[';
    const std::string between = axis + 1 == shape.rank() ? ", "
                                                         : ',' + std::string(shape.rank() - axis - 1, '\n') +
                                                               std::string(axis + 1, ' ');
    const std::size_t inner = shape.size_from(axis + 1);
    for (std::size_t i = 0; i < shape[axis]; ++i) {
      if (i) out_ << between;
      if (left_out(i, shape[axis])) {
        out_ << "..." << between;
        i = shape[axis] - most_ / 2;
      }
      print(axis + 1, at + i * inner);
    }
    out_ << ']';
  }

 private:
  bool left_out(std::size_t i, std::size_t extent) const { return extent > most_ && i == most_ / 2; }

  // Calls f(position) for each entry that is printed.
  template <class F>
  void visit(std::size_t axis, std::size_t at, const F& f) {
    const Shape& shape = array_.shape();
    if (axis == shape.rank()) return f(at);
    const std::size_t inner = shape.size_from(axis + 1);
    for (std::size_t i = 0; i < shape[axis]; ++i) {
      if (left_out(i, shape[axis])) i = shape[axis] - most_ / 2;
      visit(axis + 1, at + i * inner, f);
    }
  }

  std::string text(std::size_t at) {
    number_.str("");
    number_ << array_.data()[at];
    return number_.str();
  }

  std::ostream& out_;
  const Array<T>& array_;
  const std::size_t most_;  // entries of an axis
  std::size_t width_ = 0;
  std::ostringstream number_;  // with the format of `out`
};

}  // namespace

template <class T>
std::ostream& operator<<(std::ostream& out, const Var<T>& x) {
  out << (sizeof(T) == sizeof(float) ? "Var<float>" : "Var<double>");
  if (!x.defined()) return out << ", empty";
  out << ' ' << x.shape() << ", ";
  out << (x.is_variable() ? "variable" : x.differentiable() ? "result" : "constant");
  if (const std::string name = x.name(); x.is_variable() && !name.empty()) out << ' ' << name;
  out << (x.rank() ? ":\n" : ": ");
  Printer<T>(out, x.array()).print(0, 0);
  return out;
}

template std::ostream& operator<<(std::ostream&, const Var<float>&);
template std::ostream& operator<<(std::ostream&, const Var<double>&);

}  // namespace autograd
