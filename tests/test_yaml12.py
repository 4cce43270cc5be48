import json
import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from onyxstore import yaml12
from onyxstore.errors import BadConfig, CannotEncode
from onyxstore.yaml12 import MAX_BYTES, MAX_DEPTH, Scalar, encode_scalar, read_yaml, write_yaml


def value_of(text):
    return read_yaml(text if isinstance(text, bytes) else text.encode(), "f.yaml").value


def notes_of(text):
    return read_yaml(text.encode(), "f.yaml").notes


def refusal_of(text):
    """What is said about a text, with its place."""
    with pytest.raises(BadConfig) as refusal:
        value_of(text)
    return str(refusal.value)


def exactly(value):
    """A form of a value that tells 1, 1.0 and True, and 0.0 and -0.0, apart, in which NaN equals NaN and order counts."""
    if type(value) is dict:
        return [(repr(key), exactly(item)) for key, item in value.items()]
    return [exactly(item) for item in value] if type(value) is list else repr(value)


# ------------------------------------------------------------------------------------------- what a plain scalar means


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None), ("nULL", "nULL")),
        *(("true", True), ("True", True), ("TRUE", True), ("false", False), ("tRUE", "tRUE")),
        *((word, word) for word in ("yes", "No", "on", "OFF", "y", "n", "Y")),
        *(("0", 0), ("-1", -1), ("+12", 12), ("014", 14), ("089", 89), ("-0", 0), ("0o14", 12), ("0x1F", 31)),
        *((text, text) for text in ("0b11", "1_000", "+0x1F", "0o8", "0x", "1:30", "190:20:30", "--1", "1-", "0O14", "0X1F")),
        *(("2e-5", 2e-5), ("1E4", 1e4), ("1e+3", 1000.0), (".5", 0.5), ("-.5", -0.5), ("5.", 5.0), ("1.", 1.0), ("6.02e23", 6.02e23)),
        *((text, text) for text in (".", "e5", "1e", "1.5.2", "1_0.5", "+", ".e1", "1e5.5")),
        *((".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf), (".nan", math.nan), (".NaN", math.nan), ("+.nan", "+.nan")),
        *((text, text) for text in ("inf", "nan", "2024-01-01", "2001-12-14t21:59:43.10-05:00", "=", "a b", "http://x:80/")),
    ],
)
def test_a_plain_scalar_means_what_the_core_schema_says(text, value):
    assert exactly(value_of(f"k: {text}\n")) == exactly({"k": value})


@pytest.mark.parametrize("text", ["2e-5", "true", "~", "12"])
@pytest.mark.parametrize("quoted", ["'{}'", '"{}"', "!!str {}", "! {}", "|-\n  {}"])
def test_quotes_blocks_and_str_tags_make_text(text, quoted):
    assert value_of(f"k: {quoted.format(text)}\n") == {"k": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("!!int 0x10", 16), ("!!int '7'", 7), ("!!float 1", 1.0), ("!!float 2e-5", 2e-5), ("!!bool true", True), ("!!null ''", None)],
)
def test_a_tag_says_which_kind_is_meant(text, value):
    assert exactly(value_of(text)) == exactly(value)


def test_collections_may_say_their_kind():
    assert value_of("!!map {a: !!seq [1]}") == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("k: no", "f.yaml:1: `no` is the text 'no' (YAML 1.1 read it as false)"),
        ("a: 1\nk: 014", "f.yaml:2: `014` is 14 (YAML 1.1 read it as 12)"),
        ("k: 089", "f.yaml:1: `089` is 89 (YAML 1.1 read it as the text '089')"),
        ("k: 1:30", "f.yaml:1: `1:30` is the text '1:30' (YAML 1.1 read it as 90)"),
        ("k: 1_000", "f.yaml:1: `1_000` is the text '1_000' (YAML 1.1 read it as 1000)"),
        ("k: 0b11", "f.yaml:1: `0b11` is the text '0b11' (YAML 1.1 read it as 3)"),
        ("k: 0o14", "f.yaml:1: `0o14` is 12 (YAML 1.1 read it as the text '0o14')"),
        ("k: y", "f.yaml:1: `y` is the text 'y' (YAML 1.1 read it as true)"),
        ("on: 1", "f.yaml:1: `on` is the text 'on' (YAML 1.1 read it as true)"),
        ("k: 1e999", "f.yaml:1: `1e999` is infinite: no float is as large"),
    ],
)
def test_a_reading_that_may_surprise_is_noted(text, note):
    assert notes_of(text) == (note,)


