#include <cstdio>
#include <exception>

#include "moexray/core/version.h"
#include "moexray/trace/prompts.h"

// Prints the version of the library and the number of prompts in the file that it is given.
int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const moexray::PromptSet set = moexray::read_prompts(argv[1]);
    std::printf("%s %zu\n", std::string(moexray::version()).c_str(), set.prompts.size());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
