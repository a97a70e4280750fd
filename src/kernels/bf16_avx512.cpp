// Dot products of bfloat16 rows with vdpbf16ps: 32 products an instruction, added to 16 float32
// lanes.

#include <immintrin.h>

#include "bf16_products.h"

namespace moexray::kernels {
namespace {

constexpr int step = 32;         // values of an instruction
constexpr int tile_columns = 4;  // rows of w that a tile holds
constexpr int max_tile_rows = 6;
// Values of the rows of x and w of a tile that the first-level cache (32 KB) holds.
constexpr std::int64_t tile_values = 16384;
// Values of w between what is read and what is fetched meanwhile: a few microseconds' worth.
constexpr std::int64_t prefetch_distance = 8192;
// Values of a page of memory. The rows of w of a tile lie in different pages, as the processor
// follows one stream a page.
constexpr std::int64_t page_values = 2048;
// Rows of x that stay in the second-level cache while all of w passes over them.
constexpr std::int64_t row_block = 48;

inline __m512bh load(const std::uint16_t* p) { return (__m512bh)_mm512_loadu_si512(p); }

inline __m512bh load_part(const std::uint16_t* p, __mmask32 mask) {
  return (__m512bh)_mm512_maskz_loadu_epi16(mask, p);
}

// The sums of the lanes of 16 vectors, pairwise 16 → 8 → 4 → 2 → 1 as in row_kernels.inc:
// v[4 r + j] goes to lane 4 r + j.
inline __m512 sums(const __m512* v) {
  __m512 quarter[4];
  for (int i = 0; i < 4; ++i) {
    const __m512* a = v + 4 * i;
    const __m512 ab =
        _mm512_shuffle_f32x4(a[0], a[1], 0x44) + _mm512_shuffle_f32x4(a[0], a[1], 0xEE);
    const __m512 cd =
        _mm512_shuffle_f32x4(a[2], a[3], 0x44) + _mm512_shuffle_f32x4(a[2], a[3], 0xEE);
    quarter[i] = _mm512_shuffle_f32x4(ab, cd, 0x88) + _mm512_shuffle_f32x4(ab, cd, 0xDD);
  }
  const __m512 even = _mm512_shuffle_ps(quarter[0], quarter[1], 0x44) +
                      _mm512_shuffle_ps(quarter[0], quarter[1], 0xEE);
  const __m512 odd = _mm512_shuffle_ps(quarter[2], quarter[3], 0x44) +
                     _mm512_shuffle_ps(quarter[2], quarter[3], 0xEE);
  const __m512 mixed = _mm512_shuffle_ps(even, odd, 0x88) + _mm512_shuffle_ps(even, odd, 0xDD);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_ps(order, mixed);
}

// n_x rows of x times up to four rows of w, `apart` from one to the next, `n_columns` of which are
// wanted; with `fetch`, what follows in memory is brought nearer meanwhile.
template <int n_x, bool fetch>
void tile(const std::uint16_t* x, std::int64_t n_in, const std::uint16_t* w,
          std::int64_t row_stride, std::int64_t n_columns, std::int64_t apart, std::int64_t n_out,
          float* y) {
  // Rows beyond the matrix are read as its last one, and not stored.
  const std::uint16_t* rows[tile_columns];
  for (int j = 0; j < tile_columns; ++j) {
    rows[j] = w + (j < n_columns ? j : n_columns - 1) * apart * row_stride;
  }
  constexpr int n_groups = (n_x + 3) / 4;
  __m512 acc[4 * n_groups][tile_columns];
  for (auto& row : acc) {
    for (__m512& value : row) value = _mm512_setzero_ps();
  }
  std::int64_t i = 0;
  for (; i + step <= n_in; i += step) {
    __m512bh weight[tile_columns];
    for (int j = 0; j < tile_columns; ++j) {
      weight[j] = load(rows[j] + i);
      // Into the second-level cache: the processor's own prefetching ends with the page, which is
      // one or two rows.
      if constexpr (fetch) _mm_prefetch(rows[j] + i + prefetch_distance, _MM_HINT_T1);
    }
    for (int r = 0; r < n_x; ++r) {
      const __m512bh value = load(x + r * n_in + i);
      for (int j = 0; j < tile_columns; ++j) {
        acc[r][j] = _mm512_dpbf16_ps(acc[r][j], value, weight[j]);
      }
    }
  }
  if (i < n_in) {
    const __mmask32 mask = (1U << (n_in - i)) - 1U;
    for (int r = 0; r < n_x; ++r) {
      for (int j = 0; j < tile_columns; ++j) {
        acc[r][j] = _mm512_dpbf16_ps(acc[r][j], load_part(x + r * n_in + i, mask),
                                     load_part(rows[j] + i, mask));
      }
    }
  }
  alignas(64) float totals[4 * n_groups][tile_columns];
  for (int g = 0; g < n_groups; ++g) _mm512_store_ps(totals[4 * g], sums(acc[4 * g]));
  for (int r = 0; r < n_x; ++r) {
    for (std::int64_t j = 0; j < n_columns; ++j) y[r * n_out + j * apart] = totals[r][j];
  }
}

using Tile = void (*)(const std::uint16_t*, std::int64_t, const std::uint16_t*, std::int64_t,
                      std::int64_t, std::int64_t, std::int64_t, float*);
template <bool fetch>
constexpr Tile tiles[] = {nullptr,        tile<1, fetch>, tile<2, fetch>, tile<3, fetch>,
                          tile<4, fetch>, tile<5, fetch>, tile<6, fetch>};

// The first row of w of the tile after that of j: `apart` tiles share 4 · apart rows.
std::int64_t next_column(std::int64_t j, std::int64_t apart) {
  return (j + 1) % apart != 0 ? j + 1 : j + 1 + (tile_columns - 1) * apart;
}

}  // namespace

void linear_avx512_bf16(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                        const Weights& w, std::int64_t n_out, float* y, bool near) {
  const auto* rows = static_cast<const std::uint16_t*>(w.data);
  const std::int64_t stride = w.row_stride,
                     apart = near || stride >= page_values ? 1 : page_values / stride;
  const std::int64_t tile_rows =
      tile_values / n_in - tile_columns >= max_tile_rows ? max_tile_rows : 4;
  for (std::int64_t block = 0; block < n_rows; block += row_block) {
    const std::int64_t n = n_rows - block < row_block ? n_rows - block : row_block;
    const std::int64_t n_tiles = (n + tile_rows - 1) / tile_rows;
    // All tiles of the first block fetch the same: under load a processor forgets some of it.
    const Tile* set = !near && block == 0 ? tiles<true> : tiles<false>;
    for (std::int64_t j = 0; j < n_out; j = next_column(j, apart)) {
      const std::int64_t n_left = (n_out - j + apart - 1) / apart,
                         n_columns = n_left < tile_columns ? n_left : tile_columns;
      for (std::int64_t t = 0; t < n_tiles; ++t) {
        // Tiles of about equal height.
        const std::int64_t first = n * t / n_tiles, last = n * (t + 1) / n_tiles;
        const std::int64_t row = block + first;
        set[last - first](x + row * n_in, n_in, rows + j * stride, stride, n_columns, apart, n_out,
                          y + row * n_out + j);
      }
    }
  }
  add_bias(w.bias, n_rows, n_out, n_out, y);
}

}  // namespace moexray::kernels
