import numpy as np
import pytest
import torch

from onyxstore.errors import BadInput, CannotEncode
from onyxstore.frameworks import numpy_state
from onyxstore.frameworks.capture import capture_tree
from onyxstore.frameworks.restore import restore_tree
from onyxstore.history.checkpoints.tensors import Leaf, Special
from onyxstore.history.checkpoints.tree import encode_tree

PLAIN = [
    "bool",
    "u1",
    "i1",
    "u2",
    "i2",
    "u4",
    "i4",
    "u8",
    "i8",
    "f2",
    "f4",
    "f8",
    "c8",
    "c16",
    "M8[ns]",
    "m8[25us]",
    "M8",
    "U3",
    "S5",
    "V4",
    "U0",
    "S0",
]
RECORDS = [
    [("step", "<i4"), ("reward", "<f8")],
    [("a", "u1"), ("pair", "<f4", (2, 2)), ("inner", [("x", "<M8[s]"), ("y", "U2")])],
]


def filled(dtype):
    dtype = np.dtype(dtype)
    raw = (np.arange(24 * max(dtype.itemsize, 1)) * 7 % (2 if dtype.kind == "b" else 120)).astype(np.uint8)
    return np.zeros(24, dtype) if dtype.kind == "U" or dtype.names or not dtype.itemsize else raw.view(dtype)


@pytest.mark.parametrize("dtype", [*PLAIN, *RECORDS], ids=str)
def test_every_dtype_comes_back_bit_for_bit_in_every_shape(round_trip, spell, dtype):
    row = filled(dtype)
    state = [row, row[:0], row[3:4].reshape(()), row[::3], row.reshape(2, 3, 4).transpose(2, 0, 1), row.reshape(4, 6)[1:3, 2:5]]
    restored = round_trip(state)
    assert spell(restored) == spell(state)
    assert all(array.flags.writeable for array in restored)


@pytest.mark.parametrize("dtype", [*PLAIN, *RECORDS], ids=str)
def test_every_scalar_comes_back_as_its_own_type(round_trip, spell, dtype):
    if np.dtype(dtype).itemsize:
        scalar = filled(dtype)[5]
        assert spell(round_trip([scalar, {scalar.dtype: 1}])) == spell([scalar, {scalar.dtype: 1}])


def test_scalars_that_python_takes_for_its_own_numbers_stay_numpys(round_trip):
    state = [np.float64(0.1), np.int64(3), np.bool_(1), np.str_("é"), np.bytes_(b"a"), np.float64("-0.0"), np.complex128(1j)]
    restored = round_trip(state)
    assert ([type(value) for value in restored], restored) == ([type(value) for value in state], state)
    assert np.signbit(restored[5])


def test_a_numpy_scalar_can_be_a_key(round_trip):
    state = {np.int64(3): "a", (np.str_("x"), 1): "b"}
    assert round_trip(state) == state
    assert [type(key) for key in round_trip(state)] == [np.int64, tuple]


@pytest.mark.parametrize("dtype", [">f4", ">i8", ">M8[s]", ">U2", ">c16"])
def test_another_byte_order_becomes_little_endian_with_the_same_values(round_trip, dtype):
    array = np.array([1, 2, 3]).astype(dtype)
    restored, scalar = round_trip([array, array[1]])
    assert (restored.tolist(), scalar) == (array.tolist(), array[1])
    assert restored.dtype == np.dtype(dtype).newbyteorder("<")


