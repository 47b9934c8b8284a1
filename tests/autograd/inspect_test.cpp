// What a tape tells of itself: its nodes, the table of them, and the graph.
#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <nn/nn.hpp>
#include <regex>
#include <set>
#include <thread>

#include "gradient_rows.hpp"
#include "message_of.hpp"
#include "random_arrays.hpp"

using ag::NodeInfo;
using ag::Tape;
using Kind = ag::ValueInfo::Kind;
using V = ag::Var<double>;
using F = ag::Var<float>;
using Names = std::vector<std::string>;
using Sources = std::vector<std::size_t>;

using test::message_of;

namespace {

V variable(const Shape& shape, const char* name = "") {
  V x = test::random_variable(shape, 1, 0.5, 2);
  if (*name) x.set_name(name);
  return x;
}

Names ops(const Tape& tape) {
  Names result;
  for (const NodeInfo& node : nodes(tape)) result.push_back(node.op);
  return result;
}

Names lines(const std::string& text) {
  Names result;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) result.push_back(line);
  return result;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

// h' = tanh(h w + x)
struct Cell {
  V weight = variable({2, 2}, "cell.weight");
  V initial_state(std::size_t batch) const { return ag::zeros<double>({batch, 2}); }
  V step(const V& x, const V& h) const { return tanh(x + ag::matmul(h, weight)); }
};

// Takes 2 ms forward and 3 ms backward.
V slow(const V& x) {
  const auto wait = [](int time) { std::this_thread::sleep_for(std::chrono::milliseconds(time)); };
  return ag::custom_op(
      "slow", {x},
      [wait](const auto& in) {
        wait(2);
        return in[0].array();
      },
      [wait](const auto& g, const auto&, const auto&) {
        wait(3);
        return std::vector{g};
      });
}

// The frames of a graph from the outermost to the innermost that a line is in.
Names frames_of(const std::string& dot, const std::string& line_begin) {
  Names frames;
  const Names all = lines(dot);
  const std::regex frame("label=<<font point-size=\"9\">(.*)</font>>;");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string line = all[i].substr(std::min(all[i].find_first_not_of(' '), all[i].size()));
    std::smatch match;
    if (line.starts_with("subgraph ")) {
      REQUIRE(i + 1 < all.size());
      REQUIRE(std::regex_search(all[i + 1], match, frame));
      frames.push_back(match[1]);
    } else if (line == "}" && !frames.empty()) {
      frames.pop_back();
    } else if (line.starts_with(line_begin)) {
      return frames;
    }
  }
  return {"(not found)"};
}

}  // namespace

TEST_CASE("nodes: ops, shapes, operands and where they come from") {
  const V w = variable({3, 2}, "w"), b = variable({3}), x = test::random_array({4, 2}, 2);
  const Tape tape;
  const V z = ag::linear(x, w, b), y = tanh(z.slice(1, 3)), loss = ag::sum(y);
  const std::vector<NodeInfo> info = nodes(tape);
  REQUIRE(ops(tape) == Names{"linear", "tanh", "sum"});
  REQUIRE(info[0].operands.size() == 3);
  CHECK(info[0].operands[0].kind == Kind::constant);
  CHECK(info[0].operands[0].shape == Shape{4, 2});
  CHECK(info[0].operands[1].kind == Kind::variable);
  CHECK(info[0].operands[1].name == "w");
  CHECK(info[0].operands[1].shape == Shape{3, 2});
  CHECK(info[0].operands[1].sources == Sources{0});
  CHECK(info[0].operands[2].kind == Kind::variable);
  CHECK(info[0].operands[2].name.empty());
  CHECK(info[0].operands[2].sources == Sources{1});
  REQUIRE(info[0].results.size() == 1);
  CHECK(info[0].results[0].shape == Shape{4, 3});
  CHECK(info[0].value_bytes == 12 * sizeof(double));
  REQUIRE(info[1].operands.size() == 1);
  CHECK(info[1].operands[0].kind == Kind::result);
  CHECK(info[1].operands[0].shape == Shape{2, 3});
  CHECK(info[1].operands[0].sources == Sources{0});
  CHECK(info[1].value_bytes == 6 * sizeof(double));
  CHECK(info[2].operands[0].sources == Sources{1});
  CHECK(info[2].results[0].shape == Shape{});
  for (const NodeInfo& node : info) {
    CHECK(node.scopes.empty());
    CHECK(node.step == -1);
    CHECK(node.forward_seconds == 0);
    CHECK(node.backward_seconds == 0);
  }
}

