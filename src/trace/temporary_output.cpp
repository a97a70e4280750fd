#include "temporary_output.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "trace_directory.h"

namespace moexray::trace {

namespace fs = std::filesystem;

TemporaryOutput::TemporaryOutput(const fs::path& output, bool force)
    : output_(output), force_(force) {
  check(output_, force_);
  // "a/b/" means a/b.
  if (!output_.has_filename()) output_ = output_.parent_path();
  const fs::path parent = output_.has_parent_path() ? output_.parent_path() : fs::path(".");
  check_writable(output_);
  made_ = missing_directories(parent);
  std::error_code error;
  fs::create_directories(parent, error);
  std::string name = (parent / ("." + output_.filename().string() + ".import-XXXXXX")).string();
  if (error || ::mkdtemp(name.data()) == nullptr) {
    throw Error(ErrorKind::runtime,
                {std::string("cannot create a directory: ") + std::strerror(errno), name, {}, {}});
  }
  ::chmod(name.c_str(), user_permissions(0777));
  path_ = name;
}

TemporaryOutput::~TemporaryOutput() {
  if (path_.empty()) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  remove_empty(made_);
}

void TemporaryOutput::publish() {
  check(output_, force_);
  std::error_code error;
  if (fs::exists(output_)) {
    remove_file(output_ / manifest_name);
    remove_file(output_ / prompts_name);
    remove_events_from(output_, 0);
    // The manifest comes last: what is stopped here is no trace.
    for (const bool is_manifest : {false, true}) {
      for (const auto& entry : fs::directory_iterator(path_)) {
        const fs::path name = entry.path().filename();
        if ((name == manifest_name) != is_manifest) continue;
        fs::rename(entry.path(), output_ / name, error);
        if (error) fail(error);
      }
    }
    fs::remove(path_, error);
  } else {
    fs::rename(path_, output_, error);
    if (error) fail(error);
  }
  path_.clear();
}

void TemporaryOutput::check(const fs::path& output, bool force) {
  if (is_unused(output)) return;
  const bool is_ours = holds_trace(output);
  if (is_ours && force) return;
  throw Error(ErrorKind::usage,
              {is_ours ? "the directory already holds a trace; use --force to replace it"
                       : "the directory is not empty and holds no trace that moexray wrote; it "
                         "is not replaced",
               output.string(), "a new or empty directory", list_of_files(output)});
}

void TemporaryOutput::fail(const std::error_code& error) const {
  throw Error(ErrorKind::runtime, {"cannot rename: " + error.message(), output_.string(), {}, {}});
}

}  // namespace moexray::trace
