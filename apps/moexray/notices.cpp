#include "notices.h"

#include <algorithm>
#include <utility>

#include "joined.h"

namespace moexray::app {
namespace {

// One reason and what follows from it.
struct Fact {
  std::string reason;
  std::vector<std::string> consequences = {};
  std::vector<std::string> left_out = {};  // names of sections
};

class NoticedFacts {
 public:
  // "REASON: CONSEQUENCE; CONSEQUENCE".
  Fact& add(std::string_view notice) {
    const std::string_view reason = reason_of(notice);
    Fact& fact = fact_of(reason);
    std::string_view rest = notice.substr(std::min(notice.size(), reason.size() + 2));
    while (!rest.empty()) {
      const std::size_t n = std::min(rest.find("; "), rest.size());
      add_once(fact.consequences, rest.substr(0, n));
      rest.remove_prefix(std::min(rest.size(), n + 2));
    }
    return fact;
  }

  void add_left_out(std::string_view name, std::string_view why) {
    add_once(add(why).left_out, name);
  }

  std::vector<std::string> texts() const {
    std::vector<std::string> result;
    for (const Fact& fact : facts_) {
      std::vector<std::string> parts = fact.consequences;
      if (!fact.left_out.empty()) parts.push_back(joined(fact.left_out, ", ") + " left out");
      result.push_back(fact.reason + (parts.empty() ? "" : ": ") + joined(parts, "; "));
    }
    return result;
  }

 private:
  static void add_once(std::vector<std::string>& list, std::string_view text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.emplace_back(text);
  }

  Fact& fact_of(std::string_view reason) {
    const auto found = std::find_if(facts_.begin(), facts_.end(),
                                    [&](const Fact& fact) { return fact.reason == reason; });
    if (found != facts_.end()) return *found;
    return facts_.emplace_back(Fact{std::string(reason)});
  }

  std::vector<Fact> facts_;
};

}  // namespace

std::string_view reason_of(std::string_view notice) {
  const std::size_t quote = notice.rfind('"');
  const std::size_t colon = notice.find(": ", quote == std::string_view::npos ? 0 : quote);
  return notice.substr(0, colon);
}

std::vector<std::string> joined_notices(const std::vector<Section>& sections) {
  NoticedFacts facts;
  for (const Section& section : sections) {
    if (!section.left_out.empty()) {
      facts.add_left_out(section.name, section.left_out);
      continue;
    }
    for (const std::string& notice : section.notices) facts.add(notice);
  }
  return facts.texts();
}

}  // namespace moexray::app
