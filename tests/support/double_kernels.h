#pragma once

#include <span>

#include "kernels/kernel_sets.h"

namespace moexray::test {

/// A table with one set of kernels, "naive": what a new one needs is a file and a row. It runs
/// everywhere, packs rows in an order of its own, and a thread has to prepare for it: without that
/// all its results are NaN.
std::span<const kernels::KernelSet> double_kernels();

}  // namespace moexray::test
