#include "stream.hpp"

namespace nn::detail {

void wrong_input(const ag::Shape& given, std::size_t batch, std::size_t features) {
  fail("stream: the input has shape ", given, "; it must be (", batch, ", ",
       features ? std::to_string(features) : "features",
       "); a stream takes the batch that it was made with, {.batch = ...}, and the features of its first "
       "input");
}

void wrong_span(const char* which, std::size_t given, std::size_t batch, std::size_t each) {
  if (each)
    fail("stream: the ", which, " is a span of ", given, " numbers; it must have ", batch * each,
         ", for a batch of ", batch, " with ", each, " features");
  fail("stream: the ", which, " is a span of ", given, " numbers; it must have a multiple of the batch, ",
       batch);
}

void need_output(const ag::Shape& given, std::size_t batch, std::size_t size) {
  if (given.rank() == 0 || given[0] != batch)
    fail("stream: the output has shape ", given, " for a batch of ", batch,
         "; its first axis must be the batch");
  if (size && given.size() != batch * size)
    fail("stream: the output has shape ", given, ", of ", given.size() / batch, " features, and before had ",
         size, "; a cell must give one shape");
}

void need_one_step(const ag::Shape& projected, const ag::Shape& input) {
  if (projected.rank() == 0 || projected[0] != 1)
    fail("stream: the cell's project made shape ", projected, " from one step of an input of shape ",
         input.suffix(1), "; the first axis must stay the time steps, here 1");
}

void need_shape(const std::string& which, const ag::Shape& given, const ag::Shape& wanted) {
  if (!(given == wanted))
    fail("stream: ", which, " has shape ", given, "; it must be ", wanted,
         ", as in the state that it replaces");
}

}  // namespace nn::detail