TEST_CASE("nodes: an operand that several nodes have written names all of them") {
  const Cell cell;
  const V x = test::random_array({3, 1, 2}, 1);
  for (int i = 0; i < 2; ++i) {  // the first time, the output of step 0 is copied
    const Tape tape;
    const V y = ag::sum(nn::unroll(cell, x).output);
    const std::vector<NodeInfo> info = nodes(tape);
    const Sources& sources = info.back().operands[0].sources;
    REQUIRE(sources.size() == 3);
    CHECK(info[sources[0]].op == (i ? "tanh" : "write_to"));
    CHECK(info[sources[1]].op == "tanh");
    CHECK(info[sources[2]].op == "tanh");
    CHECK(sources[0] < sources[1]);
    CHECK(sources[1] < sources[2]);
  }
}

TEST_CASE("nodes: the scopes and the step of each, and scopes of one name told apart") {
  const Cell cell;
  const V x = test::random_array({2, 1, 2}, 1);
  const Tape tape({.trace = true});
  V y;
  {
    const ag::Scope scope("encoder");
    y = nn::unroll(cell, x).output;
  }
  const V z = ag::softmax(y) + ag::softmax(y);
  const std::vector<NodeInfo> info = nodes(tape);
  const auto find = [&](const std::string& op, std::size_t skip) {
    for (const NodeInfo& node : info)
      if (node.op == op && !skip--) return node;
    return NodeInfo{};
  };
  const NodeInfo first = find("tanh", 0), second = find("tanh", 1);
  CHECK(first.scopes == Names{"encoder", "Cell", "step 0"});
  CHECK(second.scopes == Names{"encoder", "Cell", "step 1"});
  CHECK(first.step == 2);
  CHECK(first.scope_ids[1] == second.scope_ids[1]);
  CHECK(first.scope_ids[2] != second.scope_ids[2]);
  const NodeInfo one = find("exp", 0), other = find("exp", 2);
  CHECK(one.scopes == Names{"softmax"});
  CHECK(one.step == -1);
  CHECK(other.scopes == Names{"softmax"});
  CHECK(one.scope_ids != other.scope_ids);
  CHECK(info.back().op == "add");
  CHECK(info.back().scopes.empty());
}

TEST_CASE("nodes: composites and losses are scopes of their names") {
  const V x = variable({2, 3}), w = variable({3});
  const auto scopes_of = [](const auto& f) {
    const Tape tape({.trace = true});
    f();
    std::set<Names> scopes;
    for (const NodeInfo& node : nodes(tape)) scopes.insert(node.scopes);
    return scopes;
  };
  using Set = std::set<Names>;
  CHECK(scopes_of([&] { ag::softmax(x); }) == Set{{"softmax"}});
  CHECK(scopes_of([&] { ag::log_softmax(x); }) == Set{{"log_softmax"}});
  CHECK(scopes_of([&] { ag::layer_norm(x); }) == Set{{"layer_norm"}});
  CHECK(scopes_of([&] { ag::layer_norm(x, w, w); }) == Set{{"layer_norm"}});
  CHECK(scopes_of([&] { ag::var(x); }) == Set{{"var"}});
  CHECK(scopes_of([&] { ag::std(x, 0); }) == Set{{"var"}, {"std"}});
  CHECK(scopes_of([&] { ag::prod(x); }) == Set{{"prod"}});
  CHECK(scopes_of([&] { ag::logsumexp(x); }) == Set{{"logsumexp"}});
  CHECK(scopes_of([&] { ag::norm(x); }) == Set{{"norm"}});
  CHECK(scopes_of([&] { nn::mse(x, x); }) == Set{{"mse"}});
  CHECK(scopes_of([&] {
          nn::cross_entropy(x, ag::Indices({2}, {0, 2}));
        }) == Set{{"cross_entropy"}, {"cross_entropy", "log_softmax"}});
}

