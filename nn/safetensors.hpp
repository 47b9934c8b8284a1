// The safetensors file format, and a model's named parameters in it.
#pragma once

#include <autograd/var.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nn {

/// One tensor of a file: its elements are little-endian and row-major.
struct Tensor {
  autograd::Shape shape;
  std::string
      dtype;  ///< BOOL, U8, I8, U16, I16, F16, BF16, U32, I32, F32, U64, I64, F64, ... as the file says
  std::vector<std::byte> bytes;
};

/// Tensors by name.
using TensorMap = std::map<std::string, Tensor>;

/// What a file holds: tensors, and text about them.
struct TensorFile {
  TensorMap tensors;
  std::map<std::string, std::string> metadata;
};

/// The elements of a tensor as T (float or double): floating-point numbers (F64, F32, F16, BF16) rounded to
/// T, integers (I8 to I64, U8 to U64) likewise, BOOL as 0 and 1. Throws Error on another dtype, and if the
/// bytes do not fit the shape; `name` is what it calls the tensor.
template <class T>
autograd::Array<T> to_array(const Tensor& tensor, std::string_view name);

/// The elements of a tensor of integers or BOOL, row-major. Throws Error on another dtype, on a number above
/// the largest std::int64_t, and if the bytes do not fit the shape.
std::vector<std::int64_t> to_integers(const Tensor& tensor, std::string_view name);

/// The elements as a tensor of dtype F32 (float) or F64 (double).
template <class T>
Tensor to_tensor(const autograd::Array<T>& array);

/// Reads a safetensors file (https://huggingface.co/docs/safetensors): 8 bytes with the length of the header,
/// little endian; the header, JSON; the tensors' elements, each tensor next to the last. The file need not be
/// trusted: what its header claims is checked before memory is taken for it. Throws Error if it cannot be
/// read or breaks a rule of the format; the message names the file and the tensor.
TensorFile read_safetensors(const std::string& path);

/// Writes a safetensors file. The elements begin at a multiple of 8 bytes, the largest dtypes first, so that
/// each tensor is aligned for a reader that maps the file. Without metadata, {"format": "pt"} is written,
/// which PyTorch's tools ask for. The file is written beside `path` and then renamed, so whatever happens,
/// `path` is either the old file or the new one, whole. Throws Error if a tensor's bytes do not fit its
/// shape, and if the disk refuses.
void write_safetensors(const std::string& path, const TensorFile& file);

/// Parameters and their names, such as "encoder.weight_ih".
template <class T>
using NamedVars = std::vector<std::pair<std::string, autograd::Var<T>>>;

/// Writes parameters to a safetensors file, as dtype F32 (float) or F64 (double); see write_safetensors.
/// Throws Error also if two names are equal or a Var is empty.
template <class T>
void save_parameters(const std::string& path, const NamedVars<T>& parameters);

/// Reads the values of parameters from a safetensors file, in place: all who share a Var see them. F64, F32,
/// F16 and BF16 are converted to T. The names in the file and in `parameters` must be the same, in any order.
/// Throws one Error that lists all that does not fit (names only here, names only there, shapes, dtypes), or
/// that says what is wrong with the file; then no parameter has changed.
template <class T>
void load_parameters(const std::string& path, const NamedVars<T>& parameters);

}  // namespace nn
