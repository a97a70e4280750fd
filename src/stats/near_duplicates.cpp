#include "moexray/stats/near_duplicates.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include "moexray/stats/ties.h"

namespace moexray::stats {
namespace {

constexpr double min_similarity = 0.99;

// Whether `a` is named before `b`.
bool before(const NearDuplicate& a, const NearDuplicate& b) {
  const auto key = [](const NearDuplicate& pair) {
    return std::tuple(!pair.equal_text, -tie_key(pair.similarity, similarity_rounding), pair.row,
                      pair.other);
  };
  return key(a) < key(b);
}

}  // namespace

NearDuplicates near_duplicates(const Matrix& similarity, std::span<const std::string> texts,
                               std::size_t max_listed) {
  std::map<std::string_view, int> numbers;
  std::vector<int> text_of;
  for (const std::string& text : texts) {
    text_of.push_back(
        text.empty() ? -1 : numbers.emplace(text, static_cast<int>(numbers.size())).first->second);
  }
  NearDuplicates result;
  // A heap whose top is the pair that goes first when a better one comes.
  for (std::size_t i = 0; i < texts.size(); ++i) {
    for (std::size_t j = i + 1; j < texts.size(); ++j) {
      const bool equal = text_of[i] >= 0 && text_of[i] == text_of[j];
      const double s = similarity(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j));
      if (!equal && !(s > min_similarity)) continue;
      ++result.n_pairs;
      result.pairs.push_back({i, j, s, equal});
      std::push_heap(result.pairs.begin(), result.pairs.end(), before);
      if (result.pairs.size() > max_listed) {
        std::pop_heap(result.pairs.begin(), result.pairs.end(), before);
        result.pairs.pop_back();
      }
    }
  }
  std::sort_heap(result.pairs.begin(), result.pairs.end(), before);
  return result;
}

}  // namespace moexray::stats
