import json

import numpy as np
import pytest
import safetensors.numpy
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.hashing import address_of
from onyxstore.history.metrics.columns import records_of
from onyxstore.history.metrics.records import Artifact, Points, Rewind, Summary
from onyxstore.history.metrics.segments import decode_segment, encode_segment
from tests.history.metrics.records_strategy import RECORDS, same

LOG = "0123456789abcdef0123456789abcdef"
SMALL = [
    Points(0, 0, 1_000, {"loss": 0.5, "n": 3}),
    Points(1, None, 2_000, {"loss": 0.25, "ok": True}),
    Artifact("image", address_of(b""), 5, "png", 1, 0.5, 2_500),
    Rewind(1, 0, 3_000),
    Points(1, 0, 4_000, {"loss": 0.375, "n": 2**64}),
    Summary({"acc": 0.1}, 5_000),
]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**62), st.lists(RECORDS, min_size=1, max_size=12))
def test_a_segment_gives_the_records_back_exactly(first, records):
    data = encode_segment(LOG, first, records)
    segment = decode_segment(data)
    assert (segment.log, segment.first, same(records_of(segment.columns))) == (LOG, first, same(records))


def test_the_same_records_give_the_same_bytes_for_ever():
    assert address_of(encode_segment(LOG, 7, SMALL)) == "bba9fc7fed860809b294e312a91ea0b021ce18bc46199f53fdbcc7fdd4d35714"


def test_a_segment_is_a_safetensors_file():
    tensors = safetensors.numpy.load(encode_segment(LOG, 7, SMALL))
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()} == {
        "shapes": (np.uint8, (1, 6)),
        "times": (np.uint8, (2, 6)),
        "steps": (np.uint8, (1, 5)),
        "epochs.int": (np.uint8, (1, 3)),
        "epochs.float": (np.uint8, (1, 1)),
        "values.0": (np.uint8, (4, 3)),
        "values.1": (np.uint8, (9, 2)),
        "values.2": (np.uint8, (1, 1)),
        "values.3": (np.uint8, (1, 1)),
    }


def test_a_column_is_decoded_once_and_when_it_is_asked_for():
    columns = decode_segment(encode_segment(LOG, 0, SMALL)).columns
    assert columns.arrays["values.0"] is columns.arrays["values.0"]
    assert [columns.arrays["values.0"].tolist(), columns.arrays["values.1"].tolist()] == [[0.5, 0.25, 0.375], [3, 2**64]]
    assert sorted(columns.arrays._decoded) == ["shapes", "values.0", "values.1"]


