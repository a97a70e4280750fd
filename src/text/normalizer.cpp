#include "normalizer.h"

#include "moexray/core/error.h"
#include "unicode.h"

namespace moexray {
namespace {

AlignedText run_step(const Normalizer::Nfc& /*step*/, AlignedText text, MatchBudget& /*budget*/) {
  const AlignedText nfc = unicode::nfc(text.text);
  AlignedEdit edit(text, {0, text.text.size()});
  for (const AlignedText::Run& run : nfc.runs) {
    if (run.is_identical) {
      edit.keep(run.original.end);
    } else {
      edit.replace(run.original.end, std::string_view(nfc.text).substr(
                                         run.text.begin, run.text.end - run.text.begin));
    }
  }
  return edit.finish();
}

AlignedText run_step(const Normalizer::Prepend& step, AlignedText text, MatchBudget& budget) {
  if (text.text.empty()) return text;
  budget.take(step.text.size());
  AlignedEdit edit(text, {0, text.text.size()});
  edit.replace(0, step.text);
  return edit.finish();
}

AlignedText run_step(const Normalizer::Replace& step, AlignedText text, MatchBudget& budget) {
  AlignedEdit edit(text, {0, text.text.size()});
  for (const TextSpan& match : step.pattern.matches(text.text, budget)) {
    if (match.begin == match.end) {
      throw Error(ErrorKind::data, "a pattern of the normaliser matches an empty text");
    }
    budget.take(step.content.size());
    edit.keep(match.begin);
    edit.replace(match.end, step.content);
  }
  return edit.finish();
}

}  // namespace

AlignedText Normalizer::apply(std::string_view text, MatchBudget& budget) const {
  if (is_nfc()) return unicode::nfc(text);
  AlignedText result;
  result.append(text, {0, text.size()}, true);
  for (const Step& step : steps_) {
    result =
        std::visit([&](const auto& one) { return run_step(one, std::move(result), budget); }, step);
  }
  return result;
}

Normalizer parse_normalizer(const json_steps::Json& json, const std::string& file) {
  std::vector<Normalizer::Step> steps;
  const auto take = [&](const json_steps::Json& step, const json_steps::Place& place) {
    const std::string type = json_steps::type_of(step, place);
    if (type == "NFC") {
      steps.emplace_back(Normalizer::Nfc{});
    } else if (type == "Prepend") {
      steps.emplace_back(Normalizer::Prepend{json_steps::text_at(step, place, "prepend")});
    } else if (type == "Replace") {
      steps.emplace_back(Normalizer::Replace{json_steps::parse_replaced_pattern(step, place),
                                             json_steps::text_at(step, place, "content")});
    } else {
      json_steps::refuse(place, "type", "unsupported normaliser",
                         "\"NFC\", \"Prepend\", \"Replace\" or a \"Sequence\" of them", type);
    }
  };
  json_steps::for_each_step(json, {file, "normalizer"}, "normalizers", take);
  return Normalizer(std::move(steps));
}

}  // namespace moexray
