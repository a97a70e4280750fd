#include "moexray/core/checksum.h"

#include <xxhash.h>

#include <new>

namespace moexray {
namespace {

constexpr std::string_view prefix = "xxh3:";
constexpr std::size_t n_digits = 16;

std::string to_text(std::uint64_t hash) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text(prefix);
  for (int shift = 60; shift >= 0; shift -= 4) text += digits[(hash >> shift) & 15];
  return text;
}

}  // namespace

struct Checksum::State {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> xxh{XXH3_createState()};
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
  if (state_->xxh == nullptr) throw std::bad_alloc();
  reset();
}

Checksum::~Checksum() = default;

void Checksum::reset() { XXH3_64bits_reset(state_->xxh.get()); }

void Checksum::update(std::string_view bytes) {
  XXH3_64bits_update(state_->xxh.get(), bytes.data(), bytes.size());
}

std::string Checksum::text() const { return to_text(XXH3_64bits_digest(state_->xxh.get())); }

std::string checksum_text(std::string_view bytes) {
  return to_text(XXH3_64bits(bytes.data(), bytes.size()));
}

bool is_checksum_text(std::string_view text) {
  return text.size() == prefix.size() + n_digits && text.substr(0, prefix.size()) == prefix &&
         text.find_first_not_of("0123456789abcdef", prefix.size()) == std::string_view::npos;
}

void append_checksum(std::string& body, const ChecksumMember& member) {
  const std::size_t size = body.size();
  body += member.plain_end;
  const std::string sum = checksum_text(body);
  body.resize(size);
  body += member.member;
  body += sum;
  body += member.end;
}

ChecksumState check_checksum(std::string_view text, const ChecksumMember& member) {
  const std::size_t tail = member.member.size() + prefix.size() + n_digits + member.end.size();
  if (text.size() < tail) return ChecksumState::absent;
  const std::size_t start = text.size() - tail;
  if (text.substr(start, member.member.size()) != member.member) return ChecksumState::absent;
  std::string right(text.substr(0, start));
  append_checksum(right, member);
  return text == right ? ChecksumState::right : ChecksumState::wrong;
}

}  // namespace moexray
