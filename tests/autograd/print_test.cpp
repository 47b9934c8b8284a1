// What Vars and shapes look like when they are printed.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <iomanip>
#include <sstream>

namespace ag = autograd;
using V = ag::Var<double>;

namespace {

std::string printed(const auto& x) {
  std::ostringstream text;
  text << x;
  return text.str();
}

V counted(const ag::Shape& shape) {
  ag::Array<double> array(shape);
  for (std::size_t i = 0; i < array.size(); ++i) array.data()[i] = static_cast<double>(i);
  return array;
}

}  // namespace

TEST_CASE("a Var is printed with its shape, what it is, and its elements") {
  V w = ag::variable(xt::xarray<double>{{1, -0.5, 2}, {0.1, 0, 3}});
  CHECK(printed(w) ==
        "Var<double> (2, 3), variable:\n"
        "[[   1, -0.5,    2],\n"
        " [ 0.1,    0,    3]]");
  w.set_name("head.weight");
  CHECK(printed(w[0]) ==
        "Var<double> (3,), variable head.weight:\n"
        "[   1, -0.5,    2]");
  CHECK(printed(w.detach()[0]) == "Var<double> (3,), constant:\n[   1, -0.5,    2]");
  CHECK(printed(V(1) / V(3)) == "Var<double> (), constant: 0.333333");
  CHECK(printed(ag::Var<float>(2)) == "Var<float> (), constant: 2");
  CHECK(printed(V()) == "Var<double>, empty");
  CHECK(printed(counted({0, 3})) == "Var<double> (0, 3), constant:\n[]");
  CHECK(printed(counted({2, 0})) == "Var<double> (2, 0), constant:\n[[],\n []]");
  CHECK(printed(V(0.0 / 0.0)).find("nan") != std::string::npos);
  ag::Tape tape;
  CHECK(printed(ag::sum(w)) == "Var<double> (), result: 5.6");
}

TEST_CASE("matrices of a stack are apart, and long axes are cut") {
  CHECK(printed(counted({2, 2, 2})) ==
        "Var<double> (2, 2, 2), constant:\n"
        "[[[0, 1],\n"
        "  [2, 3]],\n"
        "\n"
        " [[4, 5],\n"
        "  [6, 7]]]");
  CHECK(printed(counted({12})) ==
        "Var<double> (12,), constant:\n[ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11]");
  CHECK(printed(counted({13})) ==
        "Var<double> (13,), constant:\n[ 0,  1,  2,  3,  4,  5, ...,  7,  8,  9, 10, 11, 12]");
  CHECK(printed(counted({500, 20})) ==
        "Var<double> (500, 20), constant:\n"
        "[[   0,    1,    2, ...,   17,   18,   19],\n"
        " [  20,   21,   22, ...,   37,   38,   39],\n"
        " [  40,   41,   42, ...,   57,   58,   59],\n"
        " ...,\n"
        " [9940, 9941, 9942, ..., 9957, 9958, 9959],\n"
        " [9960, 9961, 9962, ..., 9977, 9978, 9979],\n"
        " [9980, 9981, 9982, ..., 9997, 9998, 9999]]");
}

TEST_CASE("numbers are printed in the format of the stream") {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << V(xt::xarray<double>{1, 22.333}) << ' ' << 0.5;
  CHECK(text.str() == "Var<double> (2,), constant:\n[ 1.00, 22.33] 0.50");
}

TEST_CASE("extents are printed as negative numbers only where they are small ones") {
  constexpr std::size_t kHalf = std::size_t{1} << 63;
  CHECK(printed(ag::Shape{~std::size_t{0}, ~std::size_t{0} - 6}) == "(-1, -7)");
  CHECK(printed(ag::Shape{kHalf, kHalf + 1}) == "(9223372036854775808, 9223372036854775809)");
  CHECK(printed(ag::Shape{~std::size_t{0} << 32, (~std::size_t{0} << 32) + 1}) ==
        "(18446744069414584320, -4294967295)");
}
