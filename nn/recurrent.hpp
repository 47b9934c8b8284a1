#pragma once
#include "cells.hpp"
#include "unroll.hpp"
