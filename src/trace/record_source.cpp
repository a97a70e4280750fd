#include "record_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <new>
#include <utility>

#include "json_text.h"
#include "moexray/core/error.h"

namespace moexray::trace {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 18;
constexpr std::size_t padding_bytes = 64;
// 128 MiB: what zstd itself accepts unless told otherwise.
constexpr int max_window_log = 27;

std::int64_t count_newlines(const std::filesystem::path& path, std::uint64_t n_bytes) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> piece(piece_bytes);
  std::int64_t n = 0;
  while (n_bytes > 0 && in) {
    in.read(piece.data(),
            static_cast<std::streamsize>(std::min<std::uint64_t>(n_bytes, piece.size())));
    n += std::count(piece.begin(), piece.begin() + in.gcount(), '\n');
    n_bytes -= static_cast<std::uint64_t>(in.gcount());
  }
  return n;
}

}  // namespace

std::int64_t regular_file_size(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return -1;
  return info.st_size;
}

// The decompressor with the compressed bytes it has not taken yet.
class RecordSource::Zstd {
 public:
  Zstd() : stream_(ZSTD_createDStream()), input_(ZSTD_DStreamInSize()) {
    if (stream_ == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, max_window_log);
  }

  bool needs_input() const { return taken_ == size_; }
  std::vector<char>& input() { return input_; }
  void set_input(std::size_t size) {
    size_ = size;
    taken_ = 0;
  }
  /// Bytes written; `error` names what is wrong with the frame.
  std::size_t decompress(char* out, std::size_t room, std::string& error) {
    ZSTD_inBuffer in{input_.data(), size_, taken_};
    ZSTD_outBuffer target{out, room, 0};
    const std::size_t result = ZSTD_decompressStream(stream_.get(), &target, &in);
    if (ZSTD_isError(result) != 0) error = ZSTD_getErrorName(result);
    taken_ = in.pos;
    is_between_frames_ = result == 0;
    may_have_more_ = target.pos == room;
    return target.pos;
  }
  bool is_between_frames() const { return is_between_frames_; }
  /// Output was cut short by its room: call again before giving more input.
  bool may_have_more() const { return may_have_more_ && !is_between_frames_; }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  std::vector<char> input_;
  std::size_t size_ = 0;
  std::size_t taken_ = 0;
  bool is_between_frames_ = true;
  bool may_have_more_ = false;
};

RecordSource::RecordSource(const std::filesystem::path& path, const RecordRange& range,
                           bool with_checksum)
    : path_(path), range_(range) {
  // Not blocking: a pipe with this name must not hang the reader.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) {
    throw Error(ErrorKind::data,
                {std::string("cannot open: ") + std::strerror(errno), path.string(), {}, {}});
  }
  try {
    struct stat info{};
    if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
      throw Error(ErrorKind::data, {"not a regular file", path.string(), {}, {}});
    }
    if (path.extension() == ".zst") zstd_ = std::make_unique<Zstd>();
    check_range(info.st_size);
    if (with_checksum) checksum_ = std::make_unique<Checksum>();
    buffer_.resize(piece_bytes + padding_bytes);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

RecordSource::~RecordSource() { ::close(fd_); }

void RecordSource::check_range(std::int64_t size) {
  const std::int64_t offset = range_.offset;
  const std::int64_t stored = zstd_ != nullptr ? range_.n_compressed_bytes : range_.n_bytes;
  if (offset < 0 || offset > size || stored > size - offset) {
    throw Error(ErrorKind::data, {"the file is too short", path_.string(),
                                  std::to_string(std::max<std::int64_t>(stored, 0)) +
                                      " bytes from byte " + std::to_string(offset),
                                  std::to_string(size) + " bytes in all"});
  }
  at_ = static_cast<std::uint64_t>(offset);
  end_ = static_cast<std::uint64_t>(stored < 0 ? size : offset + stored);
}

void RecordSource::fail(std::string what, std::string expected, std::string found) const {
  throw Error(ErrorKind::data, {std::move(what), where(), std::move(expected), std::move(found)});
}

