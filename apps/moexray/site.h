#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace moexray::app {

/// What lies beside report.html and is linked from it, by names within the directory.
struct Site {
  std::set<std::string> files;            ///< the figures' and the data files'
  std::vector<std::string> prompt_pages;  ///< [rows of the signatures]; empty name: no page
  std::size_t n_prompt_pages = 0;
};

}  // namespace moexray::app
