#include <algorithm>
#include <map>
#include <sstream>

#include "inspect.hpp"

namespace autograd {

std::string detail::one_line(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
  return name;
}

namespace {

// Text within an HTML-like label.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : detail::one_line(text)) switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  return result;
}

std::string text_of(const Shape& shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

std::string id_of(char kind, std::size_t first) { return kind + std::to_string(first); }
std::string id_of(char kind, std::size_t first, std::size_t second) {
  return id_of(kind, first) + '_' + std::to_string(second);
}

// A line large and others small. An empty line would not be valid.
std::string label(const std::string& large, std::initializer_list<std::string> small) {
  std::string text = "label=<" + (large.empty() ? "" : "<b>" + escaped(large) + "</b>");
  for (const std::string& line : small)
    if (!line.empty())
      text += (text.back() == '<' ? "" : "<br/>") + ("<font point-size=\"9\">" + escaped(line) + "</font>");
  return text + ">";
}

// What is drawn within the frame of a scope.
struct Cluster {
  std::string name;
  bool step = false;
  std::string content;
  std::vector<std::size_t> inside;  // as indices
};

class Graph {
 public:
  explicit Graph(const std::vector<NodeInfo>& nodes) : nodes_(nodes), clusters_(1) {
    for (std::size_t i = 0; i < nodes.size(); ++i) add(i);
  }

  std::string text() const {
    // The colours are readable on white and on black, so nothing is drawn behind the graph.
    std::string text =
        "digraph tape {\n"
        "  graph [rankdir=LR, bgcolor=transparent, nodesep=0.1, ranksep=0.22, fontname=\"sans-serif\", "
        "fontsize=11, fontcolor=\"#808080\", color=\"#808080\"];\n"
        "  node [shape=box, style=\"rounded,filled\", margin=\"0.08,0.04\", height=0.3, "
        "fontname=\"sans-serif\", "
        "fontsize=11, fontcolor=\"#1f2328\", fillcolor=\"#eaeef2\", color=\"#808080\"];\n"
        "  edge [arrowsize=0.6, fontname=\"sans-serif\", fontsize=9, fontcolor=\"#808080\", "
        "color=\"#808080\"];\n";
    write(0, "  ", text);
    return text + edges_ + "}\n";
  }

 private:
  void add(std::size_t at) {
    const NodeInfo& node = nodes_[at];
    const std::size_t cluster = clusters_of_.emplace_back(cluster_of(node));
    const std::string id = id_of('n', at);
    std::vector<std::string> shapes;
    for (const ValueInfo& result : node.results)
      if (shapes.empty() || shapes.back() != text_of(result.shape)) shapes.push_back(text_of(result.shape));
    std::string made;
    for (const std::string& shape : shapes) made += (made.empty() ? "" : " ") + shape;
    draw(cluster, id, label(node.op, {node.detail, made}));
    for (std::size_t i = 0; i < node.operands.size(); ++i) {
      const ValueInfo& operand = node.operands[i];
      switch (operand.kind) {
        case ValueInfo::Kind::result:
          for (const std::size_t source : operand.sources) {
            std::size_t largest = 0;
            for (const ValueInfo& result : nodes_[source].results)
              largest = std::max(largest, result.shape.size());
            // From one frame to another there is room for what is drawn before the node in its own.
            connect(id_of('n', source), id,
                    std::string(clusters_of_[source] == cluster ? "minlen=1" : "minlen=2") +
                        (operand.shape.size() < largest ? ", xlabel=\"" + text_of(operand.shape) + '"' : ""));
          }
          break;
        case ValueInfo::Kind::variable:
          connect(variable(cluster, operand), id, "color=\"#4a90d9\", arrowsize=0.4");
          break;
        case ValueInfo::Kind::constant: {
          const std::string constant = id_of('c', at, i);
          draw(cluster, constant,
               "shape=plaintext, style=\"\", height=0.2, margin=\"0.03,0.02\", fontsize=9, "
               "fontcolor=\"#808080\", label=\"" +
                   text_of(operand.shape) + '"');
          connect(constant, id, "style=dotted, arrowsize=0.4");
        }
      }
    }
  }

  // The scope that a node is in, with those around it.
  std::size_t cluster_of(const NodeInfo& node) {
    std::size_t cluster = 0;
    for (std::size_t i = 0; i < node.scopes.size(); ++i) {
      const auto [known, is_new] = scopes_.try_emplace(node.scope_ids[i], clusters_.size());
      if (is_new) {
        clusters_[cluster].inside.push_back(clusters_.size());
        clusters_.push_back({node.scopes[i], static_cast<std::ptrdiff_t>(i) == node.step, {}, {}});
      }
      cluster = known->second;
    }
    return cluster;
  }

  // The box of a variable in this scope.
  std::string variable(std::size_t cluster, const ValueInfo& operand) {
    const std::size_t number = operand.sources[0];
    const std::string id = id_of('v', number, cluster);
    if (drawn_.try_emplace(id, true).second)
      draw(cluster, id,
           "style=filled, fillcolor=\"#d6e8fa\", color=\"#4a90d9\", " +
               label(operand.name.empty() ? "variable " + std::to_string(number) : operand.name,
                     {text_of(operand.shape)}));
    return id;
  }

  void draw(std::size_t cluster, const std::string& id, const std::string& attributes) {
    clusters_[cluster].content += id + " [" + attributes + "];\n";
  }

  void connect(const std::string& from, const std::string& to, const std::string& attributes) {
    edges_ += "  " + from + " -> " + to + (attributes.empty() ? "" : " [" + attributes + ']') + ";\n";
  }

  void write(std::size_t at, const std::string& indent, std::string& text) const {
    const Cluster& cluster = clusters_[at];
    std::istringstream content(cluster.content);
    for (std::string line; std::getline(content, line);) text += indent + line + '\n';
    for (const std::size_t inner : cluster.inside) {
      text += indent + "subgraph cluster_" + std::to_string(inner) + " {\n" + indent + "  " +
              label("", {clusters_[inner].name}) + ";\n" + indent + "  style=\"rounded" +
              (clusters_[inner].step ? ",filled\"; fillcolor=\"#80808020\"" : "\"") + ";\n";
      write(inner, indent + "  ", text);
      text += indent + "}\n";
    }
  }

  const std::vector<NodeInfo>& nodes_;
  std::vector<std::size_t> clusters_of_;  // the nodes
  std::vector<Cluster> clusters_;         // the first is what is in no scope
  std::map<std::size_t, std::size_t> scopes_;
  std::map<std::string, bool> drawn_;
  std::string edges_;
};

}  // namespace

std::string to_dot(const Tape& tape) {
  const std::vector<NodeInfo> nodes = detail::nodes_for("to_dot", tape);
  return Graph(nodes).text();
}

}  // namespace autograd
