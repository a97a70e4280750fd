#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace moexray {

/// A number with its noun: "1 prompt", "0 prompts", "2 categories" (whose plural is given).
std::string counted(std::int64_t n, std::string_view noun, std::string_view plural = {});

/// The noun alone, as it goes with n: for numbers that are written in other ways.
std::string noun_for(std::int64_t n, std::string_view noun, std::string_view plural = {});

/// A number with its digits in groups: "6,919,161,856".
std::string grouped_digits(std::int64_t number);

/// Names in quotation marks, safe to print: `"a", "b", "c"`. Of more than `max_named` the first
/// stand for all: `"a", "b" and 3 more`.
std::string quoted_list(std::span<const std::string> names, std::size_t max_named = 5);

}  // namespace moexray
