// The wording of the verdict, all of it: a sentence says what was tested and no more.
#include <fmt/core.h>

#include <cmath>
#include <string_view>
#include <utility>

#include "coverage_text.h"
#include "interval_text.h"
#include "moexray/core/escape.h"
#include "moexray/report/number.h"
#include "moexray/report/text_layout.h"
#include "text_or_null.h"
#include "verdict.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;

std::string enumerated(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == parts.size() ? " and " : ", ") + parts[i];
  }
  return text;
}

std::string similarities(const DifferenceVerdict& verdict) {
  std::string text = fmt::format("mean similarity {} against {}, gap {}", fixed(verdict.within, 3),
                                 fixed(verdict.across, 3), fixed(verdict.gap, 3));
  if (!std::isnan(verdict.ci95[0])) {
    text += fmt::format(", 95% interval {} to {}", fixed(verdict.ci95[0], 3),
                        fixed(verdict.ci95[1], 3));
  }
  if (!std::isnan(verdict.p_value)) {
    text += fmt::format("; p = {} by {} relabellings",
                        p_text(verdict.p_value, verdict.n_permutations), verdict.n_permutations);
    if (!verdict.positions.empty()) text += ", on the " + verdict.positions;
  }
  return text;
}

// What lengths do to the estimates, which are over all tokens.
std::string lengths_sentence(const DifferenceVerdict& verdict) {
  if (!verdict.lengths_differ) return {};
  return fmt::format(
      " Lengths go with the category ({} to {} tokens on average), which moves the similarities; "
      "the test compares equal numbers of tokens.",
      fixed(verdict.mean_tokens[0], 0), fixed(verdict.mean_tokens[1], 0));
}

std::string difference_sentence(const Verdict& verdict) {
  const DifferenceVerdict& own = verdict.difference;
  const std::size_t n = verdict.categories.size();
  switch (own.finding) {
    case Finding::found:
      return fmt::format(
          "Routing differs between the {} categories: prompts of one category are routed more "
          "alike than prompts of different ones ({}).{}",
          n, similarities(own), lengths_sentence(own));
    case Finding::not_found:
    case Finding::not_claimed:
      return fmt::format(
          "No difference between the {} categories was found: prompts of one category are not "
          "routed more alike than prompts of different ones by more than chance gives ({}). That "
          "does not show that there is none.{}",
          n, similarities(own), lengths_sentence(own));
    case Finding::cannot_tell:
      return fmt::format(
          "These prompts cannot tell whether routing differs between the {} categories: {}.", n,
          own.reason);
    case Finding::not_tested:
      break;
  }
  return "Whether routing differs between categories was not tested: " + own.reason + ".";
}

std::string nulls_sentence(const DifferenceVerdict& verdict) {
  std::vector<std::string> parts;
  const auto add = [&](std::string_view name, double within, double across) {
    if (std::isnan(within) || std::isnan(across)) return;
    parts.push_back(fmt::format("{} {} against {}", name, fixed(within, 3), fixed(across, 3)));
  };
  add("uniform routing would give", verdict.uniform_within, verdict.uniform_across);
  add("one pool of popular experts for all", verdict.popular_within, verdict.popular_across);
  if (parts.empty()) return {};
  return "For prompts of these lengths " + enumerated(parts) + ".";
}

std::string words_sentence(const WordsVerdict& verdict) {
  const auto numbers = [&] {
    return fmt::format("accuracy {}, {} under permuted labels, p = {}{}{}",
                       fixed(verdict.accuracy, 3), fixed(verdict.chance, 3),
                       p_text(verdict.p_value, verdict.n_permutations),
                       verdict.positions.empty() ? "" : ", on the " + verdict.positions,
                       coverage_text(verdict.coverage));
  };
  switch (verdict.finding) {
    case Finding::found:
      return "The difference goes beyond single tokens and positions: what they do not explain "
             "still "
             "tells the category of held-out prompts (" +
             numbers() + "); previous token, order and syntax are not excluded.";
    case Finding::not_found:
      return fmt::format(
          "No evidence that routing goes beyond single tokens and positions ({}; an accuracy {} "
          "above "
          "chance would have been found four times out of five).",
          numbers(), fixed(verdict.smallest_detectable, 3));
    case Finding::cannot_tell:
      return "Whether routing goes beyond single tokens and positions these prompts cannot tell: " +
             verdict.reason + ".";
    case Finding::not_claimed:
    case Finding::not_tested:
      break;
  }
  return {};
}

