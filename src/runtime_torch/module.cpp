// The entry points of the libtorch module.

#include <string>

#include "moexray/core/version.h"
#include "runtime.h"
#include "training/trainer.h"

#define MOEXRAY_EXPORT extern "C" __attribute__((visibility("default")))

MOEXRAY_EXPORT const char* moexray_module_version() {
  static const std::string text(moexray::version());
  return text.c_str();
}

MOEXRAY_EXPORT moexray::Runtime* moexray_torch_runtime() {
  return &moexray::torch_runtime::runtime();
}

MOEXRAY_EXPORT moexray::Trainer* moexray_torch_trainer() {
  return &moexray::torch_runtime::trainer();
}
