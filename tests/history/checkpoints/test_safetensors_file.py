import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from onyxstore.errors import BadFile, CannotEncode
from onyxstore.history.checkpoints.safetensors_file import HEADER_LIMIT, FileTensor, decode_header, encode_file, header_length, rebuild_file
from onyxstore.history.checkpoints.tensors import WIDTHS, Leaf, count_bytes


def read(data, file="model.safetensors"):
    length = header_length(data[:8], len(data), file)
    return decode_header(data[8 : 8 + length], file, len(data))


def packed(fields, data=b"", pad=b""):
    text = (fields if isinstance(fields, bytes) else json.dumps(fields).encode()) + pad
    return len(text).to_bytes(8, "little") + text + data


def leaf(dtype, shape, fill=1):
    return Leaf(dtype, shape, bytes([fill]) * count_bytes(dtype, shape), "torch.tensor")


IN_NUMPY = ["float64", "float32", "float16", "int64", "uint64", "int32", "uint32", "int16", "uint16", "int8", "uint8", "bool", "complex64"]
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(lambda name: name != "__metadata__")
shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@settings(max_examples=300)
@given(st.dictionaries(names, st.tuples(st.sampled_from(IN_NUMPY), shapes), max_size=5), st.none() | st.just({"format": "pt"}))
def test_a_file_is_byte_for_byte_what_the_library_writes(tensors, metadata):
    arrays = {name: np.ones(shape, dtype) for name, (dtype, shape) in tensors.items()}
    leaves = [(name, Leaf(array.dtype.name, array.shape, array.tobytes(), "numpy.array")) for name, array in arrays.items()]
    assert b"".join(encode_file(leaves, metadata)) == safetensors.numpy.save(arrays, metadata)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(sorted(set(WIDTHS) - {"complex128", "complex32"})), max_size=5))
def test_the_library_reads_every_dtype_and_finds_the_same_order(dtypes):
    leaves = [(str(number), leaf(dtype, (2, 2), number)) for number, dtype in enumerate(dtypes)]
    data = b"".join(encode_file(leaves))
    found = safetensors.deserialize(data)
    assert {name: (each["shape"], bytes(each["data"])) for name, each in found} == {
        name: ([2, 4] if each.dtype == "float4_e2m1fn_x2" else [2, 2], bytes(each.data)) for name, each in leaves
    }
    assert {each.name: (each.dtype, each.shape) for each in read(data).tensors} == {name: (each.dtype, each.shape) for name, each in leaves}


def test_two_keys_of_metadata_stand_in_one_order():
    first = b"".join(encode_file([], {"b": "1", "a": "2"}))
    assert first == b"".join(encode_file([], {"a": "2", "b": "1"}))
    assert read(first).metadata == {"a": "2", "b": "1"}


def test_a_file_says_its_tensors_in_the_order_of_their_data():
    data = b"".join(encode_file([("b", leaf("uint8", (3,))), ("a", leaf("float32", (2,)))], {"step": "3"}))
    header = read(data)
    assert header.tensors == (FileTensor("a", "float32", (2,), 0, 8), FileTensor("b", "uint8", (3,), 8, 3))
    assert (header.metadata, header.data_offset) == ({"step": "3"}, len(data) - 11)