TEST_CASE("nodes: what a node keeps, and that a result written over an operand takes no memory of its own") {
  const V x = variable({4, 256}), w = variable({256, 256});
  const F y = test::random_variable<float>({1024}, 1);
  const Tape tape;
  const V z = tanh(x);  // its derivative is of its result
  ag::add_linear(ag::linear(z, w), z, w);
  ag::map([](auto x) { return tanh(x) * tanh(x); }, z);
  exp(y);
  ag::take(z, ag::Indices({2}, {3, 0}));
  const std::vector<NodeInfo> info = nodes(tape);
  REQUIRE(ops(tape) == Names{"tanh", "linear", "add_linear", "map", "exp", "take"});
  CHECK(info[1].value_bytes == 8192);
  CHECK(info[2].value_bytes == 0);
  CHECK(info[2].stash_bytes == 0);
  CHECK(info[3].value_bytes == 8192);
  CHECK(info[3].stash_bytes >= 8192);
  CHECK(info[4].value_bytes == 4096);  // of floats
}

TEST_CASE("nodes: all that a traced tape holds is counted") {
  const V x = variable({64, 64});  // whole blocks of memory
  const std::size_t before = ag::memory_stats().live_bytes;
  const Tape tape({.trace = true});
  const V y = exp(x), z = tanh(y * 2) + y;
  ag::map([](auto x) { return tanh(x) * tanh(x); }, z);
  std::size_t bytes = 0;
  for (const NodeInfo& node : nodes(tape)) bytes += node.value_bytes + node.stash_bytes;
  CHECK(bytes > 4 * 64 * 64 * sizeof(double));
  const std::size_t live = ag::memory_stats().live_bytes - before;
  CHECK(live >= bytes);
  CHECK(live <= bytes + 64);  // the 2
}

TEST_CASE("nodes: a tape that was consumed has them only if it was traced") {
  const V x = variable({3});
  Tape plain, traced({.trace = true});
  traced.backward(ag::sum(exp(x)));
  CHECK(ops(traced) == Names{"exp", "sum"});
  plain.backward(ag::sum(exp(x)));
  const std::string gone =
      ": this tape was consumed by backward and its nodes are gone; make it with Tape tape({.trace = true}), "
      "or "
      "look at it before";
  CHECK(message_of([&] { nodes(plain); }) == "nodes" + gone);
  CHECK(message_of([&] { summary(plain); }) == "summary" + gone);
  CHECK(message_of([&] { to_dot(plain); }) == "to_dot" + gone);
}

TEST_CASE("nodes: the times of a traced tape, those of the sweeps added up") {
  const V x = variable({3});
  Tape tape({.trace = true});
  const V y = ag::sum(tanh(slow(x)));
  CHECK(nodes(tape)[0].forward_seconds >= 0.002);
  CHECK(nodes(tape)[0].backward_seconds == 0);
  const double forward = nodes(tape)[0].forward_seconds;
  tape.backward(y, {.keep_tape = true});
  CHECK(nodes(tape)[0].backward_seconds >= 0.003);
  tape.backward(y);
  CHECK(nodes(tape)[0].backward_seconds >= 0.006);
  CHECK(nodes(tape)[0].forward_seconds == forward);
}

TEST_CASE("nodes: recorded gradients are in a scope that tells whose they are") {
  const V x = variable({1, 1, 1}, "x");
  const Tape tape({.trace = true});
  const V h = [&] {
    const ag::Scope cell("cell"), step("step", 3);
    return ag::map([](auto x) { return x * exp(x); }, x) + tanh(x);
  }();
  const V loss = ag::sum(h * h);
  const std::size_t forward = tape.size();
  const V g = ag::grad(loss, x, {.create_graph = true});
  std::set<std::string> scopes;
  const std::vector<NodeInfo> info = nodes(tape);
  for (std::size_t i = forward; i < info.size(); ++i)
    if (!info[i].scopes.empty()) {
      CHECK(info[i].scopes.size() == 1);
      scopes.insert(info[i].scopes[0]);
    }
  CHECK(scopes.count("gradient of map (in cell / step 3)"));
  CHECK(scopes.count("gradient of tanh (in cell / step 3)"));
  CHECK(scopes.count("gradient of multiply"));
  for (const std::string& scope : scopes) CHECK(scope.starts_with("gradient of "));
}

TEST_CASE("nodes: tapes that are nested tell their own") {
  const V x = variable({3});
  const Tape outer({.trace = true});
  const ag::Scope scope("outside");
  const V y = exp(x);
  {
    const Tape inner({.trace = true});
    const ag::Scope within("inside");
    sin(x);
    CHECK(ops(inner) == Names{"sin"});
    CHECK(nodes(inner)[0].scopes == Names{"outside", "inside"});
    CHECK(ops(outer) == Names{"exp"});
  }
  cos(y);
  CHECK(ops(outer) == Names{"exp", "cos"});
  for (const NodeInfo& node : nodes(outer)) CHECK(node.scopes == Names{"outside"});
}

