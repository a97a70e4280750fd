#pragma once

#include <filesystem>
#include <fstream>
#include <string>

namespace moexray::test {

inline void append_json_code_point(std::string& json, unsigned code_point) {
  constexpr const char* digits = "0123456789abcdef";
  json += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) json += digits[code_point >> shift & 15];
}

/// Writes DIRECTORY/tokenizer.json: byte-level BPE with one token a byte, ids 0 … 255, without
/// merges, and the special token "<eos>", 256.
inline void write_byte_tokenizer(const std::filesystem::path& directory) {
  const std::string byte_level =
      R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";
  std::string vocabulary;
  unsigned n_moved = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    // GPT-2's table: printable bytes stand for themselves, the others for U+0100 and on.
    const bool is_printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    vocabulary += byte == 0 ? "\"" : ",\"";
    append_json_code_point(vocabulary, is_printable ? byte : 0x100 + n_moved++);
    vocabulary += "\":" + std::to_string(byte);
  }
  std::ofstream(directory / "tokenizer.json")
      << R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":256,)"
      << R"("content":"<eos>","single_word":false,"lstrip":false,"rstrip":false,)"
      << R"("normalized":false,"special":true}],"normalizer":{"type":"NFC"},"pre_tokenizer":)"
      << byte_level << R"(,"post_processor":)" << byte_level << R"(,"decoder":)" << byte_level
      << R"(,"model":{"type":"BPE","dropout":null,"unk_token":null,)"
      << R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,)"
      << R"("byte_fallback":false,"vocab":{)" << vocabulary << R"(},"merges":[]}})";
}

}  // namespace moexray::test
