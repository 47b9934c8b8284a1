#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <nn/safetensors.hpp>
#include <random>

#include "message_of.hpp"
#include "temporary_folder.hpp"

namespace fs = std::filesystem;
using autograd::Array;
using autograd::Error;
using autograd::Shape;
using autograd::Var;
using Strings = std::vector<std::string>;

using test::message_of;

namespace {

Strings files_of(const test::TemporaryFolder& folder) {
  Strings names;
  for (const auto& entry : fs::directory_iterator(folder.path())) names.push_back(entry.path().filename());
  return names;
}

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const fs::path& path, const std::string& bytes) {
  fs::remove(
      path);  // to overwrite a file may wait for the disk, which the thousands of the last test would feel
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// A file by the letter of the format.
std::string file_of(const std::string& header, std::size_t data_bytes = 0, char fill = 0) {
  const std::uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + std::string(data_bytes, fill);
}

template <class T>
Array<T> array_of(const Shape& shape, const std::vector<T>& elements) {
  Array<T> array(shape);
  REQUIRE(array.size() == elements.size());
  std::copy(elements.begin(), elements.end(), array.data());
  return array;
}

template <class Stored>
nn::Tensor tensor_of(const std::string& dtype, const std::vector<Stored>& elements) {
  nn::Tensor tensor{{elements.size()}, dtype, std::vector<std::byte>(elements.size() * sizeof(Stored))};
  std::memcpy(tensor.bytes.data(), elements.data(), tensor.bytes.size());
  return tensor;
}

template <class T>
std::vector<T> elements_of(const Array<T>& array) {
  return {array.data(), array.data() + array.size()};
}

template <class T>
bool same_bits(const Array<T>& a, const Array<T>& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace

TEST_CASE_TEMPLATE("parameters survive a file bit by bit", T, float, double) {
  using Limits = std::numeric_limits<T>;
  const test::TemporaryFolder folder;
  // bit patterns that arithmetic would change, or that comparison would not tell apart
  const std::vector<T> special = {T(0),
                                  -T(0),
                                  T(1) / T(3),
                                  Limits::epsilon(),
                                  Limits::denorm_min(),
                                  Limits::max(),
                                  Limits::lowest(),
                                  Limits::infinity(),
                                  -Limits::infinity(),
                                  Limits::quiet_NaN(),
                                  -Limits::quiet_NaN(),
                                  Limits::signaling_NaN()};
  const std::vector<std::pair<std::string, Array<T>>> arrays = {
      {"weights", array_of<T>({3, 4}, special)},
      {"scalar", array_of<T>({}, {T(0.1)})},
      {"empty", Array<T>(Shape{2, 0, 3})},
      {"", array_of<T>({1}, {T(7)})},
      {"quotes \" \\ \n \xc3\xbc and \xf0\x9f\x8c\xb1", array_of<T>({1, 1, 1, 1, 1, 2}, {T(1), T(2)})},
  };
  nn::NamedVars<T> saved, loaded;
  for (const auto& [name, array] : arrays) {
    saved.emplace_back(name, autograd::variable(array.copy()));
    loaded.emplace_back(name, autograd::variable(Array<T>(array.shape(), T(5))));
  }
  nn::save_parameters(folder / "model.safetensors", saved);
  nn::load_parameters(folder / "model.safetensors", loaded);
  for (std::size_t i = 0; i < arrays.size(); ++i)
    CHECK(same_bits(loaded[i].second.array(), arrays[i].second));
}

TEST_CASE("a file is written as PyTorch's tools want it") {
  const test::TemporaryFolder folder;
  nn::TensorFile file;
  file.tensors["a"] = tensor_of<std::int8_t>("I8", {1, 2, 3});
  file.tensors["b"] = tensor_of<double>("F64", {0.5});
  file.tensors["c"] = tensor_of<float>("F32", {1, 2, 3});
  file.tensors["d"] = {{0, 4}, "BF16", {}};
  nn::write_safetensors(folder / "x", file);

  SUBCASE("metadata, aligned data, padding with spaces, tensors one after the other") {
    const std::string bytes = contents(folder / "x");
    std::uint64_t length;
    std::memcpy(&length, bytes.data(), 8);
    CHECK((8 + length) % 8 == 0);
    CHECK(bytes.size() == 8 + length + 3 + 8 + 12);
    std::string header = bytes.substr(8, length);
    header.erase(header.find_last_not_of(' ') + 1);
    CHECK(header == R"({"__metadata__":{"format":"pt"},)"
                    R"("b":{"data_offsets":[0,8],"dtype":"F64","shape":[1]},)"
                    R"("c":{"data_offsets":[8,20],"dtype":"F32","shape":[3]},)"
                    R"("d":{"data_offsets":[20,20],"dtype":"BF16","shape":[0,4]},)"
                    R"("a":{"data_offsets":[20,23],"dtype":"I8","shape":[3]}})");
  }
  SUBCASE("what is read is what was written, and the same again when written again") {
    const nn::TensorFile read = nn::read_safetensors(folder / "x");
    CHECK(read.metadata == std::map<std::string, std::string>{{"format", "pt"}});
    REQUIRE(read.tensors.size() == 4);
    for (const auto& [name, tensor] : file.tensors) {
      const nn::Tensor& same = read.tensors.at(name);
      CHECK(same.shape == tensor.shape);
      CHECK(same.dtype == tensor.dtype);
      CHECK(same.bytes == tensor.bytes);
    }
    nn::write_safetensors(folder / "y", read);
    CHECK(contents(folder / "x") == contents(folder / "y"));
  }
  SUBCASE("metadata of the user's replaces the default") {
    file.metadata = {{"epoch", "3"}, {"note", "a \"b\""}};
    nn::write_safetensors(folder / "x", file);
    CHECK(nn::read_safetensors(folder / "x").metadata == file.metadata);
  }
  SUBCASE("a file without tensors") {
    nn::write_safetensors(folder / "x", {});
    CHECK(nn::read_safetensors(folder / "x").tensors.empty());
    put(folder / "x", file_of("{}"));
    CHECK(nn::read_safetensors(folder / "x").tensors.empty());
  }
}

TEST_CASE("a file that PyTorch wrote is read") {
  const nn::TensorFile file = nn::read_safetensors(UNROLL_TESTS_DIR "/fixtures/lstm_l1.safetensors");
  CHECK(file.tensors.size() == 21);
  CHECK(file.metadata.at("kind") == "recurrent");
  const auto array = [&](const std::string& name) {
    return nn::to_array<double>(file.tensors.at(name), name);
  };
  CHECK(array("input").shape() == Shape{5, 3, 4});
  CHECK(array("h0").shape() == Shape{1, 3, 3});
  CHECK(array("loss").shape() == Shape{1});
  CHECK(array("param.weight_ih_l0").shape() == Shape{12, 4});
  CHECK(array("param.bias_hh_l0").shape() == Shape{12});
  CHECK(array("input").data()[0] == -1.0716912499630953);
  CHECK(array("param.weight_hh_l0").data()[2] == -0.1425203166008893);
  CHECK(array("grad.c0").data()[1] == 0.025769677341375936);
  CHECK(array("loss").item() == -1.2153453658468079);
}

TEST_CASE("dtypes are converted") {
  const auto floats = [](const nn::Tensor& tensor) { return elements_of(nn::to_array<float>(tensor, "x")); };
  using Floats = std::vector<float>;
  using Integers = std::vector<std::int64_t>;
  constexpr float inf = std::numeric_limits<float>::infinity();

  SUBCASE("to float") {
    CHECK(floats(tensor_of<double>("F64", {0.1, 1e300})) == Floats{0.1f, inf});
    CHECK(floats(tensor_of<float>("F32", {0.1f})) == Floats{0.1f});
    // 1, -2, the largest, the smallest normal, the smallest and the largest subnormal, infinities, zeros
    const auto half = tensor_of<std::uint16_t>(
        "F16", {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x83ff, 0x7c00, 0xfc00, 0x0000, 0x3555});
    CHECK(floats(half) ==
          Floats{1, -2, 65504, 0x1p-14f, 0x1p-24f, -1023 * 0x1p-24f, inf, -inf, 0, 0x1.554p-2f});
    CHECK(std::isnan(floats(tensor_of<std::uint16_t>("F16", {0x7e00}))[0]));
    CHECK(std::signbit(floats(tensor_of<std::uint16_t>("F16", {0x8000}))[0]));
    CHECK(floats(tensor_of<std::uint16_t>("BF16", {0x3f80, 0xc000, 0x7f80, 0x0001})) ==
          Floats{1, -2, inf, 0x1p-133f});
    CHECK(floats(tensor_of<std::int64_t>("I64", {-3, 1LL << 40})) == Floats{-3, 0x1p40f});
    CHECK(floats(tensor_of<std::uint8_t>("U8", {0, 255})) == Floats{0, 255});
    CHECK(floats(tensor_of<std::uint8_t>("BOOL", {0, 1, 2})) == Floats{0, 1, 1});
  }
  SUBCASE("to integers") {
    constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
    CHECK(nn::to_integers(tensor_of<std::int64_t>("I64", {-1, lowest}), "x") == Integers{-1, lowest});
    CHECK(nn::to_integers(tensor_of<std::int32_t>("I32", {-1, 7}), "x") == Integers{-1, 7});
    CHECK(nn::to_integers(tensor_of<std::int16_t>("I16", {-1, 7}), "x") == Integers{-1, 7});
    CHECK(nn::to_integers(tensor_of<std::int8_t>("I8", {-1, 7}), "x") == Integers{-1, 7});
    CHECK(nn::to_integers(tensor_of<std::uint8_t>("U8", {255}), "x") == Integers{255});
    CHECK(nn::to_integers(tensor_of<std::uint16_t>("U16", {65535}), "x") == Integers{65535});
    CHECK(nn::to_integers(tensor_of<std::uint32_t>("U32", {4294967295u}), "x") == Integers{4294967295});
    CHECK(nn::to_integers(tensor_of<std::uint8_t>("BOOL", {0, 1}), "x") == Integers{0, 1});
  }
  SUBCASE("or refused") {
    CHECK(message_of([] { nn::to_integers(tensor_of<float>("F32", {1}), "target"); }) ==
          "to_integers: tensor \"target\" has dtype F32, not integers; read it with to_array, or save it as "
          "I64");
    CHECK(message_of([] { nn::to_integers(tensor_of<std::uint64_t>("U64", {~0ull}), "n"); }) ==
          "to_integers: tensor \"n\" has a U64 above the largest 64-bit signed integer; save it as I64");
    CHECK(message_of([] { nn::to_array<float>(tensor_of<double>("C64", {1}), "z"); }) ==
          "to_array: tensor \"z\" has dtype C64, which does not convert; save it as F32 or F64");
    CHECK(message_of([] {
            nn::to_array<float>({{3}, "F32", std::vector<std::byte>(8)}, "w");
          }) == "to_array: tensor \"w\": shape (3,) of F32 needs 12 bytes and has 8");
    CHECK(message_of([] { nn::to_tensor(Array<float>()); }) ==
          "to_tensor: the array is empty; assign it a value first");
  }
}

TEST_CASE("a file that is none is refused, and the message says what is wrong with it") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "x.safetensors";
  const auto check = [&](const std::string& bytes, const std::string& part) {
    put(path, bytes);
    const std::string message = message_of([&] { nn::read_safetensors(path); });
    CAPTURE(message);
    CHECK(message.rfind("read_safetensors: " + path.string() + ": ", 0) == 0);
    CHECK(message.find(part) != std::string::npos);
  };
  const auto check_entry = [&](const std::string& entry, const std::string& part) {
    check(file_of(R"({"w":)" + entry + "}", 16), "tensor \"w\"" + part);
  };
  const std::string damaged =
      "; the file is damaged or no safetensors file: write it anew (from PyTorch with "
      "safetensors.torch.save_file)";

  SUBCASE("not a file") {
    CHECK(message_of([&] { nn::read_safetensors(folder / "none"); }) ==
          "read_safetensors: " + (folder / "none").string() +
              ": cannot be opened: No such file or directory");
    CHECK(message_of([&] { nn::read_safetensors(folder / ""); }) ==
          "read_safetensors: " + (folder / "").string() + ": is a directory or a device; name a file");
  }
  SUBCASE("length of the header") {
    check("", "has 0 bytes, and a safetensors file at least 8" + damaged);
    check("1234567", "has 7 bytes");
    check(std::string(8, '\0'), "the header does not begin with '{'" + damaged);
    check(file_of("{}").substr(0, 9),
          "the header has 2 bytes by its first 8, and the file only 1 more" + damaged);
    check(std::string(100, '\xff'),
          "the header has 18446744073709551615 bytes by its first 8, and the file only 92");
    put(path, file_of("").replace(0, 8, std::string("\x01\xe1\xf5\x05\0\0\0\0", 8)));  // 100'000'001
    fs::resize_file(path, 200'000'000);
    CHECK(message_of([&] {
            nn::read_safetensors(path);
          }).find("the header has 100000001 bytes, and at most 100000000 are read" + damaged) !=
          std::string::npos);
  }
  SUBCASE("JSON") {
    check(file_of("[]"), "the header does not begin with '{'");
    check(file_of("\xef\xbb\xbf{}"), "the header does not begin with '{'");
    check(file_of("{\"w\" 1}"),
          "the header is not JSON at byte 13: syntax error while parsing object separator");
    check(file_of("{"), "the header is not JSON at byte 9: syntax error");
    check(file_of("{} x"), "the header is not JSON at byte 11");
    check(file_of("{\"\xff\":1}"), "ill-formed UTF-8");
    check(file_of("{\"w\":1e999}"), "number overflow");
    check(file_of(std::string("{}\0{}", 5)), "the header is not JSON at byte 10: zero byte" + damaged);
    check(file_of(R"({"a":{},"w":{},"w":{}})"), "the header has the name \"w\" twice" + damaged);
    check(file_of(R"({"w":{"dtype":"F32","dtype":"F64"}})"), "the header has the name \"dtype\" twice");
    check(file_of(R"({"\u0077":{},"w":{}})"), "the header has the name \"w\" twice");
    check(file_of(R"({"w":{"a":[[[1]]]}})"), "the header is nested more than 4 deep" + damaged);
    check(file_of("{\"w\":" + std::string(1 << 20, '[')), "the header is nested more than 4 deep");
    std::string objects = "{\"w\":";
    for (int i = 0; i < 100'000; ++i) objects += "{\"w\":";
    check(file_of(objects), "the header is nested more than 4 deep");
  }
  SUBCASE("metadata") {
    check(file_of(R"({"__metadata__":[]})"), "__metadata__ is not a JSON object" + damaged);
    check(file_of(R"({"__metadata__":{"a":1}})"), "__metadata__ of \"a\" is not a string" + damaged);
  }
  SUBCASE("description of a tensor") {
    check_entry("3", " is not described by a JSON object" + damaged);
    check_entry(R"({"shape":[4],"data_offsets":[0,16]})", " has no dtype" + damaged);
    check_entry(R"({"dtype":"F32","data_offsets":[0,16]})", " has no shape" + damaged);
    check_entry(R"({"dtype":"F32","shape":[4]})", " has no data_offsets" + damaged);
    check_entry(R"({"dtype":32,"shape":[4],"data_offsets":[0,16]})", ": dtype is not a string" + damaged);
    check_entry(R"({"dtype":"F31","shape":[4],"data_offsets":[0,16]})",
                ": unknown dtype \"F31\"; known are BOOL, U8, I8, F8_E4M3, F8_E5M2, F8_E8M0, U16, I16, F16, "
                "BF16, U32, "
                "I32, F32, U64, I64, F64, C64");
    for (const std::string shape : {"4", "[-4]", "[4.0]", "[\"4\"]", "[18446744073709551616]", "{}", "null"})
      check_entry(R"({"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,16]})",
                  ": shape is not a list of integers from 0 to 2^64 - 1" + damaged);
    check_entry(R"({"dtype":"F32","shape":[1,1,1,1,1,1,4],"data_offsets":[0,16]})",
                " has 7 axes, and 6 is the most; reshape it where it is saved");
    check_entry(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})",
                ": shape (4294967296, 4294967296) of F32 has more bytes than 64 bits can count");
    check_entry(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})",
                ": shape (4611686018427387904,) of F32 has more bytes than 64 bits can count");
    check_entry(R"({"dtype":"F32","shape":[0,9223372036854775808,2],"data_offsets":[0,0]})",
                ": shape (0, 9223372036854775808, 2) of F32 has more bytes than 64 bits can count");
    for (const std::string offsets : {"16", "[16]", "[0,8,16]", "[-1,15]", "[16,0]", "[0,16.0]", "{}"})
      check_entry(R"({"dtype":"F32","shape":[4],"data_offsets":)" + offsets + "}",
                  ": data_offsets are not two integers [begin, end] with 0 <= begin <= end" + damaged);
    check_entry(R"({"dtype":"F32","shape":[2,2],"data_offsets":[0,12]})",
                ": data_offsets [0, 12] are 12 bytes, and shape (2, 2) of F32 needs 16" + damaged);
    check(file_of(R"({"a\nb":{}})"), "tensor \"a?b\" has no dtype");
    check(file_of("{\"" + std::string(1000, 'n') + "\":{}}"),
          "tensor \"" + std::string(100, 'n') + "...\" has no dtype");
  }
  SUBCASE("places of the tensors") {
    const auto bytes = [](const std::string& name, int begin, int end) {
      const std::string from = std::to_string(begin), to = std::to_string(end),
                        size = std::to_string(end - begin);
      return '"' + name + R"(":{"dtype":"U8","shape":[)" + size + R"(],"data_offsets":[)" + from + ',' + to +
             "]}";
    };
    const auto two = [&](const std::string& a, const std::string& b) {
      return file_of('{' + a + ',' + b + '}', 16);
    };
    check(
        two(bytes("a", 0, 8), bytes("b", 4, 16)),
        "tensor \"b\" begins at byte 4 of the data, and what is before it ends at 8: they overlap" + damaged);
    check(two(bytes("a", 10, 16), bytes("b", 0, 8)),
          "tensor \"a\" begins at byte 10 of the data, and what is before it ends at 8: a hole" + damaged);
    check(two(bytes("a", 0, 8), bytes("b", 8, 15)),
          "the tensors end at byte 15 of the data, and the file has 16");
    check(two(bytes("a", 0, 8), bytes("b", 8, 24)),
          "tensor \"b\" ends at byte 24 of the data, and the file has only 16: it is truncated; copy or "
          "write it anew");
    check_entry(R"({"dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,9223372036854775808]})",
                " ends at byte 9223372036854775808 of the data, and the file has only 16: it is truncated");
    check(file_of("{}", 1), "the tensors end at byte 0 of the data, and the file has 1");
    put(path, two(bytes("b", 0, 16), bytes("empty", 16, 16)));
    CHECK(nn::read_safetensors(path).tensors.size() == 2);
  }
}

