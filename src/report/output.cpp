#include "moexray/report/output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include "moexray/core/file.h"
#include "output_check.h"

namespace moexray::report {
namespace fs = std::filesystem;

// An open directory. Not among the names of this file alone: OutputDirectory::Impl holds one.
class DirectoryHandle {
 public:
  explicit DirectoryHandle(const fs::path& path)
      : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ < 0) fail_with_errno(path, "cannot open");
  }
  ~DirectoryHandle() { ::close(fd_); }
  DirectoryHandle(const DirectoryHandle&) = delete;
  DirectoryHandle& operator=(const DirectoryHandle&) = delete;

  // Until the object, or the program, goes.
  void lock() const {
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
    if (errno == EWOULDBLOCK) {
      throw Error(ErrorKind::runtime,
                  {"another program is writing into this directory", path_.string(), {}, {}});
    }
    // Some network file systems have no locks; results are still worth writing there.
  }
  // Some file systems cannot sync directories: nothing to be done about it.
  void sync() const { ::fsync(fd_); }

 private:
  const fs::path& path_;
  int fd_;
};

namespace {

void sync_file(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) fail_with_errno(path, "cannot write");
  const int result = ::fsync(fd);
  const int code = errno;
  ::close(fd);
  errno = code;
  if (result != 0) fail_with_errno(path, "cannot write");
}

// Makes the folder and those it needs; returns the new ones, the outermost first.
std::vector<fs::path> make_folders(const fs::path& path) {
  std::vector<fs::path> missing;
  for (fs::path folder = path; !fs::exists(fs::status(folder)); folder = folder.parent_path()) {
    missing.push_back(folder);
  }
  std::vector<fs::path> made;
  for (auto folder = missing.rbegin(); folder != missing.rend(); ++folder) {
    if (::mkdir(folder->c_str(), 0777) == 0) {
      made.push_back(*folder);
    } else if (errno != EEXIST) {
      fail_with_errno(*folder, "cannot make a directory");
    }
  }
  return made;
}

void move_file(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  if (errno != EXDEV) fail_with_errno(to, "cannot rename into place");
  // A folder of the output directory may be another file system.
  const MappedFile file(from);
  AtomicFile copy(to);
  copy.write(file.bytes());
  copy.commit();
}

}  // namespace