std::string RecordSource::where() const {
  const std::int64_t line = std::max<std::int64_t>(n_lines_, 1);
  if (zstd_ != nullptr) {
    const std::string frame =
        range_.offset > 0 ? " (frame at byte " + std::to_string(range_.offset) + ")" : "";
    return path_.string() + frame + ":" + std::to_string(line);
  }
  const auto offset = static_cast<std::uint64_t>(range_.offset);
  return path_.string() + ":" + std::to_string(count_newlines(path_, offset) + line);
}

bool RecordSource::next() {
  std::size_t searched = 0;
  while (true) {
    const char* start = buffer_.data() + begin_;
    const std::size_t size = filled_ - begin_;
    const void* newline = std::memchr(start + searched, '\n', size - searched);
    if (newline != nullptr) {
      line_ = {start, static_cast<std::size_t>(static_cast<const char*>(newline) - start)};
      begin_ += line_.size() + 1;
      ++n_lines_;
      return true;
    }
    if (size > max_line_bytes) {
      ++n_lines_;
      fail("line longer than 16 MB");
    }
    if (fill()) {
      searched = size;
      continue;
    }
    if (size == 0) return false;
    line_ = {buffer_.data() + begin_, size};
    begin_ = filled_;
    ++n_lines_;
    return true;
  }
}

// Makes room behind the unread bytes and reads the next piece; false at the end of the range.
bool RecordSource::fill() {
  if (at_end_) return false;
  const std::size_t kept = filled_ - begin_;
  if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, kept);
  begin_ = 0;
  filled_ = kept;
  if (buffer_.size() - kept < piece_bytes / 2 + padding_bytes) buffer_.resize(buffer_.size() * 2);
  char* out = buffer_.data() + kept;
  const std::size_t room = buffer_.size() - padding_bytes - kept;
  const std::size_t n = zstd_ != nullptr ? fill_zstd(out, room) : fill_plain(out, room);
  if (checksum_ != nullptr) checksum_->update({out, n});
  filled_ += n;
  n_produced_ += n;
  at_end_ = n == 0;
  return n > 0;
}

std::size_t RecordSource::read_file(char* out, std::size_t room) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(room, end_ - at_));
  ssize_t n = 0;
  do {
    n = ::pread(fd_, out, wanted, static_cast<off_t>(at_));
  } while (n < 0 && errno == EINTR);
  if (n < 0) fail(std::string("cannot read: ") + std::strerror(errno));
  if (n == 0 && wanted > 0) fail("the file became shorter while it was read");
  at_ += static_cast<std::uint64_t>(n);
  return static_cast<std::size_t>(n);
}

std::size_t RecordSource::fill_plain(char* out, std::size_t room) {
  return at_ == end_ ? 0 : read_file(out, room);
}

std::size_t RecordSource::fill_zstd(char* out, std::size_t room) {
  const bool is_bounded = range_.n_bytes >= 0;
  const std::uint64_t left = is_bounded ? static_cast<std::uint64_t>(range_.n_bytes) - n_produced_
                                        : std::numeric_limits<std::uint64_t>::max();
  // One byte more than declared is asked for, so that a frame that holds more is noticed.
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(room - 1, left)) + 1;
  while (true) {
    const bool is_input_over = zstd_->needs_input() && at_ == end_;
    if (zstd_->is_between_frames()) {
      if (is_bounded && left == 0) {
        if (range_.n_compressed_bytes >= 0 && !is_input_over) {
          fail("more compressed bytes than the events need");
        }
        return 0;
      }
      if (!is_bounded && is_input_over) return 0;
    }
    if (is_input_over && !zstd_->may_have_more()) {
      fail("compressed events end too early: the file is truncated or damaged");
    }
    if (zstd_->needs_input() && at_ < end_) {
      zstd_->set_input(read_file(zstd_->input().data(), zstd_->input().size()));
    }
    std::string error;
    const std::size_t n = zstd_->decompress(out, most, error);
    if (!error.empty()) fail("compressed events are damaged: " + error);
    if (n > left) {
      fail("compressed events are longer than declared", std::to_string(range_.n_bytes) + " bytes");
    }
    if (n > 0) return n;
  }
}

}  // namespace moexray::trace
