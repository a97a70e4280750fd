#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "moexray/text/tokenizer.h"

namespace moexray::test {

using Json = nlohmann::json;

std::filesystem::path text_data(const std::string& name);
std::string read_text(const std::filesystem::path& path);
/// The content of a compressed fixture.
std::string read_zst(const std::string& name);
std::vector<Json> read_lines_zst(const std::string& name);
void write_text(const std::filesystem::path& path, const std::string& text);

/// Checks records {text, ids, decoded?, skipped?} against a tokenizer, and what spans promise.
void expect_encodings(const Tokenizer& tokenizer, const std::vector<Json>& records);

/// Checks what spans promise of the encodings of the texts of records.
void expect_good_encodings(const Tokenizer& tokenizer, const std::vector<Json>& records);

/// A tokenizer.json of byte-level BPE with all bytes and the merges "h e" and "Ġ he".
Json minimal_tokenizer_json();

}  // namespace moexray::test
