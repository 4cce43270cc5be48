import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.canonical import canonical_bytes, read_canonical
from onyxstore.disk import files, locks
from onyxstore.disk.layout import create_layout
from onyxstore.disk.linefile import replace_value
from onyxstore.disk.locks import is_locked, try_lock
from onyxstore.errors import BadName, CorruptFile, RunIsLive, UnknownName
from onyxstore.hashing import address_of
from onyxstore.history import runs
from onyxstore.history.runs import (
    STATUSES,
    Attempt,
    RunState,
    begin_attempt,
    claim_name,
    decode_state,
    encode_state,
    end_attempt,
    is_run,
    lock_run,
    new_state,
    read_state,
    run_exists,
    run_folders,
    write_state,
)

A, B = address_of(b"a"), address_of(b"b")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

FULL = RunState(
    name="Bert-2",
    log="0" * 32,
    created=1_700_000_000_000_000_001,
    status="killed",
    labels=("v1", "café"),
    group="bert",
    best_metric="val/loss",
    best_mode="max",
    max_checkpoints=3,
    parent=A,
    attempts=(Attempt(1, 2, "crashed", A, None), Attempt(3, 4, "killed", None, B)),
)

states = st.builds(
    RunState,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}x", fullmatch=True),
    log=st.text(max_size=8),
    created=st.integers(),
    status=st.sampled_from(STATUSES),
    labels=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    group=st.one_of(st.none(), st.text(max_size=5)),
    best_metric=st.one_of(st.none(), st.text(max_size=5)),
    best_mode=st.sampled_from(["min", "max"]),
    max_checkpoints=st.one_of(st.none(), st.just("settings"), st.integers(1)),
    parent=st.sampled_from([None, A]),
    attempts=st.lists(
        st.builds(
            Attempt,
            st.integers(),
            st.one_of(st.none(), st.integers()),
            st.sampled_from(STATUSES),
            st.sampled_from([None, A]),
            st.sampled_from([None, B]),
        ),
        max_size=3,
    ).map(tuple),
)


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_sync", lambda _: None)
    return create_layout(tmp_path / ".onyx", b"")


def start(script, *arguments):
    process = subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    return process, process.stdout.readline()


def write_running(layout, name="a"):
    state = begin_attempt(new_state(name, created=5, status="running"), Attempt(7))
    write_state(layout, state)
    return state


# -------------------------------------------------------------------------------------------------------------- states


@given(states)
def test_a_state_comes_back_as_it_was(state):
    assert decode_state(read_canonical(canonical_bytes(encode_state(state)))) == state


def test_a_new_run_has_a_log_of_its_own():
    one, other = (new_state("a", created=5, status="running") for _ in range(2))
    assert (len(one.log), one.log != other.log, replace(one, log="")) == (32, True, RunState("a", "", 5))


@pytest.mark.parametrize("name", ["", "latest", "a/b", "-rf", "a" * 101])
def test_a_run_is_not_made_with_a_name_that_it_may_not_have(name):
    with pytest.raises(BadName):
        new_state(name, created=5, status="running")


WRONG = {
    "name": [None, 1, "", "../x", "HEAD"],
    "log": [None, 1, []],
    "created": [None, "1", 1.5, True],
    "status": [None, "", "done", ["running"]],
    "labels": [None, "abc", [1], {"a": 1}, 7],
    "group": [1, []],
    "best_metric": [1, {}],
    "best_mode": [None, "", "minimum", ["min"]],
    "max_checkpoints": [0, -1, True, 2.0, "all", [3]],
    "parent": ["", "a" * 63, 1, [A]],
    "attempts": [None, 1, "x", [1], [{}], [{"started": 1, "more": 2}], [{"started": "1"}], [{"started": 1, "ended": 1.5}],
                 [{"started": 1, "status": "done"}], [{"started": 1, "code": "x"}], [{"started": 1, "environment": 1}], {"started": 1}],
}  # fmt: skip


@pytest.mark.parametrize("field", WRONG)
def test_a_field_of_a_wrong_type_is_refused(field):
    whole = encode_state(FULL)
    assert set(WRONG) == set(whole)
    for value in WRONG[field]:
        with pytest.raises(ValueError):  # noqa: PT011 - names say it with words of their own
            decode_state({**whole, field: value})


@pytest.mark.parametrize(
    "value", [None, 1, "x", [], {}, {"name": "a"}, {"name": "a", "attempts": [], "labels": []}, {**encode_state(FULL), "more": 1}]
)
def test_what_is_no_state_is_refused(layout, value):
    replace_value(layout.tmp, layout.run("a") / "state", value)
    with pytest.raises(CorruptFile, match="state is damaged: it holds no run state"):
        read_state(layout, "a")


