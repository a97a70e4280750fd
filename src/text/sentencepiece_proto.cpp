#include "sentencepiece_proto.h"

#include <bit>
#include <cmath>
#include <optional>
#include <unordered_set>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"

namespace moexray {
namespace {

constexpr std::size_t max_pieces = 4'000'000;
constexpr std::size_t max_piece_bytes = 4096;

[[noreturn]] void malformed(const std::string& where, std::string expected, std::string found) {
  throw Error(ErrorKind::data,
              {"malformed SentencePiece model", where, std::move(expected), std::move(found)});
}

// One field of a message.
struct Field {
  std::uint32_t number = 0;
  std::uint32_t wire_type = 0;
  std::uint64_t value = 0;   // wire types 0, 1 and 5
  std::string_view content;  // wire type 2
  std::string_view bytes;    // tag and value as they stand
};

// Walks over the fields of a message in protobuf's wire format.
class FieldReader {
 public:
  FieldReader(std::string_view message, const std::string& where) : rest_(message), where_(where) {}

  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    const std::string_view start = rest_;
    const std::uint64_t tag = varint();
    Field field;
    field.number = static_cast<std::uint32_t>(tag >> 3);
    field.wire_type = static_cast<std::uint32_t>(tag & 7);
    switch (field.wire_type) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.value = fixed(8);
        break;
      case 2:
        field.content = take(varint());
        break;
      case 5:
        field.value = fixed(4);
        break;
      default:
        malformed(where_, "a protobuf message", "wire type " + std::to_string(field.wire_type));
    }
    field.bytes = start.substr(0, start.size() - rest_.size());
    return field;
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80) return value;
    }
    malformed(where_, "a number of at most 10 bytes", "a longer one");
  }

  std::uint64_t fixed(std::size_t n_bytes) {
    const std::string_view bytes = take(n_bytes);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < n_bytes; ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    return value;
  }

  std::string_view take(std::uint64_t n_bytes) {
    if (n_bytes > rest_.size()) {
      malformed(where_, std::to_string(n_bytes) + " more bytes", std::to_string(rest_.size()));
    }
    const std::string_view taken = rest_.substr(0, n_bytes);
    rest_.remove_prefix(n_bytes);
    return taken;
  }

  std::string_view rest_;
  const std::string& where_;
};

void parse_piece(std::string_view message, const std::string& where, SentencePieceProto& proto) {
  SentencePieceProto::Piece piece;
  FieldReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 1 && field->wire_type == 2) piece.text = field->content;
    if (field->number == 2 && field->wire_type == 5) {
      const auto score = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
      if (!std::isfinite(score)) malformed(where, "finite scores", std::to_string(score));
    }
    if (field->number == 3 && field->wire_type == 0) {
      if (field->value < 1 || field->value > 6) {
        malformed(where, "a piece type from 1 to 6", std::to_string(field->value));
      }
      piece.type = static_cast<SentencePieceProto::PieceType>(field->value);
    }
  }
  if (piece.text.empty() || piece.text.size() > max_piece_bytes || !is_valid_utf8(piece.text)) {
    malformed(where, "pieces of valid UTF-8, 1 to " + std::to_string(max_piece_bytes) + " bytes",
              "\"" + piece.text.substr(0, 80) + "\"");
  }
  proto.pieces.push_back(std::move(piece));
  if (proto.pieces.size() > max_pieces) malformed(where, "at most 4,000,000 pieces", "more");
}

void parse_trainer_spec(std::string_view message, const std::string& where,
                        SentencePieceProto& proto) {
  FieldReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->wire_type != 0) continue;
    if (field->number == 3) proto.is_bpe = field->value == 2;
    if (field->number == 35) proto.byte_fallback = field->value != 0;
    if (field->number == 41) proto.bos_id = static_cast<std::int32_t>(field->value);
    if (field->number == 42) proto.eos_id = static_cast<std::int32_t>(field->value);
  }
}

void parse_normalizer_spec(std::string_view message, const std::string& where,
                           SentencePieceProto& proto) {
  FieldReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 2 && field->wire_type == 2)
      proto.has_character_map = !field->content.empty();
    if (field->wire_type != 0) continue;
    if (field->number == 3) proto.add_dummy_prefix = field->value != 0;
    if (field->number == 4) proto.remove_extra_whitespaces = field->value != 0;
    if (field->number == 5) proto.escape_whitespaces = field->value != 0;
  }
}

void check_pieces(const SentencePieceProto& proto, const std::string& where) {
  std::unordered_set<std::string_view> seen;
  std::size_t n_unknown = 0;
  std::size_t n_bytes = 0;
  for (const auto& piece : proto.pieces) {
    if (!seen.insert(piece.text).second)
      malformed(where, "unique pieces", "\"" + piece.text + "\" twice");
    if (piece.type == SentencePieceProto::PieceType::unknown) ++n_unknown;
    if (piece.type == SentencePieceProto::PieceType::byte) ++n_bytes;
  }
  if (n_unknown != 1) malformed(where, "one unknown piece", std::to_string(n_unknown));
  if (proto.byte_fallback && n_bytes != 256) {
    malformed(where, "256 byte pieces", std::to_string(n_bytes));
  }
}

}  // namespace

SentencePieceProto parse_sentencepiece_proto(std::string_view bytes, const std::string& where) {
  SentencePieceProto proto;
  FieldReader reader(bytes, where);
  while (const auto field = reader.next()) {
    if (field->number < 1 || field->number > 3) continue;
    if (field->wire_type != 2) malformed(where, "messages in fields 1 to 3", "another type");
    proto.bytes += field->bytes;
    if (field->number == 1) parse_piece(field->content, where, proto);
    if (field->number == 2) parse_trainer_spec(field->content, where, proto);
    if (field->number == 3) parse_normalizer_spec(field->content, where, proto);
  }
  check_pieces(proto, where);
  return proto;
}

std::string with_identity_normalizer(const SentencePieceProto& proto) {
  // Protobuf merges a message field that occurs twice, the later value of a member winning:
  // normalizer_spec {precompiled_charsmap: "" add_dummy_prefix: false remove_extra_whitespaces:
  // false escape_whitespaces: true}.
  constexpr char override[] = {0x1A, 8, 0x12, 0, 0x18, 0, 0x20, 0, 0x28, 1};
  return proto.bytes + std::string(override, sizeof override);
}

}  // namespace moexray
