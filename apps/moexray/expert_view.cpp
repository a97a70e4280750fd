#include "expert_view.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "moexray/core/error.h"
#include "moexray/stats/units.h"
#include "moexray/trace/origin.h"
#include "shown_prompt.h"
#include "site.h"

namespace moexray::app {
namespace {

const TracePrompt& prompt_of(const Side& side, std::size_t row) {
  return side.traces.prompts[side.signatures.prompt_indices[row]];
}

// What kind of token each is, and what kinds are called.
struct TokenTypes {
  std::vector<std::int32_t> of_token;  // [T] −1: not known
  std::unordered_map<std::int32_t, std::string> names;
  bool has_types = false;
  bool has_texts = false;
};

// The vocabulary entry at a position; nothing where it is not recorded.
std::string_view entry_at(const TracePrompt& prompt, std::int64_t pos) {
  const auto at = static_cast<std::size_t>(pos);
  return at < prompt.tokens.size() ? std::string_view(prompt.tokens[at]) : std::string_view();
}

std::string shown_entry(const Side& side, const TracePrompt& prompt, std::string_view entry) {
  return visible_token(entry, side.traces.manifests.at(prompt.part).tokenizer.kind);
}

TokenTypes types_of(const Side& side) {
  TokenTypes types;
  types.of_token.assign(side.tokens.tokens.size(), -1);
  // Entries without an id are numbered as they come.
  std::unordered_map<std::string_view, std::int32_t> numbers;
  for (std::size_t row = 0; row < side.tokens.n_prompts(); ++row) {
    const TracePrompt& prompt = prompt_of(side, row);
    for (std::size_t t = side.tokens.first[row]; t < side.tokens.first[row + 1]; ++t) {
      const stats::RoutedToken& token = side.tokens.tokens[t];
      const auto at = static_cast<std::size_t>(token.pos);
      const std::string_view entry = entry_at(prompt, token.pos);
      std::int32_t type = token.id;
      if (type < 0 && at < prompt.token_ids.size()) type = prompt.token_ids[at];
      if (type < 0 && !entry.empty()) {
        type = numbers.emplace(entry, static_cast<std::int32_t>(numbers.size())).first->second;
      }
      types.of_token[t] = type;
      types.has_types = types.has_types || type >= 0;
      types.has_texts = types.has_texts || !entry.empty();
      if (type < 0 || types.names.contains(type)) continue;
      types.names[type] =
          entry.empty() ? "#" + std::to_string(type) : shown_entry(side, prompt, entry);
    }
  }
  return types;
}

// Collects the router's weights of some experts.
class WeightsVisitor : public EventVisitor {
 public:
  WeightsVisitor(const Side& side, std::span<const stats::ExpertName> experts,
                 const std::atomic<bool>& stop)
      : side_(side), experts_(experts), stop_(stop) {
    rows_.assign(side.traces.prompts.size(), side.signatures.size());
    for (std::size_t row = 0; row < side.signatures.size(); ++row) {
      rows_[side.signatures.prompt_indices[row]] = row;
    }
    weights_.assign(experts.size(), std::vector<float>(side.tokens.tokens.size(), NAN));
  }

  void on_record(std::size_t prompt_index, const RoutingRecord& record) override {
    if (stop_.load(std::memory_order_relaxed)) {
      throw Error(ErrorKind::interrupted, "interrupted");
    }
    const std::size_t row = rows_[prompt_index];
    if (row == side_.signatures.size() || record.weights.empty()) return;
    for (std::size_t i = 0; i < experts_.size(); ++i) {
      if (experts_[i].layer != record.layer) continue;
      const auto found =
          std::find(record.experts.begin(), record.experts.end(), experts_[i].expert);
      if (found == record.experts.end()) continue;
      weights_[i][token_at(row, record.pos)] =
          record.weights[static_cast<std::size_t>(found - record.experts.begin())];
    }
  }

  const std::vector<std::vector<float>>& weights() const { return weights_; }

 private:
  std::size_t token_at(std::size_t row, std::int64_t pos) const {
    const auto own = side_.tokens.of_prompt(row);
    const auto found = std::partition_point(
        own.begin(), own.end(), [&](const stats::RoutedToken& token) { return token.pos < pos; });
    return side_.tokens.first[row] + static_cast<std::size_t>(found - own.begin());
  }

