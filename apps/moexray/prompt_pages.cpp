#include "prompt_pages.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/stats/other_prompts.h"
#include "moexray/trace/counts.h"
#include "show_html.h"
#include "shown_prompt.h"
#include "site.h"

namespace moexray::app {
namespace {

std::string name_of_row(std::size_t row) { return fmt::format("prompts/{:04}.html", row + 1); }

// A page has more bytes than this, so that what cannot fit is neither read nor made.
std::int64_t least_bytes(const Side& side, std::size_t row) {
  const std::size_t index = side.signatures.prompt_indices[row];
  const TracePrompt& prompt = side.traces.prompts[index];
  const RoutingShape& shape = side.traces.shape;
  // A token stands in three places for every layer, with its experts in each.
  const std::int64_t per_token = std::int64_t{shape.n_layers} * (120 + 9 * shape.top_k);
  const std::int64_t n_events = std::max<std::int64_t>(prompt.n_events, 0);
  const std::int64_t n_tokens =
      std::max(side.signatures.n_tokens[row],
               n_events / (std::int64_t{shape.n_layers} * std::max(shape.top_k, 1)));
  return 4000 + n_tokens * per_token;
}

// Rows in order, as long as what their pages have at least fits.
std::vector<std::size_t> rows_that_may_fit(const Side& side, std::span<const std::size_t> rows,
                                           std::int64_t max_bytes) {
  std::vector<std::size_t> kept;
  std::int64_t n_bytes = 0;
  for (const std::size_t row : rows) {
    const std::int64_t least = least_bytes(side, row);
    if (n_bytes + least > max_bytes) continue;
    n_bytes += least;
    kept.push_back(row);
  }
  return kept;
}

// What links stand on a page is part of its size, so it does not depend on which others are there.
std::string navigation(const Side& side, std::size_t row) {
  return site_navigation("prompts",
                         fmt::format("prompt {} of {}", row + 1, side.signatures.size()));
}

struct Page {
  std::size_t row = 0;
  std::string html;
};

// The pages of these rows in order. One that does not fit any more ends the work if all are wanted
// (then there is no result), else it is passed over.
std::optional<std::vector<Page>> pages_of(const AnalysisInput& input,
                                          std::span<const std::size_t> rows, std::int64_t max_bytes,
                                          bool wants_all) {
  const Side& side = input.side();
  std::vector<std::size_t> indices;
  for (const std::size_t row : rows) {
    indices.push_back(side.signatures.prompt_indices[row]);
  }
  std::vector<ShownPrompt> prompts =
      read_shown_prompts(side.traces, indices, input.settings.reading, *input.stop);
  const stats::OtherPrompts others(side.signatures);
  std::vector<Page> pages;
  std::int64_t n_bytes = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (input.stop->load(std::memory_order_relaxed)) {
      throw Error(ErrorKind::interrupted, "interrupted");
    }
    add_distances(others, rows[i], prompts[i]);
    std::string html = show_html(prompts[i], {}, navigation(side, rows[i]));
    prompts[i] = {};
    const auto n = static_cast<std::int64_t>(html.size());
    if (n_bytes + n <= max_bytes) {
      n_bytes += n;
      pages.push_back({rows[i], std::move(html)});
    } else if (wants_all) {
      return std::nullopt;
    }
  }
  return pages;
}

std::vector<Page> chosen_pages(const AnalysisInput& input, std::int64_t max_bytes) {
  const Side& side = input.side();
  std::vector<std::size_t> all(side.signatures.size());
  for (std::size_t row = 0; row < all.size(); ++row) all[row] = row;
  if (rows_that_may_fit(side, all, max_bytes).size() == all.size()) {
    if (auto pages = pages_of(input, all, max_bytes, true)) return std::move(*pages);
  }
  const std::vector<std::size_t> wanted = typical_and_extreme_rows(side.signatures);
  return *pages_of(input, rows_that_may_fit(side, wanted, max_bytes), max_bytes, false);
}

}  // namespace

std::vector<std::size_t> typical_and_extreme_rows(const stats::Signatures& signatures) {
  const std::vector<double> similarities = stats::similarity_to_others(signatures);
  struct Ends {
    std::size_t most;
    std::size_t least;
  };
  std::map<std::string, Ends> of_category;
  for (std::size_t row = 0; row < signatures.size(); ++row) {
    Ends& ends = of_category.try_emplace(signatures.categories[row], Ends{row, row}).first->second;
    if (similarities[row] > similarities[ends.most]) ends.most = row;
    if (similarities[row] < similarities[ends.least]) ends.least = row;
  }
  std::vector<std::size_t> rows;
  for (const auto& [category, ends] : of_category) rows.push_back(ends.most);
  for (const auto& [category, ends] : of_category) {
    // The only prompt of a category is both; so is the first of several that are all alike.
    if (ends.least != ends.most) rows.push_back(ends.least);
  }
  return rows;
}

PromptPages prompt_pages(const AnalysisInput& input, std::int64_t max_bytes) {
  std::vector<Page> pages;
  if (!has_counts(input.side().traces)) pages = chosen_pages(input, max_bytes);
  std::sort(pages.begin(), pages.end(), [](const Page& a, const Page& b) { return a.row < b.row; });
  PromptPages result;
  result.names.resize(input.side().signatures.size());
  for (Page& page : pages) {
    result.names[page.row] = name_of_row(page.row);
    result.files.push_back(text_file(name_of_row(page.row), std::move(page.html)));
  }
  return result;
}

}  // namespace moexray::app
