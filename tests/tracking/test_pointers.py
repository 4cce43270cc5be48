"""Ids say what is known of a checkpoint, pointer files which commit it is, and only they."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.tracking.pointers import (
    Pointer,
    decode_pointer,
    delete_pointer,
    encode_pointer,
    find_pointer,
    is_checkpoint_id,
    list_pointers,
    make_id,
    pointer_file,
    write_pointer,
)

THEN = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
ID = "checkpoint_epoch_5_step_1000_20240115_103000_best"
POINTER = Pointer(ID, "exp", "ab" * 32, 5, 1000, {"loss": 0.5}, "2024-01-15T10:30:00+00:00")


# ----------------------------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize(
    ("step", "epoch", "is_best", "name"),
    [
        (1000, 5, True, ID),
        (1000, 5, False, "checkpoint_epoch_5_step_1000_20240115_103000"),
        (1000, None, False, "checkpoint_step_1000_20240115_103000"),
        (None, 5, False, "checkpoint_epoch_5_20240115_103000"),
        (None, None, False, "checkpoint_20240115_103000"),
        (-1, 2.0, False, "checkpoint_epoch_2_step_-1_20240115_103000"),
        (0, 0.5, False, "checkpoint_epoch_0.5_step_0_20240115_103000"),
        (0, 1e300, False, "checkpoint_epoch_1e300_step_0_20240115_103000"),
    ],
)
def test_an_id_says_what_is_known(step, epoch, is_best, name):
    assert make_id(step, epoch, THEN, is_best=is_best, taken=()) == name


def test_a_taken_id_gets_a_number():
    assert [make_id(1000, 5, THEN, is_best=True, taken=taken) for taken in ([], [ID], [ID, f"{ID}-2"])] == [ID, f"{ID}-2", f"{ID}-3"]


STEPS = st.none() | st.integers(-(2**63), 2**63 - 1)
EPOCHS = st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


@given(STEPS, EPOCHS, st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)), st.booleans(), st.integers(0, 3))  # noqa: DTZ001
def test_every_id_is_one_and_is_a_name_that_any_folder_takes(step, epoch, now, is_best, taken_before):
    taken = set()
    for _ in range(taken_before + 1):
        taken.add(made := make_id(step, epoch, now, is_best=is_best, taken=taken))
    assert len(taken) == taken_before + 1
    assert is_checkpoint_id(made)
    assert re.fullmatch(r"[a-z0-9_.-]{1,200}", made)


@given(st.text() | st.from_regex(r"checkpoint.{0,40}", fullmatch=True))
def test_nothing_that_leads_elsewhere_is_an_id(text):
    assert not (is_checkpoint_id(text) and {"/", "\\", "\0", "\n", " "} & {*text})


@pytest.mark.parametrize("text", ["", "checkpoint", "checkpoint at step 4", "../" + ID, ID + "\n", ID + ".json", ID + "-", ID.upper()])
def test_what_only_resembles_an_id_is_none(text):
    assert not is_checkpoint_id(text)


# --------------------------------------------------------------------------------------------------------------- files


VALUES = st.floats() | st.integers(-(2**100), 2**100) | st.booleans()


@given(STEPS, EPOCHS, st.dictionaries(st.text(), VALUES, max_size=5))
def test_a_pointer_is_read_as_it_was_written(step, epoch, metrics):
    pointer = replace(POINTER, step=step, epoch=epoch, metrics=metrics)
    read = decode_pointer(encode_pointer(pointer))
    assert replace(read, metrics={}) == replace(pointer, metrics={})
    assert repr(sorted(read.metrics.items())) == repr(sorted(metrics.items()))


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_anything_else_is_no_pointer(value):
    with pytest.raises(ValueError, match="."):
        decode_pointer(value if isinstance(value, bytes) else json.dumps(value).encode())


@pytest.mark.parametrize(
    "change",
    [{"commit": "ab"}, {"commit": None}, {"checkpoint_id": "../x"}, {"checkpoint_id": 5}, {"onyx": "commit"}, {"more": 1}],
)
def test_a_pointer_with_a_wrong_field_is_none(change):
    with pytest.raises(ValueError, match="it "):
        decode_pointer(json.dumps({**json.loads(encode_pointer(POINTER)), **change}).encode())


def test_a_pointer_is_written_once_and_beside_nothing(tmp_path):
    folder = tmp_path / "a" / "b"
    write_pointer(folder, POINTER)
    write_pointer(folder, replace(POINTER, commit="cd" * 32))
    assert [path.name for path in folder.iterdir()] == [f"{ID}.json"]
    assert find_pointer(pointer_file(folder, ID)) == POINTER


def test_only_the_pointer_to_this_commit_is_deleted(tmp_path):
    write_pointer(tmp_path, POINTER)
    delete_pointer(tmp_path, ID, "cd" * 32)
    assert [*list_pointers(tmp_path)] == [POINTER]
    delete_pointer(tmp_path, ID, POINTER.commit)
    delete_pointer(tmp_path, ID, POINTER.commit)
    assert [*tmp_path.iterdir()] == []


def test_only_pointers_under_their_own_names_are_listed(tmp_path):
    write_pointer(tmp_path, POINTER)
    other = pointer_file(tmp_path, "checkpoint_20240115_103000")
    other.write_bytes(encode_pointer(POINTER))
    (tmp_path / "notes.json").write_bytes(encode_pointer(POINTER))
    pointer_file(tmp_path, "checkpoint_20240115_103001").mkdir()
    assert ([*list_pointers(tmp_path)], [*list_pointers(tmp_path / "nowhere")], [*list_pointers(other)]) == ([POINTER], [], [])


def test_a_pipe_is_not_waited_for(tmp_path):
    import os  # noqa: PLC0415 - of this test alone

    os.mkfifo(tmp_path / "pipe.json")
    assert find_pointer(tmp_path / "pipe.json") is None
