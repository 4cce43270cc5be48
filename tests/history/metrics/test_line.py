import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.hashing import address_of
from onyxstore.history.metrics.line import decode_record, encode_points, encode_record
from onyxstore.history.metrics.records import Artifact, Points, Rewind, Summary
from tests.history.metrics.records_strategy import POINTS, RECORDS, same

ADDRESS = address_of(b"")


@given(st.integers(0, 2**62), RECORDS)
def test_a_record_comes_back_exactly(position, record):
    found, decoded = decode_record(encode_record(position, record))
    assert (found, same([decoded])) == (position, same([record]))


@given(POINTS)
def test_points_need_no_record_to_be_written(record):
    assert encode_points(3, record.step, record.epoch, record.time, record.values) == encode_record(3, record)


@given(RECORDS)
def test_a_record_is_one_line_of_text(record):
    assert b"\n" not in encode_record(0, record)


def test_a_line_reads_as_the_docs_say():
    assert [
        encode_record(7, Points(3, 1, 99, {"loss": 0.5, "train/acc": 0.25})),
        encode_record(8, Points(3, None, 99, {"loss": float("nan"), "n": 2**64, "up": float("-inf")})),
        encode_record(9, Rewind(3, 1.5, 99)),
        encode_record(10, Artifact("image", ADDRESS, 5, "png", None, None, 99)),
        encode_record(11, Summary({"best": True}, 99)),
    ] == [
        b'{"position":7,"step":3,"epoch":1,"time":99,"points":{"loss":0.5,"train/acc":0.25}}',
        b'{"position":8,"step":3,"time":99,"points":{"loss":NaN,"n":18446744073709551616,"up":-Infinity}}',
        b'{"position":9,"step":3,"epoch":1.5,"time":99,"rewind":{}}',
        b'{"position":10,"time":99,"artifact":{"name":"image","address":"%b","size":5,"kind":"png"}}' % ADDRESS.encode(),
        b'{"position":11,"time":99,"summary":{"best":true}}',
    ]


def test_a_sum_that_leaves_the_floats_is_no_reason_to_lose_a_value():
    record = Points(0, None, 0, {"a": 1.7e308, "b": 1.7e308, "c": 2**999})
    assert decode_record(encode_record(0, record)) == (0, record)


def test_the_spelling_of_another_json_writer_is_read_too():
    spelt = b'{ "position": 0, "step": 1, "time": 2, "points": {"a": 1e-05, "\\u0062": 1.50, "c": 1E5, "d": 7} }'
    assert decode_record(spelt) == (0, Points(1, None, 2, {"a": 1e-5, "b": 1.5, "c": 100000.0, "d": 7}))


def refused(**changes):
    fields = {"position": 0, "step": 1, "epoch": 2, "time": 3, "points": {"loss": 0.5}} | changes
    return json.dumps({key: value for key, value in fields.items() if value is not ...}).encode()


ARTIFACT = {"name": "a", "address": ADDRESS, "size": 1, "kind": "text"}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[1]",
        b"{}",
        b'{"position":0,"step":1,"time":3,"points":{"loss":0.5,"loss":0.5}}',
        b'{"position":0,"position":0,"step":1,"time":3,"points":{}}',
        b'{"position":0,"step":1,"time":3,"points":{}} {}',
        b'{"position":0,"step":1,"time":3,"points":{"\xff":1}}',
        b'{"position":0,"step":1,"time":3,"points":{"a":null}}',
        b"[" * 100_000,
        refused(position=-1),
        refused(position=...),
        refused(position=True),
        refused(position=2**63),
        refused(step=...),
        refused(step=1.0),
        refused(step=2**63),
        refused(epoch="1"),
        refused(epoch=float("nan")),
        refused(time=...),
        refused(time=0.5),
        refused(points={"a": "1"}),
        refused(points={"a": {}}),
        refused(points={"": 1}),
        refused(points={"a\n": 1}),
        refused(points={"a": 2**1000}),
        refused(points=[]),
        refused(more={}),
        refused(points=..., other={}),
        refused(points=..., rewind={"a": 1}),
        refused(points=..., rewind={}, step=...),
        refused(points=..., summary={}),
        refused(points=..., artifact=ARTIFACT | {"more": 1}),
        refused(points=..., artifact=ARTIFACT | {"address": "x"}),
        refused(points=..., artifact=ARTIFACT | {"size": -1}),
        refused(points=..., artifact=ARTIFACT | {"size": True}),
        refused(points=..., artifact=ARTIFACT | {"name": 1}),
        refused(points=..., artifact=ARTIFACT | {"kind": None}),
    ],
)
def test_what_no_writer_writes_is_refused(payload):
    with pytest.raises(ValueError, match=r"."):
        decode_record(payload)


JSON = st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_record_or_a_value_error(payload):
    try:
        position, record = decode_record(payload)
    except ValueError:
        return
    assert decode_record(encode_record(position, record))[0] == position


@given(POINTS)
def test_finite_points_of_64_bits_are_json_for_everyone(record):
    payload = encode_record(0, record)
    if b"NaN" not in payload and b"Infinity" not in payload:
        assert set(orjson.loads(payload)["points"]) == set(record.values)
