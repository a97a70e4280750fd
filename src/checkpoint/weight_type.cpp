#include "moexray/checkpoint/checkpoint.h"

namespace moexray {

std::string_view name_of(WeightType type) {
  switch (type) {
    case WeightType::bf16:
      return "BF16";
    case WeightType::f16:
      return "F16";
    case WeightType::f32:
      return "F32";
  }
  return {};
}

std::size_t size_of(WeightType type) { return type == WeightType::f32 ? 4 : 2; }

}  // namespace moexray
