#include "training_log.h"

#include <nlohmann/json.hpp>

#include "moexray/core/error.h"
#include "moexray/core/file.h"

namespace moexray::torch_runtime {

using Json = nlohmann::ordered_json;

TrainingLog::TrainingLog(const std::filesystem::path& path, std::int64_t step) : path_(path) {
  std::string kept;
  if (std::filesystem::exists(path)) {
    std::ifstream old(path);
    std::string line;
    while (std::getline(old, line)) {
      const auto record = Json::parse(line, nullptr, false);
      if (record.is_object() && record.contains("step") && record["step"].is_number_integer() &&
          record["step"].get<std::int64_t>() <= step)
        kept += line + "\n";
    }
  }
  write_file_atomically(path, kept);
  file_.open(path, std::ios::app);
}

void TrainingLog::write_line(const std::string& line) {
  file_ << line << '\n' << std::flush;
  if (!file_) throw Error(ErrorKind::runtime, {"cannot write", path_.string(), {}, {}});
}

void TrainingLog::write_step(const StepReport& report) {
  write_line(Json{{"step", report.step},
                  {"n_tokens", report.n_tokens},
                  {"learning_rate", report.learning_rate},
                  {"loss", report.loss},
                  {"load_balancing_loss", report.load_balancing_loss},
                  {"gradient_norm", report.gradient_norm}}
                 .dump());
}

void TrainingLog::write_evaluation(std::int64_t step, std::int64_t n_tokens,
                                   const Evaluation& evaluation) {
  Json losses = Json::object(), layers = Json::array();
  double sum = 0;
  std::int64_t n = 0;
  for (const CategoryLoss& loss : evaluation.losses) {
    losses[loss.category] = loss.loss;
    sum += loss.loss * static_cast<double>(loss.n_tokens);
    n += loss.n_tokens;
  }
  for (const LayerBalance& layer : evaluation.layers) {
    layers.push_back({{"unused", layer.n_unused},
                      {"below_a_fifth", layer.n_below_a_fifth},
                      {"min_share", layer.min_share},
                      {"max_share", layer.max_share}});
  }
  write_line(Json{
      {"step", step},
      {"n_tokens", n_tokens},
      {"validation_loss", n == 0 ? Json() : Json(sum / static_cast<double>(n))},
      {"validation_tokens", n},
      {"losses", losses},
      {"layers",
       layers}}.dump());
}

}  // namespace moexray::torch_runtime
