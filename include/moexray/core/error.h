#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace moexray {

/// What a failure means to the caller.
enum class ErrorKind {
  usage,        ///< the caller asked for something that cannot be asked for (exit code 2)
  data,         ///< an input is not what it should be (exit code 1)
  runtime,      ///< the system did not do its part: disk full, module missing (exit code 1)
  interrupted,  ///< a signal stopped the work (exit code 128 + its number)
};

/// The parts of an error message. Empty parts are left out of the text.
struct ErrorParts {
  std::string what;      ///< the failure in a few words
  std::string where;     ///< file, line and key: "prompts.jsonl:12: key \"id\""
  std::string expected;  ///< what would have been right
  std::string found;     ///< what was there instead
};

/// The one exception type of the libraries.
///
/// `what()` reads "WHERE: WHAT: expected EXPECTED, found FOUND". Foreign text inside the parts has
/// its control characters escaped, so that the message can go to a terminal.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, ErrorParts parts);
  Error(ErrorKind kind, std::string_view what)
      : Error(kind, ErrorParts{std::string(what), {}, {}, {}}) {}

  const char* what() const noexcept override { return message_.c_str(); }
  ErrorKind kind() const noexcept { return kind_; }
  const ErrorParts& parts() const noexcept { return parts_; }

 private:
  ErrorKind kind_;
  ErrorParts parts_;
  std::string message_;
};

}  // namespace moexray