def test_a_state_has_no_field_but_those_of_the_page():
    for more in ("more", "summary"):
        with pytest.raises(ValueError, match="it holds no run state"):
            decode_state({**encode_state(FULL), more: {}})


def test_a_state_in_another_run_s_folder_is_refused(layout):
    write_state(layout, replace(FULL, name="a"))
    (layout.runs / "a").rename(layout.runs / "b")
    with pytest.raises(CorruptFile, match="it is that of run 'a'"):
        read_state(layout, "b")


def test_a_damaged_state_is_said_and_its_name_is_not_free(layout):
    write_state(layout, replace(FULL, name="a"))
    path = layout.run("a") / "state"
    path.write_bytes(path.read_bytes().replace(b"killed", b"finish"))
    with pytest.raises(CorruptFile):
        read_state(layout, "a")
    assert (run_exists(layout, "a"), run_folders(layout)) == (True, ["a"])
    name, lock = claim_name(layout, "a")
    lock.release()
    assert name == "a-2"


def test_runs_are_compared_without_case_and_keep_their_spelling(layout):
    write_state(layout, FULL)
    assert [run_exists(layout, name) for name in ("bert-2", "BERT-2", "bert")] == [True, True, False]
    assert (read_state(layout, "BERT-2"), run_folders(layout)) == (FULL, ["bert-2"])
    with pytest.raises(FileNotFoundError):
        read_state(layout, "bert")


def test_an_attempt_that_never_ended_has_crashed_when_the_next_begins():
    state = begin_attempt(new_state("a", created=5, status="running"), Attempt(6))
    state = begin_attempt(state, Attempt(7))
    assert (state.status, state.attempts) == ("running", (Attempt(6, None, "crashed"), Attempt(7)))
    state = end_attempt(state, "finished", 9)
    assert (state.status, state.attempts) == ("finished", (Attempt(6, None, "crashed"), Attempt(7, 9, "finished")))


# --------------------------------------------------------------------------------------------------------------- locks

WRITE = """
import signal, sys
from pathlib import Path
from onyxstore.disk.layout import Layout
from onyxstore.history.runs import *
layout = Layout(Path(sys.argv[1]))
name, lock = claim_name(layout, sys.argv[2])
write_state(layout, begin_attempt(new_state(name, created=5, status="running"), Attempt(7)))
print(name, flush=True)
signal.pause()
"""


def test_a_killed_run_is_seen_as_crashed_by_everyone_and_can_be_resumed(layout):
    process, said = start(WRITE, layout.root, "Bert")
    try:
        assert (said, read_state(layout, "bert").status) == ("Bert\n", "running")
        with pytest.raises(RunIsLive, match="run 'bert' is being written by another process"):
            lock_run(layout, "bert")
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = (layout.run("bert") / "state").read_bytes()
    state = read_state(layout, "bert")
    assert (state.status, state.attempts) == ("crashed", (Attempt(7, None, "crashed"),))
    assert (layout.run("bert") / "state").read_bytes() == before
    with_lock = lock_run(layout, "BERT")
    write_state(layout, begin_attempt(state, Attempt(8)))
    state = read_state(layout, "bert")
    with_lock.release()
    assert (state.status, state.attempts) == ("running", (Attempt(7, None, "crashed"), Attempt(8)))


def test_only_a_run_that_says_running_can_have_crashed(layout):
    for number, status in enumerate(STATUSES):
        write_state(layout, replace(FULL, name=f"r{number}", status=status))
    assert [read_state(layout, f"r{number}").status for number in range(6)] == [
        "open",
        "crashed",
        "finished",
        "failed",
        "crashed",
        "killed",
    ]


def test_a_run_that_ends_between_the_two_looks_has_not_crashed(layout, monkeypatch):
    state = write_running(layout)
    ended = end_attempt(state, "finished", 9)
    monkeypatch.setattr(runs, "is_locked", lambda path: write_state(layout, ended) or is_locked(path))
    assert read_state(layout, "a") == ended


def test_a_run_that_is_resumed_between_the_two_looks_has_not_crashed(layout, monkeypatch):
    state = write_running(layout)
    resumed = []

    def resume_after(path):
        """Looks, and then another process resumes the run."""
        locked = is_locked(path)
        if not resumed:
            resumed.append(lock_run(layout, "a"))
            write_state(layout, begin_attempt(state, Attempt(8)))
        return locked

    monkeypatch.setattr(runs, "is_locked", resume_after)
    found = read_state(layout, "a")
    resumed[0].release()
    assert (found.status, found.attempts) == ("running", (Attempt(7, None, "crashed"), Attempt(8)))


