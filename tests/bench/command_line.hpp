// The command line of a benchmark. C++17, for libtorch's.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// Options are asked for one by one, and then end() for what is left. What is wrong is told with the usage,
// and ends the program with 2.
class CommandLine {
 public:
  CommandLine(int argc, char** argv, std::string usage)
      : usage_(std::move(usage)), words_(argv + (argc > 0), argv + argc) {}

  // An option without a value.
  bool has(const std::string& key) {
    for (auto word = words_.begin(); word != words_.end(); ++word)
      if (*word == key) {
        words_.erase(word);
        return true;
      }
    return false;
  }

  // One of some words; the first of them where it is not given.
  std::string one_of(const std::string& key, const std::vector<std::string>& choices) {
    const std::optional<std::string> given = value(key);
    if (!given) return choices.front();
    std::string all;
    for (const std::string& choice : choices) {
      if (*given == choice) return choice;
      all += (all.empty() ? "" : ", ") + choice;
    }
    fail(key + " " + *given + ": it must be one of " + all);
  }

  // A whole number of at least 1.
  template <class Int>
  Int count(const std::string& key, Int otherwise) {
    const std::optional<std::string> given = value(key);
    if (!given) return otherwise;
    const double n = parsed(key, *given);
    if (n < 1 || n > 2e9 || n != std::floor(n))
      fail(key + " " + *given + ": it must be a whole number from 1 to 2e9");
    return static_cast<Int>(n);
  }

  double number(const std::string& key, double otherwise) {
    const std::optional<std::string> given = value(key);
    return given ? parsed(key, *given) : otherwise;
  }

  void end() const {
    if (!words_.empty()) fail("unknown option " + words_.front());
  }

  [[noreturn]] void fail(const std::string& why) const {
    std::fprintf(stderr, "%s\n%s", why.c_str(), usage_.c_str());
    std::exit(2);
  }

 private:
  std::optional<std::string> value(const std::string& key) {
    for (auto word = words_.begin(); word != words_.end(); ++word)
      if (*word == key) {
        if (word + 1 == words_.end()) fail("no value for " + key);
        std::string result = word[1];
        words_.erase(word, word + 2);
        return result;
      }
    return {};
  }

  double parsed(const std::string& key, const std::string& text) const {
    char* rest;
    const double result = std::strtod(text.c_str(), &rest);
    if (text.empty() || *rest || !(result >= 0))
      fail(key + " " + text + ": it must be a number of at least 0");
    return result;
  }

  std::string usage_;
  std::vector<std::string> words_;
};

}  // namespace bench
