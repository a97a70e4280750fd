#include "moexray/checkpoint/weights_hash.h"

#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <thread>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/core/system.h"

namespace moexray {
namespace {

// Large enough for the pace of the memory, small enough for Ctrl-C and the progress bar.
constexpr std::size_t chunk_bytes = std::size_t{8} << 20;

std::string to_hex(const XXH128_hash_t& hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

class HashState {
 public:
  HashState() : state_(XXH3_createState()) {
    if (state_ == nullptr) throw std::bad_alloc();
  }
  void reset() { XXH3_128bits_reset(state_.get()); }
  void update(std::span<const std::byte> bytes) {
    XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  }
  std::string hex() const { return to_hex(XXH3_128bits_digest(state_.get())); }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

struct Item {
  const std::string* name = nullptr;
  const TensorView* tensor = nullptr;
  std::string hash;
};

// Hashes the tensors one by one on several threads.
class TensorHasher {
 public:
  TensorHasher(std::vector<Item>& items, const WeightsHashOptions& options)
      : options_(options), n_items_(items.size()) {
    for (Item& item : items) by_size_.push_back(&item);
    // The largest first: a thread that begins one at the end would keep the others waiting.
    std::stable_sort(by_size_.begin(), by_size_.end(), [](const Item* a, const Item* b) {
      return a->tensor->bytes.size() > b->tensor->bytes.size();
    });
  }

  void run() {
    const int wanted = options_.n_threads > 0 ? options_.n_threads : available_threads();
    const int n_threads = std::min(wanted, static_cast<int>(n_items_));
    {
      std::vector<std::jthread> threads;
      for (int i = 1; i < n_threads; ++i) threads.emplace_back([this] { work(); });
      work();
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void work() {
    try {
      HashState state;
      for (std::size_t i = next_++; i < n_items_; i = next_++) hash(*by_size_[i], state);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      next_ = n_items_;
    }
  }

  void hash(Item& item, HashState& state) {
    state.reset();
    std::span<const std::byte> rest = item.tensor->bytes;
    while (!rest.empty()) {
      if (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed)) {
        throw Error(ErrorKind::interrupted, "interrupted");
      }
      const std::size_t n = std::min(rest.size(), chunk_bytes);
      state.update(rest.first(n));
      rest = rest.subspan(n);
      report(n);
    }
    item.hash = state.hex();
  }

  void report(std::size_t n) {
    if (!options_.on_bytes) return;
    const std::lock_guard lock(mutex_);
    options_.on_bytes(n_done_ += n);
  }

  const WeightsHashOptions& options_;
  std::vector<Item*> by_size_;
  std::size_t n_items_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::uint64_t n_done_ = 0;  // guarded by mutex_, as error_
  std::exception_ptr error_;
};

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    if (text.size() > 1) text += ",";
    text += std::to_string(size);
  }
  return text + "]";
}

}  // namespace

std::string weights_xxh3(const std::map<std::string, TensorView, std::less<>>& tensors,
                         const WeightsHashOptions& options) {
  std::vector<Item> items;
  for (const auto& [name, tensor] : tensors) items.push_back({&name, &tensor, {}});
  TensorHasher(items, options).run();
  HashState all;
  all.reset();
  for (const Item& item : items) {
    std::string line = *item.name;
    line += " ";
    line += name_of(item.tensor->type);
    line += " " + shape_text(item.tensor->shape) + " " + item.hash + "\n";
    all.update(std::as_bytes(std::span(line)));
  }
  return "xxh3-128:" + all.hex();
}

std::uint64_t n_weight_bytes(const std::map<std::string, TensorView, std::less<>>& tensors) {
  std::uint64_t n_bytes = 0;
  for (const auto& [name, tensor] : tensors) n_bytes += tensor.bytes.size();
  return n_bytes;
}

}  // namespace moexray
