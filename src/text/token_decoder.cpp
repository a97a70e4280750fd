#include "token_decoder.h"

#include "byte_alphabet.h"
#include "byte_pieces.h"
#include "unicode.h"

namespace moexray {
namespace {

using Texts = std::vector<std::string>;
using json_steps::Json;
using json_steps::Place;

Texts run_step(const TokenDecoder::ByteLevel& /*step*/, const Texts& texts, MatchBudget&) {
  static const ByteAlphabet alphabet;
  std::string bytes;
  for (const std::string& text : texts) bytes += alphabet.bytes_of(text);
  return {unicode::replace_invalid_utf8(bytes)};
}

Texts run_step(const TokenDecoder::ByteFallback& /*step*/, const Texts& texts, MatchBudget&) {
  Texts result;
  std::string bytes;
  const auto flush = [&] {
    if (!bytes.empty()) append_fallback_bytes(result.emplace_back(), bytes);
  };
  for (const std::string& text : texts) {
    if (const auto byte = byte_of_piece(text)) {
      bytes += static_cast<char>(*byte);
    } else {
      flush();
      result.push_back(text);
    }
  }
  flush();
  return result;
}

Texts run_step(const TokenDecoder::Fuse& /*step*/, const Texts& texts, MatchBudget&) {
  std::string all;
  for (const std::string& text : texts) all += text;
  return {all};
}

Texts run_step(const TokenDecoder::Replace& step, const Texts& texts, MatchBudget& budget) {
  Texts result;
  for (const std::string& text : texts) {
    std::string& replaced = result.emplace_back();
    std::size_t done = 0;
    for (const TextSpan& match : step.pattern.matches(text, budget)) {
      budget.take(step.content.size());
      replaced += text.substr(done, match.begin - done) + step.content;
      done = match.end;
    }
    replaced += text.substr(done);
  }
  return result;
}

Texts run_step(const TokenDecoder::Strip& step, Texts texts, MatchBudget&) {
  for (std::string& text : texts) {
    std::string_view rest(text);
    for (std::size_t i = 0; i < step.start && rest.starts_with(step.content); ++i) {
      rest.remove_prefix(step.content.size());
    }
    for (std::size_t i = 0; i < step.stop && rest.ends_with(step.content); ++i) {
      rest.remove_suffix(step.content.size());
    }
    text = std::string(rest);
  }
  return texts;
}

Texts run_step(const TokenDecoder::Metaspace& step, const Texts& texts, MatchBudget& budget) {
  const TokenDecoder::Replace to_space{TextPattern::literal(step.replacement), " "};
  Texts result = run_step(to_space, texts, budget);
  if (step.prepends && !texts.empty()) {
    const TokenDecoder::Replace to_nothing{TextPattern::literal(step.replacement), ""};
    result[0] = run_step(to_nothing, {texts[0]}, budget)[0];
  }
  return result;
}

TokenDecoder::Strip parse_strip(const Json& step, const Place& place) {
  const auto number = [&](const char* key) {
    const Json& value = json_file::member(step, key);
    constexpr std::size_t most = 1'000'000;
    if (!value.is_number_unsigned() || value.get<std::size_t>() > most) {
      json_file::fail(place.file, place.key + "." + key, "wrong value", "0 to 1000000", value);
    }
    return value.get<std::size_t>();
  };
  return {json_steps::char_at(step, place, "content", " "), number("start"), number("stop")};
}

TokenDecoder::Step parse_step(const Json& step, const Place& place) {
  const std::string type = json_steps::type_of(step, place);
  if (type == "ByteLevel") return TokenDecoder::ByteLevel{};
  if (type == "ByteFallback") return TokenDecoder::ByteFallback{};
  if (type == "Fuse") return TokenDecoder::Fuse{};
  if (type == "Strip") return parse_strip(step, place);
  if (type == "Replace") {
    return TokenDecoder::Replace{json_steps::parse_replaced_pattern(step, place),
                                 json_steps::text_at(step, place, "content")};
  }
  if (type == "Metaspace") {
    const bool prepends =
        json_file::bool_or(step, "add_prefix_space", true, place.file) &&
        json_file::string_or(step, "prepend_scheme", "always", place.file) != "never";
    return TokenDecoder::Metaspace{json_steps::char_at(step, place, "replacement", space_mark),
                                   prepends};
  }
  json_steps::refuse(place, "type", "unsupported decoder",
                     "\"ByteLevel\", \"ByteFallback\", \"Fuse\", \"Replace\", \"Strip\", "
                     "\"Metaspace\" or a \"Sequence\" of them",
                     type);
}

}  // namespace

std::string TokenDecoder::decode(std::vector<std::string> pieces) const {
  std::size_t n_bytes = 0;
  for (const std::string& piece : pieces) n_bytes += piece.size();
  MatchBudget budget(n_bytes);
  for (const Step& step : steps_) {
    pieces =
        std::visit([&](const auto& one) { return run_step(one, std::move(pieces), budget); }, step);
  }
  return run_step(Fuse{}, pieces, budget)[0];
}

TokenDecoder parse_token_decoder(const Json& json, const std::string& file) {
  std::vector<TokenDecoder::Step> steps;
  json_steps::for_each_step(
      json, {file, "decoder"}, "decoders",
      [&](const Json& step, const Place& place) { steps.push_back(parse_step(step, place)); });
  return TokenDecoder(std::move(steps));
}

}  // namespace moexray
