import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onyxstore.frameworks.capture import capture_tree
from onyxstore.history.checkpoints.tensors import Leaf, View
from onyxstore.history.checkpoints.tree import encode_tree


def leaves(state):
    return [(leaf.dtype, leaf.shape, leaf.kind) for _, leaf in encode_tree(capture_tree(state))[1]]


def test_tensors_side_by_side_in_one_storage_are_stored_apart():
    flat = torch.arange(10)
    assert leaves([flat[:4], flat[4:]]) == [("int64", (4,), "torch.tensor"), ("int64", (6,), "torch.tensor")]


def test_overlapping_tensors_are_stored_once_as_the_widest():
    flat = torch.arange(10)
    tree = capture_tree([flat[2:5], flat, flat[::2]])
    assert [type(node) for node in tree] == [View, Leaf, View]
    assert leaves([flat[2:5], flat, flat[::2]]) == [("int64", (10,), "torch.tensor")]


def test_overlapping_tensors_without_a_widest_are_stored_as_what_they_cover():
    flat = torch.arange(10)
    assert leaves([flat[2:6], flat[4:8]]) == [("int64", (6,), "storage")]


def test_memory_seen_as_two_dtypes_is_stored_as_bytes():
    flat = torch.zeros(8, dtype=torch.float32)
    assert leaves([flat[1:3], flat.view(torch.float64)[1:]]) == [("uint8", (32,), "storage")]
    assert leaves([flat[2:4], flat.view(torch.float64)[2:]]) == [("float32", (2,), "torch.tensor"), ("float64", (2,), "torch.tensor")]
    assert leaves([flat[3:6], flat.view(torch.float64)[2:]]) == [("uint8", (24,), "storage")]


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_an_array_and_a_tensor_that_overlap_are_stored_once(round_trip, dtype):
    """torch's storage is only its own part of the array's memory."""
    array = np.arange(8, dtype=dtype)
    first, second = round_trip([array[:5], torch.from_numpy(array[3:])])
    second[0] = 9
    assert (first.tolist(), second.tolist()) == ([0, 1, 2, 9, 4], [9, 4, 5, 6, 7])


def test_memory_that_torch_sees_in_ways_that_exclude_each_other_is_stored_apart(round_trip):
    """At an odd address one dtype's elements cannot be whole steps from where another's are."""
    memory = np.zeros(33, np.uint8)
    first, second = torch.frombuffer(memory, dtype=torch.int16, count=8), torch.frombuffer(memory, dtype=torch.int32, count=4, offset=3)
    assert len(leaves([first, second])) == 2
    assert [each.tolist() for each in round_trip([first, second, first])] == [[0] * 8, [0] * 4, [0] * 8]


def test_a_tensor_that_covers_another_at_an_odd_place_is_not_its_base(round_trip):
    flat = torch.arange(8, dtype=torch.int16)
    state = [flat[1:4], flat.view(torch.int32)[1:2]]
    assert leaves(state) == [("uint8", (8,), "storage")]
    assert [each.tolist() for each in round_trip(state)] == [each.tolist() for each in state]


def test_a_parameter_and_what_it_wraps_are_stored_once():
    data = torch.zeros(3)
    assert leaves([torch.nn.Parameter(data), data, data.detach()]) == [("float32", (3,), "torch.parameter")]


def test_an_expanded_tensor_is_stored_with_all_its_elements(round_trip):
    expanded = torch.arange(3).expand(2, 3)
    assert leaves([expanded]) == [("int64", (2, 3), "torch.tensor")]
    assert round_trip(expanded).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_tensors_without_elements_share_nothing():
    assert len(leaves([torch.empty(0), torch.empty(0), torch.empty(0, 3), torch.ones(4)[2:2]])) == 4


strided = st.tuples(
    st.lists(st.integers(1, 3), min_size=0, max_size=3),
    st.lists(st.integers(0, 5), min_size=3, max_size=3),
    st.integers(0, 8),
    st.sampled_from([torch.int32, torch.int16, torch.float64]),
)


def looks(draws, storage):
    """The views of `storage` that were drawn and fit it."""
    for shape, strides, offset, dtype in draws:
        row = storage.view(dtype)
        if offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=False)) < len(row):
            yield row.as_strided(shape, strides[: len(shape)], offset)


def elements(view):
    """Which element of the storage each of a view's is."""
    return torch.arange(80).as_strided(view.shape, view.stride(), view.storage_offset()).numpy()


@settings(max_examples=300)
@given(st.lists(strided, min_size=1, max_size=5))
def test_what_is_written_through_one_view_shows_in_the_others_as_it_did(round_trip, draws):
    storage = torch.arange(80, dtype=torch.uint8)
    views = list(looks(draws, storage))
    # One whose elements overlap each other is stored with all of them, apart: what is written to it shows in less places.
    views = [view for view in views if len(np.unique(elements(view))) == view.numel()]
    again = round_trip(views)
    for number, (view, restored) in enumerate(zip(views, again, strict=True)):
        first = (0,) * view.dim()
        view[first], restored[first] = number, number
        assert [other.tolist() for other in again] == [other.tolist() for other in views]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4)[::-1],
        np.arange(12.0).reshape(3, 4)[:, ::-2],
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0),
        np.frombuffer(bytes(range(10)), np.uint8)[1:9].view("<u4"),
    ],
    ids=["backwards", "every other back", "Fortran", "permuted", "odd address"],
)
def test_arrays_of_any_layout_come_back_equal_and_shared(round_trip, array):
    array = array.copy(order="K") if array.flags.f_contiguous else array
    first, second = round_trip([array, array[..., 1:]])
    assert (first.tolist(), second.tolist(), first.dtype) == (array.tolist(), array[..., 1:].tolist(), array.dtype)
    first[...] = 9
    assert set(second.ravel().tolist()) == {9}


def test_the_order_of_a_dense_layout_is_kept(round_trip):
    image = torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    fortran = np.asfortranarray(np.arange(6).reshape(2, 3))
    tensor, array = round_trip([image, fortran])
    assert (tensor.stride(), tensor.tolist()) == (image.stride(), image.tolist())
    assert (array.strides, array.tolist()) == (fortran.strides, fortran.tolist())


def test_the_same_elements_have_the_same_bytes_in_every_layout():
    image = torch.arange(24.0).reshape(1, 2, 3, 4)
    both = encode_tree(capture_tree([image, image.contiguous(memory_format=torch.channels_last)]))[1]
    assert [bytes(leaf.data) for _, leaf in both] == [image.numpy().tobytes()] * 2
    assert [leaf.order for _, leaf in both] == [None, (0, 2, 3, 1)]