std::string classifier_sentence(const ClassifierVerdict& verdict) {
  if (verdict.finding == Finding::not_tested) return {};
  const std::string_view caution = !verdict.nested       ? ", binomial and too short"
                                   : !verdict.calibrated ? ", not calibrated above 0.97"
                                                         : "";
  const std::string text = fmt::format(
      "A classifier names the category of prompts that it has not seen with accuracy {} (95% "
      "interval {}{}; the largest category's share is {})",
      fixed(verdict.accuracy, 3), interval_text(verdict.ci95, 3), caution,
      fixed(verdict.chance, 3));
  if (verdict.finding == Finding::cannot_tell) {
    return text + "; whether that is better than chance was not tested: " + verdict.reason + ".";
  }
  const bool found = verdict.finding == Finding::found;
  return text + fmt::format(
                    "; on the {} with {}, {} than the {} that permuted labels give{} (p = {} by {} "
                    "relabellings).",
                    verdict.positions.empty() ? "common positions" : verdict.positions,
                    fixed(verdict.test.accuracy, 3), found ? "better" : "not better",
                    fixed(verdict.test.chance, 3), found ? "" : " as far as this tells",
                    p_text(verdict.test.p_value, verdict.test.n_permutations),
                    verdict.test.n_permutations);
}

std::string layers_sentence(const LayersVerdict& verdict) {
  if (verdict.n_layers == 1) return {};  // it is what the similarity says already
  switch (verdict.finding) {
    case Finding::found:
      return fmt::format(
          "{} of {} layers separate{} the categories by {} (p among all layers at most 0.05, "
          "{}), layer {} most (Cohen's d there {}, p = {}); whether more than the next was not "
          "tested.",
          verdict.n_found, verdict.n_layers, verdict.n_found == 1 ? "s" : "",
          verdict.n_found == 1 ? "itself" : "themselves", verdict.positions, verdict.layer,
          fixed(verdict.cohens_d, 2), p_text(verdict.p_adjusted, verdict.n_permutations));
    case Finding::not_found:
      return fmt::format("No single layer stands out (smallest p among all layers {}, {}).",
                         p_text(verdict.p_adjusted, verdict.n_permutations), verdict.positions);
    case Finding::cannot_tell:
    case Finding::not_claimed:
    case Finding::not_tested:
      break;
  }
  return {};
}

std::string experts_sentence(const ExpertsVerdict& verdict) {
  constexpr std::size_t n_named = 4;
  constexpr std::size_t name_width = 30;
  if (verdict.finding == Finding::not_found) {
    return fmt::format(
        "No expert's use differs between categories by more than chance gives (smallest adjusted p "
        "{}, {}).",
        p_text(verdict.p_adjusted, verdict.n_permutations), verdict.positions);
  }
  if (verdict.finding == Finding::cannot_tell) {
    return "Of single experts these prompts tell nothing: " + verdict.reason + ".";
  }
  if (verdict.finding != Finding::found) return {};
  std::vector<std::string> parts;
  for (const ExpertsVerdict::Named& expert : verdict.named) {
    if (parts.size() == n_named) break;
    parts.push_back(fmt::format("{}/{} for {}{}", expert.layer, expert.expert,
                                report::shortened(printable(expert.category, 4000), name_width),
                                std::isnan(expert.ratio) ? ""
                                                         : fmt::format(" ({} × the others' rate)",
                                                                       fixed(expert.ratio, 1))));
  }
  std::string text = fmt::format(
      "{} of {} pairs of expert and category differ from the other "
      "categories (adjusted p at most 0.05, {})",
      verdict.n_found, verdict.n_cells, verdict.positions);
  if (!parts.empty()) {
    text += fmt::format("; used more, layer/expert{}: ",
                        verdict.named.size() > parts.size() ? ", the clearest" : "") +
            enumerated(parts);
  }
  return text + ".";
}

// What routers with random weights, which hear the same hidden states, make of the categories.
std::string router_sentence(const RouterVerdict& verdict) {
  if (verdict.finding == Finding::cannot_tell) {
    return "Whether a random router would do as well these prompts cannot tell: " + verdict.reason +
           ".";
  }
  if (verdict.finding != Finding::found && verdict.finding != Finding::not_found) return {};
  const auto contrast = [](const stats::RouterContrast& own) {
    return fmt::format("{} against {} ± {}, 95% interval of the difference {}", fixed(own.own, 3),
                       fixed(own.mean, 3), fixed(own.sd, 3), interval_text(own.ci95, 3));
  };
  const std::string numbers = fmt::format(
      " ({} random routers with the trained one's load: share of the variance between categories "
      "{}{}{}{})",
      verdict.n_routers, contrast(verdict.r_squared),
      std::isnan(verdict.bits.own) ? "" : "; held-out bits " + contrast(verdict.bits),
      verdict.positions.empty() ? "" : "; ", verdict.positions);
  switch (verdict.outcome) {
    case stats::RouterOutcome::better:
      return "The trained router separates the categories better than random projections of the "
             "same hidden states do" +
             numbers + ".";
    case stats::RouterOutcome::worse:
      return "The trained router separates the categories worse than random projections of the "
             "same hidden states do" +
             numbers + ".";
    default:
      break;
  }
  return "The trained router separates the categories no better than random projections of the "
         "same hidden states do" +
         numbers +
         ": the difference says what the hidden states know, not what the router learned.";
}

