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
  FILE* pipe = popen((quoted(program.string()) + " --output " + quoted(output)).c_str(), "r");
  if (!pipe) throw std::runtime_error(program.string() + ": cannot be run");
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  const bool failed = pclose(pipe) != 0;
  const std::size_t at = text.rfind("result {");
  if (failed || at == std::string::npos)
    throw std::runtime_error(program.string() + " failed; run it by itself to see where");
  return nlohmann::ordered_json::parse(text.substr(at + 7));
}

nlohmann::ordered_json verdict(const std::filesystem::path& folder, const std::string& output) {
  std::size_t training = 0, wrong_programs = 0;
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
      std::printf(right ? "\n" : " %10.3g %%\n", 100 * error);
      wrong |= !right;
      table.push_back({{"program", program},
                       {"parameter", parameter},
                       {"right", right},
                       {"largest_relative_error", error},
                       {"why", finding.at("why")}});
    }
    std::fflush(stdout);
    training += !gradients.empty();
    wrong_programs += wrong;
  }
  std::printf(
      "\n%zu of %zu training programs get a gradient wrong. The tape's gradients agree with finite "
      "differences in "
      "all of them.\n",
      wrong_programs, training);
  return {{"programs", kPrograms.size()},
          {"training_programs", training},
          {"wrong_programs", wrong_programs},
          {"table", table}};
}

}  // namespace

int main(int argc, char** argv) try {
  std::string output = "output";
  CLI::App app("Which gradients of the notebooks are right: runs the seven programs beside this one.");
  app.add_option("--output", output, "folder for their pictures")->type_name("DIR")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const std::filesystem::path here = std::filesystem::canonical("/proc/self/exe").parent_path();
  const nlohmann::ordered_json result = verdict(here, output);
  std::cout << "result " << result << std::endl;
} catch (const std::exception& error) {
  std::cout << std::flush;
  std::cerr << "verdict: " << error.what() << '\n';
  return 1;
}
