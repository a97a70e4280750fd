#include "html_report_parts.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "moexray/core/version.h"
#include "moexray/report/document.h"
#include "moexray/report/html_table.h"
#include "moexray/report/number.h"
#include "moexray/stats/uniform_null.h"

namespace moexray::app {
namespace {

using report::html_escaped;
using report::one_line;
using report::shortest;

std::string yes_no(bool value) { return value ? "yes" : "no"; }

std::string positive(std::int64_t value) { return value > 0 ? std::to_string(value) : ""; }

// A table of names and values; what is not known is said to be so.
class Facts {
 public:
  void group(std::string_view title) { table_.group(title); }
  void add(std::string_view name, std::string_view value, bool is_hash = false) {
    std::string text = value.empty() ? "<span class=\"soft\">not recorded</span>"
                                     : html_escaped(one_line(value, 400));
    if (is_hash) text = "<span class=\"hash\">" + text + "</span>";
    table_.add_row({html_escaped(name), text});
  }
  std::string html() const { return table_.html(); }

 private:
  report::HtmlTable table_{"Facts of the model, the trace and the analysis",
                           {{"fact", false, "name"}, {"value", false, "value"}}};
};

// The values that the manifests of all parts have, each once.
std::string values_of(const TraceSet& traces,
                      const std::function<std::string(const TraceManifest&)>& value) {
  std::vector<std::string> values;
  for (const TraceManifest& manifest : traces.manifests) {
    std::string text = value(manifest);
    if (std::find(values.begin(), values.end(), text) == values.end()) values.push_back(text);
  }
  std::string joined;
  for (const std::string& text : values) joined += (joined.empty() ? "" : ", ") + text;
  return joined;
}

std::string layers_text(const std::vector<int>& layers) {
  std::string text;
  for (const int layer : layers) text += (text.empty() ? "" : ", ") + std::to_string(layer);
  return text;
}

std::string decoding_text(const ManifestGeneration& generation) {
  if (!generation.do_sample) return "greedy";
  return fmt::format("sampling, temperature {}, top-p {}, seed {}",
                     shortest(generation.temperature), shortest(generation.top_p), generation.seed);
}

void add_model(const TraceSet& traces, Facts& facts) {
  const auto add = [&](std::string_view name, const auto& value, bool is_hash = false) {
    facts.add(name, values_of(traces, value), is_hash);
  };
  facts.group("Model");
  add("name", [](const TraceManifest& m) { return m.model.name; });
  add("architecture", [](const TraceManifest& m) { return m.model.architecture; });
  add("hidden size", [](const TraceManifest& m) { return positive(m.model.hidden_size); });
  add("MoE layers × experts, chosen per token", [](const TraceManifest& m) {
    return fmt::format("{} × {}, {}", m.model.shape.n_layers, m.model.shape.n_experts,
                       m.model.shape.top_k);
  });
  add("transformer layers with experts",
      [](const TraceManifest& m) { return layers_text(m.model.moe_layers); });
  add("router weights normalised over the chosen",
      [](const TraceManifest& m) { return m.tool.empty() ? "" : yes_no(m.model.norm_topk_prob); });
  add("computed in", [](const TraceManifest& m) { return m.model.dtype; });
  add("SHA-256 of config.json", [](const TraceManifest& m) { return m.model.config_sha256; }, true);
  add(
      "SHA-256 of its settings that decide",
      [](const TraceManifest& m) { return m.model.deciding_config_sha256; }, true);
  add("SHA-256 of the routers", [](const TraceManifest& m) { return m.model.router_sha256; }, true);
  add("XXH3 of all weights", [](const TraceManifest& m) { return m.model.weights_xxh3; }, true);
  facts.group("Tokenizer");
  add("kind", [](const TraceManifest& m) { return m.tokenizer.kind; });
  add("vocabulary", [](const TraceManifest& m) { return positive(m.tokenizer.vocab_size); });
  add("SHA-256", [](const TraceManifest& m) { return m.tokenizer.sha256; }, true);
}

// Settings that are written as their defaults where another program recorded none.
void add_generation(const TraceSet& traces, Facts& facts) {
  const auto add = [&](std::string_view name, const auto& value) {
    facts.add(name, values_of(traces, [&](const TraceManifest& m) {
                return m.tool.empty() ? std::string() : value(m);
              }));
  };
  facts.group("Generation");
  add("decoding", [](const TraceManifest& m) { return decoding_text(m.generation); });
  add("new tokens at most",
      [](const TraceManifest& m) { return std::to_string(m.generation.max_new_tokens); });
  add("end token ignored", [](const TraceManifest& m) { return yes_no(m.generation.ignore_eos); });
  add("chat template", [](const TraceManifest& m) { return m.generation.template_name; });
  facts.group("Trace");
  add("written by", [](const TraceManifest& m) { return m.tool; });
  add("device", [](const TraceManifest& m) { return m.device; });
  add("backend", [](const TraceManifest& m) { return m.backend; });
  add("instruction set", [](const TraceManifest& m) { return m.instruction_set; });
  add("kernels", [](const TraceManifest& m) { return m.kernels; });
  add("prompts per batch", [](const TraceManifest& m) { return positive(m.batch); });
  add("shard",
      [](const TraceManifest& m) { return fmt::format("{}/{}", m.shard.index, m.shard.count); });
}

// "0.69 for 8 tokens each, 0.82 for 16 tokens": what uniform routing gives two prompts.
std::string uniform_similarities(const RoutingShape& shape) {
  std::string text;
  for (const std::int64_t n_tokens : {8, 16, 32, 64, 128, 256}) {
    const double factor = stats::uniform_factor(shape, n_tokens, stats::LoadBalance::distinct);
    text += fmt::format("{}{} for {} tokens{}", text.empty() ? "" : ", ",
                        report::fixed(factor * factor, 3), n_tokens, text.empty() ? " each" : "");
  }
  return text;
}

}  // namespace

std::string provenance_html(const AnalysisInput& input) {
  const TraceSet& traces = input.side().traces;
  const stats::Selection& selection = input.settings.selection;
  Facts facts;
  add_model(traces, facts);
  add_generation(traces, facts);
  const std::string origin = origin_text(traces);
  if (!origin.empty()) facts.add("where it comes from", origin);
  facts.add("prompts", std::to_string(traces.prompts.size()));
  facts.add("SHA-256 of the prompts",
            values_of(traces, [](const TraceManifest& m) { return m.prompts_sha256; }), true);
  facts.add("SHA-256 of their tokens",
            values_of(traces, [](const TraceManifest& m) { return m.prompt_ids_sha256; }), true);
  facts.group("Analysis");
  facts.add("by", "moexray " + std::string(version()));
  facts.add("seed", std::to_string(input.settings.seed));
  facts.add("tokens", name_of(selection.tokens));
  facts.add("without template tokens", yes_no(selection.exclude_template));
  facts.add("weighted by the router", yes_no(selection.weighted));
  facts.add("category from", selection.category_key.empty() ? "category" : selection.category_key);
  return facts.html() +
         "<p class=\"soft\">The same input, seed and version give the same bytes. "
         "<code>report.json</code> beside this page holds all numbers.</p>\n";
}

std::string definitions_html(const AnalysisInput& input) {
  std::string html =
      "<p>The method is that of MSR Avinash, <cite>Task-Conditioned Routing Signatures in Sparse "
      "Mixture-of-Experts Transformers</cite>, arXiv 2603.11114 (2026). L MoE layers ℓ, E experts "
      "e "
      "a layer, k of them chosen for a token.</p>\n<dl>\n";
  const auto add = [&](std::string_view term, std::string_view definition) {
    html += fmt::format("<dt>{}</dt>\n<dd>{}</dd>\n", term, definition);
  };
  add("Signature",
      fmt::format("A<sub>ℓ,e</sub>(x) = {} for the counted tokens of prompt x; "
                  "s<sub>ℓ,e</sub> = A<sub>ℓ,e</sub> / Σ<sub>e′</sub> A<sub>ℓ,e′</sub>, one layer "
                  "after the "
                  "other: L·E numbers.",
                  input.settings.selection.weighted
                      ? "the sum of the router weights with which layer ℓ chose expert e"
                      : "how often layer ℓ chose expert e"));
  add("Similarity of two prompts",
      "sim(a, b) = (1/L) Σ<sub>ℓ</sub> cos(s<sub>a</sub><sup>(ℓ)</sup>, "
      "s<sub>b</sub><sup>(ℓ)</sup>). Within: pairs of prompts of one category; across: pairs of "
      "different ones.");
  add("Cohen’s d",
      "(mean within − mean across) / s, s² = ((n<sub>w</sub> − 1) s<sub>w</sub>² + "
      "(n<sub>a</sub> − 1) s<sub>a</sub>²) / (n<sub>w</sub> + n<sub>a</sub> − 2) over pairs.");
  add("Load-balance baseline",
      "every token chooses k different experts at random, each prompt keeping its number of "
      "tokens: the similarity that balanced routing without any preference gives.");
  add("Permutation baseline",
      "each prompt’s expert counts are permuted among the experts, independently for every prompt "
      "and layer. Its expectation is the pair mean of (1/L) Σ<sub>ℓ</sub> 1 / (E ‖s<sub>a</sub>‖ "
      "‖s<sub>b</sub>‖).");
  add("Label shuffle",
      "p = (c + 1) / (R + 1): c of R random assignments of the categories to the prompts have a "
      "gap at least as large.");
  add("Separation by layer", "within, across and d from the cosine of one layer alone.");
  add("PCA",
      "centred signatures projected on their two directions of largest variance; the axes say "
      "which share of the variance they hold.");
  add("t-SNE",
      "places prompts so that near neighbours stay near. Trustworthiness: 1 if all neighbours in "
      "the plane are neighbours among the signatures.");
  add("Classification",
      "multinomial logistic regression, minimising C · Σ cross-entropy + ½‖W‖² with C = 1, on "
      "features standardised in the training folds; every prompt is predicted by a model that did "
      "not see it. ± is the population standard deviation over folds; macro F1 the plain mean over "
      "categories.");
  add("Expert usage",
      "an expert’s share of its layer’s selections over the even share 1/E. Entropy: "
      "−Σ share · ln share / ln E, 1 if the load is even, 0 if one expert has it all.");
  return html + "</dl>\n";
}

std::string limits_html(const AnalysisInput& input) {
  const std::vector<std::int64_t>& tokens = input.side().signatures.n_tokens;
  const auto [fewest, most] = std::minmax_element(tokens.begin(), tokens.end());
  std::string html =
      "<p>Routing that differs between categories is a statistical regularity. The figures do not "
      "show that</p>\n<ul>\n"
      "<li>single experts stand for skills that a person would name,</li>\n"
      "<li>routing is the only mechanism behind what the model does with a task, or</li>\n"
      "<li>the model is made of separate modules (the paper’s section 6.3).</li>\n</ul>\n"
      "<p>And they are limited (section 6.4, and more):</p>\n<ul>\n"
      "<li>One model and one set of prompts, small in number, with a bounded length of generation: "
      "nothing here says how far it carries over.</li>\n"
      "<li>Correlation, not cause: no expert was switched off or exchanged.</li>\n"
      "<li>Prompts of a category share words, length and form, and all may share a chat template; "
      "routing follows tokens. Separation by category need not be recognition of the task.</li>\n"
      "<li>Pairs share prompts and are not independent. The ± of a similarity describes the spread "
      "over pairs, and is no error of the mean; d is no test. The label shuffle treats prompts as "
      "the units.</li>\n";
  html += fmt::format(
      "<li>Similarity depends on the number of tokens: a longer prompt estimates its shares with "
      "less noise. These prompts have {} to {} counted tokens. Under uniform routing two prompts "
      "of T<sub>1</sub> and T<sub>2</sub> tokens have, to first order, the similarity "
      "1/√((1 + (1−p)/(pT<sub>1</sub>)) (1 + (1−p)/(pT<sub>2</sub>))), p = k/E (more exactly, {}). "
      "Whether the "
      "load-balance baseline lies between within and across can therefore depend on how many "
      "tokens are counted.</li>\n",
      *fewest, *most, uniform_similarities(input.side().traces.shape));
  html +=
      "<li>The spread of accuracy over folds is not an interval; Wilson’s interval ignores that "
      "another training sample would give another model.</li>\n"
      "<li>In t-SNE the distances between clusters and their sizes mean nothing; in PCA two axes "
      "show only their share of the variance.</li>\n"
      "<li>An expert that is unused by these prompts may be used by others.</li>\n</ul>\n";
  return html;
}

}  // namespace moexray::app
