// Products of bfloat16 rows with tdpbf16ps: yᵀ = w · xᵀ, so that rows of w are tiles as they lie in
// memory and only x, which is small, is packed.
//
// A value is Σ over steps of 32 inputs, in ascending order, in one accumulator that starts at 0:
// neither the number of rows nor their place among others changes its bits. Rows and inputs that
// are missing at the ends are zeros.
//
// Includes no library header with inline code, which the linker could take for another processor.

#include <immintrin.h>

#include "bf16_products.h"

namespace moexray::kernels {
namespace {

constexpr std::int64_t tile_values = amx_rows * amx_step, tile_sums = amx_rows * amx_rows;
// Steps between what is read of w and what is fetched meanwhile.
constexpr std::int64_t fetch_distance = 16;

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

// Rows i, i + 4, … interleaved word by word until columns have become rows.
void transpose(const __m512i* in, __m512i* out) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(in[i], in[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(in[i], in[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
  // b[4 q + j], quarter p: column 4 p + j of rows 4 q … 4 q + 3.
  for (int j = 0; j < 4; ++j) {
    const __m512i low = _mm512_shuffle_i32x4(b[j], b[4 + j], 0x44),
                  high = _mm512_shuffle_i32x4(b[j], b[4 + j], 0xEE),
                  low2 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0x44),
                  high2 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0xEE);
    out[j] = _mm512_shuffle_i32x4(low, low2, 0x88);
    out[4 + j] = _mm512_shuffle_i32x4(low, low2, 0xDD);
    out[8 + j] = _mm512_shuffle_i32x4(high, high2, 0x88);
    out[12 + j] = _mm512_shuffle_i32x4(high, high2, 0xDD);
  }
}

// sums [16 rows of w, 16 rows of x] to y [n_rows of x, columns from y on].
void store_transposed(const float* sums, std::int64_t n_rows, std::int64_t n_columns,
                      std::int64_t n_out, float* y) {
  __m512i rows[16], columns[16];
  for (int i = 0; i < 16; ++i) rows[i] = _mm512_load_si512(sums + amx_rows * i);
  transpose(rows, columns);
  const auto mask = static_cast<__mmask16>((1U << n_columns) - 1U);
  for (std::int64_t r = 0; r < n_rows; ++r)
    _mm512_mask_storeu_epi32(y + r * n_out, mask, columns[r]);
}

// One pass over the inputs: panels of 16 rows of w times groups of 16 packed rows of x.
struct Pass {
  const std::uint16_t* w;
  std::int64_t stride;  // values from one row of w to the next
  std::int64_t n_steps;
  const std::uint16_t* x;      // the first group
  std::int64_t group_values;   // from one group to the next
  const std::uint16_t* ahead;  // rows of w that come after these, or null
};

// Brings the rows of the panel that are read `fetch_distance` steps later nearer.
inline void fetch(const Pass& pass, std::int64_t panel, std::int64_t step) {
  const std::int64_t later = step + fetch_distance;
  const std::uint16_t* first = later < pass.n_steps
                                   ? pass.w + later * amx_step
                                   : pass.ahead + (later - pass.n_steps) * amx_step;
  first += panel * amx_rows * pass.stride;
  for (int i = 0; i < amx_rows; ++i) _mm_prefetch(first + i * pass.stride, _MM_HINT_T1);
}

// Tiles 0 to 3 hold the sums of a pass.
inline void zero_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

template <int n>
inline void store_sums(float* sums) {
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + tile_sums, 64);
  if constexpr (n == 4) {
    _tile_stored(2, sums + 2 * tile_sums, 64);
    _tile_stored(3, sums + 3 * tile_sums, 64);
  }
}

// sums [panel, group] of 16 × 16 values. Tiles are named in the instructions, hence the cases.
template <int n_panels, bool fetches>
void by_one(const Pass& pass, float* sums) {
  static_assert(n_panels == 2 || n_panels == 4);
  zero_sums();
  const std::int64_t panel = amx_rows * pass.stride;
  const auto bytes = static_cast<std::size_t>(pass.stride) * sizeof(std::uint16_t);
  for (std::int64_t s = 0; s < pass.n_steps; ++s) {
    const std::uint16_t* w = pass.w + s * amx_step;
    _tile_loadd(7, pass.x + s * tile_values, 64);
    if constexpr (fetches) fetch(pass, 0, s);
    _tile_loadd(4, w, bytes);
    _tile_dpbf16ps(0, 4, 7);
    if constexpr (fetches) fetch(pass, 1, s);
    _tile_loadd(5, w + panel, bytes);
    _tile_dpbf16ps(1, 5, 7);
    if constexpr (n_panels == 4) {
      if constexpr (fetches) fetch(pass, 2, s);
      _tile_loadd(6, w + 2 * panel, bytes);
      _tile_dpbf16ps(2, 6, 7);
      if constexpr (fetches) fetch(pass, 3, s);
      _tile_loadd(4, w + 3 * panel, bytes);
      _tile_dpbf16ps(3, 4, 7);
    }
  }
  store_sums<n_panels>(sums);
}

template <bool fetches>
void two_by_two(const Pass& pass, float* sums) {
  zero_sums();
  const std::int64_t panel = amx_rows * pass.stride;
  const auto bytes = static_cast<std::size_t>(pass.stride) * sizeof(std::uint16_t);
  for (std::int64_t s = 0; s < pass.n_steps; ++s) {
    const std::uint16_t* w = pass.w + s * amx_step;
    const std::uint16_t* x = pass.x + s * tile_values;
    _tile_loadd(4, w, bytes);
    _tile_loadd(6, x, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (fetches) fetch(pass, 0, s);
    _tile_loadd(7, x + pass.group_values, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, w + panel, bytes);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (fetches) fetch(pass, 1, s);
    _tile_dpbf16ps(3, 5, 7);
  }
  store_sums<4>(sums);
}

// One panel of at most 16 rows of w, each with n_in values: a tile must not read beyond the matrix,
// where the memory may end, nor multiply what lies behind a row.
void padded_panel(const Pass& pass, std::int64_t n_rows, std::int64_t n_in, float* sums) {
  alignas(64) std::uint16_t tile[tile_values];
  _tile_zero(0);
  for (std::int64_t s = 0; s < pass.n_steps; ++s) {
    const std::int64_t first = s * amx_step, n = n_in - first < amx_step ? n_in - first : amx_step;
    const auto mask = n == amx_step ? ~__mmask32{0} : (__mmask32{1} << n) - 1U;
    for (std::int64_t r = 0; r < amx_rows; ++r) {
      const __m512i values = r < n_rows
                                 ? _mm512_maskz_loadu_epi16(mask, pass.w + r * pass.stride + first)
                                 : _mm512_setzero_si512();
      _mm512_store_si512(tile + r * amx_step, values);
    }
    _tile_loadd(4, tile, 64);
    _tile_loadd(6, pass.x + s * tile_values, 64);
    _tile_dpbf16ps(0, 4, 6);
  }
  _tile_stored(0, sums, 64);
}

struct Product {
  const std::uint16_t* packed;
  std::int64_t n_rows, n_in, row_stride, n_out;
  float* y;

  std::int64_t n_steps() const { return (n_in + amx_step - 1) / amx_step; }
  std::int64_t n_groups() const { return (n_rows + amx_rows - 1) / amx_rows; }
  Pass pass(const std::uint16_t* w, std::int64_t group, const std::uint16_t* ahead) const {
    const std::int64_t group_values = n_steps() * tile_values;
    return {w, row_stride, n_steps(), packed + group * group_values, group_values, ahead};
  }

  // Four or two panels of rows of w from w on, columns of y from `column` on.
  template <int n_panels>
  void panels(const std::uint16_t* w, std::int64_t column, bool near) const {
    alignas(64) float sums[4 * tile_sums];
    const std::int64_t width = amx_rows * row_stride;
    std::int64_t g = 0;
    for (; n_groups() - g >= 2; g += 2) {
      for (int p = 0; p < n_panels; p += 2) {
        const Pass two = pass(w + p * width, g, w + (n_panels + p) * width);
        near || g > 0 ? two_by_two<false>(two, sums) : two_by_two<true>(two, sums);
        for (int i = 0; i < 4; ++i) store(sums + i * tile_sums, g + i % 2, column, p + i / 2);
      }
    }
    if (g == n_groups()) return;
    const Pass one = pass(w, g, w + n_panels * width);
    near || g > 0 ? by_one<n_panels, false>(one, sums) : by_one<n_panels, true>(one, sums);
    for (int p = 0; p < n_panels; ++p) store(sums + p * tile_sums, g, column, p);
  }

  // The last columns of y, fewer than 32, or all of them where steps do not come out even.
  void last_panel(const std::uint16_t* w, std::int64_t column) const {
    alignas(64) float sums[tile_sums];
    for (std::int64_t g = 0; g < n_groups(); ++g) {
      const std::int64_t n = n_out - column < amx_rows ? n_out - column : amx_rows;
      padded_panel(pass(w, g, nullptr), n, n_in, sums);
      store(sums, g, column, 0);
    }
  }

  void store(const float* sums, std::int64_t group, std::int64_t column, std::int64_t panel) const {
    const std::int64_t row = group * amx_rows, first = column + panel * amx_rows;
    const std::int64_t n = n_rows - row < amx_rows ? n_rows - row : amx_rows,
                       n_columns = n_out - first < amx_rows ? n_out - first : amx_rows;
    store_transposed(sums, n, n_columns, n_out, y + row * n_out + first);
  }
};

}  // namespace

void enter_amx() {
  // Static: the compiler knows only of the first bytes that the instruction reads, and would not
  // store the others.
  static constexpr TileConfig config;
  _tile_loadconfig(&config);
}

void leave_amx() { _tile_release(); }

void pack_amx(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
              std::uint16_t* packed) {
  for (std::int64_t first = 0; first < n_rows; first += amx_rows) {
    for (std::int64_t i = 0; i < n_in; i += amx_step, packed += tile_values) {
      const std::int64_t n = n_in - i < amx_step ? n_in - i : amx_step;
      const auto mask = n == amx_step ? ~__mmask32{0} : (__mmask32{1} << n) - 1U;
      __m512i rows[16], pairs[16];
      for (std::int64_t r = 0; r < amx_rows; ++r) {
        rows[r] = first + r < n_rows ? _mm512_maskz_loadu_epi16(mask, x + (first + r) * n_in + i)
                                     : _mm512_setzero_si512();
      }
      transpose(rows, pairs);
      for (int p = 0; p < 16; ++p) _mm512_storeu_si512(packed + amx_step * p, pairs[p]);
    }
  }
}

void linear_amx_bf16(const std::uint16_t* packed, std::int64_t n_rows, std::int64_t n_in,
                     const Weights& w, std::int64_t n_out, float* y, bool near) {
  const auto* rows = static_cast<const std::uint16_t*>(w.data);
  const std::int64_t stride = w.row_stride;
  const Product product{packed, n_rows, n_in, stride, n_out, y};
  std::int64_t column = 0;
  if (n_in % amx_step == 0) {
    for (; n_out - column >= 4 * amx_rows; column += 4 * amx_rows) {
      product.panels<4>(rows + column * stride, column, near);
    }
    for (; n_out - column >= 2 * amx_rows; column += 2 * amx_rows) {
      product.panels<2>(rows + column * stride, column, near);
    }
  }
  for (; column < n_out; column += amx_rows) product.last_panel(rows + column * stride, column);
  add_bias(w.bias, n_rows, n_out, n_out, y);
}

}  // namespace moexray::kernels