TEST_CASE("what cannot be written is refused") {
  const test::TemporaryFolder folder;
  const auto message = [&](const std::string& name, const nn::Tensor& tensor) {
    return message_of([&] { nn::write_safetensors(folder / "x", {{{name, tensor}}, {}}); });
  };
  const std::string at = "write_safetensors: " + (folder / "x").string() + ": ";
  CHECK(message("w", {{2}, "F32", {}}) == at + "tensor \"w\": shape (2,) of F32 needs 8 bytes and has 0");
  CHECK(message("w", {{2}, "float", {}}).find(at + "tensor \"w\": unknown dtype \"float\"") == 0);
  CHECK(message("__metadata__", {{0}, "F32", {}}) ==
        at + "a tensor cannot be named \"__metadata__\"; rename it");
  CHECK(message("\xff", {{0}, "F32", {}}) == at + "the name of tensor \"\xff\" is not UTF-8 text; rename it");
  CHECK(message_of([&] {
          nn::write_safetensors(folder / "x", {{}, {{"a", "\xff"}}});
        }) == at + "the metadata is not UTF-8 text; rename it");
  CHECK(message_of([&] {
          nn::write_safetensors(folder / "", {});
        }).find("is a directory or a device; name a file") != std::string::npos);
  CHECK(message_of([&] {
          nn::write_safetensors(folder / "no/x", {});
        }).find("beside it: No such file or directory") != std::string::npos);
  CHECK(files_of(folder).empty());

  const Var<float> w = autograd::variable(Array<float>({2}, 1.0f));
  CHECK(message_of([&] {
          nn::save_parameters<float>(folder / "x", {{"w", w}, {"w", w}});
        }) == "save_parameters: " + (folder / "x").string() +
                  ": two parameters of the model are named \"w\"; give one another name");
  CHECK(message_of([&] {
          nn::save_parameters<float>(folder / "x", {{"w", {}}});
        }) == "save_parameters: " + (folder / "x").string() +
                  ": parameter \"w\" of the model is an empty Var; assign it a value first");
}

