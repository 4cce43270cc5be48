import errno
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk import files
from onyxstore.disk.linefile import LARGEST_LINE, append_values, read_log, read_value, read_values, replace_value
from onyxstore.disk.lines import Lines, encode_line
from onyxstore.errors import CorruptFile, DiskError

VALUES = [{"a": 1}, [None, True, 1.5], "text\nwith a newline"]


@pytest.fixture
def log(tmp_path):
    append_values(tmp_path / "log", VALUES)
    return tmp_path / "log"


def test_a_value_is_one_line_of_canonical_json(tmp_path):
    replace_value(tmp_path / "tmp", tmp_path / "file", {"b": 1, "a": "\n"})
    assert (tmp_path / "file").read_bytes() == encode_line(b'{"a":"\\n","b":1}')


def test_a_replaced_value_is_the_new_one(tmp_path):
    replace_value(tmp_path / "tmp", tmp_path / "file", 1)
    replace_value(tmp_path / "tmp", tmp_path / "file", 2)
    assert read_value(tmp_path / "file") == 2


def test_a_missing_value_is_an_absence(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_value(tmp_path / "file")


def test_a_value_with_any_bit_flipped_is_damaged(tmp_path):
    whole = encode_line(b'{"commit":"ab"}')
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            (tmp_path / "file").write_bytes(damaged)
            with pytest.raises(CorruptFile, match="file is damaged"):
                read_value(tmp_path / "file")


def test_a_value_cut_anywhere_before_its_newline_is_damaged(tmp_path):
    whole = encode_line(b'{"commit":"ab"}')
    for cut in range(len(whole) - 1):
        (tmp_path / "file").write_bytes(whole[:cut])
        with pytest.raises(CorruptFile):
            read_value(tmp_path / "file")


@pytest.mark.parametrize("payload", [b"{", b'{"a":1,"a":2}', b"NaN", b"1 2", b"\xff", b"[" * 5000])
def test_a_checked_line_that_holds_no_value_is_damaged(tmp_path, payload):
    (tmp_path / "file").write_bytes(encode_line(payload))
    with pytest.raises(CorruptFile):
        read_value(tmp_path / "file")


def test_a_value_of_an_absurd_size_is_not_read(tmp_path):
    with (tmp_path / "file").open("wb") as sparse:
        sparse.truncate(LARGEST_LINE + 1)
    with pytest.raises(CorruptFile, match="16777217 bytes"):
        read_value(tmp_path / "file")


def test_a_log_gives_its_values_in_order_and_none_when_there_is_no_file(tmp_path, log):
    append_values(log, ["more"])
    assert (read_values(log), read_values(tmp_path / "other")) == ([*VALUES, "more"], [])


def test_several_values_are_one_write(tmp_path, monkeypatch):
    written = []
    write = os.write
    monkeypatch.setattr(files.os, "write", lambda fd, data: written.append(bytes(data)) or write(fd, data))
    append_values(tmp_path / "log", VALUES)
    assert written == [(tmp_path / "log").read_bytes()]


def test_nothing_to_append_makes_no_file(tmp_path):
    append_values(tmp_path / "log", [])
    assert not (tmp_path / "log").exists()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(torn=st.one_of(st.binary(max_size=30), st.binary(max_size=30).map(lambda data: bytes(9000) + data)))
def test_a_torn_end_is_cut_before_a_value_is_added(log, torn):
    torn = torn.replace(b"\n", b"")
    whole = log.read_bytes()
    log.write_bytes(whole + torn)
    append_values(log, [7])
    assert log.read_bytes() == whole + encode_line(b"7")
    log.write_bytes(whole)


def test_a_log_of_nothing_but_a_torn_line_begins_anew(tmp_path):
    (tmp_path / "log").write_bytes(b"0123")
    append_values(tmp_path / "log", [1])
    assert read_log(tmp_path / "log") == Lines([b"1"], [], 0, 0)


def test_damage_in_the_middle_stays_where_it_is_and_costs_one_value(log):
    text = log.read_bytes().replace(b"1.5", b"1.6")
    log.write_bytes(text)
    append_values(log, [1])
    assert log.read_bytes() == text + encode_line(b"1")
    assert read_values(log) == [VALUES[0], VALUES[2], 1]


def test_a_checked_line_that_holds_no_value_is_left_out(log):
    with log.open("ab") as opened:
        opened.write(encode_line(b"no json"))
    assert read_values(log) == VALUES


def test_appending_to_a_long_log_reads_only_its_end(tmp_path, monkeypatch):
    (tmp_path / "log").write_bytes(encode_line(b'"%s"' % (b"x" * 200)) * 5000)
    asked = []
    pread = os.pread
    monkeypatch.setattr(files.os, "pread", lambda fd, size, offset: asked.append(size) or pread(fd, size, offset))
    append_values(tmp_path / "log", [1])
    assert sum(asked) <= 4096


@pytest.mark.parametrize(("call", "number"), [("write", errno.ENOSPC), ("fsync", errno.EIO)])
def test_a_value_that_could_not_be_written_or_synced_is_not_in_the_log(log, monkeypatch, call, number):
    before = log.read_bytes()

    def fail(*_):
        raise OSError(number, os.strerror(number))

    files.make_folder(log.parent)
    monkeypatch.setattr(files, "sync_folder", lambda _: None)
    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(DiskError) as caught:
        append_values(log, [1])
    assert (caught.value.errno, caught.value.file, log.read_bytes()) == (number, str(log), before)
