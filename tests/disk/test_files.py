import errno
import inspect
import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk import files
from onyxstore.errors import CorruptFile, DiskError, DiskFull, ReadOnly


@pytest.fixture
def tmp(tmp_path):
    return tmp_path / "tmp"


@pytest.fixture
def calls(monkeypatch):
    """The calls that decide what survives a power cut, in order: what was done, and to which inode or name."""
    made = []
    fsync, link, rename = os.fsync, os.link, os.rename
    monkeypatch.setattr(files.os, "fsync", lambda fd: made.append(("sync", os.fstat(fd).st_ino)) or fsync(fd))
    monkeypatch.setattr(files.os, "link", lambda old, new: made.append(("link", new)) or link(old, new))
    monkeypatch.setattr(files.os, "rename", lambda old, new: made.append(("rename", new)) or rename(old, new))
    return made


def failing(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


def inode(path):
    return path.lstat().st_ino


# ------------------------------------------------------------------------------------------------------------- reading


def test_a_file_of_the_limit_is_read_and_one_byte_more_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert files.read_bounded(tmp_path / "file", 5) == b"12345"
    with pytest.raises(CorruptFile, match="it has 5 bytes where 4 is the most"):
        files.read_bounded(tmp_path / "file", 4)


@pytest.mark.parametrize("missing", ["none", "file/none"])
def test_what_is_not_there_is_an_absence_also_below_a_file(tmp_path, missing):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileNotFoundError) as caught:
        files.open_read(tmp_path / missing)
    assert not isinstance(caught.value, DiskError)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.symlink_to("/etc/hostname"), "it is a symbolic link"),
        (os.mkfifo, "it is no regular file"),
        (Path.mkdir, "it is no regular file"),
    ],
)
def test_a_link_a_fifo_and_a_folder_are_no_file_and_hang_nobody(tmp_path, make, why):
    make(tmp_path / "odd")
    with pytest.raises(CorruptFile) as caught:
        files.read_bounded(tmp_path / "odd", 100)
    assert caught.value.why == why


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=50), offset=st.integers(0, 60), size=st.integers(0, 60), most=st.integers(1, 7))
def test_short_reads_are_continued(tmp_path, data, offset, size, most):
    (tmp_path / "file").write_bytes(data)
    pread = os.pread
    fd = files.open_read(tmp_path / "file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.os, "pread", lambda fd, size, offset: pread(fd, min(size, most), offset))
        assert files.read_at(fd, offset, size) == data[offset : offset + size]
    files.close(fd)


def test_an_error_while_reading_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")
    fd = files.open_read(tmp_path / "file")
    monkeypatch.setattr(files.os, "pread", failing(errno.EIO))
    with pytest.raises(DiskError, match="Input/output error") as caught:
        files.read_at(fd, 0, 1)
    files.close(fd)
    assert (caught.value.action, caught.value.errno) == ("reading", errno.EIO)
    assert caught.value.file in {str(tmp_path / "file"), f"descriptor {fd}"}


def test_a_folder_is_listed_in_order_and_what_is_none_holds_nothing(tmp_path):
    for name in ("b", "a", "C"):
        (tmp_path / name).write_bytes(b"")
    assert [files.list_folder(path) for path in (tmp_path, tmp_path / "none", tmp_path / "a")] == [["C", "a", "b"], [], []]


def test_no_link_is_followed_out_of_the_store(tmp_path):
    outside, store = tmp_path / "outside", tmp_path / "store"
    (outside / "folder").mkdir(parents=True)
    (outside / "folder" / "precious").write_bytes(b"x")
    store.mkdir()
    (store / "link").symlink_to(outside)
    assert list(files.walk_files(store)) == [store / "link"]
    for follow in (files.list_folder, files.make_folder, files.remove_folder):
        with pytest.raises(CorruptFile):
            follow(store / "link")
    files.remove_folder(store)
    assert (outside / "folder" / "precious").read_bytes() == b"x"


def test_folders_deeper_than_python_calls_are_walked(tmp_path):
    folder = tmp_path.joinpath(*"d" * 200)
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        found = list(files.walk_files(tmp_path))
    finally:
        sys.setrecursionlimit(limit)
    assert found == [folder / "file"]


# ----------------------------------------------------------------------------------------------------------- appending


def test_an_append_is_one_write(tmp_path, monkeypatch):
    file = files.AppendFile.open(tmp_path / "log", create=True)
    written = []
    write = os.write
    monkeypatch.setattr(files.os, "write", lambda fd, data: written.append(data) or write(fd, data))
    file.append(b"one\n")
    file.append(b"two\n")
    file.close()
    assert (written, file.size, file.path.read_bytes()) == ([b"one\n", b"two\n"], 8, b"one\ntwo\n")


def test_a_short_write_is_continued(tmp_path, monkeypatch):
    file = files.AppendFile.open(tmp_path / "log", create=True)
    write = os.write
    monkeypatch.setattr(files.os, "write", lambda fd, data: write(fd, data[:3]))
    file.append(b"0123456789\n")
    file.close()
    assert (file.path.read_bytes(), file.size) == (b"0123456789\n", 11)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG])
