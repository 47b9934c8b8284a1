// All of autograd.
#pragma once

#include "activations.hpp"
#include "blas.hpp"
#include "composites.hpp"
#include "custom_op.hpp"
#include "derivatives.hpp"
#include "elementwise.hpp"
#include "grad.hpp"
#include "gradcheck.hpp"
#include "indexing.hpp"
#include "linalg.hpp"
#include "map.hpp"
#include "memory.hpp"
#include "reduce.hpp"
#include "shape_ops.hpp"
#include "transcendental.hpp"
#include "views.hpp"