TEST_CASE("a write that fails leaves the old file and nothing else") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "model.safetensors";
  nn::save_parameters<float>(path, {{"w", autograd::variable(Array<float>({2}, 1.0f))}});
  const std::string old = contents(path);

  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit small{1 << 16, limit.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);  // as if the disk were full
  const std::string message = message_of([&] {
    nn::save_parameters<float>(path, {{"w", autograd::variable(Array<float>({1 << 20}, 2.0f))}});
  });
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::signal(SIGXFSZ, handler);

  CHECK(message == "write_safetensors: " + path.string() +
                       ": cannot be written: File too large; what was there before is unchanged");
  CHECK(contents(path) == old);
  CHECK(files_of(folder) == Strings{"model.safetensors"});
}

TEST_CASE("a file that is replaced keeps its place and its permissions") {
  const test::TemporaryFolder folder;
  nn::write_safetensors(folder / "old", {});
  nn::TensorFile file{{{"w", tensor_of<float>("F32", {1})}}, {}};

  REQUIRE(::chmod((folder / "old").c_str(), 0600) == 0);
  fs::create_symlink("old", folder / "link");
  nn::write_safetensors(folder / "link", file);
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(nn::read_safetensors(folder / "old").tensors.size() == 1);
  CHECK(fs::status(folder / "old").permissions() == fs::perms(0600));
  CHECK(files_of(folder).size() == 2);
}

