#include "safetensors.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <system_error>
#include <tuple>

namespace nn {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian, and so are we");

using autograd::Array;
using autograd::Shape;
using autograd::Var;
using autograd::detail::fail;
using nlohmann::json;

// --- texts of errors ---------------------------------------------------------------------------------------

// What the last system call says went wrong.
std::string reason() { return std::system_category().message(errno); }

// Text of a file, which may be anything, as part of one line of a message.
std::string printable(std::string_view text, std::size_t limit = 100) {
  std::string result(text.substr(0, limit));
  std::replace_if(
      result.begin(), result.end(), [](unsigned char c) { return c < ' ' || c == 127; }, '?');
  return text.size() > limit ? result + "..." : result;
}

std::string in_quotes(std::string_view name) { return '"' + printable(name) + '"'; }

// --- dtypes ------------------------------------------------------------------------------------------------

struct Dtype {
  std::string_view name;
  std::size_t bytes;
};

// All of the format that fill whole bytes.
constexpr Dtype kDtypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
    {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},     {"I32", 4},
    {"F32", 4},  {"U64", 8}, {"I64", 8}, {"F64", 8},     {"C64", 8},
};

// Bytes of one element.
std::size_t element_bytes(const std::string& dtype, const std::string& at) {
  for (const Dtype& known : kDtypes)
    if (known.name == dtype) return known.bytes;
  std::ostringstream names;
  for (const Dtype& known : kDtypes) names << (&known == kDtypes ? "" : ", ") << known.name;
  fail(at, ": unknown dtype ", in_quotes(dtype), "; known are ", names.str());
}

// Bytes of all elements. An empty tensor, too, must have extents that can be multiplied.
std::size_t total_bytes(const Shape& shape, const std::string& dtype, const std::string& at) {
  std::size_t bytes = element_bytes(dtype, at);
  for (std::size_t extent : shape)
    if (extent && __builtin_mul_overflow(bytes, extent, &bytes))
      fail(at, ": shape ", shape, " of ", dtype, " has more bytes than 64 bits can count");
  return shape.size() ? bytes : 0;
}

void check_size(const Tensor& tensor, const std::string& at) {
  const std::size_t need = total_bytes(tensor.shape, tensor.dtype, at);
  if (tensor.bytes.size() != need)
    fail(at, ": shape ", tensor.shape, " of ", tensor.dtype, " needs ", need, " bytes and has ",
         tensor.bytes.size());
}

template <class T>
constexpr const char* kDtypeOf = sizeof(T) == sizeof(float) ? "F32" : "F64";

struct Half {  // IEEE 754 binary16
  std::uint16_t bits;
  explicit operator float() const {
    const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u, fraction = bits & 1023u;
    const std::uint32_t magnitude = exponent == 0    ? std::bit_cast<std::uint32_t>(fraction * 0x1p-24f)
                                    : exponent == 31 ? 0x7f800000u | fraction << 13
                                                     : (exponent + 112) << 23 | fraction << 13;
    return std::bit_cast<float>(sign | magnitude);
  }
};

