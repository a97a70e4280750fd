#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/error.h"

namespace moexray::test {

/// Runs `action` and expects an Error of that kind whose text holds `part`.
template <typename Action>
void expect_error(ErrorKind kind, std::string_view part, Action&& action) {
  try {
    action();
    ADD_FAILURE() << "no error; expected one that holds: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
        << "message: " << error.what() << "\nexpected to hold: " << part;
  }
}

/// The same for a text that holds all of some parts.
template <typename Action>
void expect_error(ErrorKind kind, const std::vector<std::string>& parts, Action&& action) {
  std::string what;
  try {
    action();
    ADD_FAILURE() << "no error; expected one that holds: " << parts.front();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << error.what();
    what = error.what();
  }
  for (const std::string& part : parts) {
    EXPECT_NE(what.find(part), std::string::npos)
        << "message: " << what << "\nexpected to hold: " << part;
  }
}

}  // namespace moexray::test
