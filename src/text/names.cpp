#include "moexray/text/names.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>

#include <set>
#include <unordered_map>

#include "moexray/core/error.h"
#include "unicode.h"

namespace moexray {
namespace {

// Compatibility composition, case folding, and no characters that cannot be seen.
std::string casefolded(std::string_view name) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* data = icu::Normalizer2::getNFKCCasefoldInstance(status);
  std::string folded;
  if (U_SUCCESS(status)) {
    icu::StringByteSink<std::string> sink(&folded);
    data->normalizeUTF8(0, {name.data(), static_cast<std::int32_t>(name.size())}, sink, nullptr,
                        status);
  }
  if (U_FAILURE(status)) throw Error(ErrorKind::runtime, "ICU has no data for case folding");
  return folded;
}

std::string without_white_space(std::string_view text) {
  std::string kept;
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    if (!unicode::is_white_space(unicode::next_code_point(text, pos))) {
      kept += text.substr(begin, pos - begin);
    }
  }
  return kept;
}

}  // namespace

std::string normalized_name(std::string_view name) { return unicode::nfc(name).text; }

std::vector<std::vector<std::string>> similar_names(std::span<const std::string> names) {
  std::vector<std::vector<std::string>> groups;
  std::unordered_map<std::string, std::size_t> group_of;
  std::set<std::string_view> seen;
  for (const std::string& name : names) {
    if (name.empty() || !seen.insert(name).second) continue;
    const auto [group, is_new] =
        group_of.emplace(without_white_space(casefolded(name)), groups.size());
    if (is_new) groups.emplace_back();
    groups[group->second].push_back(name);
  }
  std::erase_if(groups, [](const auto& group) { return group.size() < 2; });
  return groups;
}

}  // namespace moexray
