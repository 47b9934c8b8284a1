#include <algorithm>
#include <cmath>
#include <cstdio>

#include "inspect.hpp"
#include "trace.hpp"

namespace autograd {
namespace {

// Three digits and the largest unit that leaves something before the point.
std::string with_unit(double number, double step, std::initializer_list<const char*> units) {
  const char* const* unit = units.begin();
  for (; unit + 1 != units.end() && number >= step * 0.9995; ++unit) number /= step;
  char text[32];
  std::snprintf(text, sizeof text, "%.*f %s", number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2, number, *unit);
  return text;
}

std::string bytes_text(std::size_t bytes) {
  if (bytes < 1000) return std::to_string(bytes) + " B";
  return with_unit(static_cast<double>(bytes) / 1024, 1024, {"KiB", "MiB", "GiB", "TiB"});
}

std::string time_text(double seconds) { return with_unit(seconds * 1e6, 1000, {"us", "ms", "s"}); }

std::string percent_text(double part, double whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", whole > 0 ? 100 * part / whole : 0.0);
  return text;
}

// Nodes taken together.
struct Row {
  std::string name;
  std::size_t nodes = 0, value_bytes = 0, stash_bytes = 0;
  double forward = 0, backward = 0;

  void add(const NodeInfo& node) {
    ++nodes;
    value_bytes += node.value_bytes;
    stash_bytes += node.stash_bytes;
    forward += node.forward_seconds;
    backward += node.backward_seconds;
  }
};

// The row of a name; the latest ones are looked at first.
Row& row_of(std::vector<Row>& rows, const std::string& name) {
  const auto row = std::find_if(rows.rbegin(), rows.rend(), [&](const Row& r) { return r.name == name; });
  if (row != rows.rend()) return *row;
  rows.push_back({name});
  return rows.back();
}

std::vector<Row> rows_by_op(const std::vector<NodeInfo>& nodes, bool traced) {
  std::vector<Row> rows;
  for (const NodeInfo& node : nodes)
    row_of(rows, detail::one_line(node.detail.empty() ? node.op : node.op + ' ' + node.detail)).add(node);
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    if (traced) return a.forward + a.backward > b.forward + b.backward;
    return a.value_bytes + a.stash_bytes > b.value_bytes + b.stash_bytes;
  });
  return rows;
}

// Scopes of the same name and place, as a tree.
struct Branch {
  Row row;
  std::vector<Branch> inside;
};

Branch& branch_of(std::vector<Branch>& branches, const std::string& name) {
  for (Branch& branch : branches)
    if (branch.row.name == name) return branch;
  branches.push_back({{name}, {}});
  return branches.back();
}

void append(std::vector<Row>& rows, const std::vector<Branch>& branches, const std::string& indent) {
  for (const Branch& branch : branches) {
    rows.push_back(branch.row);
    rows.back().name.insert(0, indent);
    append(rows, branch.inside, indent + "  ");
  }
}

std::vector<Row> rows_by_scope(const std::vector<NodeInfo>& nodes, const detail::Trace& trace) {
  std::vector<Branch> branches;
  Row outside{"(no scope)"};
  for (const NodeInfo& node : nodes) {
    if (node.scopes.empty()) outside.add(node);
    std::vector<Branch>* level = &branches;
    for (std::size_t i = 0; i < node.scopes.size(); ++i) {
      std::string name = detail::one_line(node.scopes[i]);
      if (trace.scopes()[node.scope_ids[i]].numbered) name.resize(name.rfind(' '));  // all steps together
      Branch& branch = branch_of(*level, name);
      branch.row.add(node);
      level = &branch.inside;
    }
  }
  std::vector<Row> rows;
  append(rows, branches, "");
  if (outside.nodes) rows.push_back(outside);
  return rows;
}

std::size_t width_of(const std::string& text) {  // characters of UTF-8
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string summary(const Tape& tape, SummaryOptions options) {
  const std::vector<NodeInfo> nodes = detail::nodes_for("summary", tape);
  const detail::TapeStorage& storage = detail::storage_of(tape);
  const bool traced = storage.trace;
  if (options.by_scope && !traced)
    detail::fail("summary: the scopes of this tape are not known; make it with Tape tape({.trace = true})");
  std::vector<Row> rows = options.by_scope ? rows_by_scope(nodes, *storage.trace) : rows_by_op(nodes, traced);
  Row total{"total"};
  for (const NodeInfo& node : nodes) total.add(node);
  rows.push_back(total);

  std::vector<std::vector<std::string>> cells{
      {options.by_scope ? "scope" : "op", "nodes", "values", "stash"}};
  if (traced) cells[0].insert(cells[0].end(), {"forward", "", "backward", ""});
  for (const Row& row : rows) {
    cells.push_back(
        {row.name, std::to_string(row.nodes), bytes_text(row.value_bytes), bytes_text(row.stash_bytes)});
    if (traced)
      cells.back().insert(cells.back().end(),
                          {time_text(row.forward), percent_text(row.forward, total.forward),
                           time_text(row.backward), percent_text(row.backward, total.backward)});
  }
  std::vector<std::size_t> widths(cells[0].size());
  std::size_t line = 0;
  for (std::size_t column = 0; column < widths.size(); ++column) {
    for (const auto& row : cells) widths[column] = std::max(widths[column], width_of(row[column]));
    line += widths[column] + (column ? 2 : 0);
  }
  std::string text;
  for (const auto& row : cells) {
    if (&row == &cells[1] || &row == &cells.back()) text += std::string(line, '-') + '\n';
    for (std::size_t column = 0; column < row.size(); ++column) {
      const std::string space(widths[column] - width_of(row[column]), ' ');
      text += column ? "  " + space + row[column] : row[column] + space;
    }
    text.resize(text.find_last_not_of(' ') + 1);
    text += '\n';
  }

  std::size_t variable_bytes = 0;
  for (const detail::Leaf& leaf : storage.leaves)
    variable_bytes += storage.slots[leaf.slot].size * storage.slots[leaf.slot].element_bytes;
  text += std::to_string(storage.leaves.size()) +
          (storage.leaves.size() == 1 ? " variable of " : " variables of ") + bytes_text(variable_bytes) +
          '\n';
  return text;
}

}  // namespace autograd
