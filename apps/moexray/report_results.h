#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "analysis.h"
#include "moexray/report/number.h"

namespace moexray::app {

/// The results of commands by the path of their keys; null where there is none.
class ReportResults {
 public:
  /// @param sections must outlive this
  explicit ReportResults(const std::vector<Section>& sections) : sections_(sections) {}

  const report::Json& at(std::string_view section,
                         std::initializer_list<std::string_view> keys = {}) const {
    static const report::Json none;
    const Section* found = section_of(section);
    const report::Json* json = found == nullptr ? &none : &found->json;
    for (const std::string_view key : keys) {
      json = json->find(key);
      if (json == nullptr) return none;
    }
    return *json;
  }
  double number(std::string_view section, std::initializer_list<std::string_view> keys) const {
    return at(section, keys).number();
  }
  bool has(std::string_view section) const { return !at(section).is_null(); }
  const Section* section_of(std::string_view name) const {
    const auto found = std::find_if(sections_.begin(), sections_.end(),
                                    [&](const Section& s) { return s.name == name; });
    return found == sections_.end() ? nullptr : &*found;
  }

 private:
  const std::vector<Section>& sections_;
};

/// A number that is a count.
inline std::string whole(double value) { return report::fixed(value, 0); }

/// "0.843 ± 0.088", without the spread where it is undefined.
inline std::string with_spread(double mean, double std, int n_decimals) {
  return report::fixed(mean, n_decimals) +
         (std::isfinite(std) ? " ± " + report::fixed(std, n_decimals) : "");
}

}  // namespace moexray::app