std::string crossed_sentence(const CrossedVerdict& verdict) {
  if (verdict.finding == Finding::not_tested) return {};
  if (verdict.finding == Finding::cannot_tell) {
    return fmt::format("Categories crossed with {} were not tested: {}.", verdict.key,
                       verdict.reason);
  }
  const std::string design = fmt::format(
      "By design {} is held fixed: every category has each of its {} values, in each of {} units "
      "({})",
      verdict.key, verdict.n_levels, verdict.n_units, verdict.units);
  const std::string numbers =
      fmt::format("p = {} by {} relabellings of whole units, R² {} against {} of {}",
                  p_text(verdict.p_value, verdict.n_permutations), verdict.n_permutations,
                  fixed(verdict.r_squared, 3), fixed(verdict.key_r_squared, 3), verdict.key);
  if (verdict.finding == Finding::found) {
    return design + "; categories differ beyond it (" + numbers + ").";
  }
  if (verdict.finding == Finding::not_found) {
    return design + "; that categories differ beyond it was not found (" + numbers + ").";
  }
  return {};
}

// What was tested and does not count.
std::string not_claimed_sentence(const Verdict& verdict) {
  std::vector<std::string> parts;
  if (verdict.words.finding == Finding::not_claimed) parts.emplace_back("token types");
  if (verdict.layers.finding == Finding::not_claimed) parts.emplace_back("single layers");
  if (verdict.experts.finding == Finding::not_claimed) parts.emplace_back("single experts");
  if (verdict.router.finding == Finding::not_claimed) parts.emplace_back("random routers");
  if (verdict.crossed.finding == Finding::not_claimed) parts.emplace_back("crossed prompts");
  if (parts.empty()) return {};
  return "What the tables show of " + enumerated(parts) +
         " is not claimed: it counts only where the first test finds a difference.";
}

std::string limits_sentences(const Verdict& verdict) {
  std::string text;
  if (!verdict.not_tested.empty()) text = "Not tested: " + enumerated(verdict.not_tested) + ".";
  if (verdict.difference.finding != Finding::found) return text;
  std::vector<std::string> sources = verdict.not_excluded;
  if (verdict.words.finding != Finding::found) sources.insert(sources.begin(), "the words alone");
  return text + (text.empty() ? "" : " ") +
         "Not excluded as the source of the difference: " + enumerated(sources) + ".";
}

Json number_or_null(int value) { return value < 0 ? Json() : Json(value); }

Json difference_json(const DifferenceVerdict& verdict) {
  const auto pair = [](double within, double across) {
    return Json::object({{"within", within}, {"across", across}});
  };
  return Json::object({{"outcome", name_of(verdict.finding)},
                       {"gap", verdict.gap},
                       {"ci95", interval_json(verdict.ci95)},
                       {"p_value", verdict.p_value},
                       {"permutations", verdict.n_permutations},
                       {"lengths_differ", verdict.lengths_differ},
                       {"positions", text_or_null(verdict.positions)},
                       {"uniform", pair(verdict.uniform_within, verdict.uniform_across)},
                       {"popularity", pair(verdict.popular_within, verdict.popular_across)},
                       {"reason", text_or_null(verdict.reason)}});
}

Json words_json(const WordsVerdict& verdict) {
  return Json::object({{"outcome", name_of(verdict.finding)},
                       {"p_value", verdict.p_value},
                       {"accuracy", verdict.accuracy},
                       {"chance", verdict.chance},
                       {"smallest_detectable", verdict.smallest_detectable},
                       {"coverage", verdict.coverage},
                       {"held_fixed", Json::array(verdict.held_fixed)},
                       {"positions", text_or_null(verdict.positions)},
                       {"permutations", verdict.n_permutations},
                       {"reason", text_or_null(verdict.reason)}});
}

