#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moexray::stats {

/// Which units have their members exchanged in the draw with this number: its bits if all 2ⁿ
/// exchanges are taken, or random ones, the same for every test of the seed.
std::vector<char> exchange(std::size_t n_units, bool exact, std::uint64_t seed, int draw);

}  // namespace moexray::stats