@pytest.mark.parametrize(
    "data",
    [
        packed(
            {"b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
            b"aaaabbbb",
        ),
        packed(
            {"a": {"shape": [], "data_offsets": [0, 1], "dtype": "BOOL"}, "e": {"dtype": "I8", "shape": [0], "data_offsets": [0, 0]}},
            b"\1",
            b"   ",
        ),
        packed({"__metadata__": {"z": "1", "a": "é"}}),
        b"".join(encode_file([("x", leaf("bfloat16", (5,)))], {"k": "v"})),
    ],
    ids=["spaces in the JSON", "padding of three", "only metadata", "our own"],
)
def test_a_file_is_rebuilt_byte_for_byte_from_its_header_and_its_tensors(data):
    header = read(data)
    pieces = {each.name: data[header.data_offset + each.offset :][: each.size] for each in header.tensors}
    kept = decode_header(header.raw, "kept")
    assert b"".join(rebuild_file(kept, lambda name: [pieces[name][:1], pieces[name][1:]])) == data


def one(**changes):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is shorter than its header"),
        (b"\0" * 7, "it is shorter than its header"),
        (packed({})[:-1], "it is shorter than its header"),
        ((2**63).to_bytes(8, "little"), "it is shorter than its header"),
        (packed(b""), "its header is no JSON object"),
        (packed(b" {}"), "its header is no JSON object"),
        (packed(b"[]"), "its header is no JSON object"),
        (packed({}, pad=b"\n"), "its header is no JSON object"),
        (packed(b"{'a': 1}"), "its header cannot be read"),
        (packed(b"{\xff}"), "its header cannot be read"),
        (packed(b"{" + b'"a":{' * 5000 + b"}"), "its header cannot be read"),
        (packed(b'{"a":1,"a":2}'), "its header cannot be read: a key stands twice"),
        (packed({"a": []}), "'a' has other fields than a tensor's"),
        (packed(one(extra=1), bytes(8)), "'a' has other fields"),
        (packed(one(dtype="F31"), bytes(8)), "'a' has a dtype that is not known: 'F31'"),
        (packed(one(dtype=["F32"]), bytes(8)), "'a' has a dtype"),
        (packed(one(dtype="F6_E2M3"), bytes(8)), "'a' has a dtype"),
        (packed(one(shape=[-2]), bytes(8)), "'a' has a shape or offsets"),
        (packed(one(shape=[2.0]), bytes(8)), "'a' has a shape"),
        (packed(one(shape=[True, 2]), bytes(8)), "'a' has a shape"),
        (packed(one(shape=[1] * 65, data_offsets=[0, 4]), bytes(4)), "'a' has a shape that no tensor has"),
        (packed(one(shape=[0, 2**62, 4], data_offsets=[0, 0])), "'a' has a shape beyond"),
        (packed(one(data_offsets=[0, 8, 8]), bytes(8)), "'a' has a shape or offsets"),
        (packed(one(data_offsets=[8, 0]), bytes(8)), "'a' has data of another size"),
        (packed(one(data_offsets=[0, 4]), bytes(8)), "'a' has data of another size"),
        (packed(one(dtype="F4", shape=[3], data_offsets=[0, 1]), b"1"), "'a' has half a byte too many"),
        (packed(one(dtype="F4", shape=[], data_offsets=[0, 1]), b"1"), "'a' has half a byte too many"),
        (packed(one(data_offsets=[4, 12]), bytes(12)), "the data of 'a' leaves a gap or overlaps"),
        (packed(one() | {"b": one()["a"]}, bytes(16)), "the data of 'b' leaves a gap or overlaps"),
        (packed(one(), bytes(9)), "it has 78 bytes where its header speaks of 77"),
        (packed(one(), bytes(7)), "it has 76 bytes where"),
        (packed({"__metadata__": {"a": 1}}), "its metadata is no map of texts"),
        (packed({"__metadata__": []}), "its metadata is no map"),
        (packed(b'{"\\ud800":' + json.dumps(one()["a"]).encode() + b"}", bytes(8)), "a name in it has half a surrogate pair"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_not_what_it_says_is_refused(data, why):
    with pytest.raises(BadFile) as caught:
        read(data)
    assert str(caught.value).startswith(f"model.safetensors is no whole safetensors file: {why}")


def test_a_header_beyond_the_limit_is_refused_before_it_is_read():
    with pytest.raises(BadFile, match=f"its header has {HEADER_LIMIT + 1} bytes; {HEADER_LIMIT} is the most"):
        header_length((HEADER_LIMIT + 1).to_bytes(8, "little"), 1 << 40, "x")


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([("z", leaf("complex128", (1,)))], "z cannot be stored: a .safetensors file has no word for complex128"),
        ([("z", leaf("complex32", (1,)))], "z cannot be stored: a .safetensors file has no word for complex32"),
        ([("z", leaf("float4_e2m1fn_x2", ()))], "z cannot be stored: a .safetensors file has no word for float4_e2m1fn_x2"),
        (
            [("__metadata__", leaf("uint8", (1,)))],
            "__metadata__ cannot be stored: a .safetensors file cannot hold two tensors of that name",
        ),
        (
            [("a", leaf("uint8", (1,))), ("a", leaf("int8", (1,)))],
            "a cannot be stored: a .safetensors file cannot hold two tensors of that name",
        ),
    ],
)
def test_what_the_format_cannot_hold_is_refused_before_a_byte_is_given(tensors, words):
    with pytest.raises(CannotEncode) as caught:
        encode_file(tensors)
    assert str(caught.value).startswith(words)