def test_whoever_only_looks_keeps_nobody_from_resuming(layout, monkeypatch):
    write_running(layout)
    glance = try_lock(layout.run("a") / "lock", exclusive=False)
    assert glance is not None
    monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: glance.release()))
    lock_run(layout, "a").release()


# --------------------------------------------------------------------------------------------------------------- names

CLAIM = """
import sys
from pathlib import Path
from onyxstore.disk.layout import Layout
from onyxstore.history.runs import *
layout = Layout(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
for spelling in sys.argv[2:]:
    name, lock = claim_name(layout, spelling)
    write_state(layout, new_state(name, created=5, status="finished"))
    lock.release()
    print(name, flush=True)
"""


def test_of_several_processes_that_ask_at_once_each_gets_a_name_of_its_own(layout):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    spellings = [[chance.choice(["bert", "Bert", "BERT"]) for _ in range(6)] for _ in range(4)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(layout.root), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        for names in spellings
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    claimed = [name for process in started for name in process.communicate("")[0].split()]
    assert sorted(name.lower() for name in claimed) == sorted(["bert", *(f"bert-{number}" for number in range(2, 25))])
    assert run_folders(layout) == sorted(name.lower() for name in claimed)
    assert sorted(read_state(layout, name).name for name in claimed) == sorted(claimed)


def test_the_first_free_name_is_taken_and_gaps_are_filled(layout):
    for name in ("a", "A-2", "a-4"):
        write_state(layout, new_state(name, created=5, status="finished"))
    name, lock = claim_name(layout, "A")
    assert (name, is_locked(layout.run("a-3") / "lock")) == ("A-3", True)
    other, second = claim_name(layout, "a")  # the first has its name though it wrote no state yet
    lock.release()
    second.release()
    assert other == "a-5"


@pytest.mark.parametrize("left", ["run_refs", "run_reflog"])
def test_a_name_whose_refs_are_still_there_is_taken(layout, left):
    folder = getattr(layout, left)("a")
    folder.mkdir(parents=True)
    name, lock = claim_name(layout, "a")
    lock.release()
    assert name == "a"
    (folder / "latest").touch()
    name, lock = claim_name(layout, "A")
    lock.release()
    assert name == "A-2"


def test_a_run_that_goes_in_the_moment_before_its_lock_is_had_is_not_there(layout):
    write_state(layout, new_state("a", created=5, status="finished"))
    lock_run(layout, "a").release()
    (layout.run("a") / "state").unlink()
    with pytest.raises(UnknownName, match="the store has no run called 'a'"):
        lock_run(layout, "a")
    assert not is_locked(layout.run("a") / "lock")


def test_any_text_may_be_asked_whether_it_is_a_run(layout):
    write_state(layout, new_state("a", created=5, status="finished"))
    assert [is_run(layout, text) for text in ("a", "A", "b", "", "../a", "best", "a/b")] == [True, True, False, False, False, False, False]


def test_a_claim_that_died_before_it_wrote_anything_frees_the_name(layout):
    _, lock = claim_name(layout, "a")
    lock.release()
    again, lock = claim_name(layout, "a")
    lock.release()
    assert (again, run_folders(layout)) == ("a", [])


def test_a_run_that_appears_between_the_look_and_the_lock_is_not_taken_over(layout, monkeypatch):
    def slow(path):
        monkeypatch.undo()
        write_state(layout, new_state("a", created=5, status="finished"))
        return try_lock(path)

    monkeypatch.setattr(runs, "try_lock", slow)
    name, lock = claim_name(layout, "a")
    lock.release()
    assert name == "a-2"
    assert not is_locked(layout.run("a") / "lock")


def test_a_long_name_is_cut_to_make_room_for_its_number(layout):
    long = "a" * 100
    claimed = []
    for _ in range(11):
        name, lock = claim_name(layout, long)
        write_state(layout, new_state(name, created=5, status="finished"))
        lock.release()
        claimed.append(name)
    assert claimed == [long, *("a" * 98 + f"-{number}" for number in range(2, 10)), "a" * 97 + "-10", "a" * 97 + "-11"]


def test_files_beside_the_runs_are_no_runs(layout):
    write_state(layout, replace(FULL, name="a"))
    (layout.runs / "empty").mkdir()
    (layout.runs / "file").write_bytes(b"")
    assert run_folders(layout) == ["a"]
