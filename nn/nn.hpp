// All of nn.
#pragma once

#include "cells.hpp"
#include "gradcheck.hpp"
#include "init.hpp"
#include "linear.hpp"
#include "loss.hpp"
#include "optim.hpp"
#include "parameters.hpp"
#include "random.hpp"
#include "recurrent.hpp"
#include "safetensors.hpp"
#include "unroll.hpp"
