#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moexray::app {

/// What lies beside report.html and is linked from it, by names within the directory.
struct Site {
  std::set<std::string> files;            ///< the figures' and the data files'
  std::vector<std::string> prompt_pages;  ///< [rows of the signatures]; empty name: no page
  std::size_t n_prompt_pages = 0;
  std::map<std::pair<int, int>, std::string> expert_pages;  ///< by layer and expert
};

/// What stands above the title of a page that lies in a folder beside report.html.
/// @param section of the report that leads to the page
/// @param place plain text: "prompt 3 of 80"; empty: nothing
std::string site_navigation(std::string_view section, std::string_view place);

}  // namespace moexray::app
