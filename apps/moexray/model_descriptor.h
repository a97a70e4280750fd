#pragma once

#include <string>
#include <utility>
#include <vector>

#include "moexray/architecture/model_spec.h"
#include "moexray/report/json.h"

namespace moexray::app {

/// What a spec computes, in words: rows of a table, label and text. What differs between layers
/// names the layers ("layer 0: 2 heads …; layers 1-7: 4 heads …").
std::vector<std::pair<std::string, std::string>> descriptor_rows(const ModelSpec& spec);

/// The same as data: an array with one object for each transformer layer.
report::Json layers_json(const ModelSpec& spec);

}  // namespace moexray::app
