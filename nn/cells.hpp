// Recurrent cells. Each is written as a user would write one, with the public API only.
#pragma once

#include "cells/gru.hpp"
#include "cells/indrnn.hpp"
#include "cells/layer_norm.hpp"
#include "cells/lstm.hpp"
#include "cells/minimal_gated.hpp"
#include "cells/rnn.hpp"
