#include "moexray/runtime/modules.h"

#include <gtest/gtest.h>

#include "moexray/core/error.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray {
namespace {

TEST(Modules, ARuntimeIsLookedForInItsDirectoryAlone) {
  const test::TemporaryDirectory empty;
  test::expect_error(ErrorKind::runtime, (empty.path() / "moexray_torch.so").string(),
                     [&] { load_runtime(empty.path()); });
}

}  // namespace
}  // namespace moexray
