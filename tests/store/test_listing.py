import os
import time

import pytest

import onyxstore as onyx
from onyxstore.disk import files
from onyxstore.store import run_reading
from onyxstore.store.index import remove_index
from onyxstore.store.listing import find_rows, list_runs
from tests.store.test_index_rows import exact


@pytest.fixture
def reads(monkeypatch):
    """The runs that were read, one after another."""
    read, read_run = [], run_reading.read_run
    monkeypatch.setattr(run_reading, "read_run", lambda doors, name, *before: (read.append(name), read_run(doors, name, *before))[1])
    return read


@pytest.fixture
def later(monkeypatch):
    """As if the clock had moved on since everything was written."""
    monkeypatch.setattr("onyxstore.store.listing._clock", lambda _: 2**63)


@pytest.fixture
def two(store):
    for name in ("a", "b"):
        with store.start_run(name, configs={"t": {"lr": 0.1}}) as run:
            run.log({"loss": 1.0}, step=0)
    return store


def names(doors):
    return [row.name for row in list_runs(doors).rows]


def listed(doors):
    """All rows as they are known, which must be as they are when everything is read afresh."""
    known = exact(list_runs(doors))
    remove_index(doors.layout)
    assert known == exact(list_runs(doors))
    return known


@pytest.mark.usefixtures("later")
def test_a_run_is_read_once(two, doors, reads):
    assert (names(doors), names(doors), reads) == (["b", "a"], ["b", "a"], ["a", "b"])
    assert exact(find_rows(doors, ["A", "nobody"])) == {"A": exact(list_runs(doors).rows[1])}


CHANGES = {
    "it goes on": lambda store: store.start_run("a", resume=True).finish(),
    "its best moves": lambda store: store.run("a").elect_best("val", "max"),
    "a note is added": lambda store: store.commit("a").add_note("good", {"acc": 1}),
    "another note is added": lambda store: store.commit("a").add_note("better"),
    "its state is damaged": lambda store: (store.folder / ".onyx/runs/a/state").write_bytes(b"noise"),
    "its refs are gone": lambda store: [path.unlink() for path in (store.folder / ".onyx/refs/runs/a").iterdir()],
    "its log is gone": lambda store: (store.folder / ".onyx/runs/a/segments").unlink(),
}


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_run_that_changed_is_read_again_and_no_other(store, doors, save, reads, change):
    for name in ("a", "b"):
        with store.start_run(name) as run:
            save(run, 1, metrics={"val": 1.0})
            save(run, 2, metrics={"val": 2.0})
    store.commit("a").add_note("first")
    list_runs(doors), reads.clear()
    change(store)
    list_runs(doors)
    assert reads == ["a"]
    listed(doors)


@pytest.mark.usefixtures("later")
def test_runs_come_and_go(two, doors, reads):
    list_runs(doors), reads.clear()
    two.run("a").remove()
    with two.start_run("c"):
        pass
    assert (names(doors), reads, names(doors)) == (["c", "b"], ["c"], ["c", "b"])


@pytest.mark.usefixtures("later")
def test_a_new_run_of_an_old_name_is_another_run(two, doors):
    list_runs(doors)
    two.run("a").remove()
    with two.start_run("a") as run:
        run.log({"other": 5}, step=0)
    assert [list(row.curves) for row in list_runs(doors).rows] == [["other"], ["loss"]]


@pytest.mark.usefixtures("later")
def test_a_copy_of_a_store_is_read_for_itself(two, doors, reads, tmp_path):
    list_runs(doors), reads.clear()
    copy = tmp_path / "copy"
    os.system(f"cp -a {two.folder / '.onyx'} {copy.with_suffix('')}")  # noqa: S605 - with all its times, which shutil leaves out
    copied = onyx.Store(onyx.store.doors.open_doors(copy))._doors
    assert (names(copied), reads) == (["b", "a"], ["a", "b"])


def test_what_was_written_just_now_is_read_again_since_it_might_still_change(two, doors, reads, monkeypatch):
    youngest = max(files.stamp(str(path))[0] for path in doors.layout.runs.iterdir())
    monkeypatch.setattr("onyxstore.store.listing._clock", lambda _: youngest)
    assert (names(doors), names(doors), reads) == (["b", "a"], ["b", "a"], ["a", "b", "b"])
    monkeypatch.setattr("onyxstore.store.listing._clock", lambda _: youngest + 1)
    assert (names(doors), names(doors), reads[3:]) == (["b", "a"], ["b", "a"], ["b"])


def test_the_clock_is_that_of_the_files(two, doors, reads, until):
    until(lambda: files.clock(doors.layout.tmp) > max(files.stamp(str(path))[0] for path in doors.layout.runs.iterdir()))
    assert (names(doors), names(doors), reads) == (["b", "a"], ["b", "a"], ["a", "b"])


