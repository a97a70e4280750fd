#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

#include "event_check.h"
#include "event_parser.h"
#include "moexray/core/error.h"
#include "moexray/core/system.h"
#include "moexray/trace/counts.h"
#include "moexray/trace/reader.h"
#include "record_source.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using trace::EventLine;
using trace::EventParser;
using trace::PromptCheck;
using trace::RecordSource;

// What one thread reads in one go: the range of one prompt, or a whole file of other software.
struct Job {
  std::size_t part = 0;
  fs::path path;
  std::vector<std::size_t> prompts;  // indices; one for a range
  bool is_range = false;
};

fs::path events_path(const TraceSet& traces, const TracePrompt& prompt) {
  return traces.directories.at(prompt.part) / prompt.events_file;
}

std::vector<Job> make_jobs(const TraceSet& traces, std::span<const std::size_t> prompts) {
  std::vector<Job> jobs;
  std::map<std::pair<std::size_t, std::string>, std::size_t> job_of_file;
  for (const std::size_t index : prompts) {
    const TracePrompt& prompt = traces.prompts[index];
    const fs::path path = events_path(traces, prompt);
    if (prompt.offset >= 0) {
      jobs.push_back({prompt.part, path, {index}, true});
      continue;
    }
    const auto [entry, is_new] =
        job_of_file.emplace(std::pair(prompt.part, prompt.events_file.string()), jobs.size());
    if (is_new) jobs.push_back({prompt.part, path, {}, false});
    jobs[entry->second].prompts.push_back(index);
  }
  return jobs;
}

// Runs `step` on the lines of a source; errors without a place get the line's.
template <typename Step>
void with_place(const RecordSource& source, Step step) {
  try {
    step();
  } catch (const Error& error) {
    if (!error.parts().where.empty() || error.kind() != ErrorKind::data) throw;
    ErrorParts parts = error.parts();
    parts.where = source.where();
    throw Error(ErrorKind::data, std::move(parts));
  }
}

void read_range(const TraceSet& traces, const Job& job, EventParser& parser,
                EventVisitor& visitor) {
  const std::size_t index = job.prompts.front();
  const TracePrompt& prompt = traces.prompts[index];
  const bool with_checksum = !prompt.checksum.empty();
  RecordSource source(job.path, {prompt.offset, prompt.n_bytes, prompt.n_compressed_bytes},
                      with_checksum);
  PromptCheck check(prompt, index, traces.shape);
  with_place(source, [&] {
    while (source.next()) {
      const EventLine& line = parser.parse(source.line());
      if (line.prompt_id != prompt.id) {
        throw Error(ErrorKind::data, {"a record of another prompt",
                                      {},
                                      "\"" + prompt.id + "\"",
                                      "\"" + std::string(line.prompt_id) + "\""});
      }
      check.add(line, visitor);
    }
    check.finish();
    if (with_checksum && source.checksum() != prompt.checksum) {
      throw Error(ErrorKind::data, {"the records of prompt \"" + prompt.id +
                                        "\" up to here are damaged: wrong checksum",
                                    {},
                                    prompt.checksum,
                                    source.checksum()});
    }
  });
}

void read_whole(const TraceSet& traces, const Job& job,
                const std::unordered_map<std::string_view, std::size_t>& known, EventParser& parser,
                EventVisitor& visitor) {
  std::unordered_map<std::string_view, PromptCheck> checks;
  for (const std::size_t index : job.prompts) {
    const TracePrompt& prompt = traces.prompts[index];
    checks.emplace(prompt.id, PromptCheck(prompt, index, traces.shape));
  }
  RecordSource source(job.path, {}, false);
  with_place(source, [&] {
    PromptCheck* check = nullptr;
    std::string_view id;
    while (source.next()) {
      const EventLine& line = parser.parse(source.line());
      if (check == nullptr || line.prompt_id != id) {
        const auto found = checks.find(line.prompt_id);
        if (found == checks.end()) {
          if (known.contains(line.prompt_id)) continue;  // has a range, or is not asked for
          throw Error(ErrorKind::data, {"a record of a prompt that is not in prompts.jsonl",
                                        {},
                                        {},
                                        "\"" + std::string(line.prompt_id) + "\""});
        }
        id = found->first;
        check = &found->second;
      }
      check->add(line, visitor);
    }
    for (const std::size_t index : job.prompts) checks.at(traces.prompts[index].id).finish();
  });
}

// Runs jobs on several threads. Of several failures the first job's is reported, whatever the
// threads do.
class JobRunner {
 public:
  explicit JobRunner(std::size_t n_jobs) : n_jobs_(n_jobs), first_failed_(n_jobs) {}

  template <typename MakeWorker>
  void run(int n_threads, MakeWorker make_worker) {
    const auto work = [&] {
      std::size_t job = n_jobs_;
      try {
        auto worker = make_worker();
        while ((job = next_++) < n_jobs_ && job < first_failed_) worker(job);
      } catch (...) {
        note(job);
      }
    };
    {
      std::vector<std::jthread> threads;
      for (int i = 1; i < n_threads; ++i) threads.emplace_back(work);
      work();
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void note(std::size_t job) {
    const std::scoped_lock lock(mutex_);
    if (error_ && job >= first_failed_) return;
    error_ = std::current_exception();
    first_failed_ = std::min<std::size_t>(job, first_failed_);
  }

  const std::size_t n_jobs_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::size_t> first_failed_;
  std::mutex mutex_;
  std::exception_ptr error_;
};

void read_selected(const TraceSet& traces, std::span<const std::size_t> prompts,
                   EventVisitor& visitor, const ReadOptions& options) {
  const std::vector<Job> jobs = make_jobs(traces, prompts);
  std::unordered_map<std::string_view, std::size_t> known;
  if (std::any_of(jobs.begin(), jobs.end(), [](const Job& job) { return !job.is_range; })) {
    for (const TracePrompt& prompt : traces.prompts) known.emplace(prompt.id, prompt.part);
  }
  const std::size_t wanted =
      static_cast<std::size_t>(options.n_threads > 0 ? options.n_threads : available_threads());
  const int n_threads =
      static_cast<int>(std::clamp<std::size_t>(wanted, 1, std::max<std::size_t>(jobs.size(), 1)));
  JobRunner(jobs.size()).run(n_threads, [&] {
    return [&, parser = std::make_unique<EventParser>(traces.shape, options.router_logits)](
               std::size_t i) {
      const Job& job = jobs[i];
      if (job.is_range) {
        read_range(traces, job, *parser, visitor);
      } else {
        read_whole(traces, job, known, *parser, visitor);
      }
    };
  });
}

}  // namespace

void read_events(const TraceSet& traces, EventVisitor& visitor, const ReadOptions& options) {
  check_has_tokens(traces);
  std::vector<std::size_t> all(traces.prompts.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  read_selected(traces, all, visitor, options);
}

void read_prompt_events(const TraceSet& traces, std::size_t prompt_index, EventVisitor& visitor,
                        const ReadOptions& options) {
  if (prompt_index >= traces.prompts.size()) {
    throw Error(ErrorKind::usage, "no such prompt in the trace");
  }
  check_has_tokens(traces);
  read_selected(traces, std::span(&prompt_index, 1), visitor, options);
}

}  // namespace moexray