def test_an_append_that_fails_midway_leaves_the_file_as_it_was(tmp_path, monkeypatch, number):
    file = files.AppendFile.open(tmp_path / "log", create=True)
    file.append(b"whole\n")
    write, left = os.write, [4]
    monkeypatch.setattr(files.os, "write", lambda fd, data: write(fd, data[: left.pop()]) if left else failing(number)())
    with pytest.raises(DiskError) as caught:
        file.append(b"never whole\n")
    monkeypatch.undo()
    assert (caught.value.errno, file.size, file.path.read_bytes()) == (number, 6, b"whole\n")
    file.append(b"again\n")
    file.close()
    assert file.path.read_bytes() == b"whole\nagain\n"


def test_a_full_quota_is_a_full_disk(tmp_path, monkeypatch):
    file = files.AppendFile.open(tmp_path / "log", create=True)
    monkeypatch.setattr(files.os, "write", failing(errno.EDQUOT))
    with pytest.raises(DiskFull, match="free some space"):
        file.append(b"x")
    file.close()


def test_a_new_log_s_name_is_on_disk_before_its_first_line(tmp_path, calls):
    file = files.AppendFile.open(tmp_path / "new" / "log", create=True)
    file.close()
    assert calls == [("sync", inode(tmp_path)), ("sync", inode(tmp_path / "new"))]


def test_a_log_is_made_only_when_that_is_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.AppendFile.open(tmp_path / "log", create=False)
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("elsewhere"), os.mkfifo, Path.mkdir])
def test_nothing_is_appended_to_a_link_a_fifo_or_a_folder(tmp_path, make):
    make(tmp_path / "log")
    with pytest.raises((CorruptFile, DiskError)):
        files.AppendFile.open(tmp_path / "log", create=True)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("call", "method", "action"), [("fsync", "sync", "syncing"), ("close", "close", "closing")])
def test_a_failed_sync_or_close_of_a_log_is_an_error(tmp_path, monkeypatch, call, method, action):
    file = files.AppendFile.open(tmp_path / "log", create=True)
    fd, close = file._fd, os.close
    monkeypatch.setattr(files.os, call, failing(errno.EIO))
    with pytest.raises(DiskError) as caught:
        getattr(file, method)()
    assert (caught.value.action, caught.value.errno) == (action, errno.EIO)
    close(fd)


def test_a_closed_log_is_closed_once_and_takes_nothing(tmp_path):
    file = files.AppendFile.open(tmp_path / "log", create=True)
    file.close()
    file.close()
    with pytest.raises(DiskError, match="Bad file descriptor"):
        file.append(b"x")


# -------------------------------------------------------------------------------------------------------- whole files


def test_a_file_is_synced_before_it_has_its_name_and_its_folder_after(tmp, tmp_path, calls):
    path = tmp_path / "a" / "file"
    files.make_folder(tmp)
    calls.clear()
    assert files.publish_bytes(tmp, path, b"x")
    assert calls == [("sync", inode(path)), ("sync", inode(tmp_path)), ("link", path), ("sync", inode(path.parent))]
    calls.clear()
    files.replace_bytes(tmp, path, b"y")
    assert calls == [("sync", inode(path)), ("rename", path), ("sync", inode(path.parent))]


def test_publishing_never_overwrites_and_is_durable_all_the_same(tmp, tmp_path, calls):
    path = tmp_path / "file"
    first = files.publish_bytes(tmp, path, b"first")
    calls.clear()
    assert (first, files.publish_bytes(tmp, path, b"second"), path.read_bytes()) == (True, False, b"first")
    assert calls[-1] == ("sync", inode(tmp_path))
    assert files.list_folder(tmp) == []