def test_a_training_run_takes_less_than_three_bytes_a_point():
    random = np.random.default_rng(0)
    steps = np.arange(4000)
    columns = {
        "loss": 2 * np.exp(-steps / 1000) + 0.3 + 0.05 * random.normal(size=4000),
        "acc": random.binomial(128, 1 - 0.5 * np.exp(-steps / 1000)) / 128,
        "grad_norm": np.abs(1 + 0.3 * random.normal(size=4000)),
        "lr": 3e-4 * 0.5 * (1 + np.cos(np.pi * steps / 4000)),
        "tokens_per_s": 12000 + 100 * random.normal(size=4000),
    }
    rows = np.array(list(columns.values()), np.float32).T.tolist()
    times = 1_763_000_000_000_000_000 + np.cumsum(5e7 + 1e6 * random.normal(size=4000)).astype(np.int64)
    metrics = [dict(zip(columns, row, strict=True)) for row in rows]
    records = [Points(step, step // 500, time, each) for step, (time, each) in enumerate(zip(times.tolist(), metrics, strict=True))]
    stored = zstandard.compress(encode_segment(LOG, 0, records), 3)
    assert len(stored) / 20_000 < 3


# ----------------------------------------------------------------------------------------------------------- hostile bytes


def rebuilt(change):
    """A segment whose header and metadata went through `change`."""
    data = encode_segment(LOG, 7, SMALL)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = json.loads(header["__metadata__"]["onyx"])
    body = change(header, metadata)
    header["__metadata__"]["onyx"] = json.dumps(metadata)
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + (data[8 + length :] if body is None else body)


def setting(*path, to, inside="metadata"):
    def change(header, metadata):
        place = metadata if inside == "metadata" else header
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


def test_a_segment_that_is_only_spelt_otherwise_is_read():
    assert same(records_of(decode_segment(rebuilt(lambda *_: None)).columns)) == same(SMALL)


@pytest.mark.parametrize(
    "change",
    [
        setting("format", to=2),
        setting("log", to=5),
        setting("first", to=-1),
        setting("first", to="0"),
        setting("more", to=0),
        setting("shapes", to={}),
        setting("shapes", 0, to=["points", True, "int", [99]]),
        setting("shapes", 0, to=["points", True, "int", [0, 0]]),
        setting("shapes", 0, to=["points", True, "int", [-1]]),
        setting("shapes", 0, to=["points", False, "int", [0, 1]]),
        setting("shapes", 0, to=["summary", True, "int", []]),
        setting("shapes", 0, to=["points", True, "real", [0, 1]]),
        setting("shapes", 0, to=["sketch", True, "int", [0, 1]]),
        setting("shapes", 0, to=["points", 1, "int", [0, 1]]),
        setting("shapes", to=[]),
        setting("metrics", 0, to=["points", "loss", "int"]),
        setting("metrics", 0, to=["points", "lo\nss", "float"]),
        setting("metrics", 0, to=["rewind", "loss", "float"]),
        setting("metrics", 0, to=["points", "loss"]),
        setting("metrics", 1, to=["points", "loss", "float"]),
        setting("artifacts", to=[]),
        setting("artifacts", 0, to=None),
        setting("artifacts", 0, "address", to="../../etc/passwd"),
        setting("columns", "values.0", to=["int", []]),
        setting("columns", "values.0", to=["octal", []]),
        setting("columns", "values.0", to=["decimal-3", [0, 0, 0]]),
        setting("columns", "values.0", to=["decimal-3"]),
        setting("columns", "times", to=["big", []]),
        setting("columns", "shapes", to=["float64", []]),
        setting("columns", "shapes", to=["int", [10**9]]),
        setting("columns", "extra", to=["int", []]),
        setting("steps", "dtype", to="I64", inside="header"),
        setting("steps", "shape", to=[5], inside="header"),
        setting("steps", "shape", to=[5, 1], inside="header"),
        setting("steps", "shape", to=[1, 2**62], inside="header"),
        setting("steps", "shape", to=[-1, -5], inside="header"),
        setting("steps", "data_offsets", to=[0, 5], inside="header"),
        setting("steps", "data_offsets", to=[0.0, 5.0], inside="header"),
        setting("steps", "more", to=0, inside="header"),
        setting("steps", to=None, inside="header"),
        setting("__metadata__", "more", to="", inside="header"),
        lambda header, _: header.pop("steps") and None,
        lambda header, metadata: header.pop("shapes") and metadata["columns"].pop("shapes") and None,
        lambda *_: b"",
        lambda *_: bytes(1000),
    ],
)
def test_a_segment_that_contradicts_itself_is_refused(change):
    with pytest.raises(ValueError, match=r"."):
        decode_segment(rebuilt(change))


@pytest.mark.parametrize("data", [b"", bytes(7), bytes(8), b"\xff" * 8, b"\2" + bytes(7) + b"{}", b"\x09" + bytes(7) + b'{"a":1}  '])
def test_what_is_no_safetensors_file_is_refused(data):
    with pytest.raises(ValueError, match=r"."):
        decode_segment(data)


def test_a_header_that_claims_more_than_there_is_allocates_nothing():
    with pytest.raises(ValueError, match="ends within"):
        decode_segment((2**62).to_bytes(8, "little") + b"{}")


@settings(max_examples=300)
@given(st.data())
def test_a_flipped_byte_is_refused_or_read_to_the_end(data):
    damaged = bytearray(encode_segment(LOG, 7, SMALL))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        segment = decode_segment(bytes(damaged))
    except ValueError:
        return
    assert len(list(records_of(segment.columns))) == len(SMALL)
