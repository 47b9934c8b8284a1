// The functions of plain recurrent cells.
#pragma once

namespace nn {

/// The function of a plain recurrent cell.
enum class Activation { tanh, relu, sigmoid };

}  // namespace nn
