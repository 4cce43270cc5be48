from hypothesis import given
from hypothesis import strategies as st

from onyxstore.canonical import canonical_bytes
from onyxstore.disk.lines import encode_line
from onyxstore.hashing import address_of
from onyxstore.history.metrics.sealed import Sealed, SealedList, decode_list, encode_log_id, encode_sealed

LOG = "0123456789abcdef0123456789abcdef"
A, B, C = (address_of(name) for name in (b"a", b"b", b"c"))


def test_a_list_names_its_log_and_its_segments_in_order():
    segments = [Sealed(A, 0, 10, 50), Sealed(B, 10, 5, 5), Sealed(C, 20, 1, 0)]
    data = encode_log_id(LOG) + b"".join(map(encode_sealed, segments))
    assert decode_list(data) == SealedList(LOG, segments, 0)
    assert decode_list(data).end == 21


def test_an_empty_list_has_no_end():
    assert (decode_list(b""), decode_list(b"").end) == (SealedList(), 0)


def test_a_segment_that_is_listed_twice_counts_once():
    data = b"".join(map(encode_sealed, [Sealed(A, 0, 10, 10), Sealed(A, 0, 10, 10), Sealed(B, 5, 7, 7), Sealed(C, 10, 1, 1)]))
    assert decode_list(data).segments == [Sealed(A, 0, 10, 10), Sealed(C, 10, 1, 1)]


def test_bad_lines_are_counted_and_the_others_read():
    good = encode_sealed(Sealed(B, 3, 1, 1))
    fields = {"segment": A, "first": 0, "records": 1, "points": 1}
    changes = [{"segment": "../x"}, {"first": -1}, {"records": 0}, {"points": "1"}, {"more": 1}, {"first": True}]
    bad = [encode_line(canonical_bytes(value)) for value in (*(fields | change for change in changes), [], {"log": 1}, {})]
    assert decode_list(b"".join(bad) + b"no line\n" + good + b"torn") == SealedList("", [Sealed(B, 3, 1, 1)], len(bad) + 2)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_with_damage(data):
    assert decode_list(data).segments == []
