import errno
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk.lines import encode_line
from onyxstore.errors import CorruptFile, DiskError
from onyxstore.hashing import address_of, short
from onyxstore.history.metrics.line import encode_record
from onyxstore.history.metrics.log import read_log
from onyxstore.history.metrics.prefix import LogPrefix
from onyxstore.history.metrics.sealed import Sealed, encode_log_id, encode_sealed
from onyxstore.history.metrics.segments import encode_segment
from tests.history.metrics.conftest import LOG
from tests.history.metrics.records_strategy import RECORDS, points, same

RECORDS_OF_RUN = points(*[0.5, 0.25, 0.125, float("nan"), 2**70, True])


def lines_of(records, first=0):
    return [encode_line(encode_record(position, record)) for position, record in enumerate(records, first)]


def make(run, tails, segments=b""):
    """A log's files as they may lie on disk."""
    run.path.mkdir(parents=True, exist_ok=True)
    run.path.joinpath("segments").write_bytes(encode_log_id(LOG) + segments)
    for name, data in tails.items():
        run.path.joinpath(name).write_bytes(data)


def sealed(run, first, records):
    """The list's line of a segment that was put."""
    address = run.objects.put(encode_segment(LOG, first, records))
    return encode_sealed(Sealed(address, first, len(records), len(records)))


def seen(log):
    return (log.position, same(log.records()), log.damage)


def test_where_nothing_was_logged_the_log_is_empty(run):
    log = run.read()
    assert (log.id, log.notes, *seen(log)) == ("", (), 0, [], ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
@given(st.lists(RECORDS, min_size=1, max_size=9), st.data())
def test_it_reads_the_same_wherever_the_records_lie(run, records, data):
    first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(records))] * 2)))
    segments = sealed(run, 0, records[:first]) if first else b""
    lines = lines_of(records)
    make(run, {"tail-000004": b"".join(lines[:second]), "tail-000005": b"".join(lines[second:])}, segments)
    log = run.read()
    assert (log.id, log.notes, *seen(log)) == (LOG, (), len(records), same(records), ())


def test_records_can_be_asked_for_by_position(run):
    make(run, {"tail-000002": b"".join(lines_of(RECORDS_OF_RUN)[3:])}, sealed(run, 0, RECORDS_OF_RUN[:3]))
    log = run.read()
    assert [same(log.records(start, end)) for start in range(7) for end in range(7)] == [
        same(RECORDS_OF_RUN[start:end]) for start in range(7) for end in range(7)
    ]


def test_a_tail_cut_at_any_byte_keeps_every_whole_line(run):
    lines = lines_of(RECORDS_OF_RUN)
    whole = b"".join(lines)
    for cut in range(len(whole) + 1):
        make(run, {"tail-000001": whole[:cut]})
        count = whole[:cut].count(b"\n")
        torn = cut - sum(map(len, lines[:count]))
        log = run.read()
        notes = (f"tail-000001: {torn} bytes of an unfinished line at the end",) if torn else ()
        assert (log.notes, *seen(log)) == (notes, count, same(RECORDS_OF_RUN[:count]), ())


