import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history.checkpoints.tensors import WIDTHS, Leaf, Special, View, count_bytes, gather, is_numpy_dtype, packed_strides, reach

BASE = Leaf("int16", (2, 3), np.arange(6, dtype="<i2").tobytes(), "torch.tensor")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (("float32", (2,), bytes(7), "torch.tensor"), "7 bytes for a tensor of 8"),
        (("float32", (2,), bytes(8), "jax.array"), "unknown kind of tensor 'jax.array'"),
        (("float31", (2,), bytes(8), "torch.tensor"), "unknown dtype 'float31'"),
        (("float32", (-2,), b"", "torch.tensor"), "a shape that no tensor has"),
        (("float32", (True,), bytes(4), "torch.tensor"), "a shape that no tensor has"),
        (("float32", (0, 2**62, 2**62), b"", "torch.tensor"), "a shape beyond 2**63 bytes"),
        (("uint8", (1,) * 65, b"1", "torch.tensor"), "a shape that no tensor has"),
        (("float32", (2,), bytes(8), "torch.tensor", (1,)), "an order of dimensions that is none"),
        (("float32", (1, 1), bytes(4), "torch.tensor", (0, 0)), "an order of dimensions that is none"),
    ],
)
def test_a_leaf_whose_fields_contradict_one_another_cannot_be_made(fields, why):
    with pytest.raises(ValueError, match="^" + why.replace("*", r"\*")):
        Leaf(*fields)


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "kind", "dtype"),
    [
        ((7,), (2,), 0, "torch.tensor", "int16"),
        ((2,), (2,), 10, "torch.tensor", "int16"),
        ((1,), (2,), -2, "numpy.array", "int16"),
        ((3,), (-2,), 2, "numpy.array", "int16"),
        ((3,), (-2,), 4, "torch.tensor", "int16"),
        ((2,), (1,), 0, "torch.tensor", "int16"),
        ((1,), (4,), 2, "torch.tensor", "int32"),
        ((2,), (2, 2), 0, "torch.tensor", "int16"),
        ((2,), (2,), 0, "storage", "int16"),
        ((2,), (2**70,), 0, "torch.tensor", "int16"),
    ],
    ids=[
        "too long",
        "past the end",
        "before it",
        "back too far",
        "back in torch",
        "odd stride",
        "odd offset",
        "ranks",
        "kind",
        "huge stride",
    ],
)
def test_a_view_that_leaves_its_tensor_cannot_be_made(shape, strides, offset, kind, dtype):
    with pytest.raises(ValueError, match=r"^a view that"):
        View(BASE, dtype, shape, strides, offset, kind)


@pytest.mark.parametrize(
    ("view", "elements"),
    [
        (View(BASE, "int16", (3, 2), (2, 6), 0, "torch.tensor"), [[0, 3], [1, 4], [2, 5]]),
        (View(BASE, "int16", (3,), (-4,), 10, "numpy.array"), [5, 3, 1]),
        (View(BASE, "int16", (2, 2), (0, 2), 2, "torch.tensor"), [[1, 2], [1, 2]]),
        (View(BASE, "int16", (0, 4), (8, 2), 12, "torch.tensor"), []),
        (View(BASE, "int16", (), (), 6, "torch.tensor"), 3),
    ],
    ids=["transposed", "backwards", "expanded", "empty", "one element"],
)
def test_a_view_is_gathered_into_a_tensor_of_its_own(view, elements):
    leaf = gather(view)
    assert (leaf.dtype, leaf.shape, leaf.kind, leaf.order) == (view.dtype, view.shape, view.kind, None)
    assert np.frombuffer(leaf.data, "<i2").reshape(leaf.shape).tolist() == (elements or np.zeros((0, 4)).tolist()) or elements == 3
    assert elements != 3 or bytes(leaf.data) == b"\3\0"


def test_a_leaf_is_gathered_as_it_is():
    assert gather(BASE) is BASE


@given(st.lists(st.integers(0, 5), max_size=5).map(tuple), st.sampled_from(sorted(WIDTHS)))
def test_packed_strides_reach_exactly_the_size_of_the_tensor(shape, dtype):
    width = WIDTHS[dtype]
    assert reach(shape, packed_strides(shape, width), width) == (0, count_bytes(dtype, shape))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("torch.Size", (1, -2)),
        ("torch.Size", [1, 2]),
        ("torch.Size", (1, True)),
        ("torch.dtype", "float32; import os"),
        ("torch.device", "cuda:99999"),
        ("torch.device", "../cuda"),
        ("numpy.dtype", "|O"),
        ("numpy.dtype", ">f4"),
        ("numpy.dtype", "<f16"),
        ("numpy.scalar", ("<f4", "text")),
        ("numpy.typed", {"dtype": "<U3"}),
        ("torch.sparse", {"layout": "coo", "shape": (2,), "kind": "torch.tensor", "coalesced": True, "indices": BASE}),
        ("torch.sparse", {"layout": "dia", "shape": (2,), "kind": "torch.tensor", "coalesced": True, "indices": BASE, "values": BASE}),
        ("os.system", "true"),
    ],
)
def test_a_special_value_of_another_form_cannot_be_made(kind, value):
    with pytest.raises(ValueError, match=f"^a {kind} that is none$"):
        Special(kind, value)


@pytest.mark.parametrize("dtype", ["b1", "i8", "u2", "f2", "c16", "U7", "S3", "V9", "M8[ns]", "m8[25us]", "M8"])
def test_numpys_own_words_for_its_plain_dtypes_are_known(dtype):
    assert is_numpy_dtype(np.dtype(dtype).str)


def test_every_width_is_that_of_numpys_dtype_of_that_name():
    shared = {name: width for name, width in WIDTHS.items() if isinstance(getattr(np, name, None), type) and name != "bool"}
    assert {name: np.dtype(name).itemsize for name in shared} == shared
