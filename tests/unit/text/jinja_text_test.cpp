#include "jinja_text.h"

#include <gtest/gtest.h>

#include <string>

namespace moexray {
namespace {

TEST(JinjaText, what_does_not_change_the_output_does_not_change_the_form) {
  const std::string form =
      canonical_template("{% if a == 'x\\n' %}\n{{ b['c'] + \"d\" }}\n{% endif %}");
  EXPECT_EQ(canonical_template("{%if a=='x\n'%}{{b[ \"c\" ]+'d'}}\n{%endif%}\n"), form);
  EXPECT_EQ(canonical_template("{% if a == \"x\\n\" %}\r\n{{ b['c'] + 'd' }}\r\n  {% endif %}\n"),
            form);
  EXPECT_EQ(
      canonical_template(
          "{# note #}\n{% if a == 'x\\n' -%}\n  \n {{ b['c'] + 'd' }}{#- #}\n\n  {%- endif %}"),
      canonical_template("{% if a == 'x\\n' %}{{ b['c'] + 'd' }}{% endif %}"));
  EXPECT_EQ(canonical_template("a{# x #}b"), canonical_template("ab"));
}

TEST(JinjaText, what_changes_the_output_changes_the_form) {
  const std::string form = canonical_template("{{ 'a b' }}\n{% if c %} d{% endif %}");
  for (const char* other :
       {"{{ 'a  b' }}\n{% if c %} d{% endif %}", "{{ 'a b' }}{% if c %} d{% endif %}",
        "{{ 'a b' }}\n\n{% if c %} d{% endif %}", "{{ 'a b' -}}\n{% if c %} d{% endif %}",
        "{{ 'a b' }}\n{% if c %}d{% endif %}", "{{ 'a b' }}\n{% if c %}{{ ' d' }}{% endif %}",
        "{{ 'a b' }}\n{% if not c %} d{% endif %}", "{{ 'ab' }}\n{% if c %} d{% endif %}",
        "{{ a b }}\n{% if c %} d{% endif %}", "{{ 'a b' }}\n{% if c %} d{% endif %} "}) {
    EXPECT_NE(canonical_template(other), form) << other;
  }
  // A text that looks like the form of a tag is no tag.
  EXPECT_NE(canonical_template("x\nblock 5:endif"), canonical_template("x{% endif %}"));
  EXPECT_NE(canonical_template("{{ 'it\\'s' }}"), canonical_template("{{ 'it' 's' }}"));
}

TEST(JinjaText, anything_has_a_form) {
  for (const char* source :
       {"", "{", "{%", "{{ '", "{{ 'a\\", "{#", "{# #", "%}", "{% -", "\r", "{{ -}}x"}) {
    EXPECT_NO_THROW(canonical_template(source)) << source;
  }
}

}  // namespace
}  // namespace moexray
