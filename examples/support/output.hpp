// The folder that the pictures go to.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace support {

/// Makes the folder, and makes sure that files can be written there. Throws std::runtime_error.
inline void prepare_output(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::filesystem::path probe = folder / (".writable-" + std::to_string(getpid()));
  if (error || !std::ofstream(probe).put(' '))
    throw std::runtime_error("cannot write to the folder \"" + folder.string() + "\"" +
                             (error ? ": " + error.message() : "") + "; name another with --output DIR");
  std::filesystem::remove(probe, error);
}

}  // namespace support
