import os
import signal
import subprocess
import threading
from types import SimpleNamespace

import pytest

from onyxstore.disk import files, locks
from onyxstore.disk.locks import is_locked, lock, pinned, sweeping, try_lock, try_lock_there
from onyxstore.errors import DiskError, ReadOnly, StoreBusy

HOLD = """
import sys
from pathlib import Path
from onyxstore.disk.locks import try_lock
held = try_lock(Path(sys.argv[1]), exclusive=sys.argv[2] == "exclusive")
print("ready" if held else "refused", flush=True)
for line in sys.stdin:
    held.release()
    print("released", flush=True)
"""

HOLD_AND_FORK = """
import os, signal, sys
from pathlib import Path
from onyxstore.disk.locks import try_lock
kept = try_lock(Path(sys.argv[1]))
try_lock(Path(sys.argv[2]))  # nobody refers to this one
child = os.fork()
if not child:
    kept.release()
    print("ready", flush=True)
    signal.pause()
signal.pause()
"""

PIN = """
import sys
from pathlib import Path
from onyxstore.disk.locks import pinned, sweeping
with (pinned(Path(sys.argv[1])) if sys.argv[2] == "pin" else sweeping(Path(sys.argv[1]), 0)):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locks" / "one"


def is_free(path):
    held = try_lock(path)
    if held:
        held.release()
    return held is not None


# ----------------------------------------------------------------------------------------------------- one lock


def test_an_exclusive_lock_excludes_everyone(path, start_python):
    start_python(HOLD, path, "exclusive")
    assert (try_lock(path), try_lock(path, exclusive=False), is_locked(path)) == (None, None, True)


def test_a_shared_lock_is_shared_and_excludes_only_who_wants_it_alone(path, start_python):
    start_python(HOLD, path, "shared")
    start_python(HOLD, path, "shared")
    assert try_lock(path) is None
    assert not is_locked(path)
    mine = try_lock(path, exclusive=False)
    assert mine is not None
    mine.release()


def test_a_lock_excludes_also_within_one_process(path):
    held = try_lock(path)
    assert (try_lock(path), try_lock(path, exclusive=False), is_locked(path)) == (None, None, True)
    held.release()
    held.release()
    assert is_free(path)


def test_a_lock_in_a_folder_that_somebody_took_away_is_not_had_and_makes_none(tmp_path):
    path = tmp_path / "run" / "lock"
    assert (try_lock_there(path), path.parent.exists()) == (None, False)
    held = try_lock(path)
    assert try_lock_there(path) is None
    held.release()
    again = try_lock_there(path)
    assert is_locked(path)
    again.release()


def test_a_killed_holder_lets_go(path, start_python):
    holder = start_python(HOLD, path, "exclusive")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not is_locked(path)
    assert is_free(path)


def test_a_lock_that_is_released_is_free_while_its_holder_lives(path, start_python):
    holder = start_python(HOLD, path, "exclusive")
    holder.stdin.write("release\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "released\n"
    assert is_free(path)


def test_a_forked_child_keeps_no_lock_after_its_parent_s_death_not_even_a_forgotten_one(tmp_path, start_python):
    paths = tmp_path / "kept", tmp_path / "forgotten"
    parent = start_python(HOLD_AND_FORK, *paths)
    assert [is_locked(path) for path in paths] == [True, True]  # the child let go of its copies, the parent's hold
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert [is_free(path) for path in paths] == [True, True]


def test_a_release_is_one_also_for_a_child_that_has_a_copy_yet(path):
    held = try_lock(path)
    copy = os.dup(held._fd)  # as a child has it between its fork and its first line
    held.release()
    assert is_free(path)
    os.close(copy)


def test_asking_whether_something_is_locked_leaves_no_lock_with_a_child(path, monkeypatch):
    is_free(path)
    copies, close = [], files.close
    monkeypatch.setattr(files, "close", lambda fd: copies.append(os.dup(fd)) or close(fd))
    assert not is_locked(path)
    monkeypatch.undo()
    assert is_free(path)
    for copy in copies:
        os.close(copy)


def test_no_process_is_forked_while_a_lock_is_open_and_not_known(path, monkeypatch):
    opened, looked, taken = threading.Event(), threading.Event(), []
    open_lock = files.open_lock

    def slow(path):
        fd = open_lock(path)
        opened.set()
        looked.wait()
        return fd

    monkeypatch.setattr(files, "open_lock", slow)
    taker = threading.Thread(target=lambda: taken.append(try_lock(path)))
    taker.start()
    opened.wait()
    may_fork = locks._no_fork.acquire(blocking=False)  # what the system calls, and waits for, before it forks
    looked.set()
    taker.join()
    taken[0].release()
    assert not may_fork


def test_waiting_ends_with_the_lock_or_says_who_is_in_the_way(path, start_python):
    holder = start_python(HOLD, path, "exclusive")
    with pytest.raises(StoreBusy, match=r"others are testing the store, for more than 0\.01 s; nothing was done; try again"):
        lock(path, patience=0.01, who="others are testing")
    got = []
    waiter = threading.Thread(target=lambda: got.append(lock(path, patience=60, who="others are testing")))
    waiter.start()
    holder.send_signal(signal.SIGKILL)
    waiter.join()
    assert is_locked(path)
    got[0].release()


def test_no_patience_is_one_try(path, monkeypatch):
    held = try_lock(path)
    monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: pytest.fail("it waited")))
    with pytest.raises(StoreBusy):
        lock(path, patience=0, who="others are testing")
    held.release()
    lock(path, patience=0, who="others are testing").release()


def test_what_does_not_exist_is_not_locked(path):
    assert not is_locked(path)
    assert not path.exists()


def test_a_failed_lock_call_is_an_error_and_leaves_no_descriptor(path, monkeypatch):
    is_free(path)
    before = os.listdir("/dev/fd")  # noqa: PTH208 - the names are numbers

    def fail(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", fail)
    with pytest.raises(DiskError, match="locking"):
        try_lock(path)
    assert os.listdir("/dev/fd") == before  # noqa: PTH208


def test_a_lock_is_no_link_to_elsewhere(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskError):
        try_lock(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()


def test_a_store_that_cannot_be_written_is_asked_and_refuses_by_name(small_disk):
    is_free(small_disk / "locks" / "one")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert not is_locked(small_disk / "locks" / "one")
    assert is_free(small_disk / "locks" / "one")
    with pytest.raises(ReadOnly):
        try_lock(small_disk / "locks" / "another")


# ----------------------------------------------------------------------------------------------- writers and sweeps


def test_writers_do_not_exclude_each_other(path, start_python):
    start_python(PIN, path.parent, "pin")
    start_python(PIN, path.parent, "pin")
    with pinned(path.parent):
        pass


def test_a_sweep_waits_for_every_writer_also_for_those_that_are_killed(path, start_python):
    writers = [start_python(PIN, path.parent, "pin") for _ in range(2)]
    for writer in writers:
        with pytest.raises(StoreBusy, match="others are committing to the store"), sweeping(path.parent, 0):
            pytest.fail("it swept under a writer")
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    with sweeping(path.parent, 0):
        pass


def test_a_writer_waits_for_a_sweep(path, start_python, monkeypatch):
    monkeypatch.setattr(locks, "WRITER_PATIENCE", 0)
    sweeper = start_python(PIN, path.parent, "sweep")
    with pytest.raises(StoreBusy, match="a gc is sweeping the store"), pinned(path.parent):
        pytest.fail("it wrote under a sweep")
    sweeper.send_signal(signal.SIGKILL)
    sweeper.wait()
    with pinned(path.parent):
        pass


def test_one_sweep_at_a_time(path, start_python):
    start_python(PIN, path.parent, "sweep")
    with pytest.raises(StoreBusy), sweeping(path.parent, 0):
        pytest.fail("two swept at once")


def test_writers_that_keep_coming_do_not_starve_a_sweep(path, monkeypatch):
    waits, swept = threading.Event(), threading.Event()
    sleep = locks.time.sleep
    monkeypatch.setattr(locks, "WRITER_PATIENCE", 0)

    def sweep():
        with sweeping(path.parent, 60):
            swept.set()

    sweeper = threading.Thread(target=sweep)
    with pinned(path.parent):
        # The sweep's first pause comes when it has the gate and waits for the writer.
        monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda pause: waits.set() or sleep(pause)))
        sweeper.start()
        waits.wait()
        with pytest.raises(StoreBusy), pinned(path.parent):
            pytest.fail("a writer went past a sweep that waited")
        assert not swept.is_set()
    sweeper.join()
    assert swept.is_set()
    with pinned(path.parent):
        pass


@pytest.mark.parametrize("error", [StoreBusy("x", 1.0), KeyboardInterrupt(), ReadOnly("opening", "x", 30)])
def test_a_sweep_that_gives_up_in_whatever_way_opens_the_gate_again(path, monkeypatch, error):
    real = locks.lock

    def interrupted(which, **kwargs):
        if which.name == "store":
            raise error
        return real(which, **kwargs)

    monkeypatch.setattr(locks, "lock", interrupted)
    with pytest.raises(type(error)), sweeping(path.parent, 0):
        pytest.fail("it swept")
    monkeypatch.undo()
    with sweeping(path.parent, 0):
        pass


def test_what_goes_wrong_inside_lets_go(path):
    for hold in (lambda: pinned(path.parent), lambda: sweeping(path.parent, 0)):
        with pytest.raises(ZeroDivisionError), hold():
            raise ZeroDivisionError
    with sweeping(path.parent, 0):
        pass
