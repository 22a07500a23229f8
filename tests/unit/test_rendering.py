"""Templates, their schemas and the rendered text; the limits of the process are tested with the pool."""

from __future__ import annotations

import string
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.filters import FILTERS

from api.rendering.child import Renderer
from api.rendering.sandbox import REMOVED_FILTERS

LIMITS = {"subject": 500, "text": 100_000, "html": 100_000, "cache": 3}
HOSTILE = st.text(alphabet="<>&\"'/={}%()ax \n" + string.ascii_letters, min_size=1) | st.text(min_size=1)
# Each as it stands is harmless; hostile is what goes through it.
WAYS = (
    *("{{ x }}", "{{ x|upper }}", "{{ x|replace('a', x) }}", "{{ [x, x]|join(x) }}", "{{ x|truncate(5) }}"),
    *("{{ x|wordwrap(3) }}", "{{ x|indent(2) }}", "{{ x|center(80) }}", "{{ x|title }}", "{{ x|trim }}"),
    *("{{ '%s'|format(x) }}", "{{ '{}'.format(x) }}", "{{ x ~ x }}", "{{ x + x }}", "{{ x * 3 }}", "{{ x|e }}"),
    *("{{ ('<b>%s</b>'|safe)|format(x) }}", "{{ ('<b>'|safe) ~ x }}", "{{ ('<b>{}'|safe).format(x) }}"),
    *("{{ x|list }}", "{{ {x: x} }}", "{{ {x: x}|tojson }}", "{{ x|urlencode }}", "{{ x|reverse }}", "{{ x[0] }}"),
    *("{% for c in x %}{{ c }}{% endfor %}", "{% set y = x %}{{ y }}", "{% set y %}{{ x }}{% endset %}{{ y }}"),
    *("{% macro m(v) %}{{ v }}{% endmacro %}{{ m(x) }}", "{% filter upper %}{{ x }}{% endfilter %}"),
    *("{{ x|default('a') }}", "{{ [x]|map('upper')|join }}", "{{ [x]|first }}", "{{ x|string }}", "{{ x|striptags }}"),
    *(
        "{% with y = x %}{{ y }}{% endwith %}",
        "{{ x if x else '' }}",
        "{{ [x]|sort|join(',') }}",
        "{{ x|batch(2)|list }}",
    ),
)


def source(**parts: Any) -> dict[str, Any]:
    return {"subject": "s", "text": "t", "html": None, "schema": None} | parts


def answer(variables: dict[str, Any] | None = None, **parts: Any) -> Any:
    asked: dict[str, Any] = {"key": "k", "source": source(**parts)}
    return Renderer(LIMITS).answer(asked if variables is None else {**asked, "variables": variables})


def faults(variables: dict[str, Any] | None = None, **parts: Any) -> dict[str, str]:
    return dict(answer(variables, **parts).get("faults", {}))


@pytest.mark.parametrize("way", WAYS)
@given(hostile=HOSTILE)
def test_markup_in_variables_is_escaped_in_html(way: str, hostile: str) -> None:
    said = answer({"x": hostile}, html=way)

    html = said["rendered"]["html"].replace("<b>", "").replace("</b>", "").replace("<B>", "")
    assert "<" not in html
    assert ">" not in html
    if "tojson" not in way:  # JSON's own quotes stand in text; those of its strings are escaped.
        assert '"' not in html
        assert "'" not in html


@given(hostile=HOSTILE)
def test_subject_and_text_are_not_escaped(hostile: str) -> None:
    rendered = answer({"x": hostile}, subject="{{ x }}", text="{{ x }}")["rendered"]

    assert rendered == {"subject": hostile, "text": hostile}


@given(name=st.from_regex(r"[a-z_]{1,12}", fullmatch=True))
def test_no_attribute_name_gives_access_outside_the_sandbox(name: str) -> None:
    for path in (f"{{{{ x.__{name}__ }}}}", f"{{{{ x['__{name}__'] }}}}", f"{{{{ ''.__class__.{name} }}}}"):
        assert "rendered" not in answer({"x": "a"} if "x" in path else {}, text=path)


