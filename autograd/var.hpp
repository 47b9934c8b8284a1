// Var<T>: a value that may be differentiated. A light handle: copying it shares the elements.
#pragma once

#include <utility>

#include "tape.hpp"

namespace autograd {

namespace detail {

// Throws an Error for what xtensor throws when a change of a variable's elements does not fit their shape;
// returns for others.
void explain_update(const std::runtime_error& error, const std::string& name, const Shape& shape);
// The variable took elements of another shape with the same size.
[[noreturn]] void fail_of_update(const std::string& name, const Shape& shape, const Shape& assigned);

}  // namespace detail

/// A value, and where its gradient will live.
///
/// A Var is a constant (made from numbers or an xtensor expression, or by detach), a variable (made by
/// variable(): what gradients are taken with respect to, such as a parameter), or the result of an op that a
/// Tape recorded. Values are immutable, but for a variable's, which assign() and update() change in place for
/// all who share it.
template <class T = float>
class Var {
 public:
  using value_type = T;

  /// Empty: holds nothing, and every op refuses it.
  Var() = default;

  /// A scalar constant.
  template <class Number>
  requires std::is_arithmetic_v<Number> Var(Number number)
      : array_(Shape{}, static_cast<T>(number)) {}  // NOLINT(google-explicit-constructor)

  /// A constant with the elements of any xtensor expression.
  template <XtensorExpression E>
  Var(const E& expression) : array_(expression) {}  // NOLINT(google-explicit-constructor)

  /// A constant that shares the array's elements.
  Var(Array<T> array) : array_(std::move(array)) {}  // NOLINT(google-explicit-constructor)

  Var(const Var& other) : array_(other.array_), place_(other.place_), tape_(other.tape_) { other.share(); }
  Var& operator=(const Var& other) { return *this = Var(other); }
  Var(Var&&) noexcept = default;
  Var& operator=(Var&&) noexcept = default;
  ~Var() = default;

  bool defined() const { return array_.defined(); }
  const Shape& shape() const { return array_.shape(); }
  /// The extent of an axis, counted from the end if negative. Throws Error if there is no such axis.
  std::size_t shape(std::ptrdiff_t axis) const {
    return array_.shape()[normalise_axis(axis, array_.shape(), "shape")];
  }
  std::size_t size() const { return array_.size(); }
  std::size_t rank() const { return array_.rank(); }

  /// The elements, as an xtensor expression. No copy; valid for as long as it is held, even after the tape
  /// ended.
  ArrayView<T> value() const {
    require_value("value");
    return array().view();
  }
  /// The elements, as an Array.
  const Array<T>& array() const {
    share();
    return array_;
  }
  /// The single element of a Var of one element. Throws Error on others.
  T item() const {
    require_value("item");
    return array_.item();
  }

  /// The same value as a constant: no gradient flows through it, and it may outlive the tape. No copy.
  Var detach() const {
    share();
    detail::publish(array_.block());
    Var result(array_);
    return result;
  }

  /// Whether a gradient can flow to this value.
  bool differentiable() const { return place_.slot != detail::kConstant; }
  /// Whether this is a variable, that is, a leaf of every tape.
  bool is_variable() const { return place_.slot == detail::kVariable; }

  /// What errors, gradcheck and graphs call a variable; empty until it is named.
  std::string name() const { return detail::name_of(array_.block()); }
  /// Names a variable, for all who share it. Modules name theirs by their paths, see nn/parameters.hpp.
  void set_name(std::string name) {
    need_variable("set_name");
    detail::set_name(array_.block(), std::move(name));
  }

  /// Replaces a variable's elements by those of an xtensor expression of the same shape, for all who share
  /// it.
  template <XtensorExpression E>
  void assign(const E& expression) {
    need_variable("assign");
    const Array<T> values(expression);  // first: the expression may read what is written
    if (!(values.shape() == shape()))
      detail::fail("assign: values of shape ", values.shape(), " do not fit the variable's shape ", shape());
    update_elements([&](T* elements) { std::copy_n(values.data(), values.size(), elements); });
  }

  /// Changes a variable's elements in place: `change` gets them as an xtensor container of fixed shape. A
  /// tape that recorded the old value refuses to run backward afterwards. Throws Error if `change` computes
  /// with shapes that do not fit; what it has written before stays.
  template <class Change>
  void update(Change&& change) {
    need_variable("update");
    ++array_.block()->version;  // first: a change that throws may have begun
    MutableArrayView<T> elements = array_.mutable_view();
    try {
      change(elements);
    } catch (const std::runtime_error& error) {
      detail::explain_update(error, name(), shape());
      throw;
    }
    if (!std::equal(elements.shape().begin(), elements.shape().end(), shape().begin(), shape().end()))
      detail::fail_of_update(name(), shape(), Shape(elements.shape().begin(), elements.shape().end()));
  }

