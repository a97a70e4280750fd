#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/run_command.h"
#include "support/byte_tokenizer_file.h"
#include "support/files.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray::test {

inline bool has_torch_module() {
  return std::filesystem::exists(program_path().parent_path() / "../lib/moexray/moexray_torch.so");
}

/// Runs `moexray trace` with a tiny checkpoint and prompts in a temporary directory.
class TraceCommand : public testing::Test {
 protected:
  TraceCommand() {
    OlmoeConfig config = tiny_config();
    config.vocab_size = 260;
    config.max_position_embeddings = 128;
    config.eos_token_ids = {256};
    write_tiny_checkpoint(model(), config);
    write_byte_tokenizer(model());
    write("prompts.jsonl", prompts(12));
  }

  static std::string prompts(int n) {
    std::string text;
    for (int i = 0; i < n; ++i) {
      text += "{\"id\":\"p" + std::to_string(i) + "\",\"category\":\"c\",\"prompt\":\"Number " +
              std::string(static_cast<std::size_t>(i % 5), '.') + std::to_string(i) + "\"}\n";
    }
    return text;
  }

  std::filesystem::path model() const { return temporary_.path() / "model"; }
  std::filesystem::path path(const std::string& name) const { return temporary_.path() / name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }

  // `trace` with flags that make a small run reproducible, where `more` does not set them.
  std::vector<std::string> words(const std::vector<std::string>& more) const {
    const std::map<std::string, std::string> usual = {{"--model", model().string()},
                                                      {"--template", "none"},
                                                      {"--dtype", "float32"},
                                                      {"--threads", "1"}};
    std::vector<std::string> all = {"trace"};
    for (const auto& [flag, value] : usual) {
      if (std::find(more.begin(), more.end(), flag) == more.end()) {
        all.insert(all.end(), {flag, value});
      }
    }
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  CommandResult trace(std::vector<std::string> more, std::string input = {}) const {
    return run_moexray(words(more),
                       {.input = std::move(input), .working_directory = temporary_.path()});
  }

  void expect_failure(int exit_code, std::string_view part, std::vector<std::string> more,
                      std::string input = {}) const {
    const CommandResult result = trace(std::move(more), std::move(input));
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_TRUE(result.err.starts_with("moexray trace: ")) << result.err;
  }

  std::map<std::string, std::string> files(const std::string& name) const {
    return directory_contents(path(name));
  }

  TemporaryDirectory temporary_;
};

}  // namespace moexray::test
