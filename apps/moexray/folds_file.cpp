#include "folds_file.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/report/table.h"

namespace moexray::app {
namespace {

constexpr std::uint64_t max_folds_bytes = 1 << 28;
constexpr int max_fold = 1'000'000;

class FoldsReader {
 public:
  FoldsReader(const std::filesystem::path& path, const stats::Signatures& signatures)
      : path_(path.string()), signatures_(signatures) {
    for (std::size_t i = 0; i < signatures.size(); ++i) index_.emplace(signatures.ids[i], i);
    for (const stats::LeftOut& prompt : signatures.left_out) {
      index_.emplace(prompt.id, std::nullopt);
    }
    folds_.assign(signatures.size(), -1);
  }

  std::vector<int> read(std::string_view text) {
    while (!text.empty()) {
      std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      if (line.ends_with('\r')) line.remove_suffix(1);
      ++line_;
      if (line_ == 1) {
        read_header(line);
      } else if (!line.empty()) {
        read_row(line);
      }
    }
    if (line_ == 0) read_header({});
    for (std::size_t i = 0; i < folds_.size(); ++i) {
      if (folds_[i] < 0) {
        throw Error(ErrorKind::data, {"prompts without a fold", path_, "a row for every prompt",
                                      "none for \"" + signatures_.ids[i] + "\""});
      }
    }
    return folds_;
  }

 private:
  [[noreturn]] void fail(std::string what, std::string expected, std::string_view found) const {
    throw Error(ErrorKind::data,
                {std::move(what), path_ + ":" + std::to_string(std::max<std::int64_t>(line_, 1)),
                 std::move(expected), "\"" + std::string(found) + "\""});
  }

  void read_header(std::string_view line) {
    const auto cells = report::split_tsv_row(line);
    // The other files of moexray call the column id.
    if (!cells || (*cells != std::vector<std::string>{"prompt_id", "fold"} &&
                   *cells != std::vector<std::string>{"id", "fold"})) {
      fail("header", "prompt_id (or id) and fold, separated by a tab", line);
    }
  }

  // The two cells. An id that begins with a quote may stand there as it is.
  std::pair<std::string, std::string> cells_of(std::string_view line) const {
    if (auto cells = report::split_tsv_row(line); cells && cells->size() == 2) {
      return {std::move(cells->at(0)), std::move(cells->at(1))};
    }
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos || line.find('\t', tab + 1) != std::string_view::npos) {
      fail("row", "a prompt id, a tab and a fold", line);
    }
    return {std::string(line.substr(0, tab)), std::string(line.substr(tab + 1))};
  }

  void read_row(std::string_view line) {
    auto [id, fold_text] = cells_of(line);
    if (!index_.contains(id)) {
      const std::string as_it_stands(line.substr(0, line.find('\t')));
      if (index_.contains(as_it_stands)) id = as_it_stands;
    }
    int fold = -1;
    const auto [end, code] =
        std::from_chars(fold_text.data(), fold_text.data() + fold_text.size(), fold);
    if (code != std::errc() || end != fold_text.data() + fold_text.size() || fold < 0 ||
        fold > max_fold) {
      fail("fold", "an integer from 0", fold_text);
    }
    const auto found = index_.find(id);
    if (found == index_.end()) fail("prompt_id", "a prompt of the trace", id);
    if (!seen_.emplace(id, line_).second) {
      fail("prompt_id", "each prompt once (first in line " + std::to_string(seen_[id]) + ")", id);
    }
    if (found->second) folds_[*found->second] = fold;
  }

  std::string path_;
  const stats::Signatures& signatures_;
  std::unordered_map<std::string, std::optional<std::size_t>> index_;  // empty: left out
  std::unordered_map<std::string, std::int64_t> seen_;
  std::vector<int> folds_;
  std::int64_t line_ = 0;
};

}  // namespace

std::vector<int> read_folds(const std::filesystem::path& path,
                            const stats::Signatures& signatures) {
  return FoldsReader(path, signatures).read(read_file(path, max_folds_bytes));
}

}  // namespace moexray::app
