import time

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.errors import CorruptFile
from onyxstore.history.metrics import series
from onyxstore.history.metrics.log import read_log
from onyxstore.history.metrics.standing import Standing
from onyxstore.store.kept import NOTHING
from onyxstore.store.run_reading import can_carry, carry_row, leaves_of, read_run
from onyxstore.store.run_rows import BestRow, Figures
from tests.store.test_index_rows import exact


@pytest.fixture
def live(store):
    """A run that is being written."""
    run = store.start_run("live", configs={"training": {"lr": 0.1}})
    yield run
    run.finish()


@pytest.fixture
def no_numpy(monkeypatch):
    """Called, it makes sure that from then on no points are looked at as columns."""

    def close():
        for name in ("standing_of", "last_values_of"):
            monkeypatch.setattr(series, name, lambda *_: pytest.fail("columns were read"))

    return close


def test_a_row_says_what_there_is_of_a_run(store, doors, save):
    with store.start_run("a", configs={"t": {"lr": 0.1}}, labels=["v"], group="g", best_metric="val", best_mode="max") as run:
        run.log({"loss": 3.0}, step=1, epoch=0)
        run.log({"loss": 1.0, "ok": True}, step=2, epoch=0)
        first = save(run, 2, metrics={"val": 0.9})
        run.log({"loss": 2.0}, step=3, epoch=1)
        save(run, 3, metrics={"val": 0.5})
        run.summary({"final": 7})
    row, _, damage = read_run(doors, "a")
    assert (row.name, row.status, row.group, row.labels, row.best_metric, row.best_mode) == ("a", "finished", "g", ("v",), "val", "max")
    assert (row.step, row.epoch, row.commits, row.records, row.rate, damage) == (3, 1, 4, 4, None, [])
    assert (row.latest, row.latest_time) == (run.latest.address, run.latest.record.time)
    assert row.best == BestRow(first.address, first.record.time, 2, "val", 0.9)
    assert row.configs == {"t": {"lr": 0.1}}
    assert row.curves == {"loss": Figures(2.0, 1.0, 3.0, 3, 1.0), "ok": Figures(*(True, 1, 1, 1, True))}
    assert row.values == {"final": Figures(7, 7, 7), "val": Figures(0.5, 0.5, 0.9, 0, 0.9)}


def test_what_was_logged_comes_before_the_summary_and_that_before_commits_and_these_before_notes(store, doors, save):
    with store.start_run("a") as run:
        run.log({"x": 1.0}, step=0)
        run.summary({"x": 2.0, "y": 2.0})
        save(run, 0, metrics={"x": 3.0, "y": 3.0, "z": 3.0})
    store.commit("a").add_note("looked at", {"x": 4.0, "y": 4.0, "z": 4.0, "noted": 4.0})
    row = read_run(doors, "a").row
    assert {name: row.figures(name).last for name in ("x", "y", "z", "noted")} == {"x": 1.0, "y": 2.0, "z": 3.0, "noted": 4.0}
    assert {name: store.run("a").value_of(name) for name in ("x", "y", "z", "noted")} == {"x": 1.0, "y": 2.0, "z": 3.0, "noted": 4.0}
    assert row.figures("nothing") is None


def test_a_run_without_a_metric_of_its_own_follows_that_of_the_settings(store, doors):
    (store.folder / ".onyx" / "settings.yaml").write_text("best_metric: acc\nbest_mode: max\n")
    with type(store).open(store.folder).start_run("a") as run:
        run.log({"acc": 0.5}, step=1)
    row = read_run(type(store).open(store.folder)._doors, "a").row
    assert (row.best_metric, row.best_mode) == ("acc", "max")


def test_an_open_run_has_no_log_and_what_was_handed_in(store, doors):
    (store.folder / "c.yaml").write_text("a: 1\n")
    store.add_commit(onyx.Addition(message="by hand", configs={"c": store.folder / "c.yaml"}, metrics={"acc": 0.5}))
    row = read_run(doors, "main").row
    assert (row.status, row.step, row.records, row.curves, row.values) == ("open", None, 0, {}, {"acc": Figures(0.5, 0.5, 0.5)})


def test_points_that_a_resume_superseded_do_not_count(store, doors, save):
    with store.start_run("a") as run:
        run.log({"loss": 5.0}, step=0)
        save(run, 0)
        run.log({"loss": 0.1}, step=1)
    with store.start_run("a", resume=True) as run:
        run.restore()
        run.log({"loss": 4.0}, step=1)
    assert read_run(doors, "a").row.curves == {"loss": Figures(4.0, 4.0, 5.0, 2)}


@pytest.mark.parametrize(
    ("value", "leaves"),
    [
        ({"a": {"b": 1, "c": {}}, "d": [1, {"e": 2}]}, {"a.b": 1, "a.c": {}, "d": [1, {"e": 2}]}),
        ({}, {"": {}}),
        (3, {"": 3}),
        ({1: {None: True}}, {"1.None": True}),
    ],
)
def test_leaves_are_what_is_no_mapping_by_their_paths(value, leaves):
    assert leaves_of(value) == leaves


# ------------------------------------------------------------------------------------------------------------- live runs


def test_a_live_run_says_how_many_steps_it_makes_a_second(live, doors, monkeypatch):
    moments = iter(range(1_000_000_000_000, 2_000_000_000_000, 500_000_000))
    monkeypatch.setattr(time, "time_ns", lambda: next(moments))
    live.log({"loss": 1.0}, step=0)
    assert read_run(doors, "live").row.rate is None
    for step in (10, 20, 30):
        live.log({"loss": 1.0}, step=step)
    monkeypatch.undo()
    assert (read_run(doors, "live").row.status, read_run(doors, "live").row.rate) == ("running", 20.0)


