#include "moexray/stats/folds.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/random.h"

namespace moexray::stats {
namespace {

void check_sizes(const CategoryIndex& categories, int n_folds) {
  if (n_folds < 2) {
    throw Error(ErrorKind::usage, {"number of folds", {}, "at least 2", std::to_string(n_folds)});
  }
  for (std::size_t c = 0; c < categories.names.size(); ++c) {
    const std::int64_t members = categories.n_prompts[c];
    if (members >= n_folds) continue;
    std::string advice = "at least one prompt per fold (" + std::to_string(n_folds) + " folds";
    if (members >= 2) advice += "; --folds " + std::to_string(members) + " would do";
    throw Error(ErrorKind::data, {"category \"" + categories.names[c] + "\" is too small",
                                  {},
                                  advice + ")",
                                  std::to_string(members)});
  }
}

}  // namespace

std::vector<int> stratified_folds(std::span<const std::string> ids, const CategoryIndex& categories,
                                  int n_folds, std::uint64_t seed) {
  check_sizes(categories, n_folds);
  using Entry = std::tuple<int, std::uint64_t, std::string_view, std::size_t>;
  std::vector<Entry> order;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    order.emplace_back(categories.of_prompt[i], RandomStream(seed, "fold " + ids[i])(), ids[i], i);
  }
  std::sort(order.begin(), order.end());
  // Dealing goes on from one category to the next, which evens out the sizes of the folds.
  std::vector<int> folds(ids.size());
  for (std::size_t place = 0; place < order.size(); ++place) {
    folds[std::get<3>(order[place])] = static_cast<int>(place % static_cast<std::size_t>(n_folds));
  }
  return folds;
}

}  // namespace moexray::stats