struct BFloat16 {  // the upper half of a binary32
  std::uint16_t bits;
  explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

struct Bool {
  std::uint8_t byte;
  explicit operator float() const { return byte != 0; }
};

template <class Stored, class T>
void convert_from(const Tensor& tensor, T* to) {
  const std::byte* from = tensor.bytes.data();
  for (std::size_t n = tensor.bytes.size() / sizeof(Stored); n; --n, from += sizeof(Stored)) {
    Stored element;
    std::memcpy(&element, from, sizeof(Stored));
    if constexpr (std::is_class_v<Stored>)
      *to++ = static_cast<T>(static_cast<float>(element));
    else
      *to++ = static_cast<T>(element);
  }
}

// What writes a tensor's elements as T to memory for all of them.
template <class T>
using Conversion = void (*)(const Tensor&, T*);

template <class T>
Conversion<T> conversion_from_float(std::string_view dtype) {
  if (dtype == "F64") return convert_from<double, T>;
  if (dtype == "F32") return convert_from<float, T>;
  if (dtype == "F16") return convert_from<Half, T>;
  if (dtype == "BF16") return convert_from<BFloat16, T>;
  return nullptr;
}

template <class T>
Conversion<T> conversion_from_integer(std::string_view dtype) {
  if (dtype == "I64") return convert_from<std::int64_t, T>;
  if (dtype == "I32") return convert_from<std::int32_t, T>;
  if (dtype == "I16") return convert_from<std::int16_t, T>;
  if (dtype == "I8") return convert_from<std::int8_t, T>;
  if (dtype == "U64") return convert_from<std::uint64_t, T>;
  if (dtype == "U32") return convert_from<std::uint32_t, T>;
  if (dtype == "U16") return convert_from<std::uint16_t, T>;
  if (dtype == "U8") return convert_from<std::uint8_t, T>;
  if (dtype == "BOOL") return convert_from<Bool, T>;
  return nullptr;
}

// --- reading -----------------------------------------------------------------------------------------------

constexpr std::uint64_t kMaxHeader = 100'000'000;  // bytes; the limit of the reference implementation
constexpr int kMaxDepth = 4;                       // of nested JSON; the format needs 3
constexpr const char* kDamaged =
    "; the file is damaged or no safetensors file: write it anew (from PyTorch with "
    "safetensors.torch.save_file)";

// Of a path that is relative: to what.
std::string looked_in(const std::filesystem::path& path) {
  std::error_code none;
  return path.is_absolute() ? ""
                            : " (the current folder is " + std::filesystem::current_path(none).string() + ")";
}

// A file to read from its beginning to its end.
class Reader {
 public:
  Reader(const std::string& path, const std::string& at)
      : at_(at), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) fail(at, ": cannot be opened: ", reason(), looked_in(path));
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { ::close(descriptor_); }

  std::uint64_t size() const {
    struct stat status;
    if (::fstat(descriptor_, &status) != 0) fail(at_, ": cannot be read: ", reason());
    if (!S_ISREG(status.st_mode)) fail(at_, ": is a directory or a device; name a file");
    return static_cast<std::uint64_t>(status.st_size);
  }

  void read(void* to, std::size_t bytes) {
    for (auto* next = static_cast<std::byte*>(to); bytes;) {
      const ssize_t got = ::read(descriptor_, next, bytes);
      if (got == 0)
        fail(at_, ": ends ", bytes, " bytes too early: it was cut while it was read; read it again");
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail(at_, ": cannot be read: ", reason());
      next += got;
      bytes -= static_cast<std::size_t>(got);
    }
  }

 private:
  const std::string& at_;
  int descriptor_;
};

// The JSON of a header. What the parser would let pass is refused while it reads: a name that appears twice,
// and nesting that would cost the destructor of the result too much stack.
json parse_header(const std::string& text, const std::string& at) {
  if (text.empty() || text[0] != '{') fail(at, ": the header does not begin with '{'", kDamaged);
  if (const std::size_t zero = text.find('\0'); zero != text.npos)  // the parser would take it as the end
    fail(at, ": the header is not JSON at byte ", 8 + zero, ": zero byte", kDamaged);
  std::vector<std::set<std::string>> names;  // of each open object
  const auto check = [&](int depth, json::parse_event_t event, const json& parsed) {
    using Event = json::parse_event_t;
    if ((event == Event::object_start || event == Event::array_start) && depth >= kMaxDepth)
      fail(at, ": the header is nested more than ", kMaxDepth, " deep", kDamaged);
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end) names.pop_back();
    if (event == Event::key && !names.back().insert(parsed.get<std::string>()).second)
      fail(at, ": the header has the name ", in_quotes(parsed.get<std::string>()), " twice", kDamaged);
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::parse_error& error) {
    const std::string_view what = error.what();  // [id] parse error at line 1, column 2: what
    const std::size_t colon = what.find(": ");
    fail(at, ": the header is not JSON at byte ", 8 + error.byte - 1, ": ",
         printable(what.substr(colon == what.npos ? 0 : colon + 2), 200), kDamaged);
  } catch (const json::exception& error) {  // a number that no double holds
    fail(at, ": the header is not JSON: ", printable(error.what(), 200), kDamaged);
  }
}

// A tensor as its header describes it, and where its elements are.
struct Entry {
  std::string name;
  Shape shape;
  std::string dtype;
  std::uint64_t begin, end;
};

