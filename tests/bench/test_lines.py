"""Keys of a TOML text are found on the lines where somebody wrote them."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from labctl.bench.lines import key_lines, line_of

TEXT = '''\
# [not.a.table]
title = "x"  # y = 1
dotted.key.deep = 1
"quoted.key".'lit' = 2
"\\u0061scii" = 3

[plain]
text = """
[fake]
a = 1 \\""" still
"""
literal = \'\'\'
b = 2 [\'\'\'
list = [
  1, # ] comment
  "]", [2,
  3],
]
inline = { min = "1 s", max = { deep = "}" } }
after = 1

  [ spaced . name ]
key = 1
[[bodies]]
mass = 1
[[bodies]]
mass = 2
[bodies.shape]
radius = 3
[[bodies.moons]]
name = "a"
[[bodies.moons]]
name = "b"
[plain.below]
last = 1'''

EXPECTED = {
    ("title",): 2,
    ("dotted",): 3,
    ("dotted", "key", "deep"): 3,
    ("quoted.key", "lit"): 4,
    ("ascii",): 5,
    ("plain",): 7,
    ("plain", "text"): 8,
    ("plain", "literal"): 12,
    ("plain", "list"): 14,
    ("plain", "inline"): 19,
    ("plain", "after"): 20,
    ("spaced", "name"): 22,
    ("spaced", "name", "key"): 23,
    ("bodies", 0, "mass"): 25,
    ("bodies", 1): 26,
    ("bodies", 1, "mass"): 27,
    ("bodies", 1, "shape"): 28,
    ("bodies", 1, "shape", "radius"): 29,
    ("bodies", 1, "moons", 0, "name"): 31,
    ("bodies", 1, "moons", 1, "name"): 33,
    ("plain", "below", "last"): 35,
}


def test_every_kind_of_key_is_found_on_its_line() -> None:
    tomllib.loads(TEXT)
    lines = key_lines(TEXT)
    assert {path: lines.get(path) for path in EXPECTED} == EXPECTED


def test_nothing_inside_a_string_a_list_or_a_comment_is_taken_for_a_key() -> None:
    lines = key_lines(TEXT)
    assert ("fake",) not in lines
    assert {path[1] for path in lines if path[0] == "plain" and len(path) == 2} == {
        "text",
        "literal",
        "list",
        "inline",
        "after",
        "below",
    }


def test_windows_line_ends_count_once() -> None:
    assert key_lines("a = 1\r\n\r\n[b]\r\nc = 2\r\n") == {("a",): 1, ("b",): 3, ("b", "c"): 4}


def test_a_key_of_an_inline_table_is_on_the_line_of_what_holds_it() -> None:
    lines = key_lines(TEXT)
    assert line_of(lines, ("plain", "inline", "max", "deep")) == 19
    assert line_of(lines, ("plain", "list", 1)) == 14


def test_a_missing_key_is_on_the_line_of_its_table() -> None:
    lines = key_lines(TEXT)
    assert line_of(lines, ("plain", "missing")) == 7
    assert line_of(lines, ("nowhere", "at all")) is None


@given(st.one_of(st.text(), st.text(alphabet="ab.=[]{}\"'\\#\n, 1")))
def test_no_text_stops_it_and_every_line_exists(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in key_lines(text).values())


_KEYS = st.text(alphabet="abc-_.'\" \n", min_size=1, max_size=4)
_VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(alphabet="a\"'\n[]{}#=\\", max_size=6)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(_KEYS, st.dictionaries(_KEYS, _VALUES, max_size=4), max_size=4))
def test_every_key_of_a_valid_file_is_found_in_order(tables: dict[str, dict[str, object]]) -> None:
    text, expected = "", {}
    for name, table in tables.items():
        text += f"[{_quoted(name)}]  # note\n"
        expected[(name,)] = text.count("\n")
        for key, value in table.items():
            expected[(name, key)] = text.count("\n") + 1
            text += f"{_quoted(key)} = {_toml(value)}\n"
    assert tomllib.loads(text) == tables
    assert key_lines(text) == expected


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[\n" + ",\n".join(_toml(item) for item in value) + "]"
    if isinstance(value, str) and "'" not in value and not value.startswith("\n"):
        return f"'''{value}'''"
    return _quoted(value) if isinstance(value, str) else str(value)
