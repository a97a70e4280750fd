#include "moexray/core/expert_sets.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "support/expect_error.h"

namespace moexray {
namespace {

using test::expect_error;
using texts = std::vector<std::string>;

constexpr RoutingShape shape{2, 11, 3};

ExpertSets two_tokens() {
  ExpertSets sets(shape);
  sets.append(0, 1, std::vector<ExpertId>{10, 0, 8});
  sets.append(1, 2, std::vector<ExpertId>{1, 2, 3, 9, 7, 6});
  sets.append(0, 1, std::vector<ExpertId>{5, 4, 3});
  return sets;
}

TEST(ExpertSets, KeepsSetsAsBits) {
  const ExpertSets sets = two_tokens();
  EXPECT_EQ(sets.n_positions(), 2);
  EXPECT_TRUE(sets.is_rectangular());
  EXPECT_EQ(sets.bytes_per_set(), 2U);
  const std::string expected{'\x01', '\x05', '\x38', '\0', '\x0e', '\0', '\xc0', '\x02'};
  EXPECT_EQ(sets.bytes(), expected);
  std::array<std::uint16_t, 3> experts{};
  sets.read(0, 0, experts);
  EXPECT_EQ(experts, (std::array<std::uint16_t, 3>{0, 8, 10}));
  sets.read(1, 1, experts);
  EXPECT_EQ(experts, (std::array<std::uint16_t, 3>{6, 7, 9}));
}

TEST(ExpertSets, ComeBackFromTheirBytes) {
  const std::string bytes = two_tokens().bytes();
  EXPECT_EQ(ExpertSets::from_bytes(shape, 2, bytes).bytes(), bytes);
}

TEST(ExpertSets, RefuseBytesThatAreNoSets) {
  const std::string bytes = two_tokens().bytes();
  expect_error(ErrorKind::data, "wrong size", [&] { ExpertSets::from_bytes(shape, 3, bytes); });
  std::string fewer = bytes;
  fewer[2] = '\x18';
  expect_error(ErrorKind::data, texts{"damaged", "layer 0, position 1"},
               [&] { ExpertSets::from_bytes(shape, 2, fewer); });
  std::string beyond = bytes;
  beyond[1] = '\x0c';  // expert 11 in place of expert 8
  expect_error(ErrorKind::data, "do not exist", [&] { ExpertSets::from_bytes(shape, 2, beyond); });
}

TEST(ExpertSets, RefuseExpertsThatCannotBe) {
  ExpertSets sets(shape);
  expect_error(ErrorKind::data, "11", [&] { sets.append(0, 1, std::vector<ExpertId>{0, 11, 2}); });
  expect_error(ErrorKind::data, "twice",
               [&] { sets.append(0, 1, std::vector<ExpertId>{4, 1, 4}); });
  expect_error(ErrorKind::runtime, "shape",
               [&] { sets.append(2, 1, std::vector<ExpertId>{0, 1, 2}); });
}

}  // namespace
}  // namespace moexray