Entry parse_entry(const std::string& name, const json& entry, const std::string& file) {
  const std::string at = file + ": tensor " + in_quotes(name);
  if (!entry.is_object()) fail(at, " is not described by a JSON object", kDamaged);
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!entry.contains(key)) fail(at, " has no ", key, kDamaged);
  const json &dtype = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
  const auto unsigned_integers = [](const json& list) {
    return list.is_array() && std::all_of(list.begin(), list.end(),
                                          [](const json& value) { return value.is_number_unsigned(); });
  };

  if (!dtype.is_string()) fail(at, ": dtype is not a string", kDamaged);
  if (!unsigned_integers(shape)) fail(at, ": shape is not a list of integers from 0 to 2^64 - 1", kDamaged);
  if (shape.size() > Shape::kMaxRank)
    fail(at, " has ", shape.size(), " axes, and ", Shape::kMaxRank,
         " is the most; reshape it where it is saved");
  if (!unsigned_integers(offsets) || offsets.size() != 2 || offsets[0] > offsets[1])
    fail(at, ": data_offsets are not two integers [begin, end] with 0 <= begin <= end", kDamaged);

  Entry result{
      name, {}, dtype.get<std::string>(), offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>()};
  for (const json& extent : shape) result.shape.push_back(extent.get<std::size_t>());
  const std::uint64_t need = total_bytes(result.shape, result.dtype, at);
  if (result.end - result.begin != need)
    fail(at, ": data_offsets [", result.begin, ", ", result.end, "] are ", result.end - result.begin,
         " bytes, and shape ", result.shape, " of ", result.dtype, " needs ", need, kDamaged);
  return result;
}

// Sorts the entries by place. They must cover the `bytes` of the file's data, each byte once.
void check_places(std::vector<Entry>& entries, std::uint64_t bytes, const std::string& at) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t covered = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != covered)
      fail(at, ": tensor ", in_quotes(entry.name), " begins at byte ", entry.begin,
           " of the data, and what is before it ends at ", covered, ": ",
           entry.begin < covered ? "they overlap" : "a hole", kDamaged);
    if (entry.end > bytes)
      fail(at, ": tensor ", in_quotes(entry.name), " ends at byte ", entry.end,
           " of the data, and the file has only ", bytes, ": it is truncated; copy or write it anew");
    covered = entry.end;
  }
  if (covered != bytes)
    fail(at, ": the tensors end at byte ", covered, " of the data, and the file has ", bytes, kDamaged);
}

// --- writing -----------------------------------------------------------------------------------------------

// A file under construction beside the one that it will replace. It leaves no trace unless commit() succeeds.
class Replacement {
 public:
  Replacement(std::filesystem::path target, const std::string& at) : at_(at), target_(std::move(target)) {
    mode_t mode = 0666;
    if (struct stat old; ::stat(target_.c_str(), &old) == 0) {
      if (!S_ISREG(old.st_mode)) fail(at, ": is a directory or a device; name a file");
      if (::access(target_.c_str(), W_OK) != 0) fail(at, ": cannot be overwritten: ", reason());
      mode = old.st_mode & 0666;  // a private file stays private
    }
    for (int attempt = 0; descriptor_ < 0; ++attempt) {
      temporary_ = target_;
      temporary_ += ".tmp" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
      descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
      if (descriptor_ < 0 && (errno != EEXIST || attempt == 1000))
        fail(at, ": cannot create ", temporary_.filename().string(), " beside it: ", reason(),
             errno == ENOENT ? "; make its folder first" : "", looked_in(target_));
    }
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!committed_) ::unlink(temporary_.c_str());
  }

  void write(const void* from, std::size_t bytes) {
    for (auto* next = static_cast<const std::byte*>(from); bytes;) {
      const ssize_t written = ::write(descriptor_, next, bytes);
      if (written < 0 && errno == EINTR) continue;
      require(written >= 0);
      next += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }

  void commit() {
    // Without fsync a crash could leave the new name before the elements are on the disk.
    require(::fsync(descriptor_) == 0);
    require(::close(std::exchange(descriptor_, -1)) == 0);
    require(::rename(temporary_.c_str(), target_.c_str()) == 0);
    committed_ = true;
  }

 private:
  void require(bool success) const {
    if (!success) fail(at_, ": cannot be written: ", reason(), "; what was there before is unchanged");
  }

  const std::string& at_;
  std::filesystem::path target_, temporary_;
  int descriptor_ = -1;
  bool committed_ = false;
};

std::string to_json(const json& value, std::string_view what, const std::string& at) {
  try {
    return value.dump();
  } catch (const json::exception&) {
    fail(at, ": ", what, " is not UTF-8 text; rename it");
  }
}

