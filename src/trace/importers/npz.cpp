#include "npz.h"

#include <zip.h>

#include <algorithm>
#include <set>

#include "input_file.h"
#include "moexray/core/escape.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

using trace::fail_at;

// Beyond deflate's best, 1032 to 1, a size is a lie.
constexpr std::uint64_t max_ratio = 1040;
constexpr std::uint64_t max_member_bytes = std::uint64_t{16} << 30;

}  // namespace

struct NpzFile::Archive {
  explicit Archive(zip_t* zip) : handle(zip) {}
  ~Archive() { zip_discard(handle); }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;
  zip_t* handle;
};

NpzFile::NpzFile(const std::filesystem::path& path) : path_(path) {
  int code = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code);
  if (zip == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    fail_at("not a zip archive, or a damaged one: " + text, path.string());
  }
  archive_ = std::make_unique<Archive>(zip);
  std::set<std::string> seen;
  const zip_int64_t n = zip_get_num_entries(zip, 0);
  for (zip_int64_t i = 0; i < n; ++i) {
    const char* name = zip_get_name(zip, static_cast<zip_uint64_t>(i), 0);
    if (name == nullptr) fail_at("a member without a name", path.string());
    if (!seen.insert(name).second) {
      fail_at("the archive has two members of one name", path.string(), {},
              "\"" + printable(name, 200) + "\"");
    }
    names_.emplace_back(name);
  }
}

NpzFile::~NpzFile() = default;

bool NpzFile::has(std::string_view name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

std::string NpzFile::read(std::string_view name) const {
  const std::string where = path_.string() + ": member \"" + printable(name, 200) + "\"";
  const std::string text(name);
  zip_stat_t info;
  zip_stat_init(&info);
  if (zip_stat(archive_->handle, text.c_str(), 0, &info) != 0 ||
      (info.valid & (ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE)) != (ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE)) {
    fail_at("no such member, or one without a size", where);
  }
  if (info.size > max_member_bytes || info.size / max_ratio > info.comp_size) {
    fail_at("the member claims more bytes than it can hold", where, {}, std::to_string(info.size));
  }
  zip_file_t* file = zip_fopen(archive_->handle, text.c_str(), 0);
  if (file == nullptr) {
    fail_at(std::string("cannot read: ") + zip_strerror(archive_->handle), where);
  }
  std::string bytes(info.size, '\0');
  std::size_t filled = 0;
  zip_int64_t n = 1;
  // One byte more than claimed is asked for: libzip checks the CRC at the end of the data.
  while (n > 0) {
    char extra = 0;
    const bool is_full = filled == bytes.size();
    n = is_full ? zip_fread(file, &extra, 1)
                : zip_fread(file, bytes.data() + filled, bytes.size() - filled);
    if (is_full && n > 0) n = -1;
    if (n > 0) filled += static_cast<std::size_t>(n);
  }
  const bool is_whole = n == 0 && filled == bytes.size();
  zip_fclose(file);
  if (!is_whole) fail_at("the member is damaged: its length or CRC is wrong", where);
  return bytes;
}

}  // namespace moexray::imports