def test_of_many_who_publish_one_name_at_once_one_succeeds(tmp, tmp_path):
    barrier, answers = threading.Barrier(8), []

    def publish(number):
        barrier.wait()
        answers.append((files.publish_bytes(tmp, tmp_path / "new" / "file", b"%d" % number), b"%d" % number))

    threads = [threading.Thread(target=publish, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [data for fresh, data in answers if fresh] == [(tmp_path / "new" / "file").read_bytes()]
    assert len(answers) == 8


def test_a_reader_sees_the_old_or_the_new_file_never_a_part(tmp, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_sync", lambda _: None)
    path, stop, torn = tmp_path / "file", threading.Event(), []
    contents = [bytes([number]) * 50_000 for number in range(2)]
    files.replace_bytes(tmp, path, contents[0])

    def read():
        while not stop.is_set():
            data = files.read_bounded(path, 1 << 20)
            if data not in contents:
                torn.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        files.replace_bytes(tmp, path, contents[number % 2])
    stop.set()
    reader.join()
    assert torn == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.binary(max_size=9), max_size=30), most=st.integers(1, 12), vector=st.integers(1, 5))
def test_parts_follow_each_other_however_short_the_writes(tmp, parts, most, vector):
    def short(fd, views):
        return os.write(fd, b"".join(views)[:most])

    with pytest.MonkeyPatch.context() as patch, files.stage(tmp) as staged:
        patch.setattr(files.os, "writev", short)
        patch.setattr(files, "_WRITEV_PARTS", vector)
        staged.write_all([bytearray(part) if len(part) % 2 else memoryview(part) for part in parts])
        assert (staged.path.read_bytes(), staged.offset) == (b"".join(parts), sum(map(len, parts)))


def test_more_parts_than_the_system_takes_at_once_are_written(tmp):
    parts = [b"%d," % number for number in range(3000)]
    with files.stage(tmp) as staged:
        staged.write_all(parts)
        assert staged.path.read_bytes() == b"".join(parts)


def test_a_short_write_of_a_whole_file_is_continued(tmp, tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(files.os, "write", lambda fd, view: write(fd, view[:7]))
    files.publish_bytes(tmp, tmp_path / "file", bytes(range(100)))
    assert (tmp_path / "file").read_bytes() == bytes(range(100))


@pytest.mark.parametrize(
    ("call", "action"),
    [("write", "writing"), ("fsync", "syncing"), ("link", "publishing"), ("rename", "replacing")],
)
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.ESTALE])
def test_a_call_that_fails_is_a_typed_error_and_leaves_no_trace(tmp, tmp_path, monkeypatch, call, action, number):
    path = tmp_path / "file"
    files.make_folder(tmp)
    if call == "rename":
        path.write_bytes(b"old")
    monkeypatch.setattr(files.os, call, failing(number))
    with pytest.raises(DiskError) as caught:
        (files.replace_bytes if call == "rename" else files.publish_bytes)(tmp, path, b"new")
    kind = {errno.ENOSPC: DiskFull, errno.EROFS: ReadOnly}.get(number, DiskError)
    assert (type(caught.value), caught.value.action, caught.value.errno) == (kind, action, number)
    assert files.list_folder(tmp) == []
    assert files.list_folder(tmp_path) == (["file", "tmp"] if call == "rename" else ["tmp"])


def test_an_error_that_comes_only_on_closing_is_not_lost(tmp, tmp_path, monkeypatch):
    files.make_folder(tmp)
    close = os.close

    def late(fd):
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        close(fd)
        if regular:
            raise OSError(errno.EDQUOT, "")

    monkeypatch.setattr(files.os, "close", late)
    with pytest.raises(DiskFull):
        files.publish_bytes(tmp, tmp_path / "file", b"x")
    assert (files.list_folder(tmp_path), files.list_folder(tmp)) == (["tmp"], [])


def test_what_is_staged_and_not_published_is_gone(tmp):
    with pytest.raises(ZeroDivisionError), files.stage(tmp) as staged:  # noqa: PT012 - it is about what is left
        staged.write(b"x")
        raise ZeroDivisionError
    assert files.list_folder(tmp) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
def test_where_there_are_no_links_a_file_is_renamed_but_never_over_another(tmp, tmp_path, monkeypatch, number):
    monkeypatch.setattr(files.os, "link", failing(number))
    path = tmp_path / "file"
    assert [files.publish_bytes(tmp, path, b"first"), files.publish_bytes(tmp, path, b"second")] == [True, False]
    assert (path.read_bytes(), files.list_folder(tmp)) == (b"first", [])