def test_zeros_at_the_end_are_an_unfinished_line(run):
    lines = lines_of(RECORDS_OF_RUN)
    for count in range(len(lines) + 1):
        make(run, {"tail-000001": b"".join(lines[:count]) + b"".join(lines[count:])[:5] + bytes(4096)})
        assert seen(run.read()) == (count, same(RECORDS_OF_RUN[:count]), ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_a_flipped_byte_loses_the_records_of_its_line_and_says_so(run, data):
    whole = bytearray(b"".join(lines_of(RECORDS_OF_RUN)))
    at = data.draw(st.integers(0, len(whole) - 2))
    whole[at] ^= data.draw(st.integers(1, 255))
    make(run, {"tail-000001": bytes(whole)})
    log = run.read()
    hit = bytes(b"".join(lines_of(RECORDS_OF_RUN)))[:at].count(b"\n")
    kept = same(log.records())
    # A flipped newline joins two lines. At the end nothing says how many a damaged stretch was: a joined pair counts as one there, and
    # a last line that was split in two counts as two.
    assert kept in (same(RECORDS_OF_RUN[:hit] + RECORDS_OF_RUN[hit + 1 :]), same(RECORDS_OF_RUN[:hit] + RECORDS_OF_RUN[hit + 2 :]))
    assert len(log.damage) == 1
    assert abs(log.position - len(RECORDS_OF_RUN)) <= 1
    assert log.damaged_tails == ("tail-000001",)


def test_a_page_of_zeros_in_the_middle_loses_its_records_and_says_which(run):
    lines = lines_of(points(*range(20)))
    start = sum(map(len, lines[:5])) + 3
    whole = b"".join(lines)
    make(run, {"tail-000001": whole[:start] + bytes(300) + whole[start + 300 :]})
    log = run.read()
    lost = next(count for count in range(20) if sum(map(len, lines[: 5 + count])) >= start + 300)
    assert (log.position, log.damage) == (20, (f"records 5 to {4 + lost} are lost",))
    assert same(log.records()) == same(points(*range(5)) + points(*range(5 + lost, 20), start=5 + lost))


def test_a_whole_line_that_is_no_record_is_damage(run):
    lines = lines_of(RECORDS_OF_RUN)
    lines[2] = encode_line(b'{"position":2}')
    make(run, {"tail-000001": b"".join(lines)})
    log = run.read()
    assert (log.position, log.damage, len(log.notes)) == (6, ("record 2 is lost",), 1)


def test_a_record_that_stands_in_two_files_counts_once(run):
    lines = lines_of(RECORDS_OF_RUN)
    make(run, {"tail-000001": b"".join(lines[:4]), "tail-000002": b"".join(lines[2:])}, sealed(run, 0, RECORDS_OF_RUN[:1]))
    assert seen(run.read()) == (6, same(RECORDS_OF_RUN), ())


def test_damage_in_a_file_whose_records_stand_elsewhere_is_a_note(run):
    lines = lines_of(RECORDS_OF_RUN)
    make(run, {"tail-000001": lines[0] + b"rubbish\n" + lines[2], "tail-000002": b"".join(lines[1:])})
    log = run.read()
    assert (log.notes, *seen(log)) == ((f"tail-000001: 8 damaged bytes at {len(lines[0])}",), 6, same(RECORDS_OF_RUN), ())


def test_a_missing_segment_loses_only_itself(run):
    parts = [points(1.0, 2.0), points(3.0, start=2), points(4.0, start=3)]
    lines = [sealed(run, first, records) for first, records in zip((0, 2, 3), parts, strict=True)]
    make(run, {"tail-000004": b"".join(lines_of(points(5.0, start=4), 4))}, b"".join(lines))
    gone = address_of(encode_segment(LOG, 2, parts[1]))
    del run.objects.held[gone]
    log = run.read()
    assert (log.position, same(log.records())) == (5, same([*parts[0], *parts[2], *points(5.0, start=4)]))
    assert log.damage == (f"record 2 is lost: the store does not hold {short(gone)}",)


@pytest.mark.parametrize("data", [b"no segment", encode_segment("f" * 32, 0, points(1.0)), encode_segment(LOG, 1, points(1.0))])
def test_an_object_that_is_another_segment_or_none_is_damage(run, data):
    make(run, {}, encode_sealed(Sealed(run.objects.put(data), 0, 1, 1)) + sealed(run, 1, points(2.0, start=1)))
    log = run.read()
    assert (same(log.records()), len(log.damage)) == (same(points(2.0, start=1)), 1)


def test_a_segment_on_a_bad_sector_is_damage_and_one_that_may_not_be_read_now_an_error(run):
    make(run, {}, sealed(run, 0, points(1.0)))

    def log(number):
        def get(_):
            raise DiskError("reading", "object", number)

        return read_log(run.path, get)

    assert log(errno.EIO).damage == ("record 0 is lost: reading it failed: Input/output error",)
    with pytest.raises(DiskError):
        list(log(errno.EACCES).records())


def test_a_gap_between_segments_is_said(run):
    make(run, {}, sealed(run, 0, points(1.0)) + sealed(run, 5, points(2.0)))
    assert (run.read().position, run.read().damage) == (6, ("records 1 to 4 are lost",))


def test_a_damaged_list_of_segments_is_said_and_the_rest_read(run):
    make(run, {"tail-000001": b"".join(lines_of(RECORDS_OF_RUN))}, b"rubbish\n")
    log = run.read()
    assert (log.id, log.damage, len(list(log.records()))) == (LOG, ("the list of segments is damaged: 1 of its lines cannot be read",), 6)
    run.path.joinpath("segments").unlink()
    log = run.read()
    assert (log.id, log.damage, len(list(log.records()))) == ("", ("the list of segments is missing",), 6)


def test_a_prefix_is_found_again_wherever_its_records_lie(run):
    writer = run.open()
    writer.append_many(RECORDS_OF_RUN)
    prefixes = [writer.prefix_at(position) for position in range(7)]
    before = [run.read().verify(prefix) for prefix in prefixes]
    writer.seal()
    writer.append_many(points(9.0))
    after = [run.read().verify(prefix) for prefix in prefixes]
    assert before + after == [True] * 14


def test_a_prefix_of_another_log_or_content_is_not_found(run):
    make(run, {"tail-000001": b"".join(lines_of(RECORDS_OF_RUN))})
    log = run.read()
    found = LogPrefix(LOG, 0, address_of(b""))
    others = [LogPrefix("f" * 32, 0, found.hash), *(LogPrefix(LOG, position, found.hash) for position in (1, 7, -1))]
    assert [log.verify(prefix) for prefix in (found, *others)] == [True] + [False] * 4


def test_a_link_in_the_place_of_a_tail_is_not_followed(run, tmp_path):
    make(run, {})
    tmp_path.joinpath("elsewhere").write_bytes(b"".join(lines_of(RECORDS_OF_RUN)))
    run.path.joinpath("tail-000001").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptFile):
        run.read()


def test_other_files_of_the_run_are_not_the_logs(run):
    make(run, {"state": b"x", "lock": b"", "tail-1": b"x", "tail-000001.bak": b"x", "damaged-000001": b"x\n"})
    assert seen(run.read()) == (0, [], ())


def test_readers_see_every_record_that_was_there_while_a_writer_seals(run):
    writer = run.open()
    acknowledged, failures, done = [0], [], threading.Event()

    def read():
        while not done.is_set():
            least = acknowledged[0]
            log = run.read()
            steps = [record.step for record in log.records()]
            if log.position < least or steps != list(range(log.position)) or log.damage:
                failures.append((least, log.position, log.damage))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for round_ in range(60):
        for step in range(round_ * 5, round_ * 5 + 5):
            acknowledged[0] = writer.append_points({"loss": 0.5}, step, None, step)
        writer.seal()
    writer.close()
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert run.read().position == 300