  /// The same, on the bare elements in row-major order.
  template <class Change>
  void update_elements(Change&& change) {
    need_variable("update_elements");
    ++array_.block()->version;
    change(array_.data());
  }

  /// The same elements in row-major order under another shape, as NumPy's reshape; a window, no node. One
  /// extent may be -1: it is what the size leaves for it.
  ///
  ///     x.reshape({x.shape(0), -1})        // a row for each entry of axis 0
  ///
  /// Throws Error if the sizes differ, and for extents that do not tell a shape, see Extents.
  Var reshape(const Extents& extents) const {
    require_value("reshape");
    return reshape(extents.of(shape()));
  }
  Var reshape(const std::same_as<Shape> auto& shape) const {
    require_value("reshape");
    return window(array_.reshape(shape));
  }

  /// Entries [begin, end) of axis 0; a window, no node. Throws Error if they do not exist.
  Var slice(std::size_t begin, std::size_t end) const {
    require_value("slice");
    return window(array_.slice(begin, end));
  }

  /// Entry `index` of axis 0, without that axis; a window, no node. Throws Error if it does not exist.
  Var operator[](std::size_t index) const {
    require_value("operator[]");
    return window(array_[index]);
  }

  // --- for ops
  // -------------------------------------------------------------------------------------------------

  /// A result that lives at `place` of the recording tape.
  static Var recorded(Array<T> array, detail::Place place, std::uint64_t tape) {
    Var result(std::move(array));
    result.place_ = place;
    result.tape_ = tape;
    return result;
  }

  /// The same in a block's memory, which it takes a reference over.
  static Var recorded(detail::Block* block, T* data, const Shape& shape, detail::Place place,
                      std::uint64_t tape) {
    return Var(Array<T>(detail::BlockRef(block), data, shape), place, tape);
  }

  /// This value as an input of an op: where its gradient goes on the recording tape (nowhere for a constant,
  /// or if nothing records). Throws Error if it is empty or belongs to another tape.
  detail::Place use(const char* op) const {
    share();
    if (place_.differentiable()) [[likely]] {
      const detail::TapeStorage* tape = detail::recording();
      if (tape && tape->id == tape_ && !tape->trace) [[likely]]
        return place_;
    } else if (place_.slot == detail::kConstant && defined() && !array_.block()->variable_id) {
      return {};
    }
    return resolve(op);
  }

  /// Throws Error if this is empty.
  void require_value(const char* op) const {
    if (!defined()) detail::fail(op, ": an operand is an empty Var; assign it a value first");
  }

  /// Its place on the tape that recorded it.
  detail::Place place() const { return place_; }
  /// The id of the tape that recorded it; 0 for constants and variables.
  std::uint64_t tape_id() const { return tape_; }

  /// Marks this handle as the only one that anybody has or will have, unless it is copied or used: an op that
  /// consumes it may overwrite its elements.
  void mark_fresh() { fresh_ = true; }
  bool fresh() const { return fresh_; }

 private:
  template <class U>
  friend Var<U> variable(Array<U> array);

  Var(Array<T>&& array, detail::Place place, std::uint64_t tape)
      : array_(std::move(array)), place_(place), tape_(tape) {}

  // Others may see the elements from here on. (A write only where it changes something: variables, which
  // threads share, are never fresh.)
  void share() const {
    if (fresh_) fresh_ = false;
  }

  Var window(Array<T> array) const {
    share();
    detail::Place place = place_;
    if (place.differentiable()) place.offset += static_cast<std::size_t>(array.data() - array_.data());
    return Var(std::move(array), place, tape_);
  }

  void need_variable(const char* call) const {
    require_value(call);
    if (!is_variable())
      detail::fail(call, ": this Var of shape ", shape(),
                   " is not a variable, and other values never change; make it with variable()");
  }

  detail::Place resolve(const char* op) const;