@pytest.mark.usefixtures("later")
def test_settings_say_what_runs_follow_that_name_nothing(two, doors):
    list_runs(doors)
    (two.folder / ".onyx" / "settings.yaml").write_text("best_metric: loss\nbest_mode: max\n")
    again = onyx.Store.open(two.folder)._doors
    assert [(row.best_metric, row.best_mode) for row in list_runs(again).rows] == [("loss", "max")] * 2


# ------------------------------------------------------------------------------------------------------------- live runs


@pytest.mark.usefixtures("later")
def test_a_live_run_is_seen_to_go_on_without_being_read_again(store, doors, reads):
    run = store.start_run("live")
    run.log({"loss": 2.0}, step=1)
    list_runs(doors), reads.clear()
    for step in (2, 3):
        run.log({"loss": 1.0 / step}, step=step)
        (row,) = list_runs(doors).rows
        assert (row.status, row.step, row.curves["loss"].last) == ("running", step, 1.0 / step)
    assert (exact(find_rows(doors, ["live"])["live"]), reads) == (exact(row), [])
    run.finish()
    assert (list_runs(doors).rows[0].status, reads) == ("finished", ["live"])


@pytest.mark.usefixtures("later")
def test_a_live_run_that_seals_is_read_again(store, doors, reads):
    run = store.start_run("live")
    run.log({"loss": 2.0}, step=1)
    list_runs(doors), reads.clear()
    run.log({"loss": 1.0}, step=2)
    run._log.seal()
    run.log({"loss": 0.5}, step=3)
    assert (list_runs(doors).rows[0].curves["loss"].points, reads) == (3, ["live"])
    run.finish()
    listed(doors)


CRASHER = """
run = onyx.Store.open().start_run("dead")
run.log({"loss": 1.0}, step=4)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.usefixtures("later")
def test_a_run_whose_process_dies_has_crashed_without_being_read_again(store, doors, reads, script):
    program = script(CRASHER)
    assert program.read() == "ready"
    assert [row.status for row in list_runs(doors).rows] == ["running"]
    reads.clear()
    program.process.kill()
    program.end()
    found = [(row.status, row.step, row.rate) for row in list_runs(doors).rows]
    assert (found, reads) == ([("crashed", 4, None)], [])
    listed(doors)


# ---------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.usefixtures("later")
def test_a_damaged_run_is_named_each_time_until_it_is_mended(two, doors):
    state = doors.layout.run("a") / "state"
    whole = state.read_bytes()
    state.write_bytes(b"noise")
    for _ in range(2):
        found = list_runs(doors)
        assert ([row.name for row in found.rows], found.damaged) == (["b"], {"a": "a line fails its check"})
    state.write_bytes(whole)
    assert (names(doors), list_runs(doors).damaged) == (["b", "a"], {})


def test_what_is_no_run_is_passed_over(two, doors):
    (doors.layout.runs / "no-run").mkdir()
    (doors.layout.runs / "a file").write_text("")
    assert names(doors) == ["b", "a"]


def test_a_run_that_goes_while_it_is_read_is_no_run(two, doors, monkeypatch):
    def gone(doors, name, *_):
        raise FileNotFoundError(name)

    monkeypatch.setattr(run_reading, "read_run", gone)
    assert list_runs(doors) == ([], {})


def test_a_row_of_another_run_is_none(two, doors, monkeypatch):
    monkeypatch.setattr("onyxstore.store.listing._clock", lambda _: 2**63)
    list_runs(doors)
    doors.layout.run("a").rename(doors.layout.run("c"))
    assert list_runs(doors).damaged == {"c": "it is that of run 'a'"}


# --------------------------------------------------------------------------------------------------- others write meanwhile

WRITER = """
store = onyx.Store.open()
for number in range(6):
    with store.start_run(f"{sys.argv[1]}-{number}", best_metric="val") as run:
        for step in range(5):
            run.log({"loss": number + step}, step=step)
        run.save_checkpoint(state={"w": np.full(10, number)}, metrics={"val": float(number)}, step=4, wait=True)
"""


def test_while_others_write_every_row_is_one_that_was_true(store, doors, script):
    writers = [script(WRITER, name) for name in ("a", "b")]
    while any(writer.process.poll() is None for writer in writers):
        for row in list_runs(doors).rows:
            assert row.step is None or row.curves["loss"].last - row.step == int(row.name[2:])
            assert row.status in {"running", "finished"}
        time.sleep(0.01)
    assert [writer.end() for writer in writers] == [(0, "")] * 2
    assert sorted(names(doors)) == sorted(f"{name}-{number}" for name in "ab" for number in range(6))
    listed(doors)
