#include "moexray/checkpoint/locate.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/core/file.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

class Locate : public testing::Test {
 protected:
  fs::path path(const fs::path& name) const { return directory_.path() / name; }
  fs::path write(const fs::path& name, const std::string& text) const {
    fs::create_directories(path(name).parent_path());
    write_file_atomically(path(name), text);
    return path(name);
  }
  void refuse(const fs::path& given, const std::string& part) const {
    expect_error(ErrorKind::data, part, [&] { find_checkpoint(given); });
  }

  test::TemporaryDirectory directory_;
};

TEST_F(Locate, TakesADirectoryAsItIs) {
  test::write_tiny_checkpoint(path("tiny"), test::tiny_config());
  EXPECT_EQ(find_checkpoint(path("tiny")), path("tiny"));
  EXPECT_EQ(checkpoint_name(path("tiny")), "tiny");
  EXPECT_EQ(checkpoint_name(path("tiny") / ""), "tiny");
  write("only/tokenizer.json", "{}");
  EXPECT_EQ(find_checkpoint(path("only")), path("only"));
}

TEST_F(Locate, FindsTheSnapshotOfACache) {
  const fs::path model = path("models--org--Some-Model-1B");
  test::write_tiny_checkpoint(path("blobs"), test::tiny_config());
  for (const char* hash : {"aaaa", "bbbb"}) {
    fs::create_directories(model / "snapshots" / hash);
    for (const char* name : {"config.json", "model.safetensors"}) {
      fs::create_symlink(path("blobs") / name, model / "snapshots" / hash / name);
    }
  }
  refuse(model, "several snapshots");
  refuse(model, "found aaaa, bbbb");
  write(model / "refs" / "main", "bbbb\n");
  const fs::path snapshot = model / "snapshots" / "bbbb";
  EXPECT_EQ(find_checkpoint(model), snapshot);
  EXPECT_EQ(find_checkpoint(model / ""), snapshot);
  EXPECT_EQ(find_checkpoint(model / "snapshots"), snapshot);
  EXPECT_EQ(find_checkpoint(snapshot), snapshot);
  EXPECT_EQ(checkpoint_name(snapshot), "org/Some-Model-1B");
  EXPECT_EQ(Checkpoint(snapshot).config().name, "org/Some-Model-1B");
  fs::remove_all(model / "snapshots" / "bbbb");
  EXPECT_EQ(find_checkpoint(model), model / "snapshots" / "aaaa");
  fs::remove_all(model / "snapshots" / "aaaa");
  refuse(model, "run \"hf download org/Some-Model-1B\"");
  fs::create_directories(path("models--gpt2") / "snapshots" / "cc");
  refuse(path("models--gpt2"), "run \"hf download gpt2\" to complete it");
  EXPECT_EQ(checkpoint_name(path("models--gpt2") / "snapshots" / "cc"), "gpt2");
  refuse(directory_.path(), "a cache of several models");
}

TEST_F(Locate, TellsAHubIdFromADirectory) {
  ::setenv("HF_HUB_CACHE", path("hub").c_str(), 1);
  const std::string hint =
      "run \"hf download allenai/OLMoE-1B-7B-0125-Instruct --local-dir OLMoE-1B-7B-0125-Instruct\" "
      "and give OLMoE-1B-7B-0125-Instruct";
  refuse("allenai/OLMoE-1B-7B-0125-Instruct", hint);
  refuse("https://huggingface.co/allenai/OLMoE-1B-7B-0125-Instruct", hint);
  refuse("https://huggingface.co/allenai/OLMoE-1B-7B-0125-Instruct/tree/main", hint);
  refuse("hf.co/allenai/OLMoE-1B-7B-0125-Instruct/", hint);
  fs::create_directories(path("hub/models--allenai--OLMoE-1B-7B-0125-Instruct/snapshots"));
  refuse("allenai/OLMoE-1B-7B-0125-Instruct", "is in the cache here: give " + path("hub").string());
  ::unsetenv("HF_HUB_CACHE");
  for (const char* other : {"no/such/dir", "./no/such", "/no/such", "nothing", "../a/b"}) {
    expect_error(ErrorKind::data, std::string(other) + ": no such directory",
                 [&] { find_checkpoint(other); });
    try {
      find_checkpoint(other);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("hub"), std::string::npos) << error.what();
    }
  }
}