  Array<T> array_;
  detail::Place place_;
  std::uint64_t tape_ = 0;
  mutable bool fresh_ = false;
};

template <class E>
Var(const E&) -> Var<typename E::value_type>;

template <class T>
detail::Place Var<T>::resolve(const char* op) const {
  using namespace detail;
  require_value(op);
  TapeStorage* tape = recording();
  if (!tape) return {};
  if (tape->trace) [[unlikely]]
    end_node(*tape);
  if (place_.slot == kConstant) {  // a detached variable: the tape has to notice if it is updated
    tape->leaf_slot(array_.block(), sizeof(T));
    return {};
  }
  if (is_variable()) {
    const std::size_t offset =
        static_cast<std::size_t>(array_.data() - static_cast<const T*>(array_.block()->data()));
    return {tape->leaf_slot(array_.block(), sizeof(T)), offset};
  }
  if (tape_ == tape->id) return place_;
  fail_of_another_tape(op, shape(), tape_);
}

/// A variable: a leaf that gradients are taken with respect to. Takes the elements of the array as its own
/// (copies them if others hold the array).
template <class T>
Var<T> variable(Array<T> array) {
  if (!array.defined()) detail::fail("variable: the array is empty; give it a shape and elements first");
  if (array.block()->references != 1 || array.data() != static_cast<T*>(array.block()->data()))
    array = array.copy();
  detail::make_variable(array.block(), array.size());
  Var<T> result(std::move(array));
  result.place_.slot = detail::kVariable;
  return result;
}

/// A variable with the elements of an xtensor expression of floating-point numbers.
template <XtensorExpression E>
auto variable(const E& expression) {
  using T = typename E::value_type;
  static_assert(
      std::is_same_v<T, float> || std::is_same_v<T, double>,
      "variable(): the elements must be float or double; convert with xt::cast or call variable<float>(...)");
  return variable(Array<T>(expression));
}
/// The same, converted to T.
template <class T, XtensorExpression E>
requires(!std::is_same_v<T, E>) Var<T> variable(const E& expression) {
  return variable(Array<T>(expression));
}

/// A scalar variable, of a float or double.
template <class T>
requires(std::is_same_v<T, float> || std::is_same_v<T, double>) Var<T> variable(T number) {
  return variable(Array<T>(Shape{}, number));
}

/// Prints a value in a few lines: its type, shape, what it is (a constant, a variable with its name, or a
/// result), and its elements in the stream's number format. Of a long axis only the first and last entries.
///
///     Var<float> (2, 3), variable head.weight:
///     [[   1, -0.5,    2],
///      [ 0.1,    0,    3]]
template <class T>
std::ostream& operator<<(std::ostream& out, const Var<T>& x);

/// A constant of zeros.
template <class T = float>
Var<T> zeros(const Shape& shape) {
  return Array<T>(shape, T(0));
}

namespace detail {

template <class X>
struct IsVar : std::false_type {};
template <class T>
struct IsVar<Var<T>> : std::true_type {};
template <class X>
concept VarType = IsVar<std::remove_cvref_t<X>>::value;

// What messages call a Var: the name of a variable that has one, or else `otherwise`.
template <class T>
std::string called(const Var<T>& x, std::string otherwise) {
  std::string name = x.name();
  return name.empty() ? std::move(otherwise) : std::move(name);
}

// A shape, and whose it is if that has a name: "(4, 5) of head.weight".
template <class T>
std::string shape_of(const Var<T>& x) {
  std::ostringstream text;
  text << x.shape();
  if (const std::string name = x.name(); !name.empty()) text << " of " << name;
  return text.str();
}

// A new output of an op: memory and, if `tape` records it, a slot. Goes to the context's destination if it is
// meant.
template <class T>
Var<T> new_output(const Shape& shape, TapeStorage* tape) {
  const std::size_t bytes = Array<T>::bytes_of(shape);
  Destination& to = context.destination;
  if (++context.outputs == to.at && to.bytes == bytes) {
    to.taken = true;
    to.recorded = tape;
    if (tape && tape->trace) [[unlikely]]
      trace_output(*tape, to.place, to.block, to.data);
    return Var<T>::recorded(retain(to.block), reinterpret_cast<T*>(to.data), shape, tape ? to.place : Place{},
                            tape ? tape->id : 0);
  }
  Block* const block = allocate_block(bytes);
  T* const data = static_cast<T*>(block->data());
  if (context.log) [[unlikely]]
    context.log->push_back({context.outputs, data, bytes});
  if (!tape) {
    publish(block);
    return Var<T>::recorded(block, data, shape, {}, 0);
  }
  const Place place{tape->new_slot(bytes / sizeof(T), sizeof(T)), 0};
  if (tape->trace) [[unlikely]]
    trace_output(*tape, place, block, data);
  return Var<T>::recorded(block, data, shape, place, tape->id);
}

// The reference that a node holds to an operand's memory. The tape holds the variables that it has met, so a
// node needs none of its own to them; counting theirs, which other threads may do too, would be slow.
inline Block* hold(Block* block, Place place) {
  return block->variable_id && place.differentiable() ? nullptr : retain(block);
}

// What a node keeps of an operand: its elements and its place. Nodes have no destructors; release() gives it
// back.
template <class T>
struct Saved {
  Block* held = nullptr;
  Block* block = nullptr;
  T* data = nullptr;
  Shape shape;
  Place place;

  Saved() = default;
  Saved(const Array<T>& array, Place where)
      : held(hold(array.block(), where)),
        block(array.block()),
        data(const_cast<T*>(array.data())),
        shape(array.shape()),
        place(where) {}

  // The operand again, as a Var of the recording tape.
  Var<T> var() const {
    Array<T> array(BlockRef(retain(block)), data, shape);
    return place.differentiable() ? Var<T>::recorded(std::move(array), place, recording()->id)
                                  : Var<T>(std::move(array));
  }
  void release() { detail::release(std::exchange(held, nullptr)); }
};

}  // namespace detail
}  // namespace autograd
