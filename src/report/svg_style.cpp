#include "svg_style.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "moexray/report/svg.h"

namespace moexray::report {
namespace svg_parts {
namespace {

struct Colours {
  std::string_view name;
  std::string_view light;
  std::string_view dark;
};

// The groups' colours are those of Okabe and Ito (2008), yellow and black last; on a dark ground
// the blue, green and black ones are lighter. Bars are pale on light ground and deep on dark, so
// that the ink of their error bars shows on both.
constexpr std::array<Colours, 14> colours{{{"g0", "#0072b2", "#4ea6e0"},
                                           {"g1", "#d55e00", "#ee7b2e"},
                                           {"g2", "#009e73", "#20c297"},
                                           {"g3", "#cc79a7", "#dc94bd"},
                                           {"g4", "#56b4e9", "#8fd0f5"},
                                           {"g5", "#e69f00", "#f0b73a"},
                                           {"g6", "#222222", "#d8d8d8"},
                                           {"g7", "#d9c400", "#f0e442"},
                                           {"axis", "#555555", "#aaaaaa"},
                                           {"grid", "#dddddd", "#3a3d42"},
                                           {"none", "#dcdcdc", "#34373c"},
                                           {"edge", "#ffffff", "#16181c"},
                                           {"bar", "#9fd0ee", "#2a5f82"},
                                           {"band", "#e4e4e4", "#3b4047"}}};

struct Class {
  std::string_view name;
  std::string_view properties;  // of CSS, each also an attribute of SVG; {name} is a colour
};

constexpr std::array<Class, 43> classes{
    {{"mid", "text-anchor: middle"},
     {"end", "text-anchor: end"},
     {"strong", "font-weight: bold"},
     {"small", "font-size: 10.5px"},
     {"title", "font-size: 13px; font-weight: bold"},
     {"on-dark", "fill: #ffffff; pointer-events: none"},
     {"on-light", "fill: #111111; pointer-events: none"},
     {"axis", "stroke: {axis}; stroke-width: 1"},
     {"grid", "stroke: {grid}; stroke-width: 1"},
     {"frame", "stroke: {axis}; stroke-width: 1; fill: none"},
     {"split", "stroke: {edge}; stroke-width: 1.5; pointer-events: none"},
     {"thin-split", "stroke: {edge}; stroke-width: 0.5; pointer-events: none"},
     {"error", "stroke: {ink}; stroke-width: 1.5; fill: none"},
     {"reference", "stroke: {ink}; stroke-width: 1.5; stroke-dasharray: 5 3; fill: none"},
     {"reference2", "stroke: {ink}; stroke-width: 1.5; stroke-dasharray: 1.5 2.5; fill: none"},
     {"trend", "stroke: {g0}; stroke-width: 2; fill: none"},
     {"tested", "stroke: {ink}; stroke-width: 1.2; stroke-dasharray: 5 3; fill: none"},
     {"ring", "stroke: {g1}; stroke-width: 2.2; fill: none"},
     {"bar", "fill: {bar}; stroke: {axis}; stroke-width: 0.5"},
     {"band", "fill: {band}"},
     {"none", "fill: {none}"},
     {"unseen", "fill: #ffffff; fill-opacity: 0"},
     {"mark", "fill: {ink}"},
     {"point", "stroke: {edge}; stroke-width: 0.6"},
     {"pale", "fill-opacity: 0.25"},
     {"dashed", "stroke-dasharray: 6 3"},
     {"dotted", "stroke-dasharray: 2 2"},
     {"g0", "fill: {g0}"},
     {"g1", "fill: {g1}"},
     {"g2", "fill: {g2}"},
     {"g3", "fill: {g3}"},
     {"g4", "fill: {g4}"},
     {"g5", "fill: {g5}"},
     {"g6", "fill: {g6}"},
     {"g7", "fill: {g7}"},
     {"s0", "stroke: {g0}; stroke-width: 2; fill: none"},
     {"s1", "stroke: {g1}; stroke-width: 2; fill: none"},
     {"s2", "stroke: {g2}; stroke-width: 2; fill: none"},
     {"s3", "stroke: {g3}; stroke-width: 2; fill: none"},
     {"s4", "stroke: {g4}; stroke-width: 2; fill: none"},
     {"s5", "stroke: {g5}; stroke-width: 2; fill: none"},
     {"s6", "stroke: {g6}; stroke-width: 2; fill: none"},
     {"s7", "stroke: {g7}; stroke-width: 2; fill: none"}}};

// `properties` with what `colour` gives for every {name}.
template <typename Colour>
std::string with_colours(std::string_view properties, Colour colour) {
  std::string out;
  while (!properties.empty()) {
    const std::size_t open = std::min(properties.find('{'), properties.size());
    out += properties.substr(0, open);
    properties.remove_prefix(open);
    if (properties.empty()) break;
    const std::size_t close = properties.find('}');
    out += colour(properties.substr(1, close - 1));
    properties.remove_prefix(close + 1);
  }
  return out;
}

}  // namespace

std::string_view literal_colour(std::string_view name) {
  if (name == "ink") return "#111111";
  const auto found = std::find_if(colours.begin(), colours.end(),
                                  [&](const Colours& colour) { return colour.name == name; });
  if (found == colours.end()) throw std::logic_error("no colour " + std::string(name));
  return found->light;
}

std::string literal_attributes(std::string_view names) {
  std::string out;
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(' '));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    const auto found = std::find_if(classes.begin(), classes.end(),
                                    [&](const Class& c) { return c.name == name; });
    if (found == classes.end()) throw std::logic_error("no class " + std::string(name));
    const std::string properties = with_colours(found->properties, literal_colour);
    std::string_view rest = properties;
    while (!rest.empty()) {
      const std::string_view property = rest.substr(0, rest.find("; "));
      rest.remove_prefix(std::min(property.size() + 2, rest.size()));
      const std::size_t colon = property.find(": ");
      if (property.starts_with("pointer-events")) continue;  // nothing to point at on paper
      out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : " ", property.substr(0, colon),
                         property.substr(colon + 2));
    }
  }
  return out;
}

}  // namespace svg_parts

std::string svg_styles() {
  using svg_parts::classes;
  using svg_parts::colours;
  std::string light;
  std::string dark;
  for (const auto& colour : colours) {
    light += fmt::format(" --{}: {};", colour.name, colour.light);
    dark += fmt::format(" --{}: {};", colour.name, colour.dark);
  }
  std::string css = fmt::format(
      ".chart {{ display: block; width: 100%; height: auto; margin: 0 auto;{} }}\n"
      "@media screen and (prefers-color-scheme: dark) {{ .chart {{{} }} }}\n"
      ".chart rect {{ shape-rendering: crispEdges; }}\n"
      ".chart text {{ font: {}px system-ui, sans-serif; fill: currentColor; }}\n",
      light, dark, svg_parts::type_size);
  for (const auto& c : classes) {
    css += fmt::format(".chart .{} {{ {}; }}\n", c.name,
                       svg_parts::with_colours(c.properties, [](std::string_view name) {
                         return name == "ink" ? std::string("currentColor")
                                              : fmt::format("var(--{})", name);
                       }));
  }
  return css +
         ".chart rect:hover, .chart .point:hover { stroke: currentColor; stroke-width: 1.5; }\n";
}

}  // namespace moexray::report
