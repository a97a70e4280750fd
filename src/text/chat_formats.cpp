#include "chat_formats.h"

#include <array>

namespace moexray {
namespace {

constexpr std::string_view llama3_turn_end = "<|eot_id|>";

// In the order of the help: the family of OLMoE first, then the others by name.
constexpr std::array<ChatFormat, 11> formats = {{
    {.name = "olmoe",  // OLMoE-1B-7B-0125-Instruct
     .start = "{bos}",
     .system = {"<|system|>\n", "\n"},
     .user = {"<|user|>\n", "\n"},
     .assistant = {"<|assistant|>\n", "{eos}\n"},
     .last_assistant_after = "{eos}",
     .generation_prompt = "<|assistant|>\n"},
    {.name = "olmoe-0924",  // OLMoE-1B-7B-0924-Instruct
     .start = "{bos}",
     .system = {"<|system|>\n", "\n"},
     .user = {"<|user|>\n", "\n"},
     .assistant = {"<|assistant|>\n", "{eos}\n"},
     .last_assistant_after = "{eos}\n",
     .generation_prompt = "<|assistant|>\n"},
    {.name = "tulu2",
     .start = "",
     .system = {"<|system|>\n", "\n"},
     .user = {"<|user|>\n", "\n"},
     .assistant = {"<|assistant|>\n", "{eos}\n"},
     .last_assistant_after = "{eos}\n",
     .generation_prompt = "<|assistant|>\n"},
    {.name = "tulu3",
     .start = "",
     .system = {"<|system|>\n", "\n"},
     .user = {"<|user|>\n", "\n"},
     .assistant = {"<|assistant|>\n", "{eos}\n"},
     .last_assistant_after = "{eos}",
     .generation_prompt = "<|assistant|>\n"},
    {.name = "chatml",
     .start = "",
     .system = {"<|im_start|>system\n", "<|im_end|>\n"},
     .user = {"<|im_start|>user\n", "<|im_end|>\n"},
     .assistant = {"<|im_start|>assistant\n", "<|im_end|>\n"},
     .last_assistant_after = "<|im_end|>\n",
     .generation_prompt = "<|im_start|>assistant\n"},
    {.name = "gemma",
     .start = "{bos}",
     .system = {},
     .user = {"<start_of_turn>user\n", "<end_of_turn>\n"},
     .assistant = {"<start_of_turn>model\n", "<end_of_turn>\n"},
     .last_assistant_after = "<end_of_turn>\n",
     .generation_prompt = "<start_of_turn>model\n",
     .trims = true,
     .has_system = false,
     .alternates = true},
    {.name = "llama2",
     .start = "",
     .system = {"{bos}[INST] <<SYS>>\n", "\n<</SYS>>\n\n"},
     .user = {"{bos}[INST] ", " [/INST]"},
     .assistant = {" ", " {eos}"},
     .last_assistant_after = " {eos}",
     .generation_prompt = "",
     .trims = true,
     .alternates = true,
     .system_joins_user = true},
    {.name = "llama3",
     .start = "{bos}",
     .system = {"<|start_header_id|>system<|end_header_id|>\n\n", llama3_turn_end},
     .user = {"<|start_header_id|>user<|end_header_id|>\n\n", llama3_turn_end},
     .assistant = {"<|start_header_id|>assistant<|end_header_id|>\n\n", llama3_turn_end},
     .last_assistant_after = llama3_turn_end,
     .generation_prompt = "<|start_header_id|>assistant<|end_header_id|>\n\n",
     .trims = true},
    {.name = "mistral",
     .start = "{bos}",
     .system = {},
     .user = {"[INST] ", " [/INST]"},
     .assistant = {"", "{eos}"},
     .last_assistant_after = "{eos}",
     .generation_prompt = "",
     .has_system = false,
     .alternates = true},
    {.name = "mistral-v0.1",
     .start = "{bos}",
     .system = {},
     .user = {"[INST] ", " [/INST]"},
     .assistant = {"", "{eos} "},
     .last_assistant_after = "{eos} ",
     .generation_prompt = "",
     .has_system = false,
     .alternates = true},
    {.name = "zephyr",
     .start = "",
     .system = {"<|system|>\n", "{eos}\n"},
     .user = {"<|user|>\n", "{eos}\n"},
     .assistant = {"<|assistant|>\n", "{eos}\n"},
     .last_assistant_after = "{eos}\n",
     .generation_prompt = "<|assistant|>\n"},
}};

constexpr std::array<KnownTemplate, 0> templates = {{}};

}  // namespace

std::span<const ChatFormat> chat_formats() { return formats; }

std::span<const KnownTemplate> known_templates() { return templates; }

}  // namespace moexray