class OutputDirectory::Impl {
 public:
  explicit Impl(const OutputPlace& place)
      : directory_(looking_at(place.directory, [&] { return real_path(place.directory); })),
        kept_(place.kept.begin(), place.kept.end()),
        place_{place.directory, place.command, place.force, kept_} {
    try {
      looking_at(place_.directory, [this] { begin(); });
    } catch (...) {
      give_up();
      throw;
    }
  }
  ~Impl() { give_up(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const fs::path& path() const { return staging_; }

  void commit() {
    looking_at(place_.directory, [this] { replace(); });
  }

 private:
  void begin() {
    check_output_directory(place_);
    new_folders_ = make_folders(directory_);
    handle_ = std::make_unique<DirectoryHandle>(directory_);
    handle_->lock();
    check_output_directory(place_);  // another program may have come and gone before the lock
    for (const fs::directory_entry& entry : fs::directory_iterator(directory_)) {
      if (is_left_over(entry.path())) fs::remove_all(entry.path());
    }
    read_before();
    const fs::path list_file = directory_ / output_list_name;
    if (fs::exists(list_file)) old_list_ = read_file(list_file, UINT64_MAX);
    has_begun_ = true;
    write_list({place_.command, false, {}, before_});
    std::string name = (directory_ / staging_prefix).string() + "XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) fail_with_errno(directory_, "cannot make a directory");
    staging_ = name;
  }

  // What there is to be replaced. Version 0.1.0 noted no sizes and checksums: those of now count.
  void read_before() {
    const std::optional<OutputList> list = list_of_place(place_);
    if (!list || list->command != place_.command) return;
    std::set<std::string> paths;
    for (const OutputEntry& entry : list->all()) {
      if (look_at(directory_, entry) != OnDisk::unchanged || !paths.insert(entry.path).second) {
        continue;
      }
      before_.push_back(entry.checksum.empty() ? entry_of(directory_, entry.path) : entry);
    }
  }

  void write_list(const OutputList& list) const {
    write_file_atomically(directory_ / output_list_name, to_json(list));
  }

  // What was written, in order of name.
  std::vector<OutputEntry> new_entries() const {
    std::vector<OutputEntry> entries;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(staging_)) {
      if (entry.is_directory()) continue;
      sync_file(entry.path());
      entries.push_back(entry_of(staging_, entry.path().lexically_relative(staging_).string()));
    }
    std::sort(entries.begin(), entries.end(),
              [](const OutputEntry& a, const OutputEntry& b) { return a.path < b.path; });
    return entries;
  }

  bool is_replaceable(const std::string& path) const {
    return std::any_of(before_.begin(), before_.end(), [&](const OutputEntry& entry) {
      return entry.path == path && look_at(directory_, entry) == OnDisk::unchanged;
    });
  }

  void refuse_obstacles(const std::vector<OutputEntry>& entries) const {
    Obstacles obstacles(place_.directory);
    for (const OutputEntry& entry : entries) {
      const OnDisk state = look_at(directory_, entry);
      if (state == OnDisk::nothing || state == OnDisk::unchanged || is_replaceable(entry.path)) {
        continue;
      }
      const bool was_ours =
          std::any_of(before_.begin(), before_.end(),
                      [&](const OutputEntry& old) { return old.path == entry.path; });
      obstacles.add(entry.path, why_kept(was_ours ? state : OnDisk::other));
    }
    obstacles.refuse_if_any();
  }

  // Files that this run did not write again, if nobody has changed them.
  void remove_stale(const std::vector<OutputEntry>& entries) const {
    std::set<std::string_view> names;
    for (const OutputEntry& entry : entries) names.insert(entry.path);
    for (const OutputEntry& old : before_) {
      if (names.contains(old.path) || look_at(directory_, old) != OnDisk::unchanged) continue;
      fs::remove(directory_ / old.path);
      // Folders that held nothing else; others stay.
      std::error_code is_not_empty;
      for (fs::path folder = fs::path(old.path).parent_path();
           !folder.empty() && !is_not_empty && fs::remove(directory_ / folder, is_not_empty);
           folder = folder.parent_path()) {
      }
    }
  }

  void replace() {
    const std::vector<OutputEntry> entries = new_entries();
    refuse_obstacles(entries);
    write_list({place_.command, false, entries, before_});
    is_changed_ = true;
    remove_stale(entries);
    std::set<fs::path> folders;
    for (const OutputEntry& entry : entries) {
      const fs::path target = directory_ / entry.path;
      if (folders.insert(target.parent_path()).second) make_folders(target.parent_path());
      move_file(staging_ / entry.path, target);
    }
    for (const fs::path& folder : folders) DirectoryHandle(folder).sync();
    write_list({place_.command, true, entries, {}});
    fs::remove_all(staging_);
    staging_.clear();
    new_folders_.clear();
  }

  // Removes what is unfinished and, as long as nothing was replaced, puts back the list that was
  // there.
  void give_up() noexcept {
    std::error_code ignored;
    if (!staging_.empty()) fs::remove_all(staging_, ignored);
    if (is_changed_) return;
    if (has_begun_) restore_list();
    for (auto folder = new_folders_.rbegin(); folder != new_folders_.rend(); ++folder) {
      fs::remove(*folder, ignored);  // unless somebody put something there
    }
  }

  // Where even that cannot be written, the list on disk still names what is there.
  void restore_list() const noexcept {
    const fs::path file = directory_ / output_list_name;
    std::error_code ignored;
    if (old_list_.empty()) {
      fs::remove(file, ignored);
      return;
    }
    try {
      write_file_atomically(file, old_list_);
    } catch (const Error&) {
    }
  }

  fs::path directory_;
  std::vector<fs::path> kept_;
  OutputPlace place_;
  std::vector<fs::path> new_folders_;
  std::unique_ptr<DirectoryHandle> handle_;
  std::vector<OutputEntry> before_;
  std::string old_list_;
  fs::path staging_;
  bool has_begun_ = false;
  bool is_changed_ = false;
};

OutputDirectory::OutputDirectory(const OutputPlace& place) : impl_(std::make_unique<Impl>(place)) {}
OutputDirectory::~OutputDirectory() = default;
const fs::path& OutputDirectory::path() const { return impl_->path(); }
void OutputDirectory::commit() { impl_->commit(); }

}  // namespace moexray::report
