#include "moexray/core/sha256.h"

#include <gtest/gtest.h>

#include <string>

namespace moexray {
namespace {

// The examples of FIPS 180-4 and of NIST's secure hashing test data.
TEST(Sha256, MatchesPublishedVectors) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, GivesTheSameForAnyCutOfTheStream) {
  const std::string text(1000, 'x');
  for (std::size_t cut = 0; cut <= text.size(); cut += 37) {
    Sha256 hash;
    hash.update(std::string_view(text).substr(0, cut));
    hash.update(std::string_view());
    hash.update(std::string_view(text).substr(cut));
    EXPECT_EQ(hash.finish_hex(), sha256_hex(text)) << "cut at " << cut;
  }
}

TEST(Sha256, StartsAnewAfterFinish) {
  Sha256 hash;
  hash.update("something else");
  EXPECT_NE(hash.finish_hex(), sha256_hex("abc"));
  hash.update("abc");
  Sha256 moved = std::move(hash);
  EXPECT_EQ(moved.finish_hex(), sha256_hex("abc"));
}

}  // namespace
}  // namespace moexray