TEST_CASE("parameters are loaded in place, whatever the order and the precision") {
  const test::TemporaryFolder folder;
  nn::TensorFile file;
  file.tensors["f64"] = tensor_of<double>("F64", {0.1, 2});
  file.tensors["f32"] = tensor_of<float>("F32", {0.1f, 2});
  file.tensors["f16"] = tensor_of<std::uint16_t>("F16", {0x3c00, 0xc000});
  file.tensors["bf16"] = tensor_of<std::uint16_t>("BF16", {0x3f80, 0xc000});
  nn::write_safetensors(folder / "x", file);

  nn::NamedVars<float> model;
  for (const char* name : {"f16", "f64", "bf16", "f32"})
    model.emplace_back(name, autograd::variable(Array<float>({2}, 0.0f)));
  const Var<float> shared = model[1].second;
  nn::load_parameters(folder / "x", model);
  CHECK(elements_of(model[0].second.array()) == std::vector<float>{1, -2});
  CHECK(elements_of(shared.array()) == std::vector<float>{0.1f, 2});
  CHECK(elements_of(model[2].second.array()) == std::vector<float>{1, -2});
  CHECK(elements_of(model[3].second.array()) == std::vector<float>{0.1f, 2});

  const Var<double> wide = autograd::variable(Array<double>({2}, 0.0));
  file.tensors = {{"f32", file.tensors["f32"]}};
  nn::write_safetensors(folder / "x", file);
  nn::load_parameters<double>(folder / "x", {{"f32", wide}});
  CHECK(elements_of(wide.array()) == std::vector<double>{0.1f, 2});
}