Json classifier_json(const ClassifierVerdict& verdict) {
  return Json::object({{"outcome", name_of(verdict.finding)},
                       {"accuracy", verdict.accuracy},
                       {"chance", verdict.chance},
                       {"p_value", verdict.test.p_value},
                       {"permutations", verdict.test.n_permutations},
                       {"ci95", interval_json(verdict.ci95)},
                       {"calibrated", verdict.calibrated},
                       {"reason", text_or_null(verdict.reason)}});
}

Json layers_verdict_json(const LayersVerdict& verdict) {
  return Json::object({{"outcome", name_of(verdict.finding)},
                       {"layer", number_or_null(verdict.layer)},
                       {"cohens_d", verdict.cohens_d},
                       {"p_adjusted", verdict.p_adjusted},
                       {"n_found", verdict.n_found},
                       {"n_layers", verdict.n_layers},
                       {"positions", text_or_null(verdict.positions)},
                       {"reason", text_or_null(verdict.reason)}});
}

Json experts_json(const ExpertsVerdict& verdict) {
  Json::Array named;
  for (const ExpertsVerdict::Named& expert : verdict.named) {
    named.push_back(Json::object({{"layer", expert.layer},
                                  {"expert", expert.expert},
                                  {"category", expert.category},
                                  {"ratio", expert.ratio},
                                  {"p_adjusted", expert.p_adjusted}}));
  }
  return Json::object({{"outcome", name_of(verdict.finding)},
                       {"named", std::move(named)},
                       {"n_found", verdict.n_found},
                       {"n_cells", verdict.n_cells},
                       {"p_adjusted", verdict.p_adjusted},
                       {"positions", text_or_null(verdict.positions)},
                       {"reason", text_or_null(verdict.reason)}});
}

const char* outcome_name(stats::RouterOutcome outcome) {
  switch (outcome) {
    case stats::RouterOutcome::better:
      return "better";
    case stats::RouterOutcome::no_better:
      return "no better";
    case stats::RouterOutcome::worse:
      return "worse";
    case stats::RouterOutcome::cannot_tell:
      break;
  }
  return "cannot tell";
}

Json router_json(const RouterVerdict& verdict) {
  const auto contrast = [](const stats::RouterContrast& own) {
    return Json::object({{"trained", own.own},
                         {"mean", own.mean},
                         {"sd", own.sd},
                         {"difference", own.difference},
                         {"ci95", interval_json(own.ci95)}});
  };
  return Json::object({{"outcome", name_of(verdict.finding)},
                       {"trained_router", outcome_name(verdict.outcome)},
                       {"n_routers", verdict.n_routers},
                       {"r_squared", contrast(verdict.r_squared)},
                       {"bits", contrast(verdict.bits)},
                       {"positions", text_or_null(verdict.positions)},
                       {"reason", text_or_null(verdict.reason)}});
}

Json crossed_json(const CrossedVerdict& verdict) {
  return Json::object({{"outcome", name_of(verdict.finding)},
                       {"key", text_or_null(verdict.key)},
                       {"units", text_or_null(verdict.units)},
                       {"p_value", verdict.p_value},
                       {"permutations", verdict.n_permutations},
                       {"r_squared", verdict.r_squared},
                       {"reason", text_or_null(verdict.reason)}});
}

}  // namespace

std::string verdict_text(const Verdict& verdict) {
  std::string text;
  const auto add = [&](const std::string& sentence) {
    if (!sentence.empty()) text += (text.empty() ? "" : " ") + sentence;
  };
  add(difference_sentence(verdict));
  if (verdict.difference.finding == Finding::not_tested) return text;
  add(nulls_sentence(verdict.difference));
  add(words_sentence(verdict.words));
  add(classifier_sentence(verdict.classifier));
  add(experts_sentence(verdict.experts));
  add(layers_sentence(verdict.layers));
  add(crossed_sentence(verdict.crossed));
  add(router_sentence(verdict.router));
  add(not_claimed_sentence(verdict));
  add(limits_sentences(verdict));
  return text;
}

report::Document verdict_document(const Verdict& verdict) {
  report::Document document;
  document.paragraph(verdict_text(verdict));
  return document;
}

Json verdict_json(const Verdict& verdict) {
  return Json::object({{"difference", difference_json(verdict.difference)},
                       {"beyond_tokens_and_positions", words_json(verdict.words)},
                       {"classifier", classifier_json(verdict.classifier)},
                       {"layers", layers_verdict_json(verdict.layers)},
                       {"experts", experts_json(verdict.experts)},
                       {"random_router", router_json(verdict.router)},
                       {"crossed", crossed_json(verdict.crossed)},
                       {"not_tested", Json::array(verdict.not_tested)},
                       {"not_excluded", Json::array(verdict.not_excluded)},
                       {"text", verdict_text(verdict)}});
}

}  // namespace moexray::app
