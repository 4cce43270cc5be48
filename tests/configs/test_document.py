import pytest

from onyxstore.configs.document import decode_document
from onyxstore.errors import BadConfig

TEXT = b"""\
# about it
name: "a"   # first
'quoted' : 5
flow: {a: 1, "b": [2, 3]}
block:
  - x
  - {k: v}
empty: []
nothing:
nested:
  # inside
  name: 7
  list: []
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("name",), (2, 7)),
        (("quoted",), (3, 12)),
        (("flow",), (4, 1)),
        (("flow", "a"), (4, 11)),
        (("flow", "b", 1), (4, 23)),
        (("block",), (5, 1)),
        (("block", 0), (6, 5)),
        (("block", 1), (7, 5)),
        (("block", 1, "k"), (7, 9)),
        (("empty",), (8, 1)),
        (("nothing",), (9, 9)),
        (("nested",), (10, 1)),
        (("nested", "name"), (12, 9)),
        (("nested", "list"), (13, 3)),
        (("nested", "list", 0), (13, 3)),
        (("missing",), None),
        ((), None),
    ],
)
def test_a_path_has_the_place_of_its_value_or_else_of_the_key(path, place):
    assert decode_document(TEXT, "f").place(path) == place


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_lines_are_counted_whatever_ends_them(newline):
    assert decode_document(TEXT.replace(b"\n", newline), "f").place(("nested", "name")) == (12, 9)


def test_columns_count_characters_and_not_a_byte_order_mark():
    document = decode_document('\ufeffä: "ö"\n{}: 1\n'.replace("{}", "ü").encode(), "f")
    assert (document.place(("ä",)), document.place(("ü",))) == ((1, 4), (2, 4))


def test_a_file_in_flow_style_has_places_too():
    document = decode_document(b'{"a": {}, "b": [],\n "c": 1}', "f")
    assert [document.place((key,)) for key in "abc"] == [(1, 2), (1, 11), (2, 7)]


def test_a_merged_value_has_its_own_place_unless_the_mapping_has_one():
    document = decode_document(b"base: &b {x: 1, y: 2}\nm:\n  <<: *b\n  y: 3\n", "f")
    assert document.values["m"] == {"x": 1, "y": 3}
    assert (document.place(("m", "x")), document.place(("m", "y"))) == ((1, 14), (4, 6))


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"null\n", b"{}\n", b"---\n"])
def test_an_empty_file_says_nothing(text):
    assert decode_document(text, "f").values == {}


@pytest.mark.parametrize(("text", "why"), [(b"- a\n", "got a list"), (b"a\n", 'got "a"'), (b"5\n", "got 5")])
def test_a_file_without_a_mapping_is_no_config(text, why):
    with pytest.raises(BadConfig, match=f"f:1:1: expected a mapping of names to values, {why}"):
        decode_document(text, "f")


def test_what_is_no_yaml_is_named_with_its_place():
    with pytest.raises(BadConfig, match="f:2:1"):
        decode_document(b"a: 1\na: 2\n", "f")


def test_a_scalar_is_spelt_as_in_the_file():
    document = decode_document(TEXT, "f")
    assert (document.spelling(("name",)), document.spelling(("flow", "a")), document.spelling(("nothing",))) == (b'"a"', b"1", b"")
