#include "site.h"

#include "moexray/report/document.h"
#include "moexray/report/html_page.h"

namespace moexray::app {

std::string site_navigation(std::string_view section, std::string_view place) {
  std::string html = "<nav aria-label=\"Report\"><ul>\n<li>" +
                     report::html_link("../report.html#" + std::string(section), "Report") +
                     "</li>\n";
  if (!place.empty()) html += "<li>" + report::html_escaped(place) + "</li>\n";
  return html + "</ul></nav>\n";
}

}  // namespace moexray::app
