"""Values changed in place: each test compares whole files."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.configs.defaults import commented
from onyxstore.configs.document import decode_document
from onyxstore.configs.edit import edit
from onyxstore.configs.types import ConfigType
from onyxstore.errors import BadConfig, CannotEncode
from tests.configs.strategies import configs

TEXT = """\
# head

a:   1   # one
b: "x"     # double
c: 'y'
rate: 2e-5
list: [1,2,  3]   # tail
block:
    - 1   # first
    - 2   # second

# about m
m:
    x: 1
    # inside
    y: "two"   # y
flow: {p: 1, q: {r: 2}}
n: null
u:
empty: []  # none yet
nothing: {}
words: |
    some

    words
# end
"""


@pytest.mark.parametrize(
    ("updates", "old", "new"),
    [
        ({"a": 2}, "a:   1   # one", "a:   2   # one"),
        ({"a": "word"}, "a:   1   # one", "a:   word   # one"),
        ({"a": 1e-4}, "a:   1   # one", "a:   0.0001   # one"),
        ({"a": True}, "a:   1   # one", "a:   true   # one"),
        ({"a": [1, {"k": "v"}]}, "a:   1   # one", "a:   [1, {k: v}]   # one"),
        ({"b": 'z"z'}, 'b: "x"', 'b: "z\\"z"'),
        ({"b": 5}, 'b: "x"', "b: 5"),
        ({"c": "it's"}, "c: 'y'", "c: 'it''s'"),
        ({"c": "two\nlines"}, "c: 'y'", 'c: "two\\nlines"'),
        ({"rate": 1e-5}, "rate: 2e-5", "rate: 1.0e-05"),
        ({"rate": "no"}, "rate: 2e-5", 'rate: "no"'),
        ({"list": [1, 5, 3]}, "[1,2,  3]", "[1,5,  3]"),
        ({"list": [7]}, "[1,2,  3]", "[7]"),
        ({"list": []}, "[1,2,  3]", "[]"),
        ({"list": [1, 2, 3, 4, "x"]}, "[1,2,  3]", "[1,2,  3, 4, x]"),
        ({"list.1": 9}, "[1,2,  3]", "[1,9,  3]"),
        ({"block": [1, 2, 3]}, "    - 2   # second\n", "    - 2   # second\n    - 3\n"),
        ({"block": [1, 5]}, "    - 2   # second\n", "    - 5   # second\n"),
        ({"m.x": 5}, "    x: 1\n", "    x: 5\n"),
        ({"m.z": [5]}, '    y: "two"   # y\n', '    y: "two"   # y\n    z: [5]\n'),
        ({"m.z.deep": 5}, '    y: "two"   # y\n', '    y: "two"   # y\n    z: {deep: 5}\n'),
        ({"m": {"x": 1, "y": "three"}}, '    y: "two"   # y\n', '    y: "three"   # y\n'),
        ({"flow.s": 3}, "{p: 1, q: {r: 2}}", "{p: 1, q: {r: 2}, s: 3}"),
        ({"flow.q.s": 3}, "{p: 1, q: {r: 2}}", "{p: 1, q: {r: 2, s: 3}}"),
        ({"n": 5}, "n: null", "n: 5"),
        ({"u": 5}, "u:\n", "u: 5\n"),
        ({"empty": ["a", "b"]}, "empty: []  # none yet", "empty: [a, b]  # none yet"),
        ({"empty": None}, "empty: []  # none yet", "empty: null  # none yet"),
        ({"nothing.k": 1}, "nothing: {}", "nothing: {k: 1}"),
        ({"nothing": {"k": {"j": []}}}, "nothing: {}", "nothing: {k: {j: []}}"),
        ({"m": {"k": 1}}, '    x: 1\n    # inside\n    y: "two"   # y\n', "    # inside\n    k: 1\n"),
        ({"m": {"x": 1}}, '    y: "two"   # y\n', ""),
        ({"m": {}}, 'm:\n    x: 1\n    # inside\n    y: "two"   # y\n', "m: {}   # y\n"),
        ({"block": []}, "block:\n    - 1   # first\n    - 2   # second\n", "block: []   # second\n"),
        ({"flow": {"p": 1}}, "{p: 1, q: {r: 2}}", "{p: 1}"),
        ({"block": [1]}, "    - 2   # second\n", ""),
        ({"words": "short"}, "words: |\n    some\n\n    words\n", "words: short\n"),
        ({"new": 1}, "    words\n", "    words\nnew: 1\n"),
        ({"new.deep": [1]}, "    words\n", "    words\nnew: {deep: [1]}\n"),
        ({"a": 2, "n": 3, "b": "x"}, None, None),
    ],
)
def test_only_the_value_changes(updates, old, new):
    changed = edit(TEXT.encode(), "f", updates).decode()
    if old is None:
        assert changed == TEXT.replace("a:   1", "a:   2").replace("n: null", "n: 3")
    else:
        assert TEXT.count(old) == 1
        assert changed == TEXT.replace(old, new)


@pytest.mark.parametrize("updates", [{}, {"a": 1}, {"list": [1, 2, 3]}, {"m": {"y": "two", "x": 1}}, {"rate": 2e-5}, {"nothing": {}}])
def test_what_is_said_already_leaves_every_byte(updates):
    assert edit(TEXT.encode(), "f", updates) == TEXT.encode()


def test_kinds_are_kept_apart():
    assert edit(b"a: 1\n", "f", {"a": 1.0}) == b"a: 1.0\n"
    assert edit(b"a: 1\n", "f", {"a": True}) == b"a: true\n"


@pytest.mark.parametrize(
    ("before", "updates", "after"),
    [
        (b"", {"a": 1}, b"a: 1\n"),
        (b"# only words", {"a": 1}, b"# only words\na: 1\n"),
        (b"a: 1", {"b": 2}, b"a: 1\nb: 2"),
        (b"a: 1\r\nb: 2\r\n", {"a": 3, "c": 4}, b"a: 3\r\nb: 2\r\nc: 4\r\n"),
        (b"\xef\xbb\xbfa: 1\n", {"a": 2}, b"\xef\xbb\xbfa: 2\n"),
        (b'{"a":1, "b": [1,2]}', {"a": 2, "b": [1]}, b'{"a":2, "b": [1]}'),
        (b"\xef\xbb\xbfa: 1\n", {"b": 2}, b"\xef\xbb\xbfa: 1\nb: 2\n"),
        (b'{"a":1}', {"b": 2}, b'{"a":1, b: 2}'),
        (b"m:   # c\n- 1\n", {"m": []}, b"m:   # c\n []\n"),
        (b"{}\n", {"b": 2}, b"{b: 2}\n"),
        (b"x: &x 5\ny: *x\nz: 1\n", {"z": 2}, b"x: &x 5\ny: *x\nz: 2\n"),
        (b"l:\n- 1\n- 2\n", {"l": [1, 2, 3]}, b"l:\n- 1\n- 2\n- 3\n"),
        (b"l:\n- {a: 1}\n- 2", {"l": [{"a": 2}, 2, 3]}, b"l:\n- {a: 2}\n- 2\n- 3"),
        (b"l: [{a: 1}, [2]]\n", {"l": [{"a": 1}]}, b"l: [{a: 1}]\n"),
        (b"m:\n  t: |\n    x\nn: 1\n", {"m.u": 2}, b"m:\n  t: |\n    x\n  u: 2\nn: 1\n"),
        (b"m: {a: 1}\n", {"m.b": 1}, b"m: {a: 1, b: 1}\n"),
        (b"'m':\n  'a': 1\n", {"m.b": 1}, b"'m':\n  'a': 1\n  b: 1\n"),
    ],
)
def test_files_of_other_styles_keep_theirs(before, updates, after):
    assert edit(before, "f", updates) == after


@pytest.mark.parametrize(
    ("text", "updates", "why"),
    [
        ("- 1\n", {"a": 1}, "f:1:1: expected a mapping"),
        ("a: 1\na: 2\n", {"a": 1}, "f:2:1"),
        ("a: [1]\n", {"a.5": 1}, "f:1:1: a.5 cannot be changed alone; edit the file by hand"),
        ("x: &x 5\ny: *x\n", {"y": 6}, "f:1:7: y cannot be changed alone; edit the file by hand"),
        ("a: 1\n...\n", {"": 6}, "f:  cannot be changed alone"),
        ('{"a": 1,\t"b": []}', {"b": [1]}, "f: b cannot be changed alone"),
    ],
)
def test_a_file_that_cannot_be_changed_is_an_error_with_its_place(text, updates, why):
    with pytest.raises(BadConfig, match=why):
        edit(text.encode(), "f", updates)


def test_what_has_no_yaml_form_is_an_error_with_its_key():
    with pytest.raises(CannotEncode, match=r"m\.x"):
        edit(TEXT.encode(), "f", {"m.x": object()})


def as_commented(values, config_type):
    return commented("A file.", values, config_type)


def as_block(values, _):
    return yaml.safe_dump(values, sort_keys=False).encode()


def as_json(values, _):
    return json.dumps(values, indent=1).encode()


pairs = st.sampled_from(ConfigType).flatmap(
    lambda config_type: st.tuples(
        st.just(config_type), configs(config_type), configs(config_type), st.sets(st.sampled_from(sorted(config_type.fields)), max_size=3)
    )
)


@given(pairs)
def test_an_update_of_a_commented_file_changes_the_given_values_and_no_comment(drawn):
    config_type, before, after, keys = drawn
    updates = {key: vars(after)[key] for key in sorted(keys)}
    old = as_commented(vars(before), config_type)
    new = edit(old, "f", updates)
    assert decode_document(new, "f").values == {**vars(before), **updates}
    blocks = zip(["the head", *config_type.fields], old.split(b"\n\n"), new.split(b"\n\n"), strict=True)
    changed = {name: (one.splitlines()[0], other.splitlines()[0]) for name, one, other in blocks if one != other}
    assert changed.keys() <= keys
    assert [name for name, (one, other) in changed.items() if one != other] == []


@given(pairs, st.sampled_from([as_block, as_json]))
def test_an_update_says_what_was_given_in_whatever_style_a_file_is_written(drawn, write):
    config_type, before, after, keys = drawn
    old = write(vars(before), config_type)
    said = decode_document(old, "f").values
    updates = {key: vars(after)[key] for key in sorted(keys)}
    assert decode_document(edit(old, "f", updates), "f").values == {**said, **updates}
