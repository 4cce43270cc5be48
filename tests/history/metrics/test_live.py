import errno
import gc
import os
import threading

import numpy as np
import pytest

from onyxstore.disk import files
from onyxstore.errors import BadMetric, CorruptFile, DiskError, DiskFull, RunEnded, disk_error
from onyxstore.hashing import address_of
from onyxstore.history.metrics import live
from onyxstore.history.metrics.prefix import LogPrefix, RunningHash
from onyxstore.history.metrics.records import Artifact, Points, Rewind, Summary
from tests.history.metrics.conftest import LOG
from tests.history.metrics.records_strategy import points, same

EVERY_KIND = [
    Points(0, None, 1, {"loss": 0.5}),
    Artifact("image", address_of(b""), 3, "png", 0, None, 2),
    Rewind(0, None, 3),
    Points(0, 1, 4, {"loss": float("nan"), "n": 2**80}),
    Summary({"acc": True}, 5),
]


def hash_of(records):
    return RunningHash().at(len(records), lambda start, end: records[start:end])


def test_what_was_appended_is_there_for_a_reader_at_once(run):
    writer = run.open()
    positions = [writer.append(record) for record in EVERY_KIND]
    assert (positions, same(run.read().records())) == ([1, 2, 3, 4, 5], same(EVERY_KIND))


def test_metrics_are_logged_as_plain_numbers(run):
    writer = run.open()
    writer.append_points({"val": {"loss": np.float32(0.5)}, "n": np.int64(3)}, np.int64(7), np.float32(1.5), 99)
    assert list(run.read().records()) == [Points(7, 1.5, 99, {"val/loss": 0.5, "n": 3})]


def test_what_cannot_be_logged_leaves_no_trace(run):
    writer = run.open()
    for arguments in (({"m": "x"}, 0, None, 0), ({"m": 1}, 0.5, None, 0), ({"m": 1}, 2**63, None, 0), ({"m": 1}, 0, float("nan"), 0)):
        with pytest.raises(BadMetric):
            writer.append_points(*arguments)
    writer.append_points({"m": 1}, 0, None, 0)
    assert (writer.position, list(run.read().records())) == (1, [Points(0, None, 0, {"m": 1})])