@pytest.mark.parametrize("name", sorted(FILTERS.keys() - set(REMOVED_FILTERS)))
def test_every_filter_of_jinja_works_but_the_removed_ones(name: str) -> None:
    assert not faults(text="{{ x|" + name + " }}")


@pytest.mark.parametrize("name", REMOVED_FILTERS)
def test_a_removed_filter_is_reported_with_its_line(name: str) -> None:
    assert faults(text="a\n{{ x|" + name + " }}") == {"/text": f"line 2: No filter named '{name}'."}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{{ a", 1),
        ("\n\n{% for x in y %}", 3),
        ("\n{% include 'other' %}", 2),
        ("{% import 'other' as o %}", 1),
        ("{% extends 'other' %}", 1),
        ("\n{{ a.. }}", 2),
        ("{% set %}", 1),
        ("\n{{ lipsum( }}", 2),
    ],
)
def test_a_template_that_does_not_compile_is_reported_with_its_part_and_line(text: str, line: int) -> None:
    found = faults(text=text, html=text)

    assert found.keys() == {"/text", "/html"}
    assert all(detail.startswith(f"line {line}: ") for detail in found.values())


def test_faults_of_all_parts_and_the_schema_are_reported_at_once() -> None:
    found = faults(subject="{{", text="{{", html="{{", schema={"type": "nothing"})

    assert found.keys() == {"/subject", "/text", "/html", "/schema/type"}


def test_a_missing_variable_is_reported_with_a_pointer() -> None:
    assert faults({}, text="{{ name }}") == {"/variables/name": "is required: the template's text uses it"}


def test_without_a_schema_an_unused_variable_is_refused() -> None:
    assert faults({"name": 1, "nmae": 2}, text="{{ name }}") == {
        "/variables/nmae": "is not a variable of this template: leave it out"
    }


def test_a_field_that_is_missing_is_reported_with_its_line() -> None:
    [(pointer, detail)] = faults({"a": {}}, html="\n\n{{ a.b }}").items()

    assert pointer == "/variables"
    assert "html, line 3: 'dict object' has no attribute 'b'" in detail


def test_a_field_named_like_a_dict_method_is_read_as_the_field() -> None:
    assert answer({"order": {"items": "mine"}}, text="{{ order.items }}")["rendered"]["text"] == "mine"


def test_faults_do_not_contain_the_values_of_variables() -> None:
    secret = "hunter2"
    for text in ("{{ a|int + a }}", "{{ a.b }}", "{{ a['b'] }}", "{{ a|round }}", "{{ {}[a] }}", "{{ a() }}"):
        assert secret not in str(faults({"a": secret}, text=text))
    for schema in ({"const": 1}, {"pattern": "^x"}, {"format": "email"}, {"maxLength": 1}, {"type": "integer"}):
        found = faults({"a": secret}, text="{{ a }}", schema={"properties": {"a": schema}})
        assert found.keys() == {"/variables/a"}
        assert secret not in str(found)


SCHEMA = {
    "type": "object",
    "required": ["name", "age"],
    "additionalProperties": False,
    "properties": {"name": {"type": "string", "maxLength": 3}, "age": {"$ref": "#/$defs/age"}},
    "$defs": {"age": {"type": "integer", "minimum": 0}},
}


def test_variables_are_validated_against_the_schema_with_pointers() -> None:
    assert faults({"name": "Anna", "agee": 1}, schema=SCHEMA) == {
        "/variables/name": "does not conform to maxLength: 3",
        "/variables/age": "is required",
        "/variables/agee": "is not a variable of this template: leave it out",
    }
    assert not faults({"name": "Ann", "age": 3}, schema=SCHEMA)


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"$ref": "https://example.com/schema"}, "/schema/$ref"),
        ({"properties": {"a/b": {"$ref": "file:///etc/passwd"}}}, "/schema/properties/a~1b/$ref"),
        ({"allOf": [{"$dynamicRef": "other"}]}, "/schema/allOf/0/$dynamicRef"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/schema/$schema"),
        ({"properties": {"a": {"format": "hostname"}}}, "/schema/properties/a/format"),
        ({"properties": {"a": {"pattern": "("}}}, "/schema/properties/a/pattern"),
        ({"patternProperties": {"(": {}}}, "/schema/patternProperties"),
        ({"type": 5}, "/schema/type"),
    ],
)
def test_an_unusable_schema_is_refused(schema: dict[str, Any], pointer: str) -> None:
    assert faults(schema=schema).keys() == {pointer}


