#include "moexray/stats/units.h"

#include <algorithm>
#include <map>
#include <utility>

#include "moexray/core/shuffle.h"

namespace moexray::stats {

bool Units::nested() const {
  return std::none_of(category.begin(), category.end(), [](int c) { return c < 0; });
}

Units make_units(std::span<const std::string> ids, const CategoryIndex& categories,
                 std::span<const std::string> groups) {
  // A group may be called like a prompt: the first of the pair keeps them apart.
  std::map<std::pair<bool, std::string>, std::vector<std::size_t>> rows;
  Units units;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool in_group = !groups.empty() && !groups[i].empty();
    units.grouped = units.grouped || in_group;
    rows[{in_group, in_group ? groups[i] : ids[i]}].push_back(i);
  }
  units.of_prompt.resize(ids.size());
  for (auto& [key, members] : rows) {
    const int first = categories.of_prompt[members.front()];
    const bool one = std::all_of(members.begin(), members.end(),
                                 [&](std::size_t i) { return categories.of_prompt[i] == first; });
    for (const std::size_t i : members) units.of_prompt[i] = static_cast<int>(units.size());
    units.names.push_back(key.second);
    units.category.push_back(one ? first : -1);
    units.members.push_back(std::move(members));
  }
  return units;
}

Units units_without_categories(std::span<const std::string> ids,
                               std::span<const std::string> groups) {
  const CategoryIndex one{
      {""}, std::vector<int>(ids.size()), {static_cast<std::int64_t>(ids.size())}};
  return make_units(ids, one, groups);
}

std::string fewer_than(std::size_t least, const Units& units) {
  return "fewer than " + std::to_string(least) + (units.grouped ? " groups" : " prompts");
}

std::vector<int> permuted_labels(const Units& units, const CategoryIndex& categories,
                                 RandomStream& random) {
  std::vector<int> labels(categories.of_prompt.size());
  if (units.nested()) {
    std::vector<int> of_unit = units.category;
    shuffle(of_unit, random);
    for (std::size_t u = 0; u < units.size(); ++u) {
      for (const std::size_t i : units.members[u]) labels[i] = of_unit[u];
    }
    return labels;
  }
  for (const std::vector<std::size_t>& members : units.members) {
    std::vector<int> own;
    for (const std::size_t i : members) own.push_back(categories.of_prompt[i]);
    shuffle(own, random);
    for (std::size_t j = 0; j < members.size(); ++j) labels[members[j]] = own[j];
  }
  return labels;
}

}  // namespace moexray::stats