// The header, padded so that the data after it begin at a multiple of 8.
std::string make_header(const std::vector<const TensorMap::value_type*>& order,
                        const std::map<std::string, std::string>& metadata, const std::string& at) {
  std::string text = R"({"__metadata__":)";
  text += metadata.empty() ? R"({"format":"pt"})" : to_json(metadata, "the metadata", at);
  std::uint64_t begin = 0;
  for (const auto* entry : order) {
    const auto& [name, tensor] = *entry;
    const std::uint64_t end = begin + tensor.bytes.size();
    const json description = {{"dtype", tensor.dtype},
                              {"shape", std::vector<std::size_t>(tensor.shape.begin(), tensor.shape.end())},
                              {"data_offsets", {begin, end}}};
    text += ',' + to_json(name, "the name of tensor " + in_quotes(name), at) + ':' + description.dump();
    begin = end;
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMaxHeader)
    fail(at, ": the header would have ", text.size(), " bytes, and readers take at most ", kMaxHeader,
         "; shorten the names or the metadata, or write two files");
  return text;
}

// --- parameters --------------------------------------------------------------------------------------------

template <class T>
void check_names(const NamedVars<T>& parameters, const std::string& at) {
  std::set<std::string_view> names;
  for (const auto& [name, var] : parameters) {
    if (!names.insert(name).second)
      fail(at, ": two parameters of the model are named ", in_quotes(name), "; give one another name");
    if (!var.defined())
      fail(at, ": parameter ", in_quotes(name), " of the model is an empty Var; assign it a value first");
  }
}

}  // namespace

template <class T>
Array<T> to_array(const Tensor& tensor, std::string_view name) {
  const std::string at = "to_array: tensor " + in_quotes(name);
  check_size(tensor, at);
  Conversion<T> convert = conversion_from_float<T>(tensor.dtype);
  if (!convert) convert = conversion_from_integer<T>(tensor.dtype);
  if (!convert) fail(at, " has dtype ", tensor.dtype, ", which does not convert; save it as F32 or F64");
  Array<T> result(tensor.shape);
  convert(tensor, result.data());
  return result;
}

std::vector<std::int64_t> to_integers(const Tensor& tensor, std::string_view name) {
  const std::string at = "to_integers: tensor " + in_quotes(name);
  check_size(tensor, at);
  const auto convert = conversion_from_integer<std::int64_t>(tensor.dtype);
  if (!convert)
    fail(at, " has dtype ", tensor.dtype, ", not integers; read it with to_array, or save it as I64");
  std::vector<std::int64_t> result(tensor.shape.size());
  convert(tensor, result.data());
  if (tensor.dtype == "U64" &&
      std::any_of(result.begin(), result.end(), [](std::int64_t x) { return x < 0; }))
    fail(at, " has a U64 above the largest 64-bit signed integer; save it as I64");
  return result;
}

template <class T>
Tensor to_tensor(const Array<T>& array) {
  if (!array.defined()) fail("to_tensor: the array is empty; assign it a value first");
  const auto* bytes = reinterpret_cast<const std::byte*>(array.data());
  return {array.shape(), kDtypeOf<T>, {bytes, bytes + array.size() * sizeof(T)}};
}

namespace {

TensorFile read(const std::string& path, const std::string& at) {
  Reader reader(path, at);
  const std::uint64_t size = reader.size();
  if (size < 8) fail(at, ": has ", size, " bytes, and a safetensors file at least 8", kDamaged);
  std::uint64_t length = 0;
  reader.read(&length, sizeof length);
  if (length > size - 8)
    fail(at, ": the header has ", length, " bytes by its first 8, and the file only ", size - 8, " more",
         kDamaged);
  if (length > kMaxHeader)
    fail(at, ": the header has ", length, " bytes, and at most ", kMaxHeader, " are read", kDamaged);
  std::string header(length, '\0');
  reader.read(header.data(), length);

  TensorFile result;
  std::vector<Entry> entries;
  const json parsed = parse_header(header, at);
  for (const auto& [name, value] : parsed.items()) {
    if (name != "__metadata__") {
      entries.push_back(parse_entry(name, value, at));
      continue;
    }
    if (!value.is_object()) fail(at, ": __metadata__ is not a JSON object", kDamaged);
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail(at, ": __metadata__ of ", in_quotes(key), " is not a string", kDamaged);
      result.metadata.emplace(key, text.get<std::string>());
    }
  }
  check_places(entries, size - 8 - length, at);

