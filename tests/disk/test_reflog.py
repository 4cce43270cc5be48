import pytest

from onyxstore.disk.linefile import append_values
from onyxstore.disk.reflog import Move, append_move, read_entries, read_moves

A, B, C = ({"commit": letter * 64} for letter in "abc")


def write(path, *moves):
    """Entries from one state to the next."""
    entries = [Move(number, old, new, f"move {number}", "call") for number, (old, new) in enumerate(moves)]
    for entry in entries:
        append_move(path, entry)
    return entries


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reflog" / "tags" / "v1"


def test_a_move_comes_back_as_it_was_written(path):
    move = Move(1_700_000_000_000_000_000, None, {"commit": "a" * 64, "metric": "loss", "mode": "min", "value": 0.5}, "tag v1\n", "call 1")
    append_move(path, move)
    assert (read_moves(path, move.new), read_entries(path)) == ([move], [move])


def test_no_reflog_is_no_move(path):
    assert read_moves(path, A) == []


def test_a_ref_that_went_back_and_forth_and_away_has_all_its_moves(path):
    moves = write(path, (None, A), (A, B), (B, A), (A, C), (C, None), (None, A), (A, B))
    assert read_moves(path, B) == moves


@pytest.mark.parametrize(
    ("moves", "current", "happened"),
    [
        ([(None, A)], None, []),
        ([(None, A), (A, B)], A, [0]),
        ([(None, A), (A, B), (A, B)], B, [0, 2]),
        ([(None, A), (A, B), (A, B), (A, C), (A, C)], C, [0, 4]),
        ([(None, A), (A, None)], A, [0]),
        ([(None, A), (A, None), (A, B), (B, A)], B, [0, 2]),
        ([(None, A), (None, A), (A, B), (B, C), (B, A)], A, [1, 2, 4]),
    ],
)
def test_a_move_that_a_crash_prevented_is_left_out(path, moves, current, happened):
    entries = write(path, *moves)
    assert read_moves(path, current) == [entries[number] for number in happened]


@pytest.mark.parametrize("lost", range(5))
def test_a_damaged_line_costs_its_own_move_alone(path, lost):
    entries = write(path, (None, A), (A, B), (B, C), (C, A), (A, None))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line.replace(b"move", b"m0ve") if number == lost else line for number, line in enumerate(lines)))
    assert read_moves(path, None) == [entry for number, entry in enumerate(entries) if number != lost]


@pytest.mark.parametrize("current", [None, C])
def test_the_moves_of_a_ref_whose_file_was_lost_or_changed_behind_our_back_are_all_told(path, current):
    entries = write(path, (None, A), (A, B))
    assert read_moves(path, current) == entries


def test_a_torn_end_is_no_move_and_the_next_one_is_whole(path):
    first = write(path, (None, A))
    with path.open("ab") as opened:
        opened.write(b"0123abcd {")
    assert read_moves(path, A) == first
    append_move(path, Move(9, A, B, "", ""))
    assert read_moves(path, B) == [*first, Move(9, A, B, "", "")]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        "move",
        {},
        {"time": 1, "old": None, "new": None, "by": ""},
        {"time": "1", "old": None, "new": A, "by": "", "call": ""},
        {"time": 1, "old": None, "new": "a" * 64, "by": "", "call": ""},
        {"time": 1, "old": [], "new": A, "by": "", "call": ""},
        {"time": 1, "old": None, "new": A, "by": None, "call": ""},
        {"time": 1, "old": None, "new": A, "by": "", "call": 3},
    ],
)
def test_a_line_that_is_no_entry_is_left_out(path, entry):
    moves = write(path, (None, A))
    append_values(path, [entry])
    assert read_moves(path, A) == moves
