#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "moexray/stats/agreement.h"

namespace moexray::stats {
namespace {

// Units by the groups of the first side; prompts without one stand alone.
class UnitNumbers {
 public:
  int of(const std::string& group, std::size_t row) {
    const std::string key = group.empty() ? "\n" + std::to_string(row) : group;
    return numbers_.emplace(key, static_cast<int>(numbers_.size())).first->second;
  }
  std::size_t size() const { return numbers_.size(); }

 private:
  std::map<std::string, int> numbers_;
};

// Adds the common tokens of one prompt.
void align_prompt(std::span<const RoutedToken> a, std::size_t a_first,
                  std::span<const RoutedToken> b, std::size_t b_first, Alignment& alignment,
                  AlignedPrompt& prompt) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (a[i].pos != b[j].pos) {
      ++(a[i].pos < b[j].pos ? i : j);
      continue;
    }
    const bool known = a[i].id >= 0 && b[j].id >= 0;
    if (!known) alignment.has_ids = false;
    if (known && a[i].id != b[j].id) return;
    if (a[i].selected && b[j].selected) prompt.tokens.push_back({a_first + i, b_first + j});
    ++i;
    ++j;
  }
}

std::size_t n_selected(std::span<const RoutedToken> tokens) {
  return static_cast<std::size_t>(
      std::count_if(tokens.begin(), tokens.end(), [](const RoutedToken& t) { return t.selected; }));
}

}  // namespace

Alignment align(const Signatures& first_rows, const RoutedTokens& first,
                const Signatures& second_rows, const RoutedTokens& second,
                std::span<const std::string> groups) {
  std::unordered_map<std::string, std::size_t> row_of;
  for (std::size_t row = 0; row < second_rows.size(); ++row) {
    row_of.emplace(second_rows.ids[row], row);
  }
  Alignment alignment;
  UnitNumbers units;
  for (std::size_t row = 0; row < first_rows.size(); ++row) {
    const auto found = row_of.find(first_rows.ids[row]);
    if (found == row_of.end()) continue;
    ++alignment.n_shared_prompts;
    const auto a = first.of_prompt(row);
    const auto b = second.of_prompt(found->second);
    alignment.n_selected += std::max(n_selected(a), n_selected(b));
    AlignedPrompt prompt;
    align_prompt(a, first.first[row], b, second.first[found->second], alignment, prompt);
    if (prompt.tokens.empty()) continue;
    prompt.unit = units.of(groups.empty() ? "" : groups[row], row);
    prompt.first_row = row;
    prompt.second_row = found->second;
    alignment.n_tokens += prompt.tokens.size();
    alignment.prompts.push_back(std::move(prompt));
  }
  alignment.n_units = units.size();
  alignment.n_only_first = first_rows.size() - alignment.n_shared_prompts;
  alignment.n_only_second = second_rows.size() - alignment.n_shared_prompts;
  return alignment;
}

}  // namespace moexray::stats
