"""Checkpoints as plain files, and such files as checkpoints: byte for byte, whatever is in them."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.errors import BadFile
from onyxstore.store.adding import Addition
from onyxstore.store.checkout import CheckoutOptions
from onyxstore.store.plain_files import path_from, read_safetensors

WIDTHS = {"F32": 4, "F64": 8, "BF16": 2, "F16": 2, "I8": 1, "U64": 8, "BOOL": 1, "F8_E4M3": 1, "C64": 8}
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda name: name != "__metadata__")


@st.composite
def safetensors_files(draw):
    """Files as any writer may make them: any names, dtypes, shapes, order of the header, spacing, padding."""
    header, data = {}, b""
    for name in draw(st.lists(NAMES, unique=True, max_size=5)):
        dtype = draw(st.sampled_from(sorted(WIDTHS)))
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        size = int(np.prod(shape, dtype=int)) * WIDTHS[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += draw(st.binary(min_size=size, max_size=size))
    if draw(st.booleans()):
        header["__metadata__"] = draw(st.dictionaries(NAMES, NAMES, max_size=3))
    order = draw(st.permutations(sorted(header)))
    spacing = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    text = json.dumps({name: header[name] for name in order}, ensure_ascii=draw(st.booleans()), separators=spacing)
    padded = text.encode() + b" " * draw(st.integers(0, 9))
    return len(padded).to_bytes(8, "little") + padded + data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=safetensors_files())
def test_any_safetensors_file_comes_back_byte_for_byte(store, folder, data):
    (folder / "m.safetensors").write_bytes(data)
    store.add_commit(Addition(message="file", checkpoint=folder / "m.safetensors"))
    store.checkout("HEAD", CheckoutOptions(to=folder / "out", force=True))
    assert (folder / "out" / "m.safetensors").read_bytes() == data


def test_a_files_tensors_are_read_as_they_are(doors, folder):
    header = b'{"b":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"BF16","shape":[],"data_offsets":[2,4]}}'
    (folder / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\x01\xff\x80\x3f")
    trees = read_safetensors(doors, folder / "m.safetensors")
    assert {name: (leaf.dtype, leaf.shape, bytes(leaf.data)) for name, leaf in trees.state.items()} == {
        "b": ("int8", (2,), b"\x01\xff"),
        "a": ("bfloat16", (), b"\x80\x3f"),
    }
    assert (trees.file.name, trees.header) == ("m.safetensors", header)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{",
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F99","shape":[],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}',
    ],
)
def test_a_file_whose_header_is_none_is_refused(doors, folder, header):
    (folder / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(BadFile, match=r"m\.safetensors is no whole safetensors file"):
        read_safetensors(doors, folder / "m.safetensors")


def test_a_path_is_told_from_the_stores_folder_by_where_it_really_is(folder, tmp_path_factory):
    (folder / "real" / "deep").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "real")
    outside = tmp_path_factory.mktemp("outside")
    (outside / "back").symlink_to(folder / "real")
    inside = [folder / "real" / "deep" / "m", folder / "link" / "deep" / "m", folder / "real" / ".." / "m"]
    assert [path_from(folder, path) for path in inside] == ["real/deep/m", "real/deep/m", "m"]
    assert [path_from(folder, outside / path) for path in ("back/m", "m")] == ["real/m", "m"]
