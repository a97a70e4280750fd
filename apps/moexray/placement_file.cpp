#include "placement_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/json/section.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/wording.h"

namespace moexray::app {
namespace {

using nlohmann::json;

constexpr std::uint64_t max_placement_bytes = 1 << 26;
constexpr const char* map_key = "physical_to_logical_map";

class PlacementReader {
 public:
  PlacementReader(std::string path, const RoutingShape& shape, int n_devices)
      : path_(std::move(path)), shape_(shape), n_devices_(n_devices) {}

  stats::ExpertPlacement read(const json& map) const {
    const auto n_layers = static_cast<std::size_t>(shape_.n_layers);
    if (!map.is_array() || (map.size() != 1 && map.size() != n_layers)) {
      fail("",
           fmt::format("a list for each of {}, or one for all", counted(shape_.n_layers, "layer")),
           map.is_array() ? counted(std::ssize(map), "entry", "entries") : describe_json(map));
    }
    stats::ExpertPlacement placement{n_devices_, {}};
    for (std::size_t i = 0; i < map.size(); ++i) placement.slots.push_back(slots_of(map[i], i));
    return placement;
  }

 private:
  [[noreturn]] void fail(const std::string& place, std::string expected, std::string found) const {
    throw Error(ErrorKind::data, {"wrong placement of experts",
                                  fmt::format("{}: key \"{}\"{}", path_, map_key, place),
                                  std::move(expected), std::move(found)});
  }

  std::vector<int> slots_of(const json& list, std::size_t layer) const {
    const std::string place = fmt::format(", list {}", layer);
    const auto n_devices = static_cast<std::size_t>(n_devices_);
    if (!list.is_array() || list.empty() || list.size() % n_devices != 0) {
      fail(place,
           fmt::format("experts in slots, a multiple of the {}", counted(n_devices_, "device")),
           list.is_array() ? counted(std::ssize(list), "slot") : describe_json(list));
    }
    std::vector<int> slots;
    std::vector<char> has_slot(static_cast<std::size_t>(shape_.n_experts));
    for (const json& expert : list) {
      if (!expert.is_number_integer() || expert < 0 || expert >= shape_.n_experts) {
        fail(fmt::format("{}, slot {}", place, slots.size()),
             fmt::format("an expert from 0 to {}", shape_.n_experts - 1), describe_json(expert));
      }
      slots.push_back(expert.get<int>());
      has_slot[static_cast<std::size_t>(slots.back())] = 1;
    }
    const auto missing = std::find(has_slot.begin(), has_slot.end(), 0);
    if (missing != has_slot.end()) {
      fail(place, "a slot for every expert",
           fmt::format("none for expert {}", missing - has_slot.begin()));
    }
    return slots;
  }

  std::string path_;
  RoutingShape shape_;
  int n_devices_;
};

}  // namespace

stats::ExpertPlacement read_placement_file(const std::filesystem::path& path,
                                           const RoutingShape& shape, int n_devices) {
  const json document = parse_json(read_file(path, max_placement_bytes), path.string());
  const json& map = JsonSection(document, path.string()).at(map_key);
  return PlacementReader(path.string(), shape, n_devices).read(map);
}

}  // namespace moexray::app
