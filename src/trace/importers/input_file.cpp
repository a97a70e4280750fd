#include "input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "moexray/core/file_kind.h"
#include "moexray/core/sha256.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

using trace::fail_at;

constexpr std::size_t piece_bytes = std::size_t{1} << 18;
constexpr int max_window_log = 27;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

struct InputFile::Hash {
  Sha256 sha;
  std::string text;  // once finished
};

// Takes stored bytes and gives what they stand for.
class InputFile::Decoder {
 public:
  explicit Decoder(InputFile& file) : file_(file), input_(piece_bytes) {}
  virtual ~Decoder() = default;
  virtual std::size_t read(char* out, std::size_t room) = 0;

 protected:
  [[noreturn]] void fail(const std::string& what) const { fail_at(what, file_.path_.string()); }

  // More input where none is left; false at the end of the file.
  bool refill() {
    if (taken_ < size_) return true;
    size_ = file_.read_stored(input_.data(), input_.size());
    taken_ = 0;
    return size_ > 0;
  }

  InputFile& file_;
  std::vector<char> input_;
  std::size_t size_ = 0;
  std::size_t taken_ = 0;
};

class InputFile::Gzip : public InputFile::Decoder {
 public:
  explicit Gzip(InputFile& file) : Decoder(file) {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Gzip() override { inflateEnd(&stream_); }

  std::size_t read(char* out, std::size_t room) override {
    room = std::min<std::size_t>(room, std::numeric_limits<uInt>::max());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(room);
    while (stream_.avail_out == room) {
      if (!refill()) {
        if (!is_between_) fail("the gzip data end too early: the file is truncated");
        return 0;
      }
      if (is_between_ && inflateReset(&stream_) != Z_OK) fail("damaged gzip data");
      is_between_ = false;
      stream_.next_in = reinterpret_cast<Bytef*>(input_.data() + taken_);
      stream_.avail_in = static_cast<uInt>(size_ - taken_);
      const int result = inflate(&stream_, Z_NO_FLUSH);
      taken_ = size_ - stream_.avail_in;
      if (result == Z_STREAM_END) {
        is_between_ = true;
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        fail(std::string("damaged gzip data: ") +
             (stream_.msg != nullptr ? stream_.msg : "wrong checksum or header"));
      }
    }
    return room - stream_.avail_out;
  }

 private:
  z_stream stream_{};
  bool is_between_ = false;
};

class InputFile::Zstd : public InputFile::Decoder {
 public:
  explicit Zstd(InputFile& file) : Decoder(file), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, max_window_log);
  }

  std::size_t read(char* out, std::size_t room) override {
    ZSTD_outBuffer target{out, room, 0};
    while (target.pos == 0) {
      const bool has_input = refill();
      if (!has_input && !may_have_more_) {
        if (!is_between_) fail("the zstd data end too early: the file is truncated");
        return 0;
      }
      ZSTD_inBuffer in{input_.data(), size_, taken_};
      const std::size_t result = ZSTD_decompressStream(stream_.get(), &target, &in);
      if (ZSTD_isError(result) != 0) {
        fail(std::string("damaged zstd data: ") + ZSTD_getErrorName(result));
      }
      may_have_more_ = target.pos == room;
      is_between_ = result == 0;
      taken_ = in.pos;
    }
    return target.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  bool is_between_ = true;
  bool may_have_more_ = false;
};

