// Runs an example as its user does.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "temporary_folder.hpp"

namespace program {

/// What a program gave: its exit code (128 and the signal, if one ended it), and what it wrote.
struct Outcome {
  int code;
  std::string out, error;

  /// The JSON of the last line, `result {json}`; fails the test if there is none.
  nlohmann::json result() const {
    REQUIRE_MESSAGE(code == 0, error);
    const std::size_t at = out.rfind("\nresult {");
    REQUIRE(at != std::string::npos);
    REQUIRE(out.find('\n', at + 1) == out.size() - 1);
    return nlohmann::json::parse(out.substr(at + 8));
  }
};

inline std::string read(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Runs build/examples/NAME in a folder, with arguments as a shell reads them.
inline Outcome run(const test::TemporaryFolder& folder, const std::string& name,
                   const std::string& arguments = "") {
  const std::string command = "cd '" + folder.path().string() + "' && '" UNROLL_EXAMPLES "/" + name + "' " +
                              arguments + " >stdout 2>stderr </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read(folder.path() / "stdout"),
          read(folder.path() / "stderr")};
}

}  // namespace program