# --------------------------------------------------------------------------------------------------- folders and names


def test_every_new_folder_s_parent_is_synced_also_when_another_process_made_the_folder(tmp_path, calls):
    (tmp_path / "a").mkdir()
    files.make_folder(tmp_path / "a" / "b" / "c")
    files.make_folder(tmp_path / "a")
    assert calls == [("sync", inode(path)) for path in (tmp_path / "a", tmp_path / "a" / "b", tmp_path)]
    calls.clear()
    files.make_folder(tmp_path / "a" / "b" / "c")
    assert calls == []


def test_a_folder_that_was_removed_is_made_again(tmp_path, calls):
    for remove in (files.remove_folder, Path.rmdir):
        files.make_folder(tmp_path / "a")
        remove(tmp_path / "a")
        calls.clear()
        files.make_folder(tmp_path / "a")
        assert (tmp_path / "a").is_dir()
        assert calls == [("sync", inode(tmp_path))]


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("."), lambda path: path.symlink_to("nowhere")])
def test_what_should_be_a_folder_and_is_none_is_damage(tmp_path, make):
    make(tmp_path / "odd")
    with pytest.raises(CorruptFile, match="odd is damaged: it should be a folder"):
        files.make_folder(tmp_path / "odd")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_filesystem_that_cannot_sync_folders_is_accepted(tmp_path, monkeypatch, number):
    monkeypatch.setattr(files.os, "fsync", failing(number))
    files.sync_folder(tmp_path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EBADF])
def test_a_folder_that_fails_to_sync_is_an_error(tmp_path, monkeypatch, number):
    monkeypatch.setattr(files.os, "fsync", failing(number))
    with pytest.raises(DiskError) as caught:
        files.sync_folder(tmp_path)
    assert (caught.value.action, caught.value.file, caught.value.errno) == ("syncing", str(tmp_path), number)


