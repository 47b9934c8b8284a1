// Runs the seven notebook programs and prints one table: which hand-coded gradients are right. Each program
// judges for itself and says so in its last line, `result {json}`; this one only collects.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "support/output.hpp"

namespace {

constexpr std::array kPrograms{"scalar_rnn",  "sequence_rnn", "sigmoid_rnn",  "batched_forward",
                               "many_to_one", "sales_step",   "sales_batches"};

// For a shell.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

// The JSON of a program's last line.
nlohmann::ordered_json run(const std::filesystem::path& program, const std::string& output) {
  if (!std::filesystem::exists(program))
    throw std::runtime_error(program.string() +
                             " is not there; verdict runs the programs that lie beside it");
  FILE* pipe = popen((quoted(program.string()) + " --output " + quoted(output)).c_str(), "r");
  if (!pipe) throw std::runtime_error(program.string() + ": cannot be run");
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  const bool failed = pclose(pipe) != 0;
  const std::size_t at = text.rfind("result {");
  if (failed || at == std::string::npos) {
    std::cout << text;
    throw std::runtime_error(program.string() + " failed, see above");
  }
  return nlohmann::ordered_json::parse(text.substr(at + 7));
}

nlohmann::ordered_json verdict(const std::filesystem::path& folder, const std::string& output) {
  std::size_t training = 0, wrong_programs = 0, agreeing = 0;
  nlohmann::ordered_json table = nlohmann::ordered_json::array();
  std::printf("%-16s %-10s %-34s %12s\n", "program", "parameter", "the notebook's gradient", "off by");
  for (const std::string program : kPrograms) {
    const nlohmann::ordered_json result = run(folder / program, output);
    const nlohmann::ordered_json& gradients = result.at("gradients");
    if (gradients.empty())
      std::printf("%-16s %-10s %-34s\n", program.c_str(), "-", "none: it only goes forward");
    bool wrong = false;
    for (const auto& [parameter, finding] : gradients.items()) {
      const bool right = finding.at("right");
      const double error = finding.at("largest_relative_error");
      std::printf("%-16s %-10s %-34s", program.c_str(), parameter.c_str(), right ? "right" : "WRONG");
      std::printf(right ? "\n" : " %10.4g %%\n", 100 * error);
      wrong |= !right;
      table.push_back({{"program", program},
                       {"parameter", parameter},
                       {"right", right},
                       {"largest_relative_error", error},
                       {"why", finding.at("why")}});
    }
    std::fflush(stdout);
    training += !gradients.empty();
    agreeing += result.at("gradients_gradcheck").at("agrees").get<bool>();
    wrong_programs += wrong;
  }
  std::printf(R"(
%zu of the %zu hand-written backward passes get a gradient wrong. The tape's gradients agree with finite
differences in %zu of %zu programs. "right" is up to the factor 2 of the loss in sequence_rnn and many_to_one;
sales_step and sales_batches are checked with the sales scaled, since otherwise the hidden gradients are 0.
)",
              wrong_programs, training, agreeing, kPrograms.size());
  std::cout << "Pictures, where gnuplot was found: " << output << "/\n";
  return {{"programs", kPrograms.size()},
          {"training_programs", training},
          {"wrong_programs", wrong_programs},
          {"gradchecks_that_agree", agreeing},
          {"table", table}};
}

}  // namespace

int main(int argc, char** argv) try {
  std::string output = "output";
  CLI::App app("Which gradients of the notebooks are right: runs the seven programs beside this one.");
  app.add_option("--output", output, "folder for their pictures")->type_name("DIR")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  support::prepare_output(output);
  const std::filesystem::path here = std::filesystem::canonical("/proc/self/exe").parent_path();
  const nlohmann::ordered_json result = verdict(here, output);
  std::cout << "result " << result << std::endl;
} catch (const std::exception& error) {
  std::cout << std::flush;
  std::cerr << "verdict: " << error.what() << '\n';
  return 1;
}