@pytest.mark.parametrize("text", ["k: 'no'", "k: 2e-5", "k: 12", "k: null", "k: 2024-01-01", "x: 1\ny: 2", "k: .nan", "k: 1.5", "k: .inf"])
def test_what_everyone_means_is_not_noted(text):
    assert notes_of(text) == ()


def test_notes_stand_in_the_order_of_lines_once_each_and_end():
    assert notes_of("a: &x no\non: *x\nb: *x\n") == (
        "f.yaml:1: `no` is the text 'no' (YAML 1.1 read it as false)",
        "f.yaml:2: `on` is the text 'on' (YAML 1.1 read it as true)",
    )
    many = notes_of("- no\n" * 500)
    assert (len(many), many[-1]) == (21, "f.yaml: more such readings follow")


# ---------------------------------------------------------------------------------------------------- the rest of YAML


def test_an_empty_file_is_none():
    assert [value_of(text) for text in ("", "\n", "# only a comment", "---\n", "\ufeff")] == [None] * 5


def test_keys_may_be_any_scalar_and_keep_their_kind():
    assert exactly(value_of("a: 1\n2: 2\n3.5: 3\ntrue: 4\n~: 5\n'2': 6\n")) == exactly({"a": 1, 2: 2, 3.5: 3, True: 4, None: 5, "2": 6})


def test_an_alias_gets_a_value_of_its_own():
    value = value_of("a: &x {p: [1]}\nb: *x\n")
    value["a"]["p"].append(2)
    assert value == {"a": {"p": [1, 2]}, "b": {"p": [1]}}


def test_own_keys_win_over_merged_ones_and_the_first_merged_over_the_later():
    text = "x: &x {p: 1, q: 2}\ny: &y {q: 3, r: 4}\nz:\n  <<: [*x, *y]\n  p: 5\nw: {p: 6, <<: *y}\n'<<': 7\n"
    assert value_of(text)["z"] == {"p": 5, "q": 2, "r": 4}
    assert value_of(text)["w"] == {"p": 6, "q": 3, "r": 4}
    assert value_of(text)["<<"] == 7


@pytest.mark.parametrize("indent", ["\t", "  ", None])
def test_json_is_read_as_json_reads_it(indent):
    value = {"a": [1, 2.5, 1e-7, True, None, '\u2028 \U0001f600 \\ " / \x07 é'], "b": {"c": {}, "d": []}, "": -0.0}
    assert exactly(value_of(json.dumps(value, indent=indent))) == exactly(value)


def test_tabs_separate_but_never_indent_a_block():
    assert value_of("a:\t1\t# c\nb:\t[\t1,\n\t2\t]\n") == {"a": 1, "b": [1, 2]}
    assert refusal_of("a:\n\tb: 1\n").startswith("f.yaml:2:1: ")


def test_a_byte_order_mark_and_every_line_end_are_fine():
    assert value_of(b"\xef\xbb\xbfa: 1\r\nb: 2\rc: |\r\n  x\r\n") == {"a": 1, "b": 2, "c": "x\n"}


