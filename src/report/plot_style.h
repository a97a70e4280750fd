#pragma once

#include <array>
#include <string_view>

// Everything that decides how printed figures look. Lengths are in cm, type in points.
namespace moexray::report::plot_style {

// Widths of a journal's single column, of one and a half, and of the whole page.
inline constexpr double narrow = 8.5;
inline constexpr double medium = 12.0;
inline constexpr double wide = 17.5;
inline constexpr double max_plot_height = 19.0;

inline constexpr std::string_view typeface = "Sans";
inline constexpr double type = 8;
inline constexpr double small_type = 7;
inline constexpr double smallest_type = 4.5;  // below it numbers in cells are left out
inline constexpr double title_type = 9;
// The width of a digit and of letters on average, in ems, in a wide typeface (DejaVu Sans).
inline constexpr double column_em = 0.64;
inline constexpr double average_em = 0.57;
inline constexpr double cm_per_point = 2.54 / 72;
inline constexpr double line = 0.36;  // from one line of text to the next
inline constexpr double gap = 0.12;   // between a plot and what stands beside it

inline constexpr int png_dpi = 300;
inline constexpr int svg_dpi = 96;  // of CSS, whatever the screen

// How much of a name is drawn, in terminal columns, in a narrow figure and in wider ones.
inline constexpr int short_name = 14;
inline constexpr int long_name = 28;

// Above this number of cells a heatmap is an image: smaller files, but viewers may smooth it.
inline constexpr int max_vector_cells = 10'000;
// From this share of the colour scale on, black text is easier to read on it than white text: so
// chosen, the contrast is nowhere below 4.5 : 1 (WCAG 2).
inline constexpr double dark_text_from = 0.435;
inline constexpr std::string_view empty_cell = "#d9d9d9";

// Viridis (CC0, by S. van der Walt and N. Smith): even steps to the eye, monotonous in lightness,
// legible to colour-blind readers and in grey.
inline constexpr std::array<std::string_view, 11> palette = {
    "#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c",
    "#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"};

// The colours of Okabe and Ito (2008), told apart by colour-blind readers; their yellow is too
// pale for marks on white.
inline constexpr std::array<std::string_view, 7> colours = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};
// gnuplot's point types, easily confused ones apart. As many as there are: 13 and 7 have no common
// divisor, so that 91 groups have a pair of their own.
inline constexpr std::array<int, 13> markers = {7, 5, 9, 13, 2, 11, 15, 6, 4, 8, 12, 1, 10};

}  // namespace moexray::report::plot_style
