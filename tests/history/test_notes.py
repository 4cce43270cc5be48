"""The file of notes: what comes back is what was written, and what nobody writes is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.canonical import canonical_bytes
from onyxstore.disk.linefile import append_values
from onyxstore.disk.lines import encode_line
from onyxstore.history.metrics.records import INT_BITS
from onyxstore.history.notes import NOTES, Note, append_note, make_note, noted_metrics, read_notes

A = "a" * 64
WHOLE = {"commit": A, "metrics": {"f1": 0.5}, "time": 1, "words": "x"}

numbers = st.one_of(st.floats(), st.booleans(), st.integers(-(2 ** (INT_BITS - 1)), 2 ** (INT_BITS - 1)))
names = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=20).filter(str.isprintable)
words = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=50))


@given(st.lists(st.builds(Note, st.just(A), st.integers(0, 2**62), words, st.dictionaries(names, numbers, max_size=3)), max_size=5))
def test_notes_come_back_as_they_were_written(tmp_path_factory, notes):
    folder = tmp_path_factory.mktemp("run")
    for note in notes:
        append_note(folder, note)
    found = read_notes(folder)
    told = [[(note.commit, note.time, note.words, sorted((name, repr(each)) for name, each in note.metrics.items())) for note in each]
            for each in (found.notes, notes)]  # fmt: skip
    assert (told[0], found.strange) == (told[1], 0)


def test_without_a_file_there_are_none(tmp_path):
    assert (read_notes(tmp_path).notes, read_notes(tmp_path / "nowhere").notes) == ((), ())


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {**WHOLE, "more": 1}, {key: WHOLE[key] for key in ("commit", "metrics", "time")}]
    + [{**WHOLE, key: bad} for key, values in {
        "commit": [None, "", "a" * 63, "A" * 64, 1], "time": [None, 1.5, "1", True], "words": [1, ["x"]],
        "metrics": [None, [], {"": 1}, {"a\n": 1}, {"a": "1"}, {"a": None}, {"a": 2**2000}],
    }.items() for bad in values],
)  # fmt: skip
def test_a_line_that_is_no_note_is_counted_and_hides_no_other(tmp_path, value):
    append_values(tmp_path / NOTES, [WHOLE, value, WHOLE])
    found = read_notes(tmp_path)
    assert (found.notes, found.strange) == ((Note(A, 1, "x", {"f1": 0.5}),) * 2, 1)


def test_a_line_that_fails_its_check_or_is_torn_is_left_out(tmp_path):
    line = encode_line(canonical_bytes(WHOLE))
    (tmp_path / NOTES).write_bytes(line + line.replace(b"f1", b"f2") + line + line[:-1])
    assert (len(read_notes(tmp_path).notes), read_notes(tmp_path).strange) == (2, 0)


def test_of_several_values_of_a_metric_the_last_counts():
    assert noted_metrics([make_note(A, 1, None, {"a": 1, "b": 2}), make_note(A, 2, "x", {"a": 3})]) == {"a": 3, "b": 2}
