// The data: one day of weather after the other.
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "support/csv.hpp"

namespace weather {

inline constexpr std::array kClasses{"drizzle", "fog", "rain", "snow", "sun"};

/// A day as the file has it: mm, deg C, deg C, m/s, and an index of kClasses.
struct Day {
  std::chrono::sys_days date;
  double precipitation, temp_max, temp_min, wind;
  std::size_t weather;
};

/// 1 for the 1st of January.
inline int day_of_year(std::chrono::sys_days date) {
  const std::chrono::year_month_day ymd(date);
  return static_cast<int>((date - std::chrono::sys_days(ymd.year() / 1 / 1)).count()) + 1;
}

/// "2012-01-31"
inline std::string to_string(std::chrono::sys_days date) {
  const std::chrono::year_month_day ymd(date);
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(ymd.year()),
                static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()));
  return text;
}

/// Days [begin, end) by their position in the file.
struct Range {
  std::size_t begin, end;
  std::size_t size() const { return end - begin; }
};

inline constexpr std::chrono::sys_days kFirstDay{std::chrono::year{2012} / 1 / 1};
inline constexpr std::chrono::sys_days kLastDay{std::chrono::year{2015} / 12 / 31};

/// The position of the 1st of January of a year, and so the end of the year before.
inline std::size_t start_of(int year) {
  return static_cast<std::size_t>(
      (std::chrono::sys_days{std::chrono::year{year} / 1 / 1} - kFirstDay).count());
}

namespace detail {

inline std::chrono::sys_days read_date(const support::CsvReader& csv, std::string_view text) {
  int part[3] = {};
  const char *at = text.data(), *end = at + text.size();
  for (int i = 0; i < 3; ++i) {
    if (i && (at == end || *at++ != '-'))
      csv.fail("\"" + std::string(text) + "\" is not a date like 2012-01-31");
    const auto [stop, error] = std::from_chars(at, end, part[i]);
    if (error != std::errc()) csv.fail("\"" + std::string(text) + "\" is not a date like 2012-01-31");
    at = stop;
  }
  const std::chrono::year_month_day ymd{std::chrono::year{part[0]},
                                        std::chrono::month(static_cast<unsigned>(part[1])),
                                        std::chrono::day(static_cast<unsigned>(part[2]))};
  if (at != end || !ymd.ok()) csv.fail("\"" + std::string(text) + "\" is not a date like 2012-01-31");
  return ymd;
}

}  // namespace detail

/// Reads the days from 2012-01-01 to 2015-12-31, of which none may be missing. Throws std::runtime_error with
/// the file and the line of whatever is wrong.
inline std::vector<Day> read_days(const std::filesystem::path& file) {
  support::CsvReader csv(file, {"date", "precipitation", "temp_max", "temp_min", "wind", "weather"});
  std::vector<Day> days;
  auto due = kFirstDay;
  while (csv.next()) {
    Day day{
        detail::read_date(csv, csv.text(0)), csv.number(1), csv.number(2), csv.number(3), csv.number(4), 0};
    if (due > kLastDay) csv.fail("there is a row after " + to_string(kLastDay) + ", which must be the last");
    if (day.date != due)
      csv.fail("this is " + to_string(day.date) + " where " + to_string(due) +
               " is due; no day may be missing");
    if (day.precipitation < 0) csv.fail("the precipitation is negative");
    while (day.weather < kClasses.size() && csv.text(5) != kClasses[day.weather]) ++day.weather;
    if (day.weather == kClasses.size())
      csv.fail("the weather is \"" + std::string(csv.text(5)) +
               "\"; it must be drizzle, fog, rain, snow or sun");
    days.push_back(day);
    due += std::chrono::days(1);
  }
  if (due <= kLastDay)
    csv.fail("the file ends before " + to_string(due) + "; days to " + to_string(kLastDay) + " are needed");
  return days;
}

}  // namespace weather
