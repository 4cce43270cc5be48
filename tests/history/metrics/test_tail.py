import errno
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.disk import files
from onyxstore.errors import DiskFull, disk_error
from onyxstore.history.metrics import tail as tail_module
from onyxstore.history.metrics.tail import Tail

FULL = OSError(errno.ENOSPC, "")


class Disk:
    """A folder of append-only files in memory, on which each operation fails when the next answer says so."""

    def __init__(self, answers=()):
        self.answers = iter(answers)
        self.files = []

    def fails(self):
        return not next(self.answers, True)

    def new(self, data):
        if self.fails():
            raise disk_error("creating", "new", FULL)
        file = File(self, data)
        file.durable = len(data)
        self.files.append(file)
        return file


class File:
    def __init__(self, disk, data=b""):
        self.disk, self.data, self.durable, self.lies = disk, data, 0, False
        self.path = "tail"

    @property
    def size(self):
        return len(self.data)

    def append(self, data):
        if self.disk.fails():
            raise disk_error("appending to", "tail", FULL)
        self.data += data

    def sync(self):
        assert not self.lies, "a failed fsync was tried again on the same file"
        if self.disk.fails():
            self.lies = True
            raise disk_error("syncing", "tail", OSError(errno.EIO, ""))
        self.durable = len(self.data)


def make(answers=()):
    disk, errors = Disk(answers), []
    file = File(disk)
    disk.files.append(file)
    return Tail(0, file, disk.new, errors.append), disk, errors


def lines(count, start=0):
    return [b"line %d\n" % number for number in range(start, start + count)]


def union(disk, *, durable=False):
    """What a reader finds: each line once."""
    held = b"".join(file.data[: file.durable] if durable else file.data for file in disk.files)
    return set(held.splitlines(keepends=True))


LOCK = threading.Lock()


@given(st.lists(st.booleans(), max_size=60), st.lists(st.sampled_from(["append", "extend", "sync"]), max_size=40))
def test_whatever_fails_no_line_that_was_taken_is_lost(answers, actions):
    tail, disk, errors = make(answers)
    durable = 0
    for action in actions:
        if action == "sync":
            try:
                tail.sync(LOCK)
            except DiskFull:
                continue
            durable = len(tail.lines)
        elif action == "append":
            tail.append(lines(1, len(tail.lines))[0], 1)
        else:
            tail.extend(lines(3, len(tail.lines)), 3)
        assert tail.lines == lines(len(tail.lines))
        assert union(disk) >= set(tail.lines[: len(tail.lines) - tail.unwritten])
        assert union(disk, durable=True) >= set(tail.lines[:durable])
    disk.answers = iter(())
    tail.sync(LOCK)
    assert union(disk, durable=True) == set(tail.lines)
    assert tail.unwritten == 0
    assert errors or len(disk.files) == 1


def test_a_line_that_the_disk_refuses_is_written_with_the_next():
    tail, disk, errors = make([True, False, True])
    for line in lines(3):
        tail.append(line, 1)
    assert ([file.data for file in disk.files], tail.unwritten, len(errors)) == ([b"line 0\n", b"".join(lines(3))], 0, 1)


def test_a_disk_that_stays_full_is_tried_less_and_less_often():
    tried = []

    def refuse(data):
        tried.append(len(data))
        raise disk_error("creating", "new", FULL)

    disk = Disk([False])
    tail = Tail(0, File(disk), refuse, lambda _: None)
    for line in lines(5000):
        tail.append(line, 1)
    assert len(tried) < 20
    assert tail.unwritten == 5000


def test_a_full_queue_refuses_and_keeps_what_it_has(monkeypatch):
    monkeypatch.setattr(tail_module, "QUEUE_BYTES", 30)
    tail, disk, _ = make([False] * 100)
    for line in lines(4):
        tail.append(line, 1)
    with pytest.raises(DiskFull):
        tail.append(b"one more\n", 1)
    assert (tail.lines, tail.points, tail.unwritten) == (lines(4), 4, 4)
    disk.answers = iter(())
    tail.append(b"line 4\n", 1)
    assert union(disk) == set(lines(5))


def test_a_failed_fsync_is_answered_by_a_new_file_with_what_was_not_safe():
    tail, disk, errors = make([True, True, True, False])
    tail.append(lines(1)[0], 1)
    tail.sync(LOCK)
    tail.append(lines(1, 1)[0], 1)
    tail.sync(LOCK)
    assert [(file.data, file.durable) for file in disk.files] == [(b"line 0\nline 1\n", 7), (b"line 1\n", 7)]
    assert [error.errno for error in errors] == [errno.EIO]


def test_a_line_that_an_interrupt_kept_from_the_file_is_written_by_the_next_sync():
    tail, disk, _ = make()
    tail.append(lines(1)[0], 1)
    tail.lines.append(b"line 1\n")
    tail.append(b"line 2\n", 1)
    tail.sync(LOCK)
    assert union(disk, durable=True) == set(lines(3))


def test_nothing_new_needs_no_fsync():
    tail, disk, _ = make([True, True])
    tail.append(b"line 0\n", 1)
    tail.sync(LOCK)
    disk.answers = iter([False])
    tail.sync(LOCK)
    assert len(disk.files) == 1


def test_lines_that_come_while_a_new_file_is_written_follow_into_it():
    tail, disk, _ = make([False])
    tail.append(b"line 0\n", 1)

    def write_new(data):
        tail._write_new = disk.new
        tail.lines.append(b"line 1\n")
        return disk.new(data)

    tail._write_new = write_new
    tail.sync(LOCK)
    assert disk.files[-1].data == b"line 0\nline 1\n"


def test_removing_takes_every_file_away(tmp_path):
    paths = iter(tmp_path / f"tail-{number}" for number in range(2, 9))

    def write_new(data):
        path = next(paths)
        path.write_bytes(data)
        return files.AppendFile.open(path, create=False)

    tail = Tail(0, files.AppendFile.open(tmp_path / "tail-1", create=True), write_new, lambda _: None)
    tail.append(b"line 0\n", 1)
    tail._renew(LOCK)
    assert len(list(tmp_path.iterdir())) == 2
    tail.remove()
    assert list(tmp_path.iterdir()) == []