TEST_CASE("a traced tape gives the same gradients, and the same gradients of gradients") {
  for (const test::Row& row : test::table())
    for (const test::Shapes& shapes : row.cases) {
      CAPTURE(row.name);
      test::Vars<double> inputs;
      for (std::size_t i = 0; i < shapes.size(); ++i)
        inputs.push_back(test::random_variable(shapes[i], static_cast<unsigned>(i + 1), 0.5, 2));
      const auto gradients = [&](bool traced, bool create_graph) {
        std::vector<double> result;
        const Tape tape({.trace = traced});
        const V y = row.in_double(inputs);
        const V loss = ag::sum(y * V(test::random_array(y.shape(), 99)));
        for (const V& g : ag::grad(loss, inputs, {.create_graph = create_graph, .allow_unused = true}))
          for (const double each : test::numbers(g)) result.push_back(each);
        return result;
      };
      CHECK(gradients(true, true) == gradients(false, true));
      // The gradients of a weight of two ops are deferred, and added in another order than they are made in.
      if (row.name == "affine and linear of one weight")
        CHECK(test::difference(gradients(true, false), gradients(false, false)) <= 1e-14);
      else
        CHECK(gradients(true, false) == gradients(false, false));
    }
}

TEST_CASE("the weights' gradients of a traced network, which are not deferred, are the same up to rounding") {
  nn::Rng rng(1);
  const nn::LSTMCell<double> cell(3, 5, rng);
  const V x = test::random_array({20, 4, 3}, 1);
  const auto gradients = [&](bool traced) {
    Tape tape({.trace = traced});
    const ag::Gradients g = tape.backward(ag::mean(square(nn::unroll(cell, x).output)));
    std::vector<double> result;
    for (const auto& p : nn::parameters(cell))
      for (const double each : test::numbers(g.array(p))) result.push_back(each);
    return result;
  };
  const std::vector<double> plain = gradients(false);
  CHECK(test::difference(gradients(true), plain) <= 1e-14);
  CHECK(*std::max_element(plain.begin(), plain.end()) > 1e-3);
}

TEST_CASE("summary: an op a row, what holds most first, and totals") {
  const V w = variable({16, 16}, "w");
  const F f = test::random_variable<float>({3}, 1);
  const Tape tape;
  const V y = square(ag::linear(square(w), w));
  tanh(w);
  f + f;
  CHECK(summary(tape) ==
        "op      nodes    values  stash\n"
        "------------------------------\n"
        "square      2  4.00 KiB    0 B\n"
        "linear      1  2.00 KiB    0 B\n"
        "tanh        1  2.00 KiB    0 B\n"
        "add         1      12 B    0 B\n"
        "------------------------------\n"
        "total       5  8.01 KiB    0 B\n"
        "2 variables of 2.01 KiB\n");
}

TEST_CASE("summary: an empty tape") {
  const std::string empty =
      "op     nodes  values  stash\n"
      "---------------------------\n"
      "total      0     0 B    0 B\n"
      "0 variables of 0 B\n";
  CHECK(summary(Tape()) == empty);
  const Names table = lines(summary(Tape({.trace = true})));
  REQUIRE(table.size() == 4);
  CHECK(table[0] == "op     nodes  values  stash  forward         backward");
  CHECK(table[2] == "total      0     0 B    0 B  0.00 us  0.0 %   0.00 us  0.0 %");
}

TEST_CASE("summary: sizes in units that can be read") {
  const auto bytes = [](std::size_t doubles) {
    const V x = ag::variable(ag::Array<double>({doubles}, 1));
    const Tape tape;
    sin(x);
    std::smatch match;
    const std::string last = lines(summary(tape)).back();
    REQUIRE(std::regex_match(last, match, std::regex("1 variable of (.*)")));
    return std::string(match[1]);
  };
  CHECK(bytes(0) == "0 B");
  CHECK(bytes(124) == "992 B");
  CHECK(bytes(125) == "0.98 KiB");
  CHECK(bytes(128) == "1.00 KiB");
  CHECK(bytes(1279) == "9.99 KiB");
  CHECK(bytes(1280) == "10.0 KiB");
  CHECK(bytes(130000) == "1016 KiB");
  CHECK(bytes(131072) == "1.00 MiB");
}