# --------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key 'a' stands twice"),
        ("{1: a, 1.0: b}", "f.yaml:1:8: the key 1.0 stands twice"),
        ("{<<: {a: 1}, <<: {b: 1}}", "f.yaml:1:1: the key '<<' stands twice"),
        ("? [a]\n: 1\n", "f.yaml:1:3: a key that is no scalar"),
        (".nan: 1", "f.yaml:1:1: the key .nan would equal nothing"),
        ("<<: 1", "f.yaml:1:5: '<<' merges mappings, nothing else"),
        ("<<: [{a: 1}, 2]", "f.yaml:1:14: '<<' merges mappings, nothing else"),
        ("a: !!python/object:os.system ls", "f.yaml:1:30: the tag '!!python/object:os.system' cannot stand here"),
        ("a: !!binary aGk=", "f.yaml:1:13: the tag '!!binary' cannot stand here"),
        ("a: !!set {x}", "f.yaml:1:4: the tag '!!set' cannot stand here"),
        ("a: !env X", "f.yaml:1:9: the tag '!env' cannot stand here"),
        ("a: !!map [1]", "f.yaml:1:4: the tag '!!map' cannot stand here"),
        ("a: !!int x", "f.yaml:1:10: 'x' is not what its tag says"),
        ("a: !!float 0x10", "f.yaml:1:12: '0x10' is not what its tag says"),
        ("a: !!bool yes", "f.yaml:1:11: 'yes' is not what its tag says"),
        ("&a [*a]", "f.yaml:1:1: an alias that holds itself"),
        ("a: &a {b: {c: *a}}", "f.yaml:1:4: an alias that holds itself"),
        ("a: *b", "f.yaml:1:4: found undefined alias 'b'"),
        ("--- 1\n--- 2\n", "f.yaml:2:1: expected a single document in the stream, but found another document"),
        ("%YAML 2.0\n--- 1", "f.yaml:1:1: found incompatible YAML document (version 1.* is required)"),
        ("a: [1,\nb", "f.yaml:2:2: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        ("é: \x07", "f.yaml:1:4: the character U+0007 may only stand as an escape in double quotes"),
        ("a: b\n# c\u2028d: e", "f.yaml:2:4: the character U+2028 may only stand as an escape in double quotes"),
        ("a: \ufeffb", "f.yaml:1:4: the character U+FEFF may only stand as an escape in double quotes"),
        (b"a\0: 1", "f.yaml:1:2: the character U+0000 may only stand as an escape in double quotes"),
        (b"ab: \xc3\xa9\n\xffc: 1", "f.yaml:2:1: it is no UTF-8 text"),
        ("a: 1".encode("utf-16"), "f.yaml:1:1: it is UTF-16; save it as UTF-8"),
        (r'a: "\ud83d"', "f.yaml:1:4: half of a surrogate pair is no character"),
        (r'"\ude00\ud83d": 1', "f.yaml:1:1: half of a surrogate pair is no character"),
        (r'a: "\U00110000"', "f.yaml:1:7: an escape that is no character, or a number beyond all bounds"),
        (r'a: "\UFFFFFFFF"', "f.yaml:1:7: an escape that is no character, or a number beyond all bounds"),
        ("%YAML 1." + "9" * 5000 + "\n--- a", "f.yaml:1:9: an escape that is no character, or a number beyond all bounds"),
        ("a: " + "1" * 1001, "f.yaml:1:4: a number of more than 1000 characters"),
        ("a: 0x" + "f" * 990, "f.yaml:1:4: an int of more than 1000 digits"),
        ("[" * (MAX_DEPTH + 1), "f.yaml:1:65: nested deeper than 64 levels"),
        (
            "a: &a [1]\n" + "".join(f"b{i}: &b{i} [*{'a' if i == 0 else f'b{i - 1}'}]\n" for i in range(70)),
            "f.yaml:1:8: nested deeper than 64 levels",
        ),
        (b" " * (MAX_BYTES + 1), "f.yaml: it has more than 4194304 bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_refused_is_said_with_its_place(text, said):
    assert refusal_of(text) == said


def test_ten_aliases_of_ten_aliases_of_ten_end_before_they_fill_the_memory():
    bomb = "a0: &a0 x\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    assert refusal_of(bomb).endswith("more than 100000 values, those of aliases counted")


def test_a_merge_bomb_ends_too():
    bomb = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}], k{i}: 1}}\n" for i in range(1, 12))
    assert refusal_of(bomb).endswith("more than 100000 values, those of aliases counted")


def test_more_values_than_the_limit_are_refused_before_they_are_built(monkeypatch):
    monkeypatch.setattr(yaml12, "MAX_VALUES", 1000)
    assert refusal_of("[" + "1," * 1000 + "1]") == "f.yaml:1:2000: more than 1000 values"


def check_place(error):
    assert str(error).startswith("f.yaml:1:" if error.line == 1 else "f.yaml:")
    assert (error.line is None) == (error.column is None)


PIECES = [
    *("&a ", "*a", "!!int ", "!!float ", "!!bool ", "!!null ", "!!str ", "!!map ", "!!seq ", "!!python/object ", "! ", "!<", "!%ff"),
    *("<<: ", "- ", ": ", "? ", "{", "}", "[", "]", ", ", "|\n", ">-\n", '"', "'", "\\u", "\\U00", "\\UFFFFFFFF", "@", "`", "~"),
    *("\n", "\n  ", "\t", "# ", "%YAML 99999999999999999999.1\n", "%TAG ! x\n", "---\n", "...\n", "\ufeff", "\x85", "\u2028", "\0"),
    *("a", "key", "no", "1", "2e-5", "0x1F", "0o7", ".inf", "1_0", "1:1", "=", "é", "\U0001f600", "a: 1\n", "  b: [1, 2]\n", '{"c": "d"}'),
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(lambda pieces: "".join(pieces).encode()) | st.binary(max_size=60))
@settings(max_examples=1500)
def test_any_bytes_are_a_value_or_a_bad_config(data):
    try:
        read = read_yaml(data, "f.yaml")
    except BadConfig as error:
        check_place(error)
        return
    assert exactly(value_of(write_yaml(read.value))) == exactly(read.value)
    assert all(0 <= scalar.start <= scalar.end <= len(data) for scalar in read.scalars)


