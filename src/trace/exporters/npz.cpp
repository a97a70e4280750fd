// Archives of arrays: .npz, written member by member, and .safetensors.

#include <zip.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>

#include "exporter.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "trace/fail.h"

namespace moexray::exports {
namespace {

namespace fs = std::filesystem;

// 1980-01-01, the first day that zip knows: no clock decides bytes.
constexpr zip_uint16_t first_dos_date = (1 << 5) | 1;

// A member whose bytes are made when libzip comes to it, and dropped behind it.
struct Member {
  std::function<std::string()> make;
  std::exception_ptr* problem = nullptr;
  std::string bytes = {};
  std::size_t n_read = 0;
};

extern "C" zip_int64_t moexray_zip_member(void* state, void* data, zip_uint64_t length,
                                          zip_source_cmd_t command) {
  Member& member = *static_cast<Member*>(state);
  switch (command) {
    case ZIP_SOURCE_OPEN:
      try {
        member.bytes = member.make();
        member.n_read = 0;
        return 0;
      } catch (...) {
        *member.problem = std::current_exception();
        return -1;
      }
    case ZIP_SOURCE_READ: {
      const std::size_t n = std::min<std::size_t>(length, member.bytes.size() - member.n_read);
      std::memcpy(data, member.bytes.data() + member.n_read, n);
      member.n_read += n;
      return static_cast<zip_int64_t>(n);
    }
    case ZIP_SOURCE_CLOSE:
      std::string().swap(member.bytes);
      return 0;
    case ZIP_SOURCE_STAT:
      zip_stat_init(static_cast<zip_stat_t*>(data));
      return sizeof(zip_stat_t);
    case ZIP_SOURCE_ERROR: {
      const std::array<int, 2> codes{ZIP_ER_INTERNAL, 0};
      std::memcpy(data, codes.data(), sizeof(codes));
      return sizeof(codes);
    }
    case ZIP_SOURCE_SUPPORTS:
      return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                            ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
    case ZIP_SOURCE_FREE:
      return 0;
    default:
      return -1;
  }
}

// A zip archive of stored members.
class ZipWriter {
 public:
  explicit ZipWriter(const fs::path& path) : path_(path) {
    int code = 0;
    zip_ = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (zip_ == nullptr) {
      zip_error_t error;
      zip_error_init_with_code(&error, code);
      const std::string text = zip_error_strerror(&error);
      zip_error_fini(&error);
      throw Error(ErrorKind::runtime, {"cannot write: " + text, path.string(), {}, {}});
    }
  }
  ~ZipWriter() {
    if (zip_ != nullptr) zip_discard(zip_);
  }
  ZipWriter(const ZipWriter&) = delete;
  ZipWriter& operator=(const ZipWriter&) = delete;

  void add(const std::string& name, std::function<std::string()> make) {
    members_.push_back(std::make_unique<Member>(Member{std::move(make), &problem_}));
    zip_source_t* source = zip_source_function(zip_, moexray_zip_member, members_.back().get());
    const zip_int64_t index =
        source == nullptr ? -1 : zip_file_add(zip_, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      if (source != nullptr) zip_source_free(source);
      fail();
    }
    const auto i = static_cast<zip_uint64_t>(index);
    if (zip_set_file_compression(zip_, i, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(zip_, i, 0, first_dos_date, 0) != 0) {
      fail();
    }
  }

  // Makes the members and writes all of them, under a temporary name that libzip then renames.
  void close() {
    if (zip_close(zip_) != 0) {
      if (problem_ != nullptr) std::rethrow_exception(problem_);
      fail();
    }
    zip_ = nullptr;
  }

 private:
  [[noreturn]] void fail() const {
    throw Error(ErrorKind::runtime,
                {std::string("cannot write: ") + zip_strerror(zip_), path_.string(), {}, {}});
  }

  fs::path path_;
  std::vector<std::unique_ptr<Member>> members_;
  std::exception_ptr problem_;
  zip_t* zip_ = nullptr;
};

std::array<std::int64_t, 3> sizes_of(const RoutingShape& shape, const PromptArrays& arrays) {
  return {arrays.n_rows, shape.n_layers, shape.top_k};
}

// The arrays of prompts: those of one prompt come one after the other, and are read once.
class ArraysInTurn {
 public:
  explicit ArraysInTurn(const ExportSource& source) : source_(source) {}

  const PromptArrays& at(std::size_t prompt) {
    if (prompt != current_) {
      arrays_ = source_.arrays(prompt);
      current_ = prompt;
      source_.finished_prompts(prompt + 1);
    }
    return arrays_;
  }