def test_an_array_that_torch_knows_has_torchs_bytes():
    state = [np.arange(5, dtype=np.int16), torch.arange(5, dtype=torch.int16)]
    first, second = (leaf for _, leaf in encode_tree(capture_tree(state))[1])
    assert (first.dtype, first.shape, bytes(first.data)) == (second.dtype, second.shape, bytes(second.data))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (np.array([1, "a"], object), "numpy's object has no portable bytes"),
        (np.zeros(2, [("a", "O")]), "numpy's object has no portable bytes"),
        (np.zeros(2, np.longdouble), f"numpy's {np.dtype(np.longdouble)} has no portable bytes"),
        (np.longdouble(1), f"numpy's {np.dtype(np.longdouble)} has no portable bytes"),
        (np.dtype(object), "numpy's object has no portable bytes"),
        (np.array(["a"], np.dtypes.StringDType()), "numpy's StringDType() has no portable bytes"),
        (np.zeros(1, {"names": ["a"], "formats": ["u1"], "offsets": [3], "itemsize": 9}), "has no portable bytes"),
        (np.ma.masked_array([1, 2], [True, False]), "MaskedArray has no encoding; hand in np.asarray of it"),
        (np.random.RandomState(3), "RandomState has no encoding; hand in its get_state()"),
        (np.random.PCG64(3), "PCG64 has no encoding; hand in its state"),
    ],
    ids=["objects", "records of objects", "longdouble", "a longdouble", "a dtype", "strings", "padded records", "masked", "legacy", "bits"],
)
def test_what_means_nothing_elsewhere_is_refused_with_its_place(value, why):
    with pytest.raises(CannotEncode) as caught:
        capture_tree({"a": [value]})
    assert caught.value.path == "a.0"
    assert caught.value.why.endswith(why)


@pytest.mark.parametrize(
    "node",
    [
        Special("numpy.scalar", ("<f4", b"123")),
        Special("numpy.typed", {"dtype": "<U2", "cells": Leaf("uint8", (2, 7), bytes(14), "numpy.array")}),
        Special("numpy.typed", {"dtype": "<U2", "cells": 3}),
        Special("numpy.typed", {"dtype": "<U2", "cells": Leaf("int8", (2, 8), bytes(16), "numpy.array")}),
    ],
)
def test_a_stored_value_that_numpy_cannot_have_is_refused(node):
    with pytest.raises(BadInput):
        restore_tree([node])


def test_an_array_of_a_dtype_that_only_torch_has_is_refused():
    with pytest.raises(BadInput, match="numpy has no bfloat16; torch reads it"):
        restore_tree([Leaf("bfloat16", (1,), bytes(2), "numpy.array")])


def test_any_tensor_reads_as_an_array_without_its_framework():
    values = torch.tensor([1.5, -0.0, float("inf"), 3.0e38, 1e-40])
    halves = values.to(torch.bfloat16)
    leaf, whole = capture_tree([halves, values]), capture_tree(values)
    assert numpy_state.read_array(leaf[0]).tobytes() == halves.float().numpy().tobytes()
    assert numpy_state.read_array(whole).tobytes() == values.numpy().tobytes()


@pytest.fixture
def generator():
    """The global generator, put back afterwards."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    yield np.random
    np.random.set_bit_generator(np.random.MT19937())
    np.random.set_state(state)  # noqa: NPY002


@pytest.mark.parametrize("name", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_the_global_generator_goes_on_where_it_was_whatever_drives_it(generator, stored, name):
    generator.set_bit_generator(getattr(np.random, name)(7))
    generator.standard_normal(3)
    tree = stored(numpy_state.capture_rng())
    expected = [generator.standard_normal(3).tolist(), generator.randint(1000, size=4).tolist()]
    generator.set_bit_generator(np.random.MT19937())
    numpy_state.restore_rng(restore_tree(tree))
    assert [generator.standard_normal(3).tolist(), generator.randint(1000, size=4).tolist()] == expected


def test_looking_at_the_generator_draws_nothing(generator):
    generator.seed(3)
    expected = generator.rand(3).tolist()
    generator.seed(3)
    numpy_state.capture_rng()
    assert generator.rand(3).tolist() == expected


@pytest.mark.parametrize(
    "state", [None, {}, {"bit_generator": "os.system"}, {"bit_generator": "MT19937"}, {"bit_generator": "MT19937", "state": {"key": 3}}]
)
@pytest.mark.usefixtures("generator")
def test_a_generators_state_that_is_none_is_refused(state):
    with pytest.raises(BadInput):
        numpy_state.restore_rng(state)
