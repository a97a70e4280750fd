#include "moexray/report/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "moexray/core/file.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray::report {
namespace {

TEST(Npy, HeaderIsWhatNumpyWrites) {
  // The bytes of numpy 2's np.save(f, np.zeros((2, 3))) up to the data.
  std::string expected("\x93NUMPY\x01\x00\x76\x00", 10);
  expected += "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }";
  expected.append(127 - expected.size(), ' ');
  expected += '\n';
  EXPECT_EQ(npy_header(2, 3), expected);
  EXPECT_EQ(npy_header(12345678, 1024).size() % 64, 0U);
}

TEST(Npy, DataFollowRowByRow) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "m.npy";
  const std::vector<double> values{1, 2.5, -3, 4, 5, 6};
  write_npy(path, values, 2, 3);
  const std::string bytes = read_file(path, 1000);
  ASSERT_EQ(bytes.size(), 128 + 48U);
  EXPECT_EQ(std::memcmp(bytes.data() + 128, values.data(), 48), 0);
}

TEST(Npy, ReportsFailure) {
  const std::vector<double> values{1, 2};
  test::expect_error(ErrorKind::runtime, "cannot write: No such file",
                     [&] { write_npy("/nonexistent/m.npy", values, 1, 2); });
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "m.npy";
  test::expect_error(ErrorKind::runtime, "expected 3 values, found 2",
                     [&] { write_npy(path, values, 1, 3); });
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Npy, CanBeWrittenInPieces) {
  const test::TemporaryDirectory directory;
  const std::vector<double> values{1, 2.5, -3, 4, 5, 6};
  write_npy(directory.path() / "whole.npy", values, 3, 2);
  NpyWriter file(directory.path() / "pieces.npy", 3, 2);
  file.append(std::span(values).first(2));
  file.append(std::span(values).last(4));
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "pieces.npy"));
  file.commit();
  EXPECT_EQ(read_file(directory.path() / "pieces.npy", 1000),
            read_file(directory.path() / "whole.npy", 1000));
}

}  // namespace
}  // namespace moexray::report