def test_a_schema_with_a_broken_or_circular_reference_is_reported_as_a_fault() -> None:
    for schema in ({"$ref": "#/$defs/none"}, {"$ref": "#"}, {"allOf": [{"$ref": "#"}]}):
        assert faults({"a": 1}, text="{{ a }}", schema=schema).keys() == {"/variables"}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("email", "ann@example.com", "ann"),
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-01-01T00:00:00Z", "2024-01-01"),
        ("uri", "https://example.com/a?b=c#d", "javascript:alert(1)"),
        ("uri", "http://localhost:8000", 'https://example.com/"onclick="x'),
        ("ipv4", "127.0.0.1", "127.0.0.256"),
        ("ipv6", "::1", "127.0.0.1"),
        ("uuid", "00000000-0000-0000-0000-000000000000", "0"),
    ],
)
def test_the_format_of_a_variable_is_checked(name: str, good: str, bad: str) -> None:
    schema = {"properties": {"x": {"format": name}}}

    assert not faults({"x": good}, text="{{ x }}", schema=schema)
    assert faults({"x": bad}, text="{{ x }}", schema=schema) == {"/variables/x": f"must have the format {name}"}


def test_the_size_of_the_output_is_limited_while_it_is_rendered() -> None:
    found = faults({}, text="{% for i in range(99999) %}" + "x" * 99 + "{% endfor %}")

    assert found == {"/template": "its rendered text has more than 100000 characters"}


def test_the_number_of_kept_templates_is_bounded() -> None:
    renderer = Renderer(LIMITS)
    for key in "abcd":
        renderer.answer({"key": key, "source": source(), "variables": {}})

    assert [renderer.answer({"key": key, "variables": {}}).get("unknown", False) for key in "abcd"] == [
        *(True, False, False, False)
    ]


@pytest.mark.parametrize("part", ["subject", "text", "html"])
@pytest.mark.parametrize(
    "template",
    [
        *(
            "{{ '\\ud800' }}",
            "{{ x ~ '\\udfff' }}",
            "{{ '\\ude00\\ud83d' }}",
            "{{ '%c'|format(55296) }}",
            "a\\b{{ '\\udc80' }}",
        ),
        *("{{ ['\\ud800']|join }}", "{{ {'\\ud800': 1}|list|first }}", "{% set y = '\\ud800' %}{{ y|upper }}"),
    ],
)
def test_half_a_surrogate_pair_is_reported_as_a_fault_of_the_template(part: str, template: str) -> None:
    said = faults({"x": "a"} if "x" in template else {}, **{part: template})
    assert list(said) == ["/template"]
    assert f"its rendered {part} contains half of a surrogate pair" in said["/template"]


@pytest.mark.parametrize(
    "template",
    [
        *(
            "{{ {}['\\ud800'] }}",
            "{{ '\\ud800'|nothing }}",
            "{{ 1 / '\\ud800' }}",
            "{{ '\\ud800'.x.y }}",
            "{{ '\\ud800'() }}",
        ),
        *(
            "{{ 1e999|int }}",
            "{{ '%d'|format('\\ud800') }}",
            "{{ 'a'.encode('\\ud800') }}",
            "{{ '\\ud800'|urlencode }}",
        ),
        *("{{ '\\ud800'.encode() }}", "{% if %}\\ud800", "{{ dict(**{'\\ud800': 1}) }}", "{{ 9 ** 999|float }}"),
    ],
)
def test_every_fault_can_be_written_as_json(template: str) -> None:
    orjson.dumps(answer({}, text=template))


def test_a_complete_surrogate_pair_is_rendered_as_a_character() -> None:
    assert answer({}, text="{{ '\\U0001f600' }}")["rendered"]["text"] == "\U0001f600"
