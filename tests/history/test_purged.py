"""The list of what was purged: addresses in, addresses out, and what is no line hides no other."""

from onyxstore.disk.layout import create_layout
from onyxstore.disk.linefile import append_values
from onyxstore.history.purged import append_purged, read_purged_addresses

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def test_what_was_purged_is_known_from_then_on(tmp_path):
    layout = create_layout(tmp_path / ".onyx", b"")
    assert read_purged_addresses(layout) == set()
    append_purged(layout, [A], 1)
    append_purged(layout, [], 2)
    append_purged(layout, [B, A], 3)
    assert read_purged_addresses(layout) == {A, B}


def test_a_line_that_is_none_is_left_out(tmp_path):
    layout = create_layout(tmp_path / ".onyx", b"")
    append_values(layout.purged, [{"address": A, "time": 1}, 5, {}, {"address": "x"}, {"address": None}, [A]])
    append_purged(layout, [B, C], 1)
    layout.purged.write_bytes(layout.purged.read_bytes().replace(b'bbbb"', b'bbbd"'))
    assert read_purged_addresses(layout) == {A, C}
