import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk.codecs import codec
from onyxstore.history.checkpoints.chunking import (
    CHUNK_BYTES,
    CHUNK_UNIT,
    MAX_CHUNK_BYTES,
    MIN_CHUNK_BYTES,
    check_chunk_bytes,
    chunk_sizes,
    count_chunks,
    split_chunks,
)
from onyxstore.history.checkpoints.tensors import WIDTHS

cuts = st.sampled_from([MIN_CHUNK_BYTES, CHUNK_BYTES, MAX_CHUNK_BYTES]) | st.integers(64, 1 << 22).map(lambda units: units * CHUNK_UNIT)


@pytest.mark.parametrize("cut", [1024, 1040, CHUNK_BYTES])
@pytest.mark.parametrize(("whole", "more", "rest"), [(0, 0, []), (0, 1, [1]), (1, 0, []), (1, 1, [1]), (2, 1020, [1020])], ids=str)
def test_chunks_are_full_but_for_the_last(cut, whole, more, rest):
    size = whole * cut + more
    chunks = list(split_chunks(bytes(size), cut))
    assert [chunk.nbytes for chunk in chunks] == [cut] * whole + rest == chunk_sizes(size, cut)


def test_chunks_are_windows_onto_the_tensors_own_bytes():
    data = bytearray(CHUNK_BYTES + 8)
    for number, chunk in enumerate(split_chunks(data)):
        chunk[0] = number + 1
    assert (data[0], data[CHUNK_BYTES]) == (1, 2)


@given(st.integers(0, 2**63), cuts)
def test_the_number_of_chunks_is_known_without_making_them(size, cut):
    assert count_chunks(size, cut) == size // cut + (size % cut > 0)
    assert count_chunks(size) == count_chunks(size, CHUNK_BYTES)


@given(cuts)
def test_no_element_is_cut_by_a_boundary(cut):
    assert [dtype for dtype, width in WIDTHS.items() if check_chunk_bytes(cut) % width] == []


def test_no_chunk_is_larger_than_a_pack_can_hold():
    assert MAX_CHUNK_BYTES == codec.MAX_CHUNK_BYTES