def test_threads_that_log_at_once_get_a_position_each(run):
    writer = run.open()
    threads = [
        threading.Thread(target=lambda k=k: [writer.append_points({"m": k}, step, None, 0) for step in range(300)]) for k in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        writer.seal()
    for thread in threads:
        thread.join()
    log = run.read()
    assert (log.position, log.damage) == (1200, ())
    assert sorted((record.values["m"], record.step) for record in log.records()) == [(k, step) for k in range(4) for step in range(300)]


def test_sealing_leaves_a_segment_and_an_empty_tail(run):
    writer = run.open()
    writer.append_many(EVERY_KIND)
    writer.seal()
    assert (run.tails(), len(run.objects.held), same(run.read().records())) == (["tail-000002"], 1, same(EVERY_KIND))
    assert run.path.joinpath("tail-000002").read_bytes() == b""


def test_closing_leaves_no_tail(run):
    writer = run.open()
    writer.append_many(EVERY_KIND)
    writer.close()
    writer.close()
    assert (run.tails(), same(run.read().records()), writer.position) == ([], same(EVERY_KIND), 5)


def test_a_log_without_a_record_closes_without_a_segment(run):
    run.open().close()
    assert (run.tails(), run.objects.held, run.read().position) == ([], {}, 0)


def test_a_closed_writer_takes_nothing_more(run):
    writer = run.open()
    writer.close()
    with pytest.raises(RunEnded, match="run 'run' takes nothing more: it was closed"):
        writer.append_points({"m": 1}, 0, None, 0)
    with pytest.raises(RunEnded):
        writer.append_many(EVERY_KIND)
    writer.sync()
    writer.seal()


def test_sealing_is_due_when_there_are_enough_points(run, monkeypatch):
    monkeypatch.setattr(live, "SEGMENT_POINTS", 6)
    writer = run.open()
    due = []
    for record in [*EVERY_KIND, *points(1.0, 2.0)]:
        writer.append(record)
        due.append(writer.seal_due)
    writer.seal()
    assert (due, writer.seal_due) == ([False] * 4 + [True] * 3, False)


def test_many_records_seal_as_they_come(run, monkeypatch):
    monkeypatch.setattr(live, "SEGMENT_POINTS", 100)
    monkeypatch.setattr(live, "_ROWS_AT_ONCE", 64)
    writer = run.open()
    writer.append_many(points(*range(1000)))
    assert len(run.objects.held) == 4
    assert same(run.read().records()) == same(points(*range(1000)))


def test_every_prefix_has_the_hash_of_its_records_wherever_they_are(run):
    writer = run.open()
    expected = []
    for count, record in enumerate(EVERY_KIND * 4):
        if count in {3, 4, 11}:
            writer.seal()
        writer.append(record)
        expected.append(LogPrefix(LOG, count + 1, hash_of((EVERY_KIND * 4)[: count + 1])))
    backwards = [writer.prefix_at(prefix.position) for prefix in reversed(expected)]
    writer.close()
    again = [writer.prefix_at(prefix.position) for prefix in expected]
    resumed = [run.open().prefix_at(prefix.position) for prefix in expected]
    assert [backwards[::-1], again, resumed] == [expected] * 3
    for position in (-1, 21):
        with pytest.raises(ValueError, match="the log has 20 records"):
            writer.prefix_at(position)


# ------------------------------------------------------------------------------------------------------------- resuming


def test_a_resumed_log_goes_on_where_it_ended(run):
    run.open().append_many(EVERY_KIND)
    writer = run.open()
    assert (writer.position, writer.notes, run.tails()) == (5, (), ["tail-000002"])
    writer.append_many(EVERY_KIND)
    writer.close()
    assert same(run.read().records()) == same(EVERY_KIND * 2)


def test_an_unfinished_line_is_cut_and_said_when_a_log_is_resumed(run):
    run.open().append_many(EVERY_KIND)
    with run.path.joinpath("tail-000001").open("ab") as tail:
        tail.write(b"0123")
    writer = run.open()
    writer.append(Rewind(5, None, 0))
    assert writer.notes == ("tail-000001: 4 bytes of an unfinished line at the end",)
    assert (same(run.read().records()), run.read().notes) == (same([*EVERY_KIND, Rewind(5, None, 0)]), ())


def test_a_damaged_tail_is_set_aside_and_its_loss_stays_known(run):
    run.open().append_many(EVERY_KIND)
    tail = run.path / "tail-000001"
    lines = tail.read_bytes().splitlines(keepends=True)
    tail.write_bytes(b"".join([lines[0], b"x" + lines[1][1:], *lines[2:]]))
    writer = run.open()
    writer.append(Rewind(5, None, 0))
    assert writer.notes == (f"tail-000001: {len(lines[1])} damaged bytes at {len(lines[0])}", "record 1 is lost")
    assert run.tails() == ["damaged-000001", "tail-000002"]
    log = run.read()
    assert (log.damage, log.position) == (("record 1 is lost",), 6)
    assert same(log.records()) == same([EVERY_KIND[0], *EVERY_KIND[2:], Rewind(5, None, 0)])
    assert log.verify(writer.prefix_at(6))


def test_a_damaged_last_line_keeps_its_position(run):
    run.open().append_many(EVERY_KIND)
    tail = run.path / "tail-000001"
    tail.write_bytes(tail.read_bytes()[:-3] + b"x}\n")
    writer = run.open()
    assert writer.position == 5
    writer.append(Rewind(5, None, 0))
    assert run.read().damage == ("record 4 is lost",)


@pytest.mark.parametrize("line", ["first", "second"])
def test_a_list_of_segments_with_a_damaged_line_is_gone_on_with(run, line):
    writer = run.open()
    writer.append_many(EVERY_KIND)
    writer.close()
    path = run.path / "segments"
    data = bytearray(path.read_bytes())
    data[3 if line == "first" else data.index(b"\n") + 5] ^= 1
    path.write_bytes(data)
    writer = run.open()
    position = writer.position
    writer.append(Rewind(0, None, 0))
    writer.close()
    log = run.read()
    assert (position, log.id, log.position) == ((5, LOG, 6) if line == "first" else (0, LOG, 1))
    assert log.damage == ("the list of segments is damaged: 1 of its lines cannot be read",)


def test_another_log_in_the_folder_is_no_log_to_go_on_with(run):
    run.open()
    with pytest.raises(CorruptFile, match="it is the list of another log"):
        run.open(log="f" * 32)


@pytest.mark.parametrize("step", range(4))
def test_a_seal_that_is_cut_short_at_any_step_loses_and_repeats_nothing(run, monkeypatch, step):
    writer = run.open()
    writer.append_many(EVERY_KIND)

    def dies(*_, **__):
        raise KeyboardInterrupt

    broken = [(files.AppendFile, "open"), (writer._segments, "_put"), (files, "replace_bytes"), (files, "remove")][step]
    with monkeypatch.context() as patch:
        patch.setattr(*broken, dies)
        with pytest.raises(KeyboardInterrupt):
            writer.seal()
    assert (same(run.read().records()), run.read().damage) == (same(EVERY_KIND), ())
    resumed = run.open()
    resumed.append(Rewind(9, None, 0))
    resumed.close()
    assert (same(run.read().records()), run.read().damage, run.tails()) == (same([*EVERY_KIND, Rewind(9, None, 0)]), (), [])


# ------------------------------------------------------------------------------------------------------ a disk that fails


class FailingDisk:
    """Stands in front of `files`: writing fails while `full`, syncing when `bad`."""

    def __init__(self, monkeypatch):
        self.full = self.bad = False
        for owner, name in ((files.AppendFile, "append"), (files.Staged, "write"), (files.AppendFile, "sync")):
            monkeypatch.setattr(owner, name, self.guard(name, getattr(owner, name)))

    def guard(self, name, real):
        def guarded(*arguments):
            if self.full and name != "sync":
                raise disk_error("writing", "tail", OSError(errno.ENOSPC, ""))
            if self.bad and name == "sync":
                raise disk_error("syncing", "tail", OSError(errno.EIO, ""))
            return real(*arguments)

        return guarded


@pytest.fixture
def disk(monkeypatch):
    return FailingDisk(monkeypatch)


def test_a_full_disk_stops_no_training_and_loses_no_record(run, disk):
    writer = run.open()
    writer.append_points({"loss": 0.5}, 0, None, 0)
    disk.full = True
    for step in range(1, 50):
        writer.append_points({"loss": 0.5}, step, None, 0)
    waiting = writer.unwritten
    with pytest.raises(DiskFull):
        writer.sync()
    disk.full = False
    writer.sync()
    assert (waiting, writer.unwritten, run.read().damage) == (49, 0, ())
    assert [record.step for record in run.read().records()] == list(range(50))


def test_the_error_of_the_disk_is_told_once(run, disk):
    writer = run.open()
    disk.full = True
    writer.append_many(EVERY_KIND)
    writer.append_many(EVERY_KIND)
    assert [type(writer.take_error()), writer.take_error()] == [DiskFull, None]


def test_a_failed_fsync_moves_the_log_to_a_new_file(run, disk):
    writer = run.open()
    writer.append_many(EVERY_KIND)
    disk.bad = True
    writer.sync()
    disk.bad = False
    writer.append(Rewind(9, None, 0))
    writer.sync()
    assert (run.tails(), type(writer.take_error())) == (["tail-000001", "tail-000002"], DiskError)
    assert (same(run.read().records()), run.read().damage) == (same([*EVERY_KIND, Rewind(9, None, 0)]), ())
    writer.close()
    assert (run.tails(), same(run.read().records())) == ([], same([*EVERY_KIND, Rewind(9, None, 0)]))


def test_a_seal_that_the_disk_refuses_is_done_by_the_next(run, disk):
    writer = run.open()
    writer.append_many(EVERY_KIND)
    disk.full = True
    with pytest.raises(DiskFull):
        writer.seal()
    writer.append(Rewind(9, None, 0))
    disk.full = False
    due = writer.seal_due
    writer.sync()
    between = same(run.read().records())
    writer.close()
    assert (due, between, same(run.read().records())) == (True, *[same([*EVERY_KIND, Rewind(9, None, 0)])] * 2)


def test_a_close_that_the_disk_refuses_can_be_repeated(run, disk):
    writer = run.open()
    disk.full = True
    writer.append_many(EVERY_KIND)
    with pytest.raises(DiskFull):
        writer.close()
    disk.full = False
    writer.close()
    assert (run.tails(), same(run.read().records())) == ([], same(EVERY_KIND))


def test_a_hash_waits_for_a_disk_that_fails_now(run, monkeypatch):
    writer = run.open()
    writer.append_many(EVERY_KIND)
    writer.close()
    resumed = run.open()
    get = resumed._segments._get

    def fails(_):
        raise disk_error("reading", "object", OSError(errno.EIO, ""))

    monkeypatch.setattr(resumed._segments, "_get", fails)
    with pytest.raises(DiskError):
        resumed.prefix_at(5)
    monkeypatch.setattr(resumed._segments, "_get", get)
    assert resumed.prefix_at(5).hash == hash_of(EVERY_KIND)


# ---------------------------------------------------------------------------------------------------------------- forking


def test_a_forked_child_writes_nothing_and_says_why(run):
    writer = run.open()
    writer.append_many(EVERY_KIND)
    reading, writing = os.pipe()
    with writer._lock:  # as if another thread were appending at this moment
        child = os.fork()
        if not child:
            said = []
            for act in (lambda: writer.append(EVERY_KIND[0]), lambda: writer.append_points({"m": 1}, 0, None, 0), writer.sync, writer.seal):
                try:
                    act()
                except RunEnded as error:
                    said.append(str(error))
            writer.close()
            os.write(writing, "\n".join(said).encode())
            os._exit(0)
    os.waitpid(child, 0)
    words = "run 'run' takes nothing more: its process was forked, and only the parent writes it"
    assert os.read(reading, 10_000).decode().splitlines() == [words] * 4
    assert same(run.read().records()) == same(EVERY_KIND)
    writer.append(EVERY_KIND[0])
    os.close(reading)
    os.close(writing)


def test_a_writer_that_is_forgotten_is_freed(run):
    run.open()
    gc.collect()
    assert not [writer for writer in live._writers if writer._folder == run.path]