TEST_F(Locate, SaysWhatOtherThingsAre) {
  refuse(write("m/model.gguf", "GGUF"), "GGUF files cannot be read");
  refuse(path("m"), "GGUF files cannot be read: take the checkpoint that they were made from");
  write("c/config.json", "{}");
  refuse(write("c/model.safetensors", "x"), "give the directory that it is in");
  refuse(write("f/some.txt", "x"), "a directory with config.json");
  refuse(path("f"), "config.json is missing");
  fs::create_directories(path("d"));
  fs::create_symlink("gone", path("d/config.json"));
  refuse(path("d"), "a link that leads nowhere");
}

TEST_F(Locate, SaysWhyThereAreNoWeights) {
  test::write_tiny_checkpoint(path("t"), test::tiny_config());
  fs::remove(path("t/model.safetensors"));
  EXPECT_EQ(why_no_weights(path("t")), "");
  const auto expect = [&](const std::string& part) {
    EXPECT_NE(why_no_weights(path("t")).find(part), std::string::npos) << why_no_weights(path("t"));
    expect_error(ErrorKind::data, part, [&] { Checkpoint checkpoint(path("t")); });
  };
  write("t/m.Q4.gguf", "GGUF");
  expect("GGUF weights (m.Q4.gguf)");
  write("t/pytorch_model.bin", "PK");
  expect("pickled weights (pytorch_model.bin), which are never read");
  write("t/model-00001-of-00002.safetensors", "");
  expect("without the model.safetensors.index.json");
  fs::create_symlink("gone", path("t/model.safetensors"));
  expect("links that lead nowhere (model.safetensors)");
}

TEST_F(Locate, CountsShardsThatAreMissing) {
  test::write_tiny_checkpoint(path("t"), test::tiny_config(), {.n_shards = 3});
  fs::remove(path("t/model-00002-of-00003.safetensors"));
  fs::remove(path("t/model-00003-of-00003.safetensors"));
  expect_error(
      ErrorKind::data,
      "2 of 3 files of weights are missing, \"model-00002-of-00003.safetensors\" the first",
      [&] { Checkpoint checkpoint(path("t")); });
}

TEST_F(Locate, EveryFileOfACheckpointMayBeAPointer) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
  test::write_tiny_checkpoint(path("one"), test::tiny_config());
  test::write_tiny_checkpoint(path("many"), test::tiny_config(), {.n_shards = 2});
  for (const char* name :
       {"one/config.json", "one/model.safetensors", "one/generation_config.json",
        "many/model.safetensors.index.json", "many/model-00002-of-00002.safetensors"}) {
    const fs::path file = path(name);
    const bool was_there = fs::exists(file);
    const std::string before = was_there ? read_file(file, 10'000'000) : "";
    for (const auto& [bytes, part] :
         {std::pair<std::string, std::string>{pointer, "Git LFS pointer"},
          {"<html><body>Not found", "an HTML page"},
          {"", "the file is empty"}}) {
      write_file_atomically(file, bytes);
      expect_error(ErrorKind::data, file.string() + ": the file is",
                   [&] { Checkpoint checkpoint(file.parent_path()); });
      expect_error(ErrorKind::data, part, [&] { Checkpoint checkpoint(file.parent_path()); });
    }
    write_file_atomically(file, was_there ? before : "{}");
    Checkpoint checkpoint(file.parent_path());
  }
}

}  // namespace
}  // namespace moexray
