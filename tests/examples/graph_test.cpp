// The graph of an LSTM: that it is one, and that the picture of it in README.md is of the same nodes.
#include <regex>
#include <set>

#include "program.hpp"

namespace {

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) found.insert((*it)[1]);
  return found;
}

}  // namespace

TEST_CASE("graph prints a graph for Graphviz, and the tables beside it") {
  const test::TemporaryFolder folder;
  const auto run = program::run(folder, "graph");
  REQUIRE(run.code == 0);
  CHECK(run.out.starts_with("digraph tape {\n"));
  CHECK(run.out.ends_with("\n}\n"));
  for (const char* row : {"op ", "add_linear ", "map ", "total ", "scope ", "LSTMCell ", "  step ", "mse "})
    CHECK_MESSAGE(('\n' + run.error).find(std::string("\n") + row) != std::string::npos, row);

  const std::string svg = program::read(UNROLL_TESTS_DIR "/../examples/data/lstm.svg");
  const auto nodes = matches(run.out, "\n *([ncv][0-9_]+) \\[");
  CHECK(nodes.size() == 24);
  CHECK(matches(svg, "<title>([ncv][0-9_]+)</title>") == nodes);
  CHECK(matches(svg, "<title>(cluster_[0-9]+)</title>") == matches(run.out, "subgraph (cluster_[0-9]+) "));
}
