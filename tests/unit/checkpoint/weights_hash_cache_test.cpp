#include "moexray/checkpoint/weights_hash_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "moexray/core/file.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;

constexpr const char* some_hash = "xxh3-128:0123456789abcdef0123456789abcdef";

// A checkpoint of two files and a cache that may keep what was written just now.
class WeightsHashCacheTest : public testing::Test {
 protected:
  WeightsHashCacheTest() { write({.n_shards = 2}); }

  void write(const test::TinyCheckpointOptions& options) {
    test::write_tiny_checkpoint(model_, test::tiny_config(), options);
  }
  Checkpoint checkpoint() const { return Checkpoint(model_); }
  bool keep(const Checkpoint& checkpoint) const {
    return cache_.keep(checkpoint, some_hash, later());
  }
  static std::chrono::system_clock::time_point later() {
    return std::chrono::system_clock::now() + std::chrono::hours(1);
  }
  fs::path shard() const { return model_ / "model-00001-of-00002.safetensors"; }
  fs::path only_entry() const {
    return fs::directory_iterator(directory_.path() / "cache")->path();
  }

  test::TemporaryDirectory directory_;
  fs::path model_ = directory_.path() / "model";
  WeightsHashCache cache_{directory_.path() / "cache"};
};

TEST_F(WeightsHashCacheTest, FindsWhatWasKeptForTheseFiles) {
  EXPECT_EQ(cache_.find(checkpoint()), std::nullopt);
  ASSERT_TRUE(keep(checkpoint()));
  EXPECT_EQ(cache_.find(checkpoint()), some_hash);
  // By any name of the directory, and not for another checkpoint.
  fs::create_directory_symlink(model_, directory_.path() / "link");
  EXPECT_EQ(cache_.find(Checkpoint(directory_.path() / "link")), some_hash);
  fs::copy(model_, directory_.path() / "copy");
  EXPECT_EQ(cache_.find(Checkpoint(directory_.path() / "copy")), std::nullopt);
}

TEST_F(WeightsHashCacheTest, TrustsNoFileThatWasWrittenSince) {
  ASSERT_TRUE(keep(checkpoint()));
  const std::string bytes = read_file(shard(), 1 << 24);
  struct stat before{};
  ASSERT_EQ(::stat(shard().c_str(), &before), 0);
  // The same size, and the time of modification set back: the time of change tells.
  ::usleep(20'000);
  std::string changed = bytes;
  changed.back() ^= 1;
  std::fstream(shard(), std::ios::in | std::ios::out | std::ios::binary) << changed;
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, shard().c_str(), times, 0), 0);
  EXPECT_EQ(cache_.find(checkpoint()), std::nullopt);
}

TEST_F(WeightsHashCacheTest, TrustsNoOtherFileUnderTheName) {
  ASSERT_TRUE(keep(checkpoint()));
  fs::rename(shard(), model_ / "old");
  fs::copy_file(model_ / "old", shard());
  EXPECT_EQ(cache_.find(checkpoint()), std::nullopt);
}

// What is taken from the files counts as well: the config decides it.
TEST_F(WeightsHashCacheTest, SeesOtherTensors) {
  ASSERT_TRUE(keep(checkpoint()));
  const std::string entry = read_file(only_entry(), 1 << 20);
  const std::string word = "tensors ";
  std::string other = entry;
  char& digit = other.at(other.find(word) + word.size());
  digit = digit == '0' ? '1' : '0';
  write_file_atomically(only_entry(), other);
  EXPECT_EQ(cache_.find(checkpoint()), std::nullopt);
  write_file_atomically(only_entry(), entry);
  EXPECT_EQ(cache_.find(checkpoint()), some_hash);
}

TEST_F(WeightsHashCacheTest, KeepsNothingThatALaterWriteCouldUndoUnseen) {
  const Checkpoint now = checkpoint();
  EXPECT_FALSE(cache_.keep(now, some_hash));  // written a moment ago
  EXPECT_FALSE(cache_.keep(now, some_hash, std::chrono::system_clock::time_point{}));
  fs::rename(shard(), model_ / "old");
  fs::copy_file(model_ / "old", shard());
  EXPECT_FALSE(keep(now));  // not the file that is open
  fs::remove(shard());
  EXPECT_FALSE(keep(now));
  EXPECT_FALSE(fs::exists(directory_.path() / "cache"));
}

TEST_F(WeightsHashCacheTest, PassesOverADamagedEntry) {
  ASSERT_TRUE(keep(checkpoint()));
  const std::string entry = read_file(only_entry(), 1 << 20);
  for (const std::string& damaged :
       {std::string(), entry.substr(0, entry.size() - 1), entry.substr(0, entry.size() / 2),
        entry + "x", entry + "\n", entry.substr(0, entry.size() - 2) + "g\n",
        std::string(2 << 20, 'x')}) {
    write_file_atomically(only_entry(), damaged);
    EXPECT_EQ(cache_.find(checkpoint()), std::nullopt);
  }
  EXPECT_TRUE(keep(checkpoint()));
  EXPECT_EQ(cache_.find(checkpoint()), some_hash);
}

TEST_F(WeightsHashCacheTest, IsNoneWhereItCannotBeWritten) {
  const WeightsHashCache none{fs::path()};
  EXPECT_FALSE(none.keep(checkpoint(), some_hash, later()));
  EXPECT_EQ(none.find(checkpoint()), std::nullopt);
  write_file_atomically(directory_.path() / "file", "");
  const WeightsHashCache blocked(directory_.path() / "file" / "cache");
  EXPECT_FALSE(blocked.keep(checkpoint(), some_hash, later()));
  EXPECT_EQ(blocked.find(checkpoint()), std::nullopt);
}

TEST(WeightsHashCacheDirectory, FollowsTheEnvironment) {
  const std::string home = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  const auto with = [](const char* cache, const char* home) {
    ::setenv("XDG_CACHE_HOME", cache, 1);
    ::setenv("HOME", home, 1);
    return WeightsHashCache::user_directory().string();
  };
  EXPECT_EQ(with("/c", "/h"), "/c/moexray/weights");
  EXPECT_EQ(with("", "/h"), "/h/.cache/moexray/weights");
  EXPECT_EQ(with("relative", "/h"), "/h/.cache/moexray/weights");
  EXPECT_EQ(with("", ""), "");
  with("", home.c_str());
}

}  // namespace
}  // namespace moexray
