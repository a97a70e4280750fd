#include <fmt/core.h>

#include <cmath>

#include "compared_text.h"
#include "expert_categories_output.h"
#include "expert_view.h"
#include "interval_text.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/report/html_page.h"
#include "moexray/report/html_table.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "text_or_null.h"

namespace moexray::app {
namespace {

using report::Document;
using report::fixed;
using report::html_escaped;
using report::Json;
using report::Table;
using stats::ExpertProfile;

constexpr std::size_t max_token_bytes = 80;

std::string percent(double share) { return fixed(100 * share, 1) + "%"; }

std::string interval_percent(const std::array<double, 2>& interval) {
  return std::isnan(interval[0]) ? "n/a" : percent(interval[0]) + " to " + percent(interval[1]);
}

std::string lead_text(const ExpertView& view) {
  const ExpertProfile& profile = view.profile;
  if (profile.all.count == 0) {
    return fmt::format("layer {}, expert {}: selected by none of {} {}", profile.name.layer,
                       profile.name.expert, fixed(profile.all.tokens, 0),
                       noun_for(std::llround(profile.all.tokens), "token"));
  }
  return fmt::format(
      "layer {}, expert {}: selected by {} of {} {} (95% interval {}), in {} of {}; an even load "
      "is {}",
      profile.name.layer, profile.name.expert, percent(profile.all.rate),
      fixed(profile.all.tokens, 0), noun_for(std::llround(profile.all.tokens), "token"),
      interval_percent(profile.all.ci95), profile.n_prompts,
      counted(static_cast<std::int64_t>(view.n_prompts), "prompt"),
      percent(static_cast<double>(view.shape.top_k) / view.shape.n_experts));
}

void add_categories(const ExpertView& view, Document& document) {
  using Align = Table::Align;
  const stats::ExpertCategoriesResult& result = *view.categories;
  if (!result.tested()) document.paragraph(summary_of(result));
  const std::vector<stats::ExpertCell> cells = view.cells();
  if (cells.empty()) return;
  Table table({"category", "rate", "95% interval", "others", "ratio", "adjusted p"},
              {Align::left, Align::right, Align::left, Align::right, Align::right, Align::right});
  for (const stats::ExpertCell& cell : cells) {
    table.add_row({report::one_line(result.categories[static_cast<std::size_t>(cell.category)],
                                    max_token_bytes),
                   percent(cell.rate), interval_percent(cell.ci95),
                   std::isnan(cell.rate_others) ? "n/a" : percent(cell.rate_others),
                   fixed(cell.ratio, 2), p_text(cell.p_adjusted, result.n_permutations)});
  }
  document.table(std::move(table), "By category");
  if (result.tested()) {
    document.note(fmt::format("adjusted p: {}, max-T over all experts and categories",
                              result.positions.text()));
  }
}

void add_tokens(const ExpertView& view, Document& document) {
  const ExpertProfile& profile = view.profile;
  if (!profile.has_types) return;
  if (profile.types.empty()) {
    document.paragraph("no token goes to the expert in three prompts or more");
    return;
  }
  Table table({"token", "to the expert", "in all", "prompts", "lift"});
  for (std::size_t i = 0; i < profile.types.size(); ++i) {
    const stats::ExpertTokenType& type = profile.types[i];
    table.add_row({report::one_line(view.type_names[i], max_token_bytes),
                   std::to_string(type.count), std::to_string(type.n_all),
                   std::to_string(type.n_prompts), fixed(type.lift, 2)});
  }
  document.table(std::move(table), "Tokens by lift");
  document.note(fmt::format(
      "{} of {} tokens that go to it in at least 3 prompts. lift: a token's share of the expert's "
      "tokens over its share of all; not tested",
      profile.types.size(), profile.n_types));
}

std::string weight_text(double weight) { return std::isnan(weight) ? "" : fixed(weight, 3); }

void add_contexts(const ExpertView& view, Document& document) {
  using Align = Table::Align;
  if (view.contexts.empty()) return;
  Table table({"prompt", "pos", "weight", "context"},
              {Align::left, Align::right, Align::right, Align::left});
  for (const ShownContext& context : view.contexts) {
    table.add_row({report::one_line(context.id, 40), std::to_string(context.pos),
                   weight_text(context.weight),
                   context.before + "⟦" + context.token + "⟧" + context.after});
  }
  document.table(std::move(table), "Contexts");
  document.note(
      view.profile.has_weights
          ? "the token of the largest weight in each prompt, the prompts where it is largest"
      : view.profile.ranks.empty()
          ? "the first token in each prompt"
          : "the token of the best rank in each prompt, the prompts where it is best");
}

void add_rates(const ExpertView& view, Document& document) {
  using Align = Table::Align;
  Table table({"tokens", "number", "rate", "95% interval"},
              {Align::left, Align::right, Align::right, Align::left});
  for (const auto* rates : {&view.profile.parts, &view.profile.positions}) {
    for (const stats::ExpertRate& rate : *rates) {
      table.add_row(
          {rate.name, fixed(rate.tokens, 0), percent(rate.rate), interval_percent(rate.ci95)});
    }
  }
  document.table(std::move(table), "Parts and positions");
}

void add_weights(const ExpertView& view, Document& document) {
  const ExpertProfile& profile = view.profile;
  if (profile.all.count == 0) return;
  if (profile.has_weights) {
    document.paragraph(
        fmt::format("router weight: mean {}; 10% below {}, half below {}, 90% below {}",
                    fixed(profile.mean_weight, 4), fixed(profile.weight_quantiles[0], 4),
                    fixed(profile.weight_quantiles[1], 4), fixed(profile.weight_quantiles[2], 4)));
  }
  if (profile.ranks.empty()) return;
  std::string ranks;
  for (std::size_t r = 0; r < profile.ranks.size(); ++r) {
    ranks += fmt::format("{}{} {}", r == 0 ? "" : ", ", r + 1,
                         percent(static_cast<double>(profile.ranks[r]) / profile.all.count));
  }
  document.note("rank among a token's experts: " + ranks);
}

void add_companions(const ExpertView& view, Document& document) {
  if (view.profile.companions.empty()) return;
  Table table({"with expert", "tokens", "expected", "lift"}, {Table::Align::right});
  for (const stats::ExpertCompanion& companion : view.profile.companions) {
    table.add_row({std::to_string(companion.expert), std::to_string(companion.count),
                   fixed(companion.expected, 1), fixed(companion.lift, 2)});
  }
  document.table(std::move(table), "Companions");
  document.note(fmt::format(
      "expected: a token's {} experts drawn at their own rates and otherwise independently; not "
      "tested",
      view.shape.top_k));
}

using Part = void (*)(const ExpertView&, Document&);

struct NamedPart {
  const char* id;
  const char* title;
  Part add;
};

constexpr NamedPart parts[] = {{"categories", "Categories", add_categories},
                               {"tokens", "Tokens", add_tokens},
                               {"contexts", "Contexts", add_contexts},
                               {"places", "Prompt, generated tokens and positions", add_rates},
                               {"weights", "Router weights", add_weights},
                               {"companions", "Experts selected beside it", add_companions}};

// The contexts with the token marked.
std::string contexts_html(const ExpertView& view) {
  if (view.contexts.empty()) return {};
  report::HtmlTable table("Tokens that go to the expert, marked in their context",
                          {{"prompt", false, "id"},
                           {"category", false, "name"},
                           {"pos", true},
                           {"weight", true},
                           {"context", false, "context"}});
  for (const ShownContext& context : view.contexts) {
    table.add_row({html_escaped(report::one_line(context.id, max_token_bytes)),
                   html_escaped(report::one_line(context.category, max_token_bytes)),
                   std::to_string(context.pos), weight_text(context.weight),
                   html_escaped(context.before) + "<mark>" + html_escaped(context.token) +
                       "</mark>" + html_escaped(context.after)});
  }
  return table.html();
}

Json rate_json(const stats::ExpertRate& rate) {
  return Json::object({{"tokens", rate.tokens},
                       {"count", rate.count},
                       {"estimate", rate.rate},
                       {"ci95", interval_json(rate.ci95)}});
}

Json rates_json(const std::vector<stats::ExpertRate>& rates) {
  Json::Array result;
  for (const stats::ExpertRate& rate : rates) {
    result.push_back(Json::object({{"name", rate.name}, {"rate", rate_json(rate)}}));
  }
  return result;
}

Json categories_json(const ExpertView& view) {
  Json::Array result;
  for (const stats::ExpertCell& cell : view.cells()) {
    result.push_back(Json::object(
        {{"category", view.categories->categories[static_cast<std::size_t>(cell.category)]},
         {"rate", Json::object({{"estimate", cell.rate}, {"ci95", interval_json(cell.ci95)}})},
         {"rate_others", cell.rate_others},
         {"ratio", cell.ratio},
         {"t", cell.t},
         {"p_adjusted", cell.p_adjusted},
         {"q_value", cell.q_value},
         {"significant", cell.significant}}));
  }
  return result;
}

Json tokens_json(const ExpertView& view) {
  Json::Array result;
  for (std::size_t i = 0; i < view.profile.types.size(); ++i) {
    const stats::ExpertTokenType& type = view.profile.types[i];
    result.push_back(Json::object({{"token", view.type_names[i]},
                                   {"token_id", type.type},
                                   {"count", type.count},
                                   {"n_all", type.n_all},
                                   {"n_prompts", type.n_prompts},
                                   {"lift", type.lift}}));
  }
  return result;
}

Json contexts_json(const ExpertView& view) {
  Json::Array result;
  for (const ShownContext& context : view.contexts) {
    result.push_back(
        Json::object({{"prompt_id", context.id},
                      {"category", text_or_null(context.category)},
                      {"pos", context.pos},
                      {"type", context.is_generated ? "generation" : "prompt"},
                      {"rank", view.profile.ranks.empty() ? Json() : Json(context.rank)},
                      {"weight", context.weight},
                      {"before", context.before},
                      {"token", context.token},
                      {"after", context.after}}));
  }
  return result;
}

Json weights_json(const ExpertProfile& profile) {
  if (!profile.has_weights) return {};
  return Json::object({{"mean", profile.mean_weight},
                       {"q10", profile.weight_quantiles[0]},
                       {"median", profile.weight_quantiles[1]},
                       {"q90", profile.weight_quantiles[2]}});
}

Json companions_json(const ExpertProfile& profile) {
  Json::Array result;
  for (const stats::ExpertCompanion& companion : profile.companions) {
    result.push_back(Json::object({{"expert", companion.expert},
                                   {"count", companion.count},
                                   {"expected", companion.expected},
                                   {"lift", companion.lift}}));
  }
  return result;
}

}  // namespace

std::string expert_text(const ExpertView& view, std::size_t width) {
  Document lead;
  lead.paragraph(lead_text(view));
  for (const std::string& missing : view.missing) lead.note(missing);
  std::string text = lead.text(width);
  for (const NamedPart& part : parts) {
    Document document;
    part.add(view, document);
    const std::string own = document.text(width);
    if (!own.empty()) text += "\n" + own;
  }
  return text;
}

Json expert_json(const ExpertView& view) {
  const ExpertProfile& profile = view.profile;
  const stats::ExpertCategoriesResult& categories = *view.categories;
  return Json::object(
      {{"layer", profile.name.layer},
       {"expert", profile.name.expert},
       {"rate", rate_json(profile.all)},
       {"n_prompts", profile.n_prompts},
       {"reason", categories.tested() ? Json() : Json(stats::name_of(categories.check.outcome))},
       {"explanation", text_or_null(categories.check.reason)},
       {"common_positions", common_positions_json(categories.positions)},
       {"categories", categories_json(view)},
       {"tokens", tokens_json(view)},
       {"contexts", contexts_json(view)},
       {"parts", rates_json(profile.parts)},
       {"positions", rates_json(profile.positions)},
       {"weights", weights_json(profile)},
       {"ranks", Json::array(profile.ranks)},
       {"companions", companions_json(profile)},
       {"missing", Json::array(view.missing)}});
}

std::string expert_html(const ExpertView& view, const std::string& model_name,
                        const std::string& navigation) {
  report::HtmlPage page(fmt::format(
      "Expert {} of layer {}{}", view.profile.name.expert, view.profile.name.layer,
      model_name.empty() ? "" : " of " + report::one_line(model_name, max_token_bytes)));
  page.style(
      "td.context { font-family: ui-monospace, monospace; min-width: 14rem; overflow-wrap: "
      "anywhere; }\n");
  page.navigation(navigation);
  page.lead(report::html_paragraph(lead_text(view)));
  for (const std::string& missing : view.missing) page.lead(report::html_paragraph(missing));
  for (const NamedPart& part : parts) {
    Document document;
    part.add(view, document);
    std::string html = document.html();
    if (part.add == add_contexts) html = contexts_html(view);
    if (!html.empty()) page.section(part.id, part.title, html);
  }
  return page.html();
}

}  // namespace moexray::app