  const Side& side_;
  std::span<const stats::ExpertName> experts_;
  const std::atomic<bool>& stop_;
  std::vector<std::size_t> rows_;            // [prompts] n: left out
  std::vector<std::vector<float>> weights_;  // [experts][T]
};

// The clusters of intervals: groups, or prompts.
std::vector<int> units_of(const Side& side) {
  return stats::units_without_categories(side.signatures.ids, side.groups).of_prompt;
}

ShownContext shown_context(const Side& side, const stats::ExpertContext& context) {
  constexpr std::int64_t n_around = 6;
  const TracePrompt& prompt = prompt_of(side, context.row);
  const stats::RoutedToken& token = side.tokens.tokens[context.token];
  const auto text = [&](std::int64_t begin, std::int64_t end) {
    std::string result;
    for (std::int64_t pos = std::max<std::int64_t>(begin, 0); pos < end; ++pos) {
      result += shown_entry(side, prompt, entry_at(prompt, pos));
    }
    return result;
  };
  ShownContext shown;
  shown.id = prompt.id;
  shown.category = prompt.category;
  shown.pos = token.pos;
  shown.is_generated = token.type == TokenType::generation;
  shown.before = text(token.pos - n_around, token.pos);
  shown.token = text(token.pos, token.pos + 1);
  shown.after = text(token.pos + 1, token.pos + 1 + n_around);
  shown.rank = context.rank;
  shown.weight = context.weight;
  return shown;
}

void tell_missing(const TokenTypes& types, ExpertView& view) {
  if (!types.has_types) {
    view.missing.emplace_back(
        "the trace records neither token_id in its events nor token_ids or tokens in "
        "prompts.jsonl: which tokens the expert is used for cannot be told");
  } else if (!types.has_texts) {
    view.missing.emplace_back(
        "the trace has no tokens in prompts.jsonl: tokens are shown by their ids, without "
        "contexts");
  }
  if (!view.profile.has_weights && view.profile.all.count > 0) {
    view.missing.emplace_back("the trace records no router weights");
  }
  if (view.profile.ranks.empty()) {
    view.missing.emplace_back("the order of a token's experts is unknown: no ranks");
  }
}

}  // namespace

std::vector<stats::ExpertCell> ExpertView::cells() const {
  std::vector<stats::ExpertCell> result;
  if (categories == nullptr || categories->cells.empty()) return result;
  for (std::size_t c = 0; c < categories->categories.size(); ++c) {
    result.push_back(categories->at(profile.name.layer, profile.name.expert, static_cast<int>(c)));
  }
  return result;
}

std::vector<ExpertView> expert_views(const AnalysisInput& input,
                                     const stats::ExpertCategoriesResult& categories,
                                     std::span<const stats::ExpertName> experts) {
  const Side& side = input.side();
  const TokenTypes types = types_of(side);
  const std::vector<int> units = units_of(side);
  WeightsVisitor visitor(side, experts, *input.stop);
  read_events(side.traces, visitor, input.settings.reading);
  std::vector<ExpertView> views;
  for (std::size_t i = 0; i < experts.size(); ++i) {
    ExpertView view;
    view.shape = side.tokens.shape;
    view.n_prompts = side.signatures.size();
    view.categories = &categories;
    view.profile = stats::expert_profile({.tokens = side.tokens,
                                          .unit_of_prompt = units,
                                          .types = types.of_token,
                                          .weights = visitor.weights()[i],
                                          .has_order = has_expert_order(side.traces)},
                                         experts[i]);
    for (const stats::ExpertTokenType& type : view.profile.types) {
      view.type_names.push_back(types.names.at(type.type));
    }
    for (const stats::ExpertContext& context : view.profile.contexts) {
      ShownContext shown = shown_context(side, context);
      if (!shown.token.empty()) view.contexts.push_back(std::move(shown));
    }
    tell_missing(types, view);
    views.push_back(std::move(view));
  }
  return views;
}

std::string text_of(const stats::ExpertName& name) {
  return fmt::format("{}/{}", name.layer, name.expert);
}

std::string expert_page_name(const stats::ExpertName& name) {
  return fmt::format("L{:02}E{:03}.html", name.layer, name.expert);
}

std::vector<ExpertPage> expert_pages(const AnalysisInput& input,
                                     const stats::ExpertCategoriesResult& categories,
                                     std::span<const stats::ExpertName> experts) {
  std::vector<ExpertPage> pages;
  if (experts.empty()) return pages;
  const std::string navigation = site_navigation("experts-usage", {});
  for (const ExpertView& view : expert_views(input, categories, experts)) {
    pages.push_back({view.profile.name, expert_page_name(view.profile.name),
                     expert_html(view, input.side().traces.model_name, navigation)});
  }
  return pages;
}

}  // namespace moexray::app
