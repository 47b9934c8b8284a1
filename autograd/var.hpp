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

template <class T>
struct Value : ValueBase {
  Array<T> array;

  Value(Array<T>&& elements, Place where, std::uint64_t recorded_by)
      : ValueBase(elements.block()->published, sizeof(T), where, recorded_by), array(std::move(elements)) {}
  // The same of an array that is made in its place: a shape is as long as a cache line.
  Value(BlockRef&& block, T* data, const Shape& shape, Place where, std::uint64_t recorded_by)
      : ValueBase(block->published, sizeof(T), where, recorded_by), array(std::move(block), data, shape) {}
};

// Of the arguments of a Value.
template <class T, class... Arguments>
[[gnu::always_inline]] inline Value<T>* new_value(Arguments&&... arguments) {
  static_assert(sizeof(Value<T>) <= kRecordBytes);
  return new (allocate_record()) Value<T>(std::forward<Arguments>(arguments)...);
}

// What an empty Var shows.
template <class T>
inline const Array<T> no_array{};

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
  requires std::is_arithmetic_v<Number> Var(Number number)  // NOLINT(google-explicit-constructor)
      : Var(Array<T>(Shape{}, static_cast<T>(number))) {}

  /// A constant with the elements of any xtensor expression.
  template <XtensorExpression E>
  Var(const E& expression) : Var(Array<T>(expression)) {}  // NOLINT(google-explicit-constructor)

  /// A constant that shares the array's elements.
  Var(Array<T> array)  // NOLINT(google-explicit-constructor)
      : value_(array.defined() ? detail::new_value<T>(std::move(array), detail::Place{}, 0) : nullptr) {}

  Var(const Var& other) : value_(other.value_) { detail::retain(value_); }
  Var(Var&& other) noexcept : value_(detail::word(std::exchange(other.value_, nullptr))) {}
  Var& operator=(const Var& other) { return *this = Var(other); }
  Var& operator=(Var&& other) noexcept {
    detail::Value<T>* const mine = detail::word(value_);
    value_ = detail::word(other.value_);
    other.value_ = mine;
    return *this;
  }
  ~Var() { detail::release(value_); }

  bool defined() const { return value_; }
  const Shape& shape() const { return elements().shape(); }
  /// The extent of an axis, counted from the end if negative. Throws Error if there is no such axis.
  std::size_t shape(std::ptrdiff_t axis) const { return shape()[normalise_axis(axis, shape(), "shape")]; }
  std::size_t size() const { return elements().size(); }
  std::size_t rank() const { return elements().rank(); }

  /// The elements, as an xtensor expression. No copy; valid for as long as it is held, even after the tape
  /// ended.
  ArrayView<T> value() const {
    require_value("value");
    return array().view();
  }
  /// The elements, as an Array.
  const Array<T>& array() const {
    if (value_) detail::share(value_);
    return elements();
  }
  /// The single element of a Var of one element. Throws Error on others.
  T item() const {
    require_value("item");
    return elements().item();
  }

  /// The same value as a constant: no gradient flows through it, and it may outlive the tape. No copy.
  Var detach() const {
    if (!defined()) return {};
    detail::publish(array().block());
    return Var(array());
  }

  /// Whether a gradient can flow to this value.
  bool differentiable() const { return place().slot() != detail::kConstant; }
  /// Whether this is a variable, that is, a leaf of every tape.
  bool is_variable() const { return place().slot() == detail::kVariable; }

  /// What errors, gradcheck and graphs call a variable; empty until it is named.
  std::string name() const { return detail::name_of(elements().block()); }
  /// Names a variable, for all who share it. Modules name theirs by their paths, see nn/parameters.hpp.
  void set_name(std::string name) {
    need_variable("set_name");
    detail::set_name(elements().block(), std::move(name));
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
    ++elements().block()->version;  // first: a change that throws may have begun
    MutableArrayView<T> elements = value_->array.mutable_view();
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
    ++elements().block()->version;
    change(value_->array.data());
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
    return window(elements().reshape(shape));
  }

  /// Entries [begin, end) of axis 0; a window, no node. Throws Error if they do not exist.
  Var slice(std::size_t begin, std::size_t end) const {
    require_value("slice");
    return window(elements().slice(begin, end));
  }

  /// Entry `index` of axis 0, without that axis; a window, no node. Throws Error if it does not exist.
  Var operator[](std::size_t index) const {
    require_value("operator[]");
    detail::share(value_);
    T* const first = elements().entry(index);
    return windowed(
        recorded(elements().block_ref(), first, shape().suffix(1), place_of(first), value_->tape));
  }

  // --- for ops
  // -------------------------------------------------------------------------------------------------

  /// A result that lives at `place` of the recording tape.
  static Var recorded(Array<T> array, detail::Place place, std::uint64_t tape) {
    return Var(detail::new_value<T>(std::move(array), place, tape));
  }
  static Var recorded(detail::BlockRef block, T* data, const Shape& shape, detail::Place place,
                      std::uint64_t tape) {
    return Var(detail::new_value<T>(std::move(block), data, shape, place, tape));
  }
  /// Lets other threads have handles of the value, see Confined.
  const Var& publish() const {
    if (value_ && !value_->published) {
      detail::publish(elements().block());
      value_->published = true;
    }
    return *this;
  }
  /// Another handle of a value.
  static Var of(detail::Value<T>* value) {
    detail::retain(value);
    return Var(value);
  }
  /// What the handles share; null if this is empty.
  detail::Value<T>* shared() const { return value_; }

  /// This value as an input of an op: where its gradient goes on the recording tape (nowhere for a constant,
  /// or if nothing records). Throws Error if it is empty or belongs to another tape.
  detail::Place use(const char* op) const { return use(op, detail::current_tape()); }
  /// The same for who knows the current tape.
  detail::Place use(const char* op, const detail::TapeStorage* tape) const {
    if (value_) [[likely]] {
      detail::share(value_);
      if (!tape) return {};
      if (value_->place.differentiable()) {
        if (tape->id == value_->tape && !tape->trace) [[likely]]
          return value_->place;
      } else if (value_->place.slot() == detail::kConstant && !value_->array.block()->variable_id) {
        return {};
      }
    }
    return resolve(op);
  }

  /// Throws Error if this is empty.
  void require_value(const char* op) const {
    if (!defined()) detail::fail(op, ": an operand is an empty Var; assign it a value first");
  }

  /// Its place on the tape that recorded it.
  detail::Place place() const { return value_ ? value_->place : detail::Place{}; }
  /// The id of the tape that recorded it; 0 for constants and variables.
  std::uint64_t tape_id() const { return value_ ? value_->tape : 0; }

  /// Tells that nobody else has or will have a handle or a window of the value, unless this one is copied or
  /// used: an op that consumes it may overwrite its elements.
  void mark_fresh() { value_->fresh = true; }
  bool fresh() const {
    return value_ && value_->fresh &&
           __atomic_load_n(&value_->references, __ATOMIC_ACQUIRE) == 1u + value_->kept;
  }

 private:
  template <class U>
  friend Var<U> variable(Array<U> array);

  explicit Var(detail::Value<T>* value) : value_(value) {}

  const Array<T>& elements() const { return value_ ? value_->array : detail::no_array<T>; }

  Var window(Array<T> array) const {
    detail::share(value_);
    const detail::Place place = place_of(array.data());
    return windowed(recorded(std::move(array), place, value_->tape));
  }
  detail::Place place_of(const T* element) const {
    const detail::Place place = value_->place;
    return place.differentiable() ? place + static_cast<std::size_t>(element - elements().data()) : place;
  }
  Var windowed(Var part) const {
    part.value_->restorable = value_->restorable;
    return part;
  }

  void need_variable(const char* call) const {
    require_value(call);
    if (!is_variable())
      detail::fail(call, ": this Var of shape ", shape(),
                   " is not a variable, and other values never change; make it with variable()");
  }

  detail::Place resolve(const char* op) const;

  detail::Value<T>* value_ = nullptr;
};

