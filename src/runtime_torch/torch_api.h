#pragma once

// The one place that includes libtorch: ivalue.h comes first because clang cannot parse ATen 1.13
// in C++20 in any other order.
#include <ATen/core/ivalue.h>
// clang-format off
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
// clang-format on