TEST_CASE("summary: a map and an op of one's own are told apart by where they were written") {
  const V x = variable({3});
  const Tape tape;
  const auto own = [](const V& x) {
    return ag::custom_op(
        "own\n<op>", {x}, [](const auto& in) { return in[0].array(); },
        [](const auto& g, const auto&, const auto&) { return std::vector{g}; });
  };
  own(own(x));
  own(x);
  const Names table = lines(summary(tape));
  REQUIRE(table.size() == 6);
  CHECK(std::regex_match(table[2], std::regex("own <op> inspect_test\\.cpp:[0-9]+ +3 +72 B +0 B")));
}

TEST_CASE("summary: the times of a traced tape, what took longest first") {
  const V x = variable({200, 200});
  Tape tape({.trace = true});
  tape.backward(ag::sum(ag::matmul(slow(x), x)));
  const std::string text = summary(tape);
  const Names table = lines(text);
  REQUIRE(table.size() == 8);
  CHECK(table[0].ends_with("forward           backward"));
  const std::string time = " +[0-9.]+ (us|ms|s) +[0-9]+\\.[0-9] %";
  for (const std::size_t row : {2, 3, 4, 6})
    CHECK_MESSAGE(std::regex_match(table[row], std::regex("[a-z]+.* +[0-9]+ +[0-9.]+ (Ki)?B +[0-9.]+ (Ki)?B" +
                                                          time + time)),
                  table[row]);
  CHECK(count(table[6], "100.0 %") == 2);
  double last = 1e9;
  std::vector<NodeInfo> info = nodes(tape);
  for (const std::size_t row : {2, 3, 4}) {
    const std::string op = table[row].substr(0, table[row].find(' '));
    const auto node = std::find_if(info.begin(), info.end(), [&](const NodeInfo& n) { return n.op == op; });
    REQUIRE(node != info.end());
    CHECK(node->forward_seconds + node->backward_seconds <= last);
    last = node->forward_seconds + node->backward_seconds;
  }
}

TEST_CASE("summary: by scope, all steps together, with what is inside of each") {
  const Cell cell;
  const V x = test::random_array({12, 1, 2}, 1);
  const Tape tape({.trace = true});
  {
    const ag::Scope layer("layer 1");
    nn::mse(nn::unroll(cell, x).output, x);
  }
  exp(cell.weight);
  const Names table = lines(summary(tape, {.by_scope = true}));

  REQUIRE(table.size() == 10);
  const auto begins = [&](std::size_t row, const std::string& name, std::size_t count) {
    CHECK_MESSAGE(std::regex_search(table[row], std::regex("^" + name + " +" + std::to_string(count) + " ")),
                  table[row]);
  };
  const std::size_t all = tape.size(), loss = 2;
  CHECK(table[0].starts_with("scope"));
  begins(2, "layer 1", all - 1);
  begins(3, "  Cell", all - 1 - loss);
  begins(4, "    step", all - 1 - loss);
  begins(5, "  mse", loss);
  begins(6, "\\(no scope\\)", 1);
  begins(8, "total", all);

  const Tape plain;
  CHECK(message_of([&] { summary(plain, {.by_scope = true}); }) ==
        "summary: the scopes of this tape are not known; make it with Tape tape({.trace = true})");
}

TEST_CASE("to_dot: the whole graph of a small tape") {
  const V w = variable({3, 2}, "w"), b = variable({3}), x = test::random_array({4, 2}, 2);
  const Tape tape({.trace = true});
  const V z = ag::linear(x, w, b);
  {
    const ag::Scope scope("gate", 0);
    tanh(z.slice(1, 3));
  }
  const std::string dot = to_dot(tape);
  const Names all = lines(dot);
  const Names rest(all.begin() + 4, all.end());
  CHECK(all[0] == "digraph tape {");
  CHECK(all[1].starts_with("  graph [rankdir=LR"));
  const std::string box = "style=filled, fillcolor=\"#d6e8fa\", color=\"#4a90d9\", ";
  const auto label = [](const std::string& name, const std::string& shape) {
    return "label=<<b>" + name + "</b><br/><font point-size=\"9\">" + shape + "</font>>];";
  };
  CHECK(rest == Names{"  n0 [" + label("linear", "(4, 3)"),
                      "  c0_0 [shape=plaintext, style=\"\", height=0.2, margin=\"0.03,0.02\", fontsize=9, "
                      "fontcolor=\"#808080\", label=\"(4, 2)\"];",
                      "  v0_0 [" + box + label("w", "(3, 2)"), "  v1_0 [" + box + label("variable 1", "(3,)"),
                      "  subgraph cluster_1 {", "    label=<<font point-size=\"9\">gate 0</font>>;",
                      "    style=\"rounded,filled\"; fillcolor=\"#80808020\";",
                      "    n1 [" + label("tanh", "(2, 3)"), "  }",
                      "  c0_0 -> n0 [style=dotted, arrowsize=0.4];",
                      "  v0_0 -> n0 [color=\"#4a90d9\", arrowsize=0.4];",
                      "  v1_0 -> n0 [color=\"#4a90d9\", arrowsize=0.4];",
                      "  n0 -> n1 [minlen=2, xlabel=\"(2, 3)\"];", "}"});
}

