#include "notices.h"

#include <gtest/gtest.h>

namespace moexray::app {
namespace {

Section saying(std::vector<std::string> notices) {
  return {.name = "section", .notices = std::move(notices)};
}

Section left_out(const std::string& name, const std::string& why) {
  return {.name = name, .notices = {name + " left out: " + why}, .left_out = why};
}

using Texts = std::vector<std::string>;

TEST(Notices, AReasonEndsAtItsColon) {
  EXPECT_EQ(reason_of("12 prompts: perplexity: lowered"), "12 prompts");
  EXPECT_EQ(reason_of("nothing follows"), "nothing follows");
  EXPECT_EQ(reason_of("category \"a: b\" has one prompt: no pairs"),
            "category \"a: b\" has one prompt");
  EXPECT_EQ(reason_of("only one category (\"x\")"), "only one category (\"x\")");
}

TEST(Notices, AreToldOnceWithAllThatFollows) {
  const std::string one = "only one category (\"a\"): what compares categories is undefined";
  EXPECT_EQ(joined_notices({saying({one, "other"}), saying({one}), left_out("classify", one),
                            left_out("confounds", one)}),
            (Texts{one + "; classify, confounds left out", "other"}));
  EXPECT_EQ(joined_notices({saying({"one prompt: no pairs", "one prompt: no intervals"}),
                            saying({"one prompt: no intervals; no bound"})}),
            Texts{"one prompt: no pairs; no intervals; no bound"});
  EXPECT_EQ(joined_notices({left_out("baselines", "no category")}),
            Texts{"no category: baselines left out"});
  EXPECT_TRUE(joined_notices({saying({})}).empty());
}

}  // namespace
}  // namespace moexray::app
