#include "bpe.h"

#include <queue>
#include <tuple>

namespace moexray {
namespace {

constexpr std::int64_t none = -1;

std::uint64_t key_of(TokenId left, TokenId right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
         static_cast<std::uint32_t>(right);
}

// A merge that was possible when it was queued.
struct Candidate {
  std::int32_t rank;
  std::int64_t pos;  // index of the left symbol
  TokenId merged;

  // std::priority_queue puts the greatest first.
  bool operator<(const Candidate& other) const {
    return std::tie(rank, pos) > std::tie(other.rank, other.pos);
  }
};

struct Link {
  std::int64_t previous;
  std::int64_t next;
  bool is_alive = true;
};

}  // namespace

void BpeMerges::add(TokenId left, TokenId right, TokenId merged) {
  merges_.insert_or_assign(key_of(left, right), Merge{n_added_++, merged});
}

const BpeMerges::Merge* BpeMerges::find(TokenId left, TokenId right) const {
  const auto found = merges_.find(key_of(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BpeMerges::apply(std::vector<Symbol>& symbols) const {
  const auto n = static_cast<std::int64_t>(symbols.size());
  if (n < 2) return;
  std::vector<Link> links;
  links.reserve(symbols.size());
  for (std::int64_t i = 0; i < n; ++i) links.push_back({i - 1, i + 1 < n ? i + 1 : none});
  const auto symbol = [&](std::int64_t i) -> Symbol& {
    return symbols[static_cast<std::size_t>(i)];
  };
  const auto link = [&](std::int64_t i) -> Link& { return links[static_cast<std::size_t>(i)]; };

  std::priority_queue<Candidate> queue;
  const auto offer = [&](std::int64_t left, std::int64_t right) {
    if (const Merge* merge = find(symbol(left).id, symbol(right).id)) {
      queue.push({merge->rank, left, merge->merged});
    }
  };
  for (std::int64_t i = 0; i + 1 < n; ++i) offer(i, i + 1);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const std::int64_t next = link(best.pos).next;
    if (!link(best.pos).is_alive || next == none) continue;
    const Merge* merge = find(symbol(best.pos).id, symbol(next).id);
    if (merge == nullptr || merge->merged != best.merged)
      continue;  // the pair has changed meanwhile

    symbol(best.pos).id = best.merged;
    symbol(best.pos).end = symbol(next).end;
    link(next).is_alive = false;
    const std::int64_t after = link(next).next;
    link(best.pos).next = after;
    if (after != none) {
      link(after).previous = best.pos;
      offer(best.pos, after);
    }
    if (link(best.pos).previous != none) offer(link(best.pos).previous, best.pos);
  }

  std::vector<Symbol> merged;
  for (std::int64_t i = 0; i != none; i = link(i).next) merged.push_back(symbol(i));
  symbols = std::move(merged);
}

}  // namespace moexray
