// Dot products of bfloat16 rows with vdpbf16ps: 32 products an instruction, added to 16 float32
// lanes.

#include <immintrin.h>

#include "bf16_products.h"
#include "bf16_tiles.inc"

namespace moexray::kernels {
namespace {

constexpr int step = 32;         // values of an instruction
constexpr int tile_columns = 4;  // rows of w that a tile holds
constexpr int max_tile_rows = 6;
// Values of the rows of x and w of a tile that the first-level cache (32 KB) holds.
constexpr std::int64_t tile_values = 16384;

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
  const std::uint16_t* rows[tile_columns];
  find_rows(w, row_stride, n_columns, apart, rows);
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

template <bool fetch>
constexpr Tile tiles[] = {nullptr,        tile<1, fetch>, tile<2, fetch>, tile<3, fetch>,
                          tile<4, fetch>, tile<5, fetch>, tile<6, fetch>};

}  // namespace

void linear_avx512_bf16(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                        const Weights& w, std::int64_t n_out, float* y, bool near) {
  const std::int64_t tile_rows =
      tile_values / n_in - tile_columns >= max_tile_rows ? max_tile_rows : 4;
  multiply_by_tiles<tile_columns>(tiles<true>, tiles<false>, tile_rows, x, n_rows, n_in, w, n_out,
                                  y, near);
  add_bias(w.bias, n_rows, n_out, n_out, y);
}

}  // namespace moexray::kernels
