// Any bytes as a trace directory: either an Error, or records that are inside the trace's shape,
// each token and layer once. The input is manifest.json, prompts.jsonl and events, with a zero byte
// after the first two; the events stand as they are under the names events-00000.jsonl and
// events-00000.jsonl.zst, and compressed as events-00001.jsonl.zst. A seed from a trace directory:
//   (cat manifest.json; printf '\0'; cat prompts.jsonl; printf '\0'; cat events-00000.jsonl) > seed
// (seeds without checksums get further).

#include <stdlib.h>
#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>

#include "moexray/core/error.h"
#include "moexray/trace/reader.h"

namespace {

namespace fs = std::filesystem;

const fs::path& scratch_directory() {
  static const fs::path path = [] {
    std::string name =
        fs::is_directory("/dev/shm") ? "/dev/shm/fuzz-trace-XXXXXX" : "/tmp/fuzz-trace-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    return fs::path(name);
  }();
  return path;
}

void write(const char* name, std::string_view text) {
  std::ofstream out(scratch_directory() / name, std::ios::binary);
  out << text;
}

std::string_view take_part(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\0'), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

std::string compressed(std::string_view text) {
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), 1));
  return frame;
}

class CheckingVisitor : public moexray::EventVisitor {
 public:
  explicit CheckingVisitor(const moexray::TraceSet& set) : set_(set) {}
  void on_record(std::size_t prompt, const moexray::RoutingRecord& record) override {
    const moexray::RoutingShape& shape = set_.shape;
    if (prompt >= set_.prompts.size() || record.pos < 0) std::abort();
    if (record.layer < 0 || record.layer >= shape.n_layers) std::abort();
    if (record.experts.size() != static_cast<std::size_t>(shape.top_k)) std::abort();
    if (!record.weights.empty() && record.weights.size() != record.experts.size()) std::abort();
    for (const moexray::ExpertId expert : record.experts) {
      if (expert < 0 || expert >= shape.n_experts) std::abort();
    }
    for (const float weight : record.weights) {
      if (!(weight >= 0)) std::abort();
    }
    if (!seen_.insert({prompt, record.pos, record.layer}).second) std::abort();
  }

 private:
  const moexray::TraceSet& set_;
  std::set<std::tuple<std::size_t, std::int64_t, int>> seen_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  write("manifest.json", take_part(rest));
  write("prompts.jsonl", take_part(rest));
  write("events-00000.jsonl", rest);
  write("events-00000.jsonl.zst", rest);
  write("events-00001.jsonl.zst", compressed(rest));
  for (const bool allow_partial : {false, true}) {
    try {
      moexray::ReadOptions options;
      options.router_logits = true;
      options.allow_partial = allow_partial;
      options.category_key = allow_partial ? "meta.source" : "";
      options.n_threads = 1;
      const moexray::TraceSet set =
          moexray::open_traces(std::span(&scratch_directory(), 1), options);
      CheckingVisitor visitor(set);
      moexray::read_events(set, visitor, options);
    } catch (const moexray::Error&) {
    }
  }
  return 0;
}
