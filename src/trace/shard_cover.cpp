#include "shard_cover.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "fail.h"
#include "moexray/core/escape.h"
#include "trace_directory.h"

namespace moexray::trace {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_listed_gaps = 20;

struct Part {
  const TraceManifest* manifest;
  const fs::path* directory;

  Shard shard() const { return manifest->shard; }
  std::string where() const { return (*directory / manifest_name).string(); }
  std::string name() const {
    return "shard " + std::to_string(shard().index) + " of " + std::to_string(shard().count);
  }
};

// A point of a set of shards: `num` out of `den` of its prompts lie before it. Both come from
// manifests, where they are below 2^31: products of two fit 64 bits.
struct Point {
  std::int64_t num = 0;
  std::int64_t den = 1;
};

bool is_before(const Point& a, const Point& b) { return a.num * b.den < b.num * a.den; }

// The shards of `count` that overlap the gap between two points, as "2" or "2-5".
std::string gap_text(const Point& begin, const Point& end, std::int64_t count, std::int64_t& n) {
  const std::int64_t first = begin.num * count / begin.den;
  const std::int64_t last = (end.num * count + end.den - 1) / end.den - 1;
  n += last - first + 1;
  const std::string text = std::to_string(first);
  return first == last ? text : text + "-" + std::to_string(last);
}

// The shards that a set lacks: "shards 1-2, 5 of 8"; empty: none.
std::string missing_text(std::vector<Part> parts) {
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return is_before({a.shard().index, a.shard().count}, {b.shard().index, b.shard().count});
  });
  std::int64_t count = 1;
  for (const Part& part : parts) count = std::max<std::int64_t>(count, part.shard().count);
  std::string list;
  std::int64_t n_missing = 0;
  std::size_t n_gaps = 0;
  Point reached;
  const auto look_at_gap = [&](const Point& end) {
    if (!is_before(reached, end)) return;
    const std::string gap = gap_text(reached, end, count, n_missing);
    if (++n_gaps <= max_listed_gaps) list += (list.empty() ? "" : ", ") + gap;
  };
  for (const Part& part : parts) {
    look_at_gap({part.shard().index, part.shard().count});
    const Point end{part.shard().index + std::int64_t{1}, part.shard().count};
    if (is_before(reached, end)) reached = end;
  }
  look_at_gap({1, 1});
  if (n_missing == 0) return {};
  if (n_gaps > max_listed_gaps) list += ", …";
  return (n_missing == 1 ? "shard " : "shards ") + list + " of " + std::to_string(count);
}

// Shards of one prompts file.
using Sets = std::map<std::string, std::vector<Part>>;

Sets sets_of(std::span<const TraceManifest> manifests, std::span<const fs::path> directories) {
  Sets sets;
  std::vector<Part> unknown;
  for (std::size_t i = 0; i < manifests.size(); ++i) {
    if (manifests[i].shard.count <= 1) continue;
    const Part part{&manifests[i], &directories[i]};
    const std::string& prompts = manifests[i].prompts_sha256;
    (prompts.empty() ? unknown : sets[prompts]).push_back(part);
  }
  if (unknown.empty()) return sets;
  // What has not recorded its prompts may belong to any set.
  std::vector<Part>& first = sets.empty() ? sets[""] : sets.begin()->second;
  first.insert(first.end(), unknown.begin(), unknown.end());
  return sets;
}

void check_twice(const std::vector<Part>& parts) {
  std::map<std::pair<int, int>, const Part*> seen;
  for (const Part& part : parts) {
    const auto [first, is_new] =
        seen.emplace(std::pair(part.shard().count, part.shard().index), &part);
    if (is_new) continue;
    fail_at(part.name() + " is already used in " + first->second->directory->string(),
            part.where());
  }
}

// Shards of one run differ by a prompt at most; with another --limit they are other parts.
void check_sizes(const std::vector<Part>& parts) {
  const auto fail = [](const char* key, const Part& a, std::int64_t n_a, const Part& b,
                       std::int64_t n_b) {
    fail_at(std::string("shards of different numbers of prompts (was --limit another one?): key "
                        "\"") +
                key + "\"",
            b.where(), std::to_string(n_a) + " (as in " + a.directory->string() + ")",
            std::to_string(n_b));
  };
  const Part* known = nullptr;
  for (const Part& part : parts) {
    if (part.manifest->absent.contains("shard.n_prompts")) continue;
    if (known == nullptr) known = &part;
    if (part.manifest->n_shard_prompts != known->manifest->n_shard_prompts) {
      fail("shard.n_prompts", *known, known->manifest->n_shard_prompts, part,
           part.manifest->n_shard_prompts);
    }
  }
  std::map<int, std::pair<const Part*, const Part*>> extremes;  // fewest and most, by count
  for (const Part& part : parts) {
    if (part.manifest->n_prompts < 0) continue;
    auto& [fewest, most] = extremes.try_emplace(part.shard().count, &part, &part).first->second;
    if (part.manifest->n_prompts < fewest->manifest->n_prompts) fewest = &part;
    if (part.manifest->n_prompts > most->manifest->n_prompts) most = &part;
    if (most->manifest->n_prompts - fewest->manifest->n_prompts > 1) {
      fail("n_prompts", *fewest, fewest->manifest->n_prompts, *most, most->manifest->n_prompts);
    }
  }
}

}  // namespace

std::vector<std::string> check_shards(std::span<const TraceManifest> manifests,
                                      std::span<const fs::path> directories) {
  const Sets sets = sets_of(manifests, directories);
  std::vector<std::string> notices;
  for (const auto& [prompts, parts] : sets) {
    check_twice(parts);
    check_sizes(parts);
    const std::string missing = missing_text(parts);
    if (missing.empty()) continue;
    if (sets.size() > 1) {
      const auto& other = sets.begin()->first == prompts ? *std::next(sets.begin()) : *sets.begin();
      fail_at(
          "shards of different prompts: key \"prompts_sha256\" (whole sets can be read "
          "together, but of this one " +
              missing + " is not there)",
          parts.front().where(),
          "\"" + other.first + "\" (as in " + other.second.front().directory->string() + ")",
          "\"" + prompts + "\"");
    }
    notices.push_back(missing + (missing.starts_with("shards") ? " are" : " is") +
                      " not among the traces (counted from 0): the prompts of a part of the file "
                      "are missing");
  }
  return notices;
}

}  // namespace moexray::trace
