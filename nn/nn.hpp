// All of nn.
#pragma once

#include "attention.hpp"
#include "cells.hpp"
#include "embedding.hpp"
#include "gradcheck.hpp"
#include "init.hpp"
#include "layer_norm.hpp"
#include "linear.hpp"
#include "loss.hpp"
#include "optim.hpp"
#include "parameters.hpp"
#include "random.hpp"
#include "recurrent.hpp"
#include "safetensors.hpp"
#include "sequential.hpp"
#include "unroll.hpp"
