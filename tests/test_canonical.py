import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.canonical import MAX_DEPTH, canonical_address, canonical_bytes, plain_bytes, read_canonical, read_plain

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"]))
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.integers() | st.booleans() | st.none() | st.just("$")
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=20)


def exactly(value):
    """A form of a value that tells 1, 1.0 and True, and 0.0 and -0.0, apart, and in which NaN equals NaN."""
    if type(value) is list:
        return [exactly(item) for item in value]
    if type(value) is dict:
        return sorted((repr(key), exactly(item)) for key, item in value.items())
    return repr(value)


def shuffled(value):
    """The same value with its keys in another order."""
    if type(value) is dict:
        return {key: shuffled(item) for key, item in reversed(value.items())}
    return [shuffled(item) for item in value] if type(value) is list else value


def nested(depth, wrap, value=1):
    for _ in range(depth):
        value = wrap(value)
    return value


@given(values)
def test_a_value_is_read_back_exactly(value):
    assert exactly(read_canonical(canonical_bytes(value))) == exactly(value)


@given(values)
def test_the_order_of_keys_makes_no_difference(value):
    assert canonical_bytes(shuffled(value)) == canonical_bytes(value)


@given(values)
def test_the_text_is_json_that_any_reader_reads(value):
    text = canonical_bytes(value)
    assert plain_bytes(json.loads(text, parse_constant=pytest.fail)) == text


@given(st.binary(max_size=40) | st.text('[]{}":,$1.e-tru falsndicotmx\\', max_size=40).map(str.encode))
def test_no_bytes_raise_anything_but_a_value_error(data):
    try:
        value = read_canonical(data)
    except ValueError:
        return
    assert exactly(read_canonical(canonical_bytes(value))) == exactly(value)


def test_the_text_of_a_value_is_this():
    value = {"b": [1, 1.0, True, None, -0.0, 2e-5], "a": {"é": 'x"\n'}}
    assert canonical_bytes(value) == '{"a":{"é":"x\\"\\n"},"b":[1,1.0,true,null,-0.0,2e-05]}'.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, b'{"$":"float","is":"nan"}'),
        (-math.inf, b'{"$":"float","is":"-inf"}'),
        (2**63, b'{"$":"int","is":"9223372036854775808"}'),
        (-(2**63) - 1, b'{"$":"int","is":"-9223372036854775809"}'),
        ({2: 0, 10: 1, "a": 2}, b'{"$":"dict","items":[["a",2],[10,1],[2,0]]}'),
        ({"$": 1}, b'{"$":"dict","items":[["$",1]]}'),
    ],
)
def test_what_json_cannot_say_is_tagged(value, text):
    assert canonical_bytes(value) == text


@pytest.mark.parametrize("value", [2**53, 1_764_000_000_123_456_789, 2**63 - 1, -(2**63)])
def test_an_int_of_64_bits_stands_as_it_is(value):
    assert canonical_bytes(value) == str(value).encode()


def test_one_and_one_point_and_true_have_three_addresses():
    assert len({canonical_address(value) for value in (1, 1.0, True, "1", [1], {"1": 1}, {1: 1})}) == 7


@pytest.mark.parametrize("value", [(1,), b"x", {1, 2}, 1j, object(), [object()], {"a": (1,)}, {(1,): 1}])
def test_other_kinds_have_no_canonical_form(value):
    with pytest.raises(TypeError, match="has no canonical form"):
        canonical_bytes(value)


def test_half_a_surrogate_pair_has_no_canonical_form():
    with pytest.raises(ValueError, match="surrogates not allowed"):
        canonical_bytes("\ud800")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1 2",
        b"NaN",
        b"-Infinity",
        b'{"a":1,"a":2}',
        b"\xff",
        b'{"$":null}',
        b'{"$":["float"],"is":"nan"}',
        b'{"$":"set","items":[]}',
        b'{"$":"float","is":"1.0"}',
        b'{"$":"float","is":[]}',
        b'{"$":"float"}',
        b'{"$":"int","is":12}',
        b'{"$":"int","is":"1_0"}',
        b'{"$":"int","is":" 10"}',
        b'{"$":"int","is":"' + b"1" * 4001 + b'"}',
        b'{"$":"dict","items":[[1,2,3]]}',
        b'{"$":"dict","items":{"a":1}}',
        b'{"$":"dict","items":[[[],1]]}',
        b'{"$":"dict","items":[[1,1],[true,2]]}',
        b"[" * 400 + b"]" * 400,
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
def test_what_is_no_canonical_text_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"\S"):
        read_canonical(data)


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: {1: value}])
def test_values_nest_as_deep_as_the_limit_and_no_deeper(wrap):
    deepest = nested(MAX_DEPTH, wrap)
    assert canonical_bytes(read_canonical(canonical_bytes(deepest))) == canonical_bytes(deepest)
    with pytest.raises(ValueError, match="nested deeper than 200 levels"):
        canonical_bytes(wrap(deepest))


def test_a_caller_that_is_deep_itself_gets_a_value_error_too():
    deepest = nested(MAX_DEPTH, lambda value: [value])
    text = canonical_bytes(deepest)

    def from_below(depth, ask):
        return from_below(depth - 1, ask) if depth else ask()

    frames = len([None for _ in iter_frames()])
    room = sys.getrecursionlimit() - frames - 50
    for ask in (lambda: canonical_bytes(deepest), lambda: read_canonical(text)):
        with pytest.raises(ValueError, match="nested deeper"):
            from_below(room, ask)


def iter_frames():
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def test_plain_reading_leaves_tags_as_they_are():
    assert read_plain(b'{"$":"float","is":"nan"}') == {"$": "float", "is": "nan"}
    assert read_plain(memoryview(b"[1]")) == [1]