InputFile::InputFile(std::filesystem::path path)
    : path_(std::move(path)), hash_(std::make_unique<Hash>()) {
  // Not blocking: a pipe with this name must not hang the reader.
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) fail_at(std::string("cannot open: ") + std::strerror(errno), path_.string());
  struct stat info{};
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    fail_at("not a regular file", path_.string());
  }
  std::string head(256, '\0');
  const ssize_t n = ::pread(fd_, head.data(), head.size(), 0);
  head.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  try {
    check_not_foreign(head, path_);
    if (head.starts_with("\x1F\x8B")) decoder_ = std::make_unique<Gzip>(*this);
    if (head.starts_with("\x28\xB5\x2F\xFD")) decoder_ = std::make_unique<Zstd>(*this);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

InputFile::~InputFile() { ::close(fd_); }

std::size_t InputFile::read_stored(char* out, std::size_t room) {
  ssize_t n = 0;
  do {
    n = ::read(fd_, out, room);
  } while (n < 0 && errno == EINTR);
  if (n < 0) fail_at(std::string("cannot read: ") + std::strerror(errno), path_.string());
  hash_->sha.update(std::string_view(out, static_cast<std::size_t>(n)));
  n_stored_ += static_cast<std::uint64_t>(n);
  return static_cast<std::size_t>(n);
}

std::size_t InputFile::read(char* out, std::size_t room) {
  return decoder_ != nullptr ? decoder_->read(out, room) : read_stored(out, room);
}

std::string InputFile::read_all(std::uint64_t max_bytes) {
  std::string text;
  std::size_t filled = 0;
  while (true) {
    text.resize(std::max<std::size_t>(filled + piece_bytes, std::min(text.capacity(), 2 * filled)));
    const std::size_t n = read(text.data() + filled, text.size() - filled);
    filled += n;
    if (filled > max_bytes) {
      fail_at("too long", path_.string(), "at most " + std::to_string(max_bytes) + " bytes");
    }
    if (n == 0) break;
  }
  text.resize(filled);
  return text;
}

std::string InputFile::sha256() {
  if (hash_->text.empty()) {
    std::vector<char> rest(piece_bytes);
    while (read_stored(rest.data(), rest.size()) > 0) {
    }
    hash_->text = hash_->sha.finish_hex();
  }
  return hash_->text;
}

std::string first_bytes(const std::filesystem::path& path, std::size_t n) {
  InputFile file(path);
  std::string text(n, '\0');
  std::size_t filled = 0;
  while (filled < n) {
    const std::size_t more = file.read(text.data() + filled, n - filled);
    if (more == 0) break;
    filled += more;
  }
  text.resize(filled);
  return text;
}

void check_not_foreign(std::string_view head, const std::filesystem::path& path) {
  // A safetensors file begins with a length, which may look like anything.
  if (head.size() > 8 && head[8] == '{') return;
  const FileKind kind = recognise_file(head);
  const std::string name = path.filename().string();
  if (kind.name == "a pickled Python object" || name.ends_with(".pt") || name.ends_with(".pth") ||
      name.ends_with(".pkl") || name.ends_with(".pickle")) {
    fail_at(
        "a pickle: reading one runs code that it holds. Convert an array of ids [T, L, k] where it "
        "is trusted: python3 -c \"import torch,numpy,sys; numpy.save(sys.argv[2], "
        "torch.load(sys.argv[1],weights_only=True).numpy())\" ids.pt ids.npy",
        path.string());
  }
  if (head.starts_with("PAR1")) {
    fail_at(
        "a Parquet file. One layer a file becomes an array of ids with: python3 -c \"import "
        "pyarrow.parquet as p,numpy,sys; numpy.save(sys.argv[1], numpy.stack([numpy.stack("
        "p.read_table(f)['indices'].to_numpy()) for f in sys.argv[2:]],1))\" ids.npy "
        "layer_*.parquet",
        path.string());
  }
  const bool is_read =
      kind.name.find("gzip") != std::string::npos || kind.name.find("zstd") != std::string::npos ||
      kind.name == "a zip archive" || kind.name == "a NumPy array" || kind.name == "a GGUF file";
  if (kind.group == FileKind::Group::unknown || is_read) return;
  fail_at("the file is " + kind.name + (kind.remedy.empty() ? "" : " (" + kind.remedy + ")"),
          path.string());
}

bool InputLines::next() {
  ++number_;
  std::size_t searched = 0;
  while (true) {
    const std::size_t end = buffer_.find('\n', begin_ + searched);
    if (end != std::string::npos) {
      line_ = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = end + 1;
      break;
    }
    if (at_end_) {
      if (begin_ == buffer_.size()) return false;
      line_ = std::string_view(buffer_).substr(begin_);
      begin_ = buffer_.size();
      break;
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched = buffer_.size();
    if (searched > max_record_bytes) fail_at("line longer than 1 GiB", where());
    buffer_.resize(searched + piece_bytes);
    const std::size_t n = file_.read(buffer_.data() + searched, piece_bytes);
    buffer_.resize(searched + n);
    at_end_ = n == 0;
  }
  if (line_.ends_with('\r')) line_.remove_suffix(1);
  return true;
}

std::string InputLines::where() const {
  return file_.path().string() + ":" + std::to_string(number_);
}

std::string JsonRecords::where() const {
  return file_.path().string() + ":" + std::to_string(start_line_);
}

void JsonRecords::fail(std::string what) const {
  fail_at(std::move(what), file_.path().string() + ":" + std::to_string(line_));
}

bool JsonRecords::fill() {
  if (at_ < chunk_.size()) return true;
  chunk_.resize(piece_bytes);
  chunk_.resize(file_.read(chunk_.data(), chunk_.size()));
  at_ = 0;
  return !chunk_.empty();
}

// Moves to the brace that opens the next object; false at the end of the file.
bool JsonRecords::find_start() {
  while (fill()) {
    if (!has_started_ && chunk_.starts_with("\xEF\xBB\xBF")) at_ += 3;
    if (!has_started_ && chunk_.compare(at_, 5, "data:") == 0) {
      fail(
          "a saved stream: its pieces hold no whole response. Ask without \"stream\": true, or "
          "save "
          "the response that a client puts together");
    }
    for (; at_ < chunk_.size(); ++at_) {
      const char c = chunk_[at_];
      if (c == '\n') ++line_;
      if (is_blank(c)) continue;
      if (!has_started_ && c == '[') {
        is_array_ = has_started_ = true;
        continue;
      }
      has_started_ = true;
      if (is_array_ && !is_closed_ && c == ',') continue;
      if (is_array_ && !is_closed_ && c == ']') {
        is_closed_ = true;
        continue;
      }
      if (c != '{' || is_closed_) {
        fail(std::string("not a JSON object: it begins with '") + c + "'");
      }
      return true;
    }
  }
  if (is_array_ && !is_closed_) fail("the array is not closed: the file is truncated");
  return false;
}

bool JsonRecords::next() {
  text_.clear();
  if (!find_start()) return false;
  take_object();
  return true;
}

// Goes on to the brace that closes the object; strings are passed over.
void JsonRecords::take_object() {
  start_line_ = line_;
  int depth = 0;
  bool in_string = false;
  bool is_escaped = false;
  while (fill()) {
    std::size_t i = at_;
    for (; i < chunk_.size(); ++i) {
      const char c = chunk_[i];
      if (in_string) {
        if (is_escaped) {
          is_escaped = false;
          continue;
        }
        if (c != '"' && c != '\\') {
          // Most of a response is one string.
          const void* quote = std::memchr(chunk_.data() + i, '"', chunk_.size() - i);
          const std::size_t end =
              quote == nullptr
                  ? chunk_.size()
                  : static_cast<std::size_t>(static_cast<const char*>(quote) - chunk_.data());
          const void* slash = std::memchr(chunk_.data() + i, '\\', end - i);
          i = slash == nullptr
                  ? end - 1
                  : static_cast<std::size_t>(static_cast<const char*>(slash) - chunk_.data()) - 1;
          continue;
        }
        is_escaped = c == '\\';
        in_string = c != '"';
        continue;
      }
      if (c == '"') in_string = true;
      if (c == '\n') ++line_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) {
        text_.append(chunk_, at_, i + 1 - at_);
        at_ = i + 1;
        return;
      }
    }
    text_.append(chunk_, at_, i - at_);
    at_ = i;
    if (text_.size() > max_record_bytes) fail("an object longer than 1 GiB");
  }
  fail("the object that begins in line " + std::to_string(start_line_) +
       " is not closed: the file is truncated");
}

}  // namespace moexray::imports
