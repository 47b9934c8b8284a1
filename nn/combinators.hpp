// All combinators: functions that make networks of cells, whichever these are.
#pragma once

#include "combinators/bidirectional.hpp"
#include "combinators/checkpointed.hpp"
#include "combinators/dropout.hpp"
#include "combinators/layer_norm.hpp"
#include "combinators/learned_state.hpp"
#include "combinators/residual.hpp"
#include "combinators/stack.hpp"
#include "combinators/zoneout.hpp"
