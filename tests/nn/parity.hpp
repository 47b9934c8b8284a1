// Compares a module with a fixture of PyTorch: outputs, loss and the gradient of every input and parameter.
#pragma once

#include <doctest/doctest.h>

#include <autograd/autograd.hpp>
#include <functional>
#include <nn/nn.hpp>
#include <set>

#include "fixture.hpp"

namespace test {

namespace ag = autograd;

constexpr double kParity = 1e-10;

using Inputs = std::map<std::string, ag::Var<double>>;
using Outputs = std::vector<std::pair<std::string, ag::Var<double>>>;

/// Sets every parameter of a module to the fixture's array `prefix` + path, and requires that the names are
/// the same.
template <class M>
void set_parameters(const Fixture& fixture, const M& module, const std::string& prefix = "param.") {
  std::set<std::string> here;
  nn::for_each_parameter(module, [&](const std::string& path, auto& parameter) {
    here.insert(path);
    REQUIRE_MESSAGE(fixture.has(prefix + path), path);
    parameter.assign(fixture[prefix + path].view());
  });
  const std::vector<std::string> there = fixture.names(prefix);
  CHECK(here == std::set<std::string>(there.begin(), there.end()));
}

/// Compares every parameter with the fixture's array `prefix` + path.
template <class M>
void check_parameters(const Fixture& fixture, const M& module, const std::string& prefix,
                      double tolerance = kParity) {
  nn::for_each_parameter(module, [&](const std::string& path, auto& parameter) {
    INFO(prefix << path);
    CHECK(difference(parameter, fixture[prefix + path]) <= tolerance);
  });
}

/// Compares the gradient of every parameter with the fixture's array "grad.param." + path.
template <class M>
void check_gradients(const Fixture& fixture, const M& module, const ag::Gradients& gradients,
                     const std::string& prefix = "grad.param.", double tolerance = kParity) {
  nn::for_each_parameter(module, [&](const std::string& path, auto& parameter) {
    INFO(prefix << path);
    CHECK(difference(gradients.array(parameter), fixture[prefix + path]) <= tolerance);
  });
}

/// The fixture's inputs are the arrays that it has a gradient for; the loss is the sum over the outputs of
/// sum(output * cot.output). Checks outputs, loss and every gradient.
template <class M>
void check_module(const Fixture& fixture, const M& module, const std::function<Outputs(Inputs&)>& forward) {
  set_parameters(fixture, module);
  Inputs inputs;
  for (const std::string& name : fixture.names("grad."))
    if (!name.starts_with("param.")) inputs[name] = ag::variable(fixture[name]);
  ag::Tape tape;
  ag::Var<double> loss(0);
  for (const auto& output : forward(inputs)) {
    const std::string& name = output.first;
    CAPTURE(name);
    CHECK(difference(output.second, fixture[name]) <= kParity);
    loss = loss + ag::sum(output.second * ag::Var<double>(fixture["cot." + name]));
  }
  CHECK(difference(loss, fixture.scalar("loss")) <= kParity);
  const ag::Gradients gradients = tape.backward(loss);
  for (const auto& input : inputs) {
    INFO("grad." << input.first);
    CHECK(difference(gradients.array(input.second), fixture["grad." + input.first]) <= kParity);
  }
  check_gradients(fixture, module, gradients);
}

}  // namespace test