# ---------------------------------------------------------------------------------------------------- where scalars are


def test_every_scalar_has_its_path_and_its_own_bytes():
    text = "a: &x !!str é1 # c\nb:\n- 'q''r'\n- {c: *x, 3: }\nd: |-\n  two\n  lines\ne: 0x10\n".encode()
    read = read_yaml(b"\xef\xbb\xbf" + text, "f.yaml")
    assert [(scalar.path, scalar.value, (b"\xef\xbb\xbf" + text)[scalar.start : scalar.end].decode()) for scalar in read.scalars] == [
        (("a",), "é1", "é1"),
        (("b", 0), "q'r", "'q''r'"),
        (("b", 1, "c"), "é1", "é1"),
        (("b", 1, 3), None, ""),
        (("d",), "two\nlines", "|-\n  two\n  lines\n"),
        (("e",), 16, "0x10"),
    ]


def test_a_merged_scalar_stands_under_both_paths():
    assert read_yaml(b"a: &x {p: q}\nb: {<<: *x}\n", "f").scalars == (Scalar(("a", "p"), "q", 10, 11), Scalar(("b", "p"), "q", 10, 11))


# -------------------------------------------------------------------------------------------------------------- writing

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        *("no", "y", "~", "null", "1e3", "2e-5", "1:30", "014", "0o7", "=", "<<", "2024-01-01", "!x", "&x", "*x", "@", "`"),
        *("- a", "a: b", "a #b", " a", "a ", "---", "...", "", "\n", "a\nb\n"),
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
keys = texts | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=25)


@given(values)
@settings(max_examples=400)
def test_what_is_written_is_read_back_exactly_and_needs_no_note(value):
    read = read_yaml(write_yaml(value), "f.yaml")
    assert exactly(read.value) == exactly(value)
    assert [note for note in read.notes if "YAML 1.1" in note] == []


@given(values)
def test_a_reader_of_yaml_1_1_reads_the_same(value):
    assert exactly(yaml.safe_load(write_yaml(value))) == exactly(value)


def test_a_value_is_written_in_block_style_in_its_own_order():
    value = {"b": {"lr": 1e-5, "steps": 10, "note": "it's: fine"}, "a": [1, [2, []], {"x": None, "y": {}}], 3: True}
    assert write_yaml(value).decode() == (
        'b:\n  lr: 1.0e-05\n  steps: 10\n  note: "it\'s: fine"\na:\n  - 1\n  - - 2\n    - []\n  - x: null\n    "y": {}\n3: true\n'
    )


def test_a_key_of_any_length_is_read_back():
    value = {"k" * 5000: {"k" * 5000: [1]}, "b": 2}
    assert value_of(write_yaml(value)) == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, (2,)]}, "a.1 cannot be stored: a tuple has no YAML form"),
        (object(), "the value cannot be stored: a object has no YAML form"),
        ({"a": {"b": "\ud800"}}, "a.b cannot be stored: half of a surrogate pair is no text"),
        ({"a": 10**1000}, "a cannot be stored: an int of more than 1000 digits"),
        ({"a": {math.nan: 1}}, "a cannot be stored: its key .nan would equal nothing"),
        ({"a": {(1,): 1}}, "a cannot be stored: a tuple has no YAML form"),
    ],
)
def test_what_has_no_yaml_form_is_an_error_with_its_path(value, said):
    with pytest.raises(CannotEncode) as refusal:
        write_yaml(value)
    assert str(refusal.value).partition(";")[0] == said


def test_values_are_written_as_deep_as_they_can_be_read():
    value = 1
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert value_of(write_yaml(value)) == value
    with pytest.raises(CannotEncode, match="nested deeper than 64 levels"):
        write_yaml([value])


@given(scalars)
def test_a_quoted_scalar_is_json_and_yaml(value):
    text = encode_scalar(value, quoted=True)
    assert "\n" not in text
    assert exactly(value_of(f"[{text}]")) == exactly([value])
    if type(value) is str:
        assert json.loads(text) == value