TEST_CASE("a file that does not fit the model is refused with all that does not fit, and the model stays") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "x";
  nn::TensorFile file;
  file.tensors["fits"] = tensor_of<float>("F32", {5, 5});
  file.tensors["transposed"] = {{3, 2}, "F32", std::vector<std::byte>(24)};
  file.tensors["counts"] = tensor_of<std::int64_t>("I64", {5, 5});
  file.tensors["both"] = tensor_of<std::uint8_t>("BOOL", {1, 1, 1});
  file.tensors["extra.b"] = {{}, "F32", std::vector<std::byte>(4)};
  file.tensors["extra.a"] = tensor_of<float>("F32", {1});
  nn::write_safetensors(path, file);

  nn::NamedVars<float> model;
  const auto add = [&](const char* name, const Shape& shape) {
    model.emplace_back(name, autograd::variable(Array<float>(shape, 1.0f)));
  };
  add("fits", {2});
  add("gone.b", {4});
  add("transposed", {2, 3});
  add("counts", {2});
  add("gone.a", {});
  add("both", {2});
  CHECK(message_of([&] { nn::load_parameters(path, model); }) ==
        "load_parameters: " + path.string() +
            ": does not fit the model:\n"
            "  missing: \"gone.b\" (4,) is in the model and not in the file\n"
            "  shape: \"transposed\" is (2, 3) in the model and (3, 2) in the file\n"
            "  dtype: \"counts\" is I64 in the file, and parameters are F64, F32, F16 or BF16\n"
            "  missing: \"gone.a\" () is in the model and not in the file\n"
            "  shape: \"both\" is (2,) in the model and (3,) in the file\n"
            "  dtype: \"both\" is BOOL in the file, and parameters are F64, F32, F16 or BF16\n"
            "  unexpected: \"extra.a\" (1,) is in the file and not in the model\n"
            "  unexpected: \"extra.b\" () is in the file and not in the model\n"
            "Make the model as it was when it was saved, or read_safetensors, rename or drop tensors, and "
            "write again.");

  SUBCASE("names that are no parameters of one model") {
    const std::string at = "load_parameters: " + path.string() + ": ";
    const Var<float> fits = model[0].second;
    CHECK(message_of([&] {
            nn::load_parameters<float>(path, {{"fits", fits}, {"fits", fits}});
          }) == at + "two parameters of the model are named \"fits\"; give one another name");
    CHECK(message_of([&] {
            nn::load_parameters<float>(path, {{"fits", fits}, {"empty", {}}});
          }) == at + "parameter \"empty\" of the model is an empty Var; assign it a value first");
    CHECK(message_of([&] {
            nn::load_parameters<float>(path, {{"fits", fits}, {"counts", fits.detach()}});
          }) == at + "parameter \"counts\" of the model is a constant; make it with variable()");
  }
  for (const auto& [name, var] : model)
    CHECK(elements_of(var.array()) == std::vector<float>(var.size(), 1.0f));
}

