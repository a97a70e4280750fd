#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace moexray::test {

struct CommandOptions {
  std::string input;                        ///< what the program reads from its standard input
  std::filesystem::path working_directory;  ///< empty: that of the test
  bool keep_stdin_open = false;             ///< the program never sees the end of its input
  bool close_stdout = false;                ///< nobody reads the program's standard output
  std::chrono::seconds timeout{120};        ///< then it is killed and the test fails
};

/// How a run of the program ended.
struct CommandResult {
  int exit_code = -1;  ///< 128 + N if signal N ended it
  std::string out;
  std::string err;
  std::int64_t max_resident_bytes = 0;  ///< the most memory it had in use
};

/// The program under test.
std::filesystem::path program_path();

/// Runs `moexray WORDS…`, without a shell, and waits for it.
CommandResult run_moexray(const std::vector<std::string>& words,
                          const CommandOptions& options = {});

/// Runs any program, words[0] being its path or name.
CommandResult run_command(const std::vector<std::string>& words,
                          const CommandOptions& options = {});

/// A program that runs beside the test: to be signalled.
class RunningCommand {
 public:
  explicit RunningCommand(const std::vector<std::string>& words,
                          const CommandOptions& options = {});
  /// Kills the program if it still runs.
  ~RunningCommand();
  RunningCommand(const RunningCommand&) = delete;
  RunningCommand& operator=(const RunningCommand&) = delete;

  void send_signal(int number) const;
  /// True if the program has written `text` to stderr before it ended or a minute went by.
  bool wait_for_stderr(std::string_view text);
  CommandResult wait();

 private:
  bool pump(int timeout_ms);

  pid_t pid_ = -1;
  int out_fd_ = -1;
  int err_fd_ = -1;
  int in_fd_ = -1;
  std::string input_;
  bool keep_stdin_open_;
  std::chrono::steady_clock::time_point deadline_;
  CommandResult result_;
};

}  // namespace moexray::test