  for (Entry& entry : entries) {  // in the order of the file
    Tensor tensor{entry.shape, std::move(entry.dtype), std::vector<std::byte>(entry.end - entry.begin)};
    reader.read(tensor.bytes.data(), tensor.bytes.size());
    result.tensors.emplace(std::move(entry.name), std::move(tensor));
  }
  return result;
}

}  // namespace

TensorFile read_safetensors(const std::string& path) { return read(path, "read_safetensors: " + path); }

void write_safetensors(const std::string& path, const TensorFile& file) {
  const std::string at = "write_safetensors: " + path;
  std::vector<const TensorMap::value_type*> order;
  for (const auto& entry : file.tensors) {
    if (entry.first == "__metadata__") fail(at, ": a tensor cannot be named \"__metadata__\"; rename it");
    check_size(entry.second, at + ": tensor " + in_quotes(entry.first));
    order.push_back(&entry);
  }
  std::stable_sort(order.begin(), order.end(), [&](const auto* a, const auto* b) {
    return element_bytes(a->second.dtype, at) > element_bytes(b->second.dtype, at);
  });
  const std::string header = make_header(order, file.metadata, at);
  const std::uint64_t length = header.size();

  std::error_code none;  // a link stays, and what it points to is replaced
  Replacement out(std::filesystem::is_symlink(path, none) ? std::filesystem::weakly_canonical(path, none)
                                                          : std::filesystem::path(path),
                  at);
  out.write(&length, sizeof length);
  out.write(header.data(), header.size());
  for (const auto* entry : order) out.write(entry->second.bytes.data(), entry->second.bytes.size());
  out.commit();
}

template <class T>
void save_parameters(const std::string& path, const NamedVars<T>& parameters) {
  check_names(parameters, "save_parameters: " + path);
  TensorFile file;
  for (const auto& [name, var] : parameters) file.tensors.emplace(name, to_tensor(var.array()));
  write_safetensors(path, file);
}

template <class T>
void load_parameters(const std::string& path, const NamedVars<T>& parameters) {
  const std::string at = "load_parameters: " + path;
  check_names(parameters, at);
  for (const auto& [name, var] : parameters)
    if (!var.is_variable())
      fail(at, ": parameter ", in_quotes(name), " of the model is a constant; make it with variable()");
  TensorMap tensors = read(path, at).tensors;

  std::ostringstream problems;
  std::vector<std::pair<Var<T>, Tensor>> changes;
  for (const auto& [name, var] : parameters) {
    const auto found = tensors.extract(name);
    if (!found) {
      problems << "\n  missing: " << in_quotes(name) << ' ' << var.shape()
               << " is in the model and not in the file";
      continue;
    }
    Tensor& tensor = found.mapped();
    if (!(tensor.shape == var.shape()))
      problems << "\n  shape: " << in_quotes(name) << " is " << var.shape() << " in the model and "
               << tensor.shape << " in the file";
    if (!conversion_from_float<T>(tensor.dtype))
      problems << "\n  dtype: " << in_quotes(name) << " is " << tensor.dtype
               << " in the file, and parameters are F64, F32, F16 or BF16";
    changes.emplace_back(var, std::move(tensor));
  }
  for (const auto& [name, tensor] : tensors)
    problems << "\n  unexpected: " << in_quotes(name) << ' ' << tensor.shape
             << " is in the file and not in the model";
  if (const std::string list = problems.str(); !list.empty())
    fail(at, ": does not fit the model:", list,
         "\nMake the model as it was when it was saved, or read_safetensors, rename or drop tensors, and "
         "write again.");

  for (auto& [var, tensor] : changes)
    var.update([&from = tensor](auto&& to) { conversion_from_float<T>(from.dtype)(from, to.data()); });
}

template Array<float> to_array(const Tensor&, std::string_view);
template Array<double> to_array(const Tensor&, std::string_view);
template Tensor to_tensor(const Array<float>&);
template Tensor to_tensor(const Array<double>&);
template void save_parameters(const std::string&, const NamedVars<float>&);
template void save_parameters(const std::string&, const NamedVars<double>&);
template void load_parameters(const std::string&, const NamedVars<float>&);
template void load_parameters(const std::string&, const NamedVars<double>&);

}  // namespace nn