TEST_CASE("a damaged file is read or refused, never worse") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "x";
  nn::TensorFile file;
  file.tensors["weight"] = {{2, 3}, "F32", std::vector<std::byte>(24)};
  file.tensors["bias"] = {{3}, "F64", std::vector<std::byte>(24)};
  file.tensors["none"] = {{0}, "BF16", {}};
  file.tensors["steps"] = {{}, "I64", std::vector<std::byte>(8)};
  nn::write_safetensors(path, file);
  const std::string whole = contents(path);

  std::mt19937 random(17);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const Strings pieces = {"{",
                          "}",
                          "[",
                          "]",
                          ",",
                          ":",
                          "\"",
                          "-",
                          "0",
                          "9",
                          "1e9",
                          "null",
                          "\\u",
                          "18446744073709551615",
                          "\"weight\":",
                          "\"shape\":[",
                          std::string(1, '\0'),
                          "\xc3"};
  int read = 0, refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = whole;
    for (std::size_t changes = 1 + below(3); changes && !bytes.empty(); --changes) {
      const std::size_t at = below(bytes.size());
      switch (below(6)) {
        case 0:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
          break;
        case 1:
          bytes[at] = static_cast<char>(below(256));
          break;
        case 2:
          bytes.erase(at, 1 + below(8));
          break;
        case 3:
          bytes.resize(at);
          break;
        case 4:
          bytes.replace(at, below(3), pieces[below(pieces.size())]);
          break;
        case 5:
          bytes.insert(at, bytes.substr(below(bytes.size()), below(40)));
          break;
      }
    }
    if (below(2) && bytes.size() >= 8) {  // a length that fits, so that the change is seen behind it
      const std::uint64_t length = bytes.size() - 8 - std::min<std::size_t>(bytes.size() - 8, 56);
      std::memcpy(bytes.data(), &length, 8);
    }
    put(path, bytes);
    try {
      for (const auto& [name, tensor] : nn::read_safetensors(path).tensors)
        if (tensor.dtype != "C64" && tensor.dtype.find("F8") != 0) nn::to_array<float>(tensor, name);
      ++read;
    } catch (const Error&) {
      ++refused;
    } catch (const std::exception& other) {
      FAIL("mutation ", i, ": ", other.what());
    }
  }
  CHECK(read > 100);
  CHECK(refused > 1000);
}
