#include "svg_canvas.h"

#include <fmt/core.h>

#include <algorithm>

#include "moexray/report/document.h"

namespace moexray::report::svg_parts {
namespace {

constexpr double line_height = 14;
constexpr double margin = 6;

std::string escaped(std::string_view text) { return html_escaped(clean(text, 2000)); }

}  // namespace

std::string number(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string Canvas::style(std::string_view classes) const {
  if (classes.empty()) return {};
  return purpose_ == Purpose::page ? fmt::format(" class=\"{}\"", classes)
                                   : " " + literal_attributes(classes);
}

void Canvas::line(double x1, double y1, double x2, double y2, std::string_view classes) {
  out_ += fmt::format("<line{} x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n", style(classes),
                      number(x1), number(y1), number(x2), number(y2));
}

void Canvas::text(double x, double y, std::string_view classes, std::string_view content) {
  out_ += fmt::format("<text{} x=\"{}\" y=\"{}\">{}</text>\n", style(classes), number(x), number(y),
                      escaped(content));
}

void Canvas::upright_text(double x, double y, std::string_view classes, std::string_view content) {
  out_ += fmt::format("<text{} transform=\"translate({} {}) rotate(-90)\">{}</text>\n",
                      style(classes), number(x), number(y), escaped(content));
}

void Canvas::rect(double x, double y, double w, double h, std::string_view classes,
                  std::string_view hover) {
  out_ += fmt::format("<rect{} x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", style(classes),
                      number(x), number(y), number(w), number(h));
  close("rect", hover);
}

void Canvas::filled_rect(double x, double y, double w, double h, const std::string& colour,
                         std::string_view hover) {
  out_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"", number(x),
                      number(y), number(w), number(h), colour);
  close("rect", hover);
}

void Canvas::path(std::string_view classes, std::string_view d, std::string_view hover) {
  out_ += fmt::format("<path{} d=\"{}\"", style(classes), d);
  close("path", hover);
}

// The thin outline hides the seams that viewers of PDF show between neighbours.
void Canvas::cells(double x, double y, double w, double h, const std::string& colour,
                   std::string_view d) {
  out_ += fmt::format(
      "<path transform=\"translate({} {}) scale({:.5g} {:.5g})\" fill=\"{}\" stroke=\"{}\" "
      "stroke-width=\"0.06\" shape-rendering=\"crispEdges\" d=\"{}\"/>\n",
      number(x), number(y), w, h, colour, colour, d);
}

double Canvas::small_lines(double x, double y, double room, std::string_view content,
                           std::size_t max_lines) {
  for (const std::string& words : wrapped(content, room, small_size, max_lines)) {
    text(x, y, "small", words);
    y += line_height - 1;
  }
  return y;
}

void Canvas::close(std::string_view element, std::string_view hover) {
  if (hover.empty() || purpose_ == Purpose::file) {
    out_ += "/>\n";
    return;
  }
  out_ += "><title>";
  // Lines of a hover text are ours; what is foreign in them has no line ends left.
  for (bool first = true; !hover.empty(); first = false) {
    const std::size_t end = std::min(hover.find('\n'), hover.size());
    if (!first) out_ += '\n';
    out_ += escaped(hover.substr(0, end));
    hover.remove_prefix(std::min(end + 1, hover.size()));
  }
  out_ += fmt::format("</title></{}>\n", element);
}

double Canvas::title(const Figure& figure, double width) {
  if (purpose_ == Purpose::page) return 4;
  double y = 16;
  for (const std::string& words : wrapped(figure.title, width - 2 * margin, title_size, 3, true)) {
    text(margin, y, "title", words);
    y += line_height + 2;
  }
  return figure.title.empty() ? 4 : y - 4;
}

std::string Canvas::finish(double width, double height, const Figure& figure) {
  if (!figure.note.empty()) {
    height = small_lines(margin, height + 12, width - 2 * margin, figure.note, 8) - 6;
  }
  height += 4;
  const std::string view = fmt::format("0 0 {} {}", number(width), number(height));
  if (purpose_ == Purpose::page) {
    // About one and a half times as large as in print, but never so small that it cannot be read.
    return fmt::format(
               "<svg class=\"chart\" style=\"max-width: {:.0f}px; min-width: {:.0f}px\" "
               "viewBox=\"{}\" role=\"img\" aria-label=\"{}\">\n",
               1.4 * width, 0.7 * width, view, escaped(figure.title)) +
           out_ + "</svg>\n";
  }
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.3f}cm\" height=\"{:.3f}cm\" "
             "viewBox=\"{}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"{}px\" "
             "fill=\"{}\">\n<title>{}</title>\n<desc>{}</desc>\n"
             "<rect width=\"{}\" height=\"{}\" fill=\"#ffffff\"/>\n",
             width * unit_cm, height * unit_cm, view, type_size, literal_colour("ink"),
             escaped(figure.title), escaped(figure.caption), number(width), number(height)) +
         out_ + "</svg>\n";
}

}  // namespace moexray::report::svg_parts