def test_the_speed_is_that_of_the_last_five_minutes(live, doors, monkeypatch):
    for seconds, step in ((0, 0), (1000, 1), (1100, 11)):
        monkeypatch.setattr(time, "time_ns", lambda seconds=seconds: (10_000 + seconds) * 10**9)
        live.log({"loss": 1.0}, step=step)
    monkeypatch.undo()
    assert read_run(doors, "live").row.rate == 0.1


def test_a_tail_is_read_without_columns(live, doors, no_numpy):
    live.log({"loss": 1.0}, step=1)
    no_numpy()
    assert read_run(doors, "live").row.curves == {"loss": Figures(1.0, 1.0, 1.0, 1)}


def test_a_row_is_carried_on_by_the_records_that_came(live, doors, save, no_numpy):
    live.log({"loss": 3.0}, step=1)
    save(live, 1, metrics={"val": 1.0})
    row, kept, _ = read_run(doors, "live")
    no_numpy()
    live.log({"loss": 1.0, "new": 2}, step=2)
    live.summary({"val": 9})
    log = doors.log("live")
    assert can_carry(kept, log)
    assert exact(carry_row(row, kept, log)) == exact(read_run(doors, "live").row)


def test_the_next_reading_goes_on_from_the_last(live, doors, save, no_numpy, monkeypatch):
    live.log({"loss": 3.0}, step=1)
    save(live, 1, metrics={"val": 2.0, "early": 1.0})
    live._log.seal()
    _, kept, _ = read_run(doors, "live")
    live.log({"loss": 1.0}, step=2)
    save(live, 2, metrics={"val": 1.0}, is_best=True)
    whole = read_run(doors, "live")
    no_numpy()
    read, commit = set(), type(doors).commit
    monkeypatch.setattr(type(doors), "commit", lambda self, address: (read.add(address), commit(self, address))[1])
    assert exact(read_run(doors, "live", kept)) == exact(whole)
    assert read == {live.latest.address, kept.latest}  # the known one says where to stop


def test_what_moved_back_is_read_from_its_beginning(live, doors, save):
    save(live, 1, metrics={"val": 2.0})
    _, kept, _ = read_run(doors, "live")
    other = kept._replace(latest="ff" * 32, handed_in={"gone": None}, commits=99)
    assert exact(read_run(doors, "live", other).row) == exact(read_run(doors, "live").row)


def test_the_standing_of_another_log_is_not_gone_on_from(live, doors):
    live.log({"loss": 3.0}, step=1)
    other = NOTHING._replace(standing=Standing("another", 1, {}, {"x": 1}))
    assert exact(read_run(doors, "live", other).row) == exact(read_run(doors, "live").row)


def test_a_rewind_in_the_tail_is_where_the_next_reading_begins(store, doors, save):
    with store.start_run("a") as run:
        run.log({"loss": 5.0}, step=0)
        save(run, 0)
        run.log({"loss": 0.1}, step=1)
    run = store.start_run("a", resume=True)
    run.restore()
    run.log({"loss": 4.0}, step=1)
    _, kept, _ = read_run(doors, "a")
    assert (kept.standing.position, can_carry(kept, doors.log("a")), can_carry(NOTHING, doors.log("a"))) == (3, True, False)
    run.finish()


# -------------------------------------------------------------------------------------------------------------- damage


def test_a_state_that_cannot_be_read_is_an_error(live, doors):
    (doors.layout.run("live") / "state").write_bytes(b"noise")
    with pytest.raises(CorruptFile):
        read_run(doors, "live")


def test_no_run_is_no_file(doors):
    with pytest.raises(FileNotFoundError):
        read_run(doors, "nobody")


def test_what_else_is_damaged_is_left_out_and_said(store, doors, save):
    with store.start_run("a", configs={"t": {"lr": 0.1}}) as run:
        run.log({"loss": 5.0}, step=0)
        best = save(run, 0, metrics={"val": 1.0}, is_best=True)
        config = best.config_entries["t"].value
    segment = read_log(doors.layout.run("a"), doors.objects.get).parts[0]
    assert segment.count == 1
    start = store.run("a").commits[0].address
    for address in (config, start, best.address):
        doors.layout.object(address).unlink()
    fresh = type(store).open(store.folder)._doors
    row, _, damage = read_run(fresh, "a")
    assert (row.curves["loss"].last, row.configs, row.best, row.commits) == (5.0, {}, None, 1)
    assert damage == [
        f"a commit of its line cannot be read: the store does not hold {best.short}",
        f"its best commit cannot be read: the store does not hold {best.short}",
        f"config t cannot be read: the store does not hold {config[:10]}",
    ]


def test_a_damaged_segment_leaves_the_rest_and_is_said(live, doors):
    live.log_many({"loss": np.arange(3.0)}, steps=[0, 1, 2])
    live._log.seal()
    live.log({"loss": 9.0}, step=3)
    for path in doors.layout.objects.glob("*/*"):
        data = doors.objects.get(path.parent.name + path.name)
        if b'"segment"' not in data and b"values.0" in data:
            path.unlink()
    row, _, damage = read_run(doors, "live")
    assert (row.curves["loss"], len(damage)) == (Figures(9.0, 9.0, 9.0, 1), 1)
    assert damage[0].startswith("metric log: the store does not hold")