TEST_CASE("to_dot: each step is a frame, with a box of its own for a variable that all of them use") {
  const Cell cell;
  const V x = test::random_array({3, 1, 2}, 1);
  {
    const Tape first;  // shows which op makes the output
    nn::unroll(cell, x);
  }
  const Tape tape({.trace = true});
  nn::mse(nn::unroll(cell, x).output, x);
  const std::string dot = to_dot(tape);
  CHECK(count(dot, "subgraph cluster_") == 5);  // Cell, three steps, mse
  CHECK(count(dot, "<b>cell.weight</b>") == 3);
  const std::vector<NodeInfo> info = nodes(tape);
  for (std::size_t i = 0; i < info.size(); ++i)
    CHECK(frames_of(dot, "n" + std::to_string(i) + " [") == info[i].scopes);
  CHECK(frames_of(dot, "v0_2 [") == Names{"Cell", "step 0"});
  CHECK(frames_of(dot, "v0_3 [") == Names{"Cell", "step 1"});
  CHECK(frames_of(dot, "v0_4 [") == Names{"Cell", "step 2"});
  // Every edge is between nodes that are drawn, and no node is drawn twice.
  std::set<std::string> drawn;
  const std::regex node("^ *([ncv][0-9_]+) \\["), edge("^ *([ncv][0-9_]+) -> ([ncv][0-9_]+)( \\[.*\\])?;$");
  std::size_t edges = 0;
  std::smatch match;
  for (const std::string& line : lines(dot)) {
    if (std::regex_search(line, match, node)) CHECK(drawn.insert(match[1]).second);
    if (std::regex_match(line, match, edge)) {
      ++edges;
      CHECK(drawn.count(match[1]));
      CHECK(drawn.count(match[2]));
    }
  }
  std::size_t wanted = 0;
  for (const NodeInfo& each : info)
    for (const ag::ValueInfo& operand : each.operands)
      wanted += operand.kind == Kind::constant ? 1 : operand.sources.size();
  CHECK(edges == wanted);
}

TEST_CASE("to_dot: names are escaped") {
  const V x = variable({2}, "<w> & \"v\"\n\\");
  const Tape tape({.trace = true});
  const ag::Scope scope("a < b");
  ag::custom_op(
      "", {x}, [](const auto& in) { return in[0].array(); },
      [](const auto& g, const auto&, const auto&) { return std::vector{g}; });
  const std::string dot = to_dot(tape);
  CHECK(count(dot, "<b>&lt;w&gt; &amp; &quot;v&quot; \\</b>") == 1);
  CHECK(count(dot, ">a &lt; b</font>>;") == 1);
  CHECK(count(dot, "<b></b>") == 0);  // which Graphviz refuses
  CHECK(count(dot, "n0 [label=<<font point-size=\"9\">inspect_test.cpp:") == 1);
}

TEST_CASE("to_dot: tapes that were not traced, that are empty, and that were consumed") {
  const F x = test::random_variable<float>({2}, 1);
  Tape tape;
  CHECK(lines(to_dot(tape)).size() == 5);
  const F y = ag::sum(exp(x) * x);
  const std::string dot = to_dot(tape);
  CHECK(count(dot, "subgraph") == 0);
  CHECK(count(dot, "<b>exp</b>") == 1);
  CHECK(count(dot, "<b>variable 0</b>") == 1);
  CHECK(count(dot, "v0_0 -> n0") == 1);
  CHECK(count(dot, "v0_0 -> n1") == 1);
  Tape traced({.trace = true});
  const F z = ag::sum(exp(x) * x);
  const std::string before = to_dot(traced);
  CHECK(before == dot);
  traced.backward(z);
  CHECK(to_dot(traced) == before);
}