template <class E>
Var(const E&) -> Var<typename E::value_type>;

template <class T>
detail::Place Var<T>::resolve(const char* op) const {
  using namespace detail;
  require_value(op);
  TapeStorage* tape = current_tape();
  if (!tape) return {};
  if (tape->trace) [[unlikely]]
    end_node(*tape);
  Block* const block = elements().block();
  if (place().slot() == kConstant) {  // a detached variable: the tape has to notice if it is updated
    if (block->variable_id) tape->leaf_slot(value_, block);
    return {};
  }
  if (is_variable()) {
    const std::size_t offset =
        static_cast<std::size_t>(elements().data() - static_cast<const T*>(block->data()));
    return {tape->leaf_slot(value_, block), offset};
  }
  if (tape_id() == tape->id) return place();
  fail_of_another_tape(op, shape(), tape_id());
}

/// A variable: a leaf that gradients are taken with respect to. Takes the elements of the array as its own
/// (copies them if others hold the array).
template <class T>
Var<T> variable(Array<T> array);

extern template Var<float> variable(Array<float>);
extern template Var<double> variable(Array<double>);

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
std::string shape_of(const Var<T>& x);

extern template std::string shape_of(const Var<float>&);
extern template std::string shape_of(const Var<double>&);

// A new output of an op: memory and, if `tape` records it, a slot. Goes to the context's destination if it is
// meant.
template <class T>
Var<T> new_output(const Shape& shape, TapeStorage* tape);

extern template Var<float> new_output(const Shape&, TapeStorage*);
extern template Var<double> new_output(const Shape&, TapeStorage*);

// Whether a node needs a reference of its own to an operand: not if that is the result of an earlier node,
// which keeps it, nor a variable by which the tape has met it. (To count references to variables, which other
// threads may do too, would be slow.)
template <class T>
bool needs_reference(const TapeStorage& tape, const Value<T>* value, Place place) {
  if (!place.differentiable()) return true;
  return !value->kept && tape.slots[place.slot()].holder != value;
}

// What a node keeps of an operand: its value, and its place on the tape. Nodes have no destructors; release()
// gives it back.
template <class T>
struct Saved {
  Value<T>* value = nullptr;
  Place place;
  bool held = false;

  Saved() = default;
  Saved(const Var<T>& x, Place where) : place(where) {
    take(x.shared(), needs_reference(*current_tape(), x.shared(), where));
  }

  // A value from the same place, with a reference to it or without one.
  void take(Value<T>* x, bool hold) {
    value = x;
    held = hold;
    if (hold) retain(value);
  }

  T* data() const { return value->array.data(); }
  const Shape& shape() const { return value->array.shape(); }
  Block* block() const { return value->array.block(); }
  Var<T> var() const { return Var<T>::of(value); }
  void release() {
    if (std::exchange(held, false)) detail::release(value);
  }
};

}  // namespace detail
}  // namespace autograd
