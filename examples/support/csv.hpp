// Reads a CSV file with a header, column by column name; every complaint names the file and the line.
#pragma once

#include <cerrno>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace support {

/// The rows of a comma-separated file, one at a time. Fields have no quotes; empty lines are passed over.
///
///     CsvReader csv(file, {"date", "wind"});
///     while (csv.next()) use(csv.text(0), csv.number(1));
///
/// All functions throw std::runtime_error, "file:line: what is wrong, and what is needed".
class CsvReader {
 public:
  /// Opens the file and looks for the wanted columns in its first line, in any order.
  CsvReader(std::filesystem::path file, std::vector<std::string> columns)
      : file_(std::move(file)), columns_(std::move(columns)) {
    if (std::filesystem::is_directory(file_)) throw std::runtime_error(file_.string() + ": is a directory");
    in_.open(file_);
    if (!in_)
      throw std::runtime_error(file_.string() +
                               ": cannot be read: " + std::generic_category().message(errno));
    if (!read_line())
      throw std::runtime_error(file_.string() +
                               ":1: the file is empty; the first line must name the columns");
    width_ = fields_.size();
    for (const std::string& column : columns_) {
      std::size_t at = 0;
      while (at < width_ && fields_[at] != column) ++at;
      if (at == width_) fail("the first line names no column \"" + column + "\"");
      positions_.push_back(at);
    }
  }

  /// Goes to the next row; false at the end of the file.
  bool next() {
    if (!read_line()) return false;
    if (fields_.size() != width_)
      fail("there are " + std::to_string(fields_.size()) + " fields, and the first line names " +
           std::to_string(width_) + " columns");
    return true;
  }

  /// The field of this row under the wanted column `column`.
  std::string_view text(std::size_t column) const { return fields_[positions_[column]]; }

  /// The same as a finite number.
  double number(std::size_t column) const {
    const std::string_view field = text(column);
    double value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size() || !std::isfinite(value))
      fail("\"" + std::string(field) + "\" under " + columns_[column] + " is not a number");
    return value;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(file_.string() + ":" + std::to_string(line_) + ": " + what);
  }

 private:
  bool read_line() {
    do {
      if (!std::getline(in_, text_)) return false;
      ++line_;
      if (text_.ends_with('\r')) text_.pop_back();
    } while (text_.empty());
    fields_.clear();
    for (std::size_t begin = 0;;) {
      const std::size_t comma = text_.find(',', begin);
      fields_.push_back(std::string_view(text_).substr(begin, comma - begin));
      if (comma == std::string::npos) return true;
      begin = comma + 1;
    }
  }

  std::filesystem::path file_;
  std::vector<std::string> columns_;
  std::ifstream in_;
  std::string text_;
  std::vector<std::string_view> fields_;
  std::vector<std::size_t> positions_;
  std::size_t width_ = 0, line_ = 0;
};

}  // namespace support