 private:
  const ExportSource& source_;
  std::size_t current_ = static_cast<std::size_t>(-1);
  PromptArrays arrays_;
};

// Whether events have weights, and which of the prompts template tokens, has to be known before
// members are made. Weights are all or none: the manifest says so, or the first prompt does.
bool has_weights(const ExportSource& source, ArraysInTurn& arrays) {
  return !source.traces().prompts.empty() && !arrays.at(0).weights.empty();
}

[[noreturn]] void fail_weights(const TracePrompt& prompt) {
  trace::fail_at("some prompts have weights and others have not", "prompt \"" + prompt.id + "\"");
}

std::size_t n_counts(const RoutingShape& shape) {
  return static_cast<std::size_t>(shape.n_layers) * static_cast<std::size_t>(shape.n_experts);
}

// Counts the events of one prompt into counts [N, L, E].
void add_counts(const RoutingShape& shape, std::size_t prompt, const PromptArrays& arrays,
                std::vector<std::int64_t>& counts) {
  const auto n_experts = static_cast<std::size_t>(shape.n_experts);
  const auto n_layers = static_cast<std::size_t>(shape.n_layers);
  const auto k = static_cast<std::size_t>(shape.top_k);
  const std::size_t first = prompt * n_counts(shape);
  for (std::size_t i = 0; i < arrays.ids.size(); ++i) {
    ++counts[first + (i / k % n_layers) * n_experts + arrays.ids[i]];
  }
}

void write_npz(const ExportSource& source, const fs::path& path) {
  const RoutingShape& shape = source.shape();
  const std::vector<TracePrompt>& prompts = source.traces().prompts;
  ArraysInTurn arrays(source);
  const bool with_weights = has_weights(source, arrays);
  std::vector<std::int64_t> counts(prompts.size() * n_counts(shape));
  ZipWriter zip(path);
  zip.add("manifest.json", [&] { return source.manifest_json(); });
  zip.add("prompts.jsonl", [&] { return source.prompt_lines(); });
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const std::string& id = prompts[i].id;
    zip.add(std::string(ids_prefix) + id + ".npy", [&, i] {
      const PromptArrays& own = arrays.at(i);
      if (own.weights.empty() == with_weights) fail_weights(prompts[i]);
      add_counts(shape, i, own, counts);
      return npy_file(id_type(shape), sizes_of(shape, own), id_bytes(shape, own));
    });
    if (with_weights) {
      zip.add(std::string(weights_prefix) + id + ".npy", [&, i] {
        const PromptArrays& own = arrays.at(i);
        return npy_file("<f4", sizes_of(shape, own), bytes_of(own.weights));
      });
    }
    if (prompts[i].n_template_tokens > 0) {
      zip.add(std::string(template_prefix) + id + ".npy", [&, i] {
        const PromptArrays& own = arrays.at(i);
        const std::array sizes{own.n_rows};
        return npy_file("|u1", sizes, bytes_of(own.is_template));
      });
    }
  }
  zip.add("counts.npy", [&] {
    const std::array sizes{static_cast<std::int64_t>(prompts.size()), std::int64_t{shape.n_layers},
                           std::int64_t{shape.n_experts}};
    return npy_file("<i8", sizes, bytes_of(counts));
  });
  zip.close();
}

void write_tensors(const ExportSource& source, const fs::path& path) {
  const RoutingShape& shape = source.shape();
  const std::vector<TracePrompt>& prompts = source.traces().prompts;
  std::vector<std::string> bytes;
  std::vector<TensorToWrite> tensors;
  std::vector<std::int64_t> counts(prompts.size() * n_counts(shape));
  const auto add = [&](std::string name, const char* type, std::vector<std::int64_t> sizes,
                       std::string data) {
    bytes.push_back(std::move(data));
    tensors.push_back({std::move(name), type, std::move(sizes), {}});
  };
  bool with_weights = false;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const PromptArrays own = source.arrays(i);
    if (i == 0) with_weights = !own.weights.empty();
    if (own.weights.empty() == with_weights) fail_weights(prompts[i]);
    const std::array sizes = sizes_of(shape, own);
    const std::vector<std::int64_t> all(sizes.begin(), sizes.end());
    const std::string& id = prompts[i].id;
    add(std::string(ids_prefix) + id, shape.n_experts > 256 ? "U16" : "U8", all,
        id_bytes(shape, own));
    if (with_weights) {
      add(std::string(weights_prefix) + id, "F32", all, std::string(bytes_of(own.weights)));
    }
    if (prompts[i].n_template_tokens > 0) {
      add(std::string(template_prefix) + id, "U8", {own.n_rows},
          std::string(bytes_of(own.is_template)));
    }
    add_counts(shape, i, own, counts);
    source.finished_prompts(i + 1);
  }
  add("counts", "I64", {static_cast<std::int64_t>(prompts.size()), shape.n_layers, shape.n_experts},
      std::string(bytes_of(counts)));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].bytes = std::as_bytes(std::span(bytes[i]));
  }
  write_safetensors(
      path, tensors,
      {{"manifest.json", source.manifest_json()}, {"prompts.jsonl", source.prompt_lines()}});
}

}  // namespace

Exporter npz_exporter() {
  return {"npz",
          "one .npz: ids/ID [T, L, k] and weights/ID a prompt, counts [N, L, E], and what import "
          "needs",
          false, false, write_npz};
}

Exporter safetensors_exporter() {
  return {"safetensors", "the same arrays in one .safetensors", false, false, write_tensors};
}

}  // namespace moexray::exports
