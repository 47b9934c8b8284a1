#include "../gradient_rows.hpp"

namespace test {

std::vector<Row> map_rows() {
  std::vector<Row> rows;
  rows.push_back(row("map",
                     [](const auto& x) {
                       return ag::map([](auto f, auto n, auto h) { return (1 - f) * h + f * tanh(n); }, x[0],
                                      x[1], x[2]);
                     },
                     kAny,
                     {{{3}, {3}, {3}},
                      {{33}, {33}, {33}},
                      {{4, 17}, {17}, {4, 1}},
                      {{}, {67}, {67}},
                      {{2, 1, 3}, {4, 1}, {3}},
                      {{0, 3}, {3}, {}},
                      {{2, 3}, {1, 3}, {1, 1}},
                      {{2, 3, 4}, {3, 4}, {4}},
                      {{2, 3, 17}, {2, 3, 1}, {17}},
                      {{2, 3, 17}, {3, 17}, {2, 3, 1}}}));
  rows.push_back(row(
      "map with several outputs",
      [](const auto& x) {
        const auto [p, q, r] =
            ag::map([](auto a, auto b) { return std::make_tuple(tanh(a) * b, exp(a) + sigmoid(b), a * a); },
                    x[0], x[1]);
        return p * q - r;
      },
      kAny, {{{3}, {3}}, {{4, 17}, {17}}, {{4, 17}, {4, 1}}, {{0}, {}}}));
  rows.push_back(row("map with an output that nobody uses",
                     [](const auto& x) {
                       return std::get<1>(ag::map(
                           [](auto a, auto b) { return std::make_tuple(tanh(a), a * exp(b)); }, x[0], x[1]));
                     },
                     kAny, {{{3}, {3}}, {{4, 17}, {17}}}));
  rows.push_back(row("map with an output of a broadcast operand alone",
                     [](const auto& x) {
                       const auto [p, q] = ag::map(
                           [](auto a, auto b) { return std::make_tuple(a * b, tanh(b)); }, x[0], x[1]);
                       return p * q;
                     },
                     kAny, {{{3}, {3}}, {{4, 3}, {3}}, {{4, 3}, {4, 1}}, {{4, 3}, {}}, {{2, 1, 4}, {3, 1}}}));
  rows.push_back(row("map that gives its inputs",
                     [](const auto& x) {
                       const auto [p, q] =
                           ag::map([](auto a, auto b) { return std::make_tuple(b, a); }, x[0], x[1]);
                       return p * q * q;
                     },
                     kAny, {{{3}, {3}}, {{4, 3}, {3}}, {{4, 3}, {4, 1}}}));
  rows.push_back(row(
      "map with the same operand twice",
      [](const auto& x) {
        return ag::map([](auto a, auto b, auto c) { return a * tanh(b) + c * c; }, x[0], x[0], x[0]);
      },
      kAny, kUnary));
  rows.push_back(row("map with parts of one value",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b, auto c) { return a * tanh(b) + c; }, x[0], x[0][0],
                                      x[0].slice(1, 2));
                     },
                     kAny, {{{3}}, {{3, 17}}}));
  rows.push_back(row(
      "map with a capture",
      [](const auto& x) {
        const float scale = 0.75f;
        const int shift = 2;
        return ag::map([scale, shift](auto a, auto b) { return sigmoid(scale * a) * (b - shift); }, x[0],
                       x[1]);
      },
      kAny, kBinary));
  rows.push_back(row(
      "map of a number of one operand only",
      [](const auto& x) { return ag::map([](auto a) { return a * a * 2 + exp(a * 0.5) / 3; }, x[0]); }, kAny,
      kUnary));
  rows.push_back(row(
      "map with kinks",
      [](const auto& x) {
        return ag::map([](auto a) { return relu(a) * a + abs(a) * sign(a) - heaviside(-a) * sqrt(abs(a)); },
                       x[0]);
      },
      kNonzero, kUnary));
  rows.push_back(row("map with every other function",
                     [](const auto& x) {
                       return ag::map(
                           [](auto a) {
                             const auto smooth = sin(a) * cos(a) + erf(a) * expm1(a) -
                                                 softplus(a) * log1p(a * a) + silu(a) * gelu(a);
                             const auto kinked =
                                 leaky_relu(a) + elu(a) * clamp(a, -1.1, 1.2) - hardtanh(a) * rsqrt(a * a);
                             return where(a > 0.1, smooth, kinked) + pow(a * a, 1.5) * maximum(a, 0) -
                                    minimum(a, 1) * (a <= 0.3);
                           },
                           x[0]);
                     },
                     kNonzero, {{{}}, {{3}}, {{33}}, {{0}}}));
  rows.push_back(row("map with many costly functions",
                     [](const auto& x) {
                       return ag::map(
                           [](auto a) {
                             auto y = tanh(a);
                             for (int i = 0; i < 70; ++i) y = tanh(y);
                             return y;
                           },
                           x[0]);
                     },
                     kAny, {{{3}}, {{17}}}));
  rows.push_back(row("chunk",
                     [](const auto& x) {
                       return ag::map([](auto i, auto f, auto g) { return sigmoid(i) * tanh(g) + f; },
                                      ag::chunk<3>(x[0]));
                     },
                     kAny, {{{3}}, {{9}}, {{2, 51}}, {{2, 2, 6}}, {{0, 3}}, {{2, 0}}, {{4, 24}}}));
  rows.push_back(row("chunk and a state",
                     [](const auto& x) {
                       const auto [h, c] = ag::map(
                           [](auto i, auto f, auto g, auto o, auto c) {
                             auto next = sigmoid(f) * c + sigmoid(i) * tanh(g);
                             return std::make_tuple(sigmoid(o) * tanh(next), next);
                           },
                           ag::chunk<4>(x[0]), x[1]);
                       return h * c;
                     },
                     kAny,
                     {{{2, 12}, {2, 3}}, {{68}, {17}}, {{2, 12}, {3}}, {{2, 12}, {2, 1}}, {{2, 12}, {}}}));
  rows.push_back(row("columns in map",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b) { return a * tanh(b); }, ag::columns(x[0], 0, 2),
                                      ag::columns(x[0], 2, 2));
                     },
                     kAny, {{{4}}, {{3, 5}}, {{3, 4}}}));
  rows.push_back(row("columns in map, the same twice",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b) { return a * tanh(b); }, ag::columns(x[0], 1, 2),
                                      ag::columns(x[0], 1, 2));
                     },
                     kAny, {{{4}}, {{3, 5}}, {{3, 4}}}));
  rows.push_back(row("columns in map, overlapping",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b) { return a * tanh(b); }, ag::columns(x[0], 0, 2),
                                      ag::columns(x[0], 1, 2));
                     },
                     kAny, {{{4}}, {{3, 5}}, {{3, 4}}}));
  rows.push_back(row("columns in map, and all of it",
                     [](const auto& x) {
                       return ag::map([](auto a, auto b) { return a * tanh(b); }, ag::columns(x[0], 0, 3),
                                      x[0]);
                     },
                     kAny, {{{2, 3}}}));
  return rows;
}

}  // namespace test
