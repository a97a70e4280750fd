#include "moexray/report/html_page.h"

#include <fmt/core.h>

#include <initializer_list>
#include <utility>

#include "figure_table.h"
#include "html_styles.h"
#include "moexray/report/document.h"
#include "moexray/report/svg.h"

namespace moexray::report {
namespace {

bool is_too_large(const Figure& figure) {
  const auto* heatmap = std::get_if<Heatmap>(&figure.chart);
  return heatmap != nullptr && heatmap->values.size() > max_svg_cells;
}

// The drawing that lies beside the page, the one of bounded size first.
std::string image_of(const Figure& figure, const std::set<std::string>& files) {
  for (const char* suffix : {".png", ".svg"}) {
    const std::string name = figure.name + suffix;
    if (!files.contains(name)) continue;
    return fmt::format("<img src=\"{}\" alt=\"{}\">\n", html_escaped(name),
                       html_escaped(figure.title));
  }
  return html_paragraph(fmt::format(
      "Not drawn on this page, which draws up to {} cells: the data file holds its values.",
      max_svg_cells));
}

// "Full size: SVG, PNG, PDF. Values: TSV." as far as they are there.
std::string file_links(const Figure& figure, const std::set<std::string>& files) {
  const auto links = [&](std::initializer_list<std::pair<const char*, const char*>> kinds) {
    std::string html;
    for (const auto& [suffix, name] : kinds) {
      if (!files.contains(figure.name + suffix)) continue;
      html += (html.empty() ? "" : ", ") + html_link(figure.name + suffix, name);
    }
    return html;
  };
  const std::string drawings = links({{".svg", "SVG"}, {".png", "PNG"}, {".pdf", "PDF"}});
  const std::string values = links({{".tsv", "TSV"}});
  std::string html;
  if (!drawings.empty()) html += "Full size: " + drawings + ". ";
  if (!values.empty()) html += "Values: " + values + ".";
  return html.empty() ? "" : "<p class=\"files\">" + html + "</p>\n";
}

}  // namespace

void HtmlPage::section(std::string id, std::string title, std::string html) {
  if (html.empty()) return;
  sections_.push_back({std::move(id), std::move(title), std::move(html)});
}

std::string HtmlPage::html() const {
  const std::string title = html_escaped(title_);
  std::string out(html_page_start);
  out +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self'; "
      "style-src 'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>" +
      title + "</title>\n<style>\n";
  out += screen_styles();
  out += svg_styles();
  out += style_;
  out += print_styles();
  out += "</style>\n</head>\n<body>\n<header>\n" + navigation_ + "<h1>" + title + "</h1>\n" + lead_;
  if (sections_.size() > 1) {
    out += "<nav aria-label=\"Contents\"><ul>\n";
    for (const Section& section : sections_) {
      out +=
          fmt::format("<li><a href=\"#{}\">{}</a></li>\n", section.id, html_escaped(section.title));
    }
    out += "</ul></nav>\n";
  }
  out += "</header>\n<main>\n";
  for (const Section& section : sections_) {
    out +=
        fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n", section.id, html_escaped(section.title));
    out += section.html;
    out += "</section>\n";
  }
  return out + "</main>\n</body>\n</html>\n";
}

std::string html_paragraph(std::string_view text) { return "<p>" + html_escaped(text) + "</p>\n"; }

std::string html_details(std::string_view summary, const std::string& html) {
  return "<details><summary>" + html_escaped(summary) + "</summary>\n" + html + "</details>\n";
}

std::string html_link(std::string_view href, std::string_view text) {
  return "<a href=\"" + html_escaped(href) + "\">" + html_escaped(text) + "</a>";
}

std::string html_figure(const Figure& figure, const std::set<std::string>& files) {
  std::string out = fmt::format("<figure id=\"{}\">\n<h3>{}</h3>\n", html_escaped(figure.name),
                                html_escaped(figure.title));
  out += is_too_large(figure)
             ? image_of(figure, files)
             : "<div class=\"drawing\" tabindex=\"0\">\n" + svg(figure) + "</div>\n";
  if (!figure.caption.empty()) {
    out += "<figcaption>" + html_escaped(figure.caption) + "</figcaption>\n";
  }
  out += file_links(figure, files);
  if (const std::string table = figure_table(figure); !table.empty()) {
    out += html_details("The values as a table", table);
  }
  return out + "</figure>\n";
}

}  // namespace moexray::report