@pytest.mark.parametrize(("number", "answer"), [(errno.ENOTSUP, "synced"), (errno.ENOTTY, "synced"), (errno.EIO, "failed")])
def test_on_macos_only_a_missing_call_falls_back_to_the_weaker_sync(tmp_path, monkeypatch, calls, number, answer):
    monkeypatch.setattr(files.sys, "platform", "darwin")
    monkeypatch.setattr(files.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(files.fcntl, "fcntl", failing(number))
    try:
        files.sync_folder(tmp_path)
    except DiskError:
        assert (answer, calls) == ("failed", [])
    else:
        assert (answer, calls) == ("synced", [("sync", inode(tmp_path))])


def test_a_move_is_on_disk_in_both_folders(tmp_path, calls):
    old, new = tmp_path / "a" / "file", tmp_path / "b" / "file"
    files.publish_bytes(tmp_path / "tmp", old, b"x")
    calls.clear()
    files.rename(old, new)
    assert calls == [("sync", inode(tmp_path)), ("rename", new), ("sync", inode(new.parent)), ("sync", inode(old.parent))]
    assert (old.exists(), new.read_bytes()) == (False, b"x")


def test_removing_says_whether_there_was_something(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert [files.remove(tmp_path / "file"), files.remove(tmp_path / "file")] == [True, False]
    files.remove_folder(tmp_path / "none")


def test_a_folder_can_be_made_while_another_is_removed(tmp_path):
    class Interrupting(str):
        """A name at which another thread comes in and makes a folder."""

        __slots__ = ()

        def startswith(self, *_):
            files.make_folder(tmp_path / "made")
            return True

    files._lasting_folders.add(Interrupting("anything"))
    files.remove_folder(tmp_path / "none")
    assert str(tmp_path / "made") in files._lasting_folders
    assert "anything" not in files._lasting_folders


def test_the_clock_is_that_of_the_files(tmp, tmp_path):
    (tmp_path / "before").write_bytes(b"")
    now = files.clock(tmp)
    (tmp_path / "after").write_bytes(b"")
    assert files.modified(tmp_path / "before") <= now <= files.modified(tmp_path / "after")
    assert files.list_folder(tmp) == []


# --------------------------------------------------------------------------------------------------------- real disks


def test_a_disk_that_is_full_takes_no_part_of_a_file(small_disk):
    with pytest.raises(DiskFull, match="No space left on device; free some space"):
        files.publish_bytes(small_disk / "tmp", small_disk / "file", bytes(100_000))
    assert (files.list_folder(small_disk), files.list_folder(small_disk / "tmp")) == (["tmp"], [])
    assert files.publish_bytes(small_disk / "tmp", small_disk / "file", bytes(1000))


def test_a_log_on_a_full_disk_keeps_whole_lines_and_goes_on_when_there_is_room(small_disk):
    (small_disk / "ballast").write_bytes(bytes(20_000))
    file = files.AppendFile.open(small_disk / "log", create=True)
    line, count = b"x" * 2999 + b"\n", 0
    with pytest.raises(DiskFull):  # noqa: PT012 - which of them fails, the filesystem knows
        while True:
            file.append(line)
            count += 1
    assert count > 3
    assert file.path.read_bytes() == line * count
    (small_disk / "ballast").unlink()
    file.append(line)
    file.close()
    assert file.path.read_bytes() == line * (count + 1)


def test_a_filesystem_mounted_read_only_is_read_and_says_so_when_written(small_disk):
    files.publish_bytes(small_disk / "tmp", small_disk / "file", b"x")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert (files.read_bounded(small_disk / "file", 9), files.list_folder(small_disk)) == (b"x", ["file", "tmp"])
    files.make_folder(small_disk / "tmp")
    for write in (
        lambda: files.publish_bytes(small_disk / "tmp", small_disk / "new", b"y"),
        lambda: files.make_folder(small_disk / "folder"),
        lambda: files.AppendFile.open(small_disk / "log", create=True),
        lambda: files.remove(small_disk / "file"),
        lambda: files.open_lock(small_disk / "lock"),
    ):
        with pytest.raises(ReadOnly, match="Read-only file system; reading works"):
            write()
    files.close(files.open_lock(small_disk / "file"))


DENIED = """
import sys
from pathlib import Path
from onyxstore.disk import files
from onyxstore.errors import DiskError
folder = Path(sys.argv[1])
for act in (
    lambda: files.read_bounded(folder / "secret", 9),
    lambda: files.list_folder(folder / "closed"),
    lambda: files.read_bounded(folder / "closed" / "file", 9),
    lambda: list(files.walk_files(folder / "open")),
    lambda: files.make_folder(folder / "closed" / "a" / "b"),
    lambda: files.make_folder(folder / "new"),
    lambda: files.AppendFile.open(folder / "readable", create=True),
    lambda: files.replace_bytes(folder, folder / "readable", b"x"),
    lambda: files.open_lock(folder / "lock"),
    lambda: files.read_bounded(folder / "readable", 9),
    lambda: files.close(files.open_lock(folder / "readable")),
):
    try:
        print(act())
    except DiskError as error:
        file = Path(error.file)
        staged = file.name.startswith(f"{os.getpid()}-")
        print(type(error).__name__, error.action, (file.with_name("STAGED") if staged else file).relative_to(folder.parent))
"""


@pytest.fixture
def forbidden():
    """A folder with things in it that one may not read, list or write."""
    folder = Path(tempfile.mkdtemp(prefix="onyx-"))  # pytest's own folder lets nobody else in
    for name in ("closed/inner", "open/closed/inner"):
        (folder / name).mkdir(parents=True)
    for name in ("secret", "readable"):
        (folder / name).write_bytes(b"x")
    for path, mode in (("secret", 0), ("readable", 0o444), ("closed", 0), ("open/closed", 0o644), ("open", 0o555), (".", 0o555)):
        (folder / path).chmod(mode)
    yield folder
    for path in (".", "closed", "open", "open/closed"):
        (folder / path).chmod(0o755)
    files.remove_folder(folder)


def test_what_one_may_not_touch_is_a_typed_error_and_reading_is_no_writing(run_python, forbidden):
    name = forbidden.name
    assert run_python(DENIED, forbidden) == [
        f"DiskError reading {name}/secret",
        f"DiskError reading {name}/closed",
        f"DiskError reading {name}/closed/file",
        f"DiskError reading {name}/open/closed/inner",
        f"ReadOnly creating {name}/closed/a",
        f"ReadOnly creating {name}/new",
        f"ReadOnly opening {name}/readable",
        f"ReadOnly creating {name}/STAGED",
        f"ReadOnly opening {name}/lock",
        "b'x'",
        "None",
    ]
