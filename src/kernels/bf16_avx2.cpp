// Dot products of bfloat16 rows with AVX2 and FMA, with the bits of the widened products of
// bf16_widened.cpp: 16 lanes, lane l of the values l, l + 16, …, each a chain of fused
// multiply-adds. A register of 16 values is widened without moving any: shifted it has those of
// even lanes as float32, masked those of odd lanes.

#include <immintrin.h>

#include "bf16_products.h"
#include "bf16_tiles.inc"

namespace moexray::kernels {
namespace {

constexpr int step = 16;         // values of a register
constexpr int tile_columns = 3;  // rows of w that a tile holds
constexpr int tile_rows = 2;     // 12 registers of sums

inline __m256i load(const std::uint16_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

inline __m256 even(__m256i values) { return _mm256_castsi256_ps(_mm256_slli_epi32(values, 16)); }

inline __m256 odd(__m256i values) {
  return _mm256_castsi256_ps(_mm256_and_si256(values, _mm256_set1_epi32(-65536)));
}

// The last n < 16 values, zeros after them.
inline __m256i load_part(const std::uint16_t* p, std::int64_t n) {
  std::uint16_t padded[step] = {};
  __builtin_memcpy(padded, p, static_cast<std::size_t>(n) * sizeof *p);
  return load(padded);
}

struct Sums {
  __m256 even, odd;
};

// Of two sums the lanes l and l + 8 added: lanes 0, 2, 4, 6 in the lower half, 1, 3, 5, 7 in the
// upper.
inline __m256 eight_lanes(const Sums& sums) {
  return _mm256_permute2f128_ps(sums.even, sums.odd, 0x20) +
         _mm256_permute2f128_ps(sums.even, sums.odd, 0x31);
}

// The lanes of four sums, added pairwise 16 → 8 → 4 → 2 → 1 as in row_kernels.inc.
inline __m128 totals(const Sums* sums) {
  const __m256 a = eight_lanes(sums[0]), b = eight_lanes(sums[1]), c = eight_lanes(sums[2]),
               d = eight_lanes(sums[3]);
  const __m256 ab = _mm256_shuffle_ps(a, b, 0x44) + _mm256_shuffle_ps(a, b, 0xEE);
  const __m256 cd = _mm256_shuffle_ps(c, d, 0x44) + _mm256_shuffle_ps(c, d, 0xEE);
  const __m256 both = _mm256_shuffle_ps(ab, cd, 0x88) + _mm256_shuffle_ps(ab, cd, 0xDD);
  return _mm256_castps256_ps128(both) + _mm256_extractf128_ps(both, 1);
}

// n_x rows of x times up to three rows of w, `apart` from one to the next, `n_columns` of which
// are wanted; with `fetch`, what follows in memory is brought nearer meanwhile.
template <int n_x, bool fetch>
void tile(const std::uint16_t* x, std::int64_t n_in, const std::uint16_t* w,
          std::int64_t row_stride, std::int64_t n_columns, std::int64_t apart, std::int64_t n_out,
          float* y) {
  const std::uint16_t* rows[tile_columns];
  find_rows(w, row_stride, n_columns, apart, rows);
  // The fourth column fills totals() up.
  Sums acc[n_x][tile_columns + 1];
  for (auto& row : acc) {
    for (Sums& sums : row) sums = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  }
  std::int64_t i = 0;
  for (; i + step <= n_in; i += step) {
    __m256 value[n_x];
    for (int r = 0; r < n_x; ++r) value[r] = even(load(x + r * n_in + i));
    for (int j = 0; j < tile_columns; ++j) {
      const __m256 weight = even(load(rows[j] + i));
      if constexpr (fetch) {
        _mm_prefetch(reinterpret_cast<const char*>(rows[j] + i + prefetch_distance), _MM_HINT_T1);
      }
      for (int r = 0; r < n_x; ++r) {
        acc[r][j].even = _mm256_fmadd_ps(value[r], weight, acc[r][j].even);
      }
    }
    for (int r = 0; r < n_x; ++r) value[r] = odd(load(x + r * n_in + i));
    for (int j = 0; j < tile_columns; ++j) {
      const __m256 weight = odd(load(rows[j] + i));
      for (int r = 0; r < n_x; ++r) {
        acc[r][j].odd = _mm256_fmadd_ps(value[r], weight, acc[r][j].odd);
      }
    }
  }
  if (i < n_in) {
    for (int r = 0; r < n_x; ++r) {
      const __m256i value = load_part(x + r * n_in + i, n_in - i);
      for (int j = 0; j < tile_columns; ++j) {
        const __m256i weight = load_part(rows[j] + i, n_in - i);
        acc[r][j].even = _mm256_fmadd_ps(even(value), even(weight), acc[r][j].even);
        acc[r][j].odd = _mm256_fmadd_ps(odd(value), odd(weight), acc[r][j].odd);
      }
    }
  }
  for (int r = 0; r < n_x; ++r) {
    float columns[tile_columns + 1];
    _mm_storeu_ps(columns, totals(acc[r]));
    for (std::int64_t j = 0; j < n_columns; ++j) y[r * n_out + j * apart] = columns[j];
  }
}

template <bool fetch>
constexpr Tile tiles[] = {nullptr, tile<1, fetch>, tile<2, fetch>};

}  // namespace

void linear_avx2_bf16(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                      const Weights& w, std::int64_t n_out, float* y, bool near) {
  multiply_by_tiles<tile_columns>(tiles<true>, tiles<false>, tile_rows, x, n_rows, n_in, w, n_out,
                                  y, near);
  add_bias(w.bias, n_rows, n_out, n_out, y);
}

}  // namespace moexray::kernels
