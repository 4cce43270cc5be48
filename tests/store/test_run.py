"""A run that is being written: what is logged, what is saved, how it ends."""

import os
import random
import signal
import threading

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.errors import BadFile, BadInput, BadMetric, BadName, CannotEncode, DiskFull, RunEnded
from onyxstore.store import recorder

PATIENCE = 60.0


def points(series):
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


@pytest.fixture
def run(store):
    run = store.start_run("a")
    yield run
    run.finish()


@pytest.fixture
def held(monkeypatch):
    """The saver's writing, held up until it is let go."""
    go = threading.Event()
    write = recorder.write_trees

    def write_later(*arguments):
        if not go.wait(PATIENCE):
            raise TimeoutError
        return write(*arguments)

    monkeypatch.setattr(recorder, "write_trees", write_later)
    yield go
    go.set()


class Counter:
    """Something with a state, as a data loader has it."""

    def __init__(self, at=0):
        self.at = at

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


# ------------------------------------------------------------------------------------------------------------- logging


def test_steps_and_epochs_that_are_not_given_go_on_from_the_last(run):
    run.log({"loss": 1.0})
    run.log({"loss": 2.0})
    run.log({"loss": 3.0}, step=10, epoch=1)
    run.log({"loss": 4.0})
    run.log({"loss": 5.0}, step=2)
    run.log({"loss": 6.0}, epoch=1.5)
    loss = run.metrics["loss"]
    assert points(loss) == [(0, 1.0), (1, 2.0), (10, 3.0), (11, 4.0), (2, 5.0), (3, 6.0)]
    np.testing.assert_array_equal(loss.epochs, [np.nan, np.nan, 1, 1, 1, 1.5])


def test_steps_may_be_negative_and_the_next_is_one_more(run):
    run.log({"loss": 1.0}, step=-2)
    run.log({"loss": 2.0})
    run.log({"loss": 3.0})
    assert points(run.metrics["loss"]) == [(-2, 1.0), (-1, 2.0), (0, 3.0)]
    assert run.commit("here").step == 0


def test_a_step_of_numpy_is_a_step(run, weights):
    run.log({"loss": 1.0}, step=np.int64(5), epoch=np.float32(0.5))
    run.log_artifact("note.txt", b"x", step=np.int32(5))
    logged = run.commit("one")
    saved = run.save_checkpoint(state=weights(0), step=np.int64(6), epoch=np.int16(1)).wait(PATIENCE)
    assert (logged.step, logged.epoch, saved.step, saved.epoch, saved.message) == (5, 0.5, 6, 1, "checkpoint at step 6")
    assert [type(value) for value in (logged.step, logged.epoch, saved.step, saved.epoch)] == [int, float, int, int]


def test_nested_metrics_become_names_with_slashes(run):
    run.log({"loss": {"train": 1.0, "val": {"a": 2}}, "ok": True})
    assert {name: (series.last, type(series.last)) for name, series in run.metrics.items()} == {
        "loss/train": (1.0, float),
        "loss/val/a": (2, int),
        "ok": (True, bool),
    }


def test_many_points_are_logged_by_columns(run):
    run.log_many({"loss": [3.0, 2.0, 1.0], "acc": [0.1, None, 0.3]}, steps=[0, 2, 4], epochs=[0, 0, 1])
    run.log({"loss": 0.5})
    assert points(run.metrics["loss"]) == [(0, 3.0), (2, 2.0), (4, 1.0), (5, 0.5)]
    assert points(run.metrics["acc"]) == [(0, 0.1), (4, 0.3)]
    assert run.metrics["loss"].epochs.tolist() == [0, 0, 1, 1]


def test_no_rows_are_no_points(run):
    run.log_many({"loss": []}, steps=[])
    assert dict(run.metrics) == {}


def test_artifacts_are_kept_as_bytes_and_as_files(run, folder):
    (folder / "plot.png").write_bytes(b"\x89PNG" + bytes(3000))
    run.log({"loss": 1.0}, step=4)
    run.log_artifact("notes/first.txt", b"hello", kind="text")
    run.log_artifact("plot.png", folder / "plot.png", kind="image", step=4)
    run.log_artifact("notes/first.txt", b"hello again", kind="text")
    (folder / "plot.png").unlink()
    commit = run.commit("with files")
    assert [(each.name, each.kind, each.size, each.step) for each in commit.artifacts] == [
        ("notes/first.txt", "text", 5, None),
        ("plot.png", "image", 3004, 4),
        ("notes/first.txt", "text", 11, None),
    ]
    assert (commit.artifact_bytes("notes/first.txt"), commit.artifact_bytes("plot.png")) == (b"hello again", b"\x89PNG" + bytes(3000))


def test_a_commit_has_the_artifacts_up_to_it(run):
    run.log_artifact("a", b"1")
    first = run.commit("one")
    run.log_artifact("b", b"2")
    assert [each.name for each in first.artifacts] == ["a"]


def test_an_artifact_that_cannot_be_kept_is_refused(run, folder):
    with pytest.raises(BadFile):
        run.log_artifact("a", folder / "missing")
    with pytest.raises(BadName):
        run.log_artifact("../a", b"x")
    with pytest.raises(BadMetric):
        run.log_artifact("a", b"x", step=1.5)
    for kind in (5, "", None, "\ud800"):
        with pytest.raises(BadInput, match="kind"):
            run.log_artifact("a", b"x", kind=kind)
    assert run.commit("nothing of it").artifacts == ()


def test_an_artifact_may_be_any_bytes(run):
    for number, content in enumerate((b"ab", bytearray(b"ab"), memoryview(b"ab"), memoryview(np.arange(3)))):
        run.log_artifact(str(number), content)
    assert [each.size for each in run.commit("x").artifacts] == [2, 2, 2, 24]


@pytest.mark.parametrize("status", ["done", "running", "open", None])
def test_a_run_ends_as_a_run_can_end(run, status):
    with pytest.raises(BadInput, match="a run ends as one of finished, failed, killed, crashed"):
        run.finish(status)
    run.log({"loss": 1.0})
    assert run.status == "running"


def test_a_summary_is_of_final_values_and_the_later_wins(run):
    run.summary({"test": {"acc": 0.5, "n": 3}})
    run.summary({"test/acc": 0.91})
    assert dict(run.final_values) == {"test/acc": 0.91, "test/n": 3}
    assert dict(run.metrics) == {}


@pytest.mark.parametrize("wrong", [{"loss": "much"}, {"loss": None}, {1: 1.0}, {"": 1.0}, [1.0], {"loss": np.zeros(2)}])
def test_what_is_no_metric_is_refused_and_leaves_no_point(run, wrong):
    with pytest.raises((BadMetric, BadName)):
        run.log(wrong, step=7)
    run.log({"fine": 1})
    assert {name: points(series) for name, series in run.metrics.items()} == {"fine": [(0, 1)]}


@pytest.mark.parametrize("moment", [{"step": 1.5}, {"step": "1"}, {"step": 2**63}, {"epoch": "1"}, {"epoch": float("nan")}])
def test_a_moment_that_is_none_is_refused_at_the_call(run, moment, weights):
    for call in (lambda: run.log({"loss": 1.0}, **moment), lambda: run.save_checkpoint(state=weights(0), **moment)):
        with pytest.raises(BadMetric):
            call()
    run.flush()
    assert (dict(run.metrics), [commit.message for commit in run.commits]) == ({}, ["start"])


# -------------------------------------------------------------------------------------------------------------- saving


def test_a_checkpoint_is_a_commit_with_everything_as_of_then(run, weights):
    run.log({"loss": 1.0}, step=3, epoch=1)
    commit = run.save_checkpoint(state=weights(0), metrics={"val": {"loss": 0.5}}).wait(PATIENCE)
    run.log({"loss": 2.0}, step=4)
    assert (commit.message, commit.step, commit.epoch, commit.run) == ("checkpoint at step 3", 3, 1, "a")
    assert dict(commit.values) == dict(commit.checkpoint.metrics) == {"val/loss": 0.5}
    assert points(commit.metrics["loss"]) == [(3, 1.0)]
    assert run.latest == commit
    np.testing.assert_array_equal(commit.checkpoint.load()["w"], weights(0)["w"])


def test_a_checkpoint_before_any_step_has_none(run, weights):
    commit = run.save_checkpoint(state=weights(0)).wait(PATIENCE)
    assert (commit.message, commit.step, commit.checkpoint.step) == ("checkpoint", None, None)


def test_what_is_saved_is_what_was_there_at_the_call(run, weights, held):
    state = {**weights(1), "deep": [{"n": [1, 2]}], "name": bytearray(b"ab")}
    tracked, metrics = Counter(3), {"loss": 1.0}
    expected, dice = state["w"].copy(), random.getstate()
    run.track_state("loader", tracked)
    handle = run.save_checkpoint(state=state, metrics=metrics, step=1)
    run.log({"loss": 9.0}, step=2)
    state["w"][:] = 0
    state["deep"][0]["n"].append(3)
    state["name"][0] = 0
    state["new"] = 1
    metrics["loss"] = 2.0
    tracked.at = 4
    random.random()
    held.set()
    commit = handle.wait(PATIENCE)
    loaded = commit.checkpoint.load()
    np.testing.assert_array_equal(loaded.pop("w"), expected)
    assert loaded == {"deep": [{"n": [1, 2]}], "name": bytearray(b"ab")}
    assert (dict(commit.values), dict(commit.checkpoint.tracked), dict(commit.metrics)) == ({"loss": 1.0}, {"loader": {"at": 3}}, {})
    np.testing.assert_array_equal(commit.checkpoint.rng["python"]["words"], dice[1])


def test_the_third_save_in_flight_waits_for_the_first(run, weights, held, until):
    handles = [run.save_checkpoint(state=weights(step), step=step) for step in (0, 1)]
    third = threading.Thread(target=lambda: handles.append(run.save_checkpoint(state=weights(2), step=2)))
    third.start()
    until(lambda: run._pool._changed._waiters)  # it waits for memory
    assert [handle.done() for handle in handles] == [False, False]
    held.set()
    third.join(PATIENCE)
    assert [handle.wait(PATIENCE).step for handle in handles] == [0, 1, 2]


def test_saving_draws_nothing_from_the_global_generators(run, weights):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    run.log({"loss": 1.0})
    run.save_checkpoint(state=weights(0), wait=True)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_a_state_that_has_no_encoding_is_refused_at_the_call_by_its_path(run, weights):
    with pytest.raises(CannotEncode, match=r"sched\.1\.hook"):
        run.save_checkpoint(state={**weights(0), "sched": [0, {"hook": print}]})
    for step in range(3):  # the refused one holds no memory
        run.save_checkpoint(state=weights(step), step=step, wait=True)
    assert [commit.step for commit in run.commits] == [None, 0, 1, 2]


def test_a_part_that_is_given_twice_is_refused(run):
    with pytest.raises(BadInput, match="'model'"):
        run.save_checkpoint(model={"w": np.zeros(1)}, state={"model": {}})


def test_a_commit_carries_the_checkpoint_before_it(run, weights):
    saved = run.save_checkpoint(state=weights(0), step=1).wait(PATIENCE)
    run.log({"loss": 1.0}, step=5)
    commit = run.commit("  a thought  ")
    assert (commit.message, commit.step, commit.checkpoint.step, commit.parents) == ("a thought", 5, 1, [saved])


def test_a_commit_takes_configs_along_and_later_ones_hold_them(store, folder, weights):
    (folder / "data.yaml").write_text("rows: 5  # enough\n")
    with store.start_run("a", configs={"training": {"lr": 1}, "model": {"width": 8}}) as run:
        made = run.commit("more", configs={"training": {"lr": 2}, "data": folder / "data.yaml"})
        run.save_checkpoint(model=weights(0), step=0, wait=True)
    start, _, saved, _ = run.commits
    more = {"training": {"lr": 2}, "model": {"width": 8}, "data": {"rows": 5}}
    assert (start.config, made.config, saved.config) == ({"training": {"lr": 1}, "model": {"width": 8}}, more, more)
    assert saved.config_bytes("data") == b"rows: 5  # enough\n"


def test_a_config_that_cannot_be_kept_makes_no_commit(run):
    with pytest.raises(CannotEncode, match="activation"):
        run.commit("more", configs={"model": {"activation": print}})
    assert [commit.message for commit in run.commits] == ["start"]


def test_a_checkpoint_says_what_it_is_told_to_say(run, weights):
    assert run.save_checkpoint(model=weights(0), step=3, message=" after the warm-up ", wait=True).commit.message == "after the warm-up"
    with pytest.raises(BadInput, match="needs a message"):
        run.save_checkpoint(model=weights(0), step=3, message=" ")


def test_the_moment_is_that_of_the_last_point_or_of_where_the_run_goes_on(store, weights):
    with store.start_run("a") as run:
        before = run.moment
        run.log({"loss": 1.0}, step=3, epoch=1)
        run.save_checkpoint(model=weights(0), wait=True)
        run.log({"loss": 1.0}, step=9)
        after = run.moment
    with store.start_run("a", resume=True) as again:
        assert (before, after, again.moment) == ((None, None), (9, 1), (3, 1))


@pytest.mark.parametrize("message", ["", " \n", 5, None, "\udc80"])
def test_a_commit_without_words_is_refused(run, message):
    with pytest.raises(BadInput):
        run.commit(message)


def test_commits_come_in_the_order_in_which_they_were_asked_for(run, weights, held):
    handles = [run.save_checkpoint(state=weights(step), step=step) for step in (0, 1)]
    held.set()
    run.commit("last")
    assert [handle.done() for handle in handles] == [True, True]
    assert [commit.message for commit in run.commits] == ["start", "checkpoint at step 0", "checkpoint at step 1", "last"]


def test_a_commit_says_what_logging_and_saving_cost(run, weights):
    run.log({"loss": 1.0})
    commit = run.save_checkpoint(state=weights(0)).wait(PATIENCE)
    assert set(commit.cost) == {"log_calls", "log_seconds", "blocked_seconds", "save_seconds", "checkpoint_bytes", "raw_bytes"}
    assert (commit.cost["log_calls"], commit.cost["raw_bytes"] > 4000) == (1, True)


# ---------------------------------------------------------------------------------------------------- errors in the background


@pytest.fixture
def broken(monkeypatch):
    """Every save fails while `broken` holds something; numbers the errors."""
    errors = [DiskFull("writing", f"pack {number}", 28) for number in range(9)]
    write = recorder.write_trees

    def fail(*arguments):
        if errors:
            raise errors.pop(0)
        return write(*arguments)

    monkeypatch.setattr(recorder, "write_trees", fail)
    monkeypatch.setattr(recorder, "with_room", lambda _, write: write())
    return errors


def test_a_failed_save_is_raised_where_it_is_waited_for_and_never_again(run, weights, broken):
    handle = run.save_checkpoint(state=weights(0))
    with pytest.raises(DiskFull, match="pack 0"):
        handle.wait(PATIENCE)
    broken.clear()
    with pytest.raises(RunEnded, match="its error was raised already"):
        handle.wait(PATIENCE)
    run.flush()
    run.save_checkpoint(state=weights(1), wait=True)


@pytest.mark.parametrize("call", ["flush", "save_checkpoint", "finish"])
def test_a_failed_save_that_nobody_waited_for_is_raised_by_the_next_call_once(run, weights, broken, until, call):
    handle = run.save_checkpoint(state=weights(0))
    until(handle.done)
    broken.clear()
    with pytest.raises(DiskFull, match="pack 0"):
        getattr(run, call)(**({"state": weights(1)} if call == "save_checkpoint" else {}))
    if call != "finish":
        run.flush()
        run.save_checkpoint(state=weights(1), wait=True)
    run.finish()
    assert run.status == "finished"


def test_a_failed_save_leaves_latest_on_the_one_before(run, weights, broken, store):
    broken.clear()
    good = run.save_checkpoint(state=weights(0), step=0).wait(PATIENCE)
    broken.append(DiskFull("writing", "pack", 28))
    with pytest.raises(DiskFull):
        run.save_checkpoint(state=weights(1), step=1, wait=True)
    assert store.commit("latest") == run.latest == good


# ----------------------------------------------------------------------------------------------------- tracked, restored


def test_tracked_objects_are_saved_and_restored_in_either_order(store, weights):
    run = store.start_run("a")
    run.track_state("early", Counter(1))
    run.track_state("late", Counter(2))
    run.save_checkpoint(state=weights(0), step=5, wait=True)
    run.finish()
    early, late = Counter(), Counter()
    with store.start_run("a", resume=True) as run:
        run.track_state("early", early)
        assert run.restore() == 6
        run.track_state("late", late)
    assert (early.at, late.at) == (1, 2)


def test_what_has_no_state_cannot_be_tracked(run):
    with pytest.raises(CannotEncode, match=r"tracked\.loader"):
        run.track_state("loader", object())


def test_restoring_a_fresh_run_touches_nothing(run):
    counter = Counter(7)
    run.track_state("loader", counter)
    assert (run.restore(model=counter), counter.at) == (0, 7)


# ------------------------------------------------------------------------------------------------------------- the end


def test_a_run_that_ended_takes_nothing_more(store, weights):
    run = store.start_run("a")
    run.finish()
    run.finish("failed")
    calls = [
        lambda: run.log({"loss": 1.0}),
        lambda: run.log_many({"loss": [1.0]}, [0]),
        lambda: run.summary({"a": 1}),
        lambda: run.log_artifact("a", b""),
        lambda: run.save_checkpoint(state=weights(0)),
        lambda: run.commit("x"),
        run.flush,
        run.restore,
    ]
    for call in calls:
        with pytest.raises(RunEnded, match="run 'a' takes nothing more"):
            call()
    assert (run.status, [commit.message for commit in run.commits]) == ("finished", ["start", "finish"])


def test_the_last_commit_has_all_that_was_logged(store, weights):
    with store.start_run("a") as run:
        run.save_checkpoint(state=weights(0), step=1)
        run.log({"loss": 1.0}, step=4)
    last = store.run("a").commits[-1]
    assert (last.message, last.step, last.checkpoint.step, points(last.metrics["loss"])) == ("finish", 4, 1, [(4, 1.0)])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "finished"),
        (SystemExit(), "finished"),
        (SystemExit(0), "finished"),
        (SystemExit(1), "failed"),
        (SystemExit("no"), "failed"),
        (ValueError(), "failed"),
        (KeyboardInterrupt(), "killed"),
    ],
)
def test_how_the_block_ends_is_how_the_run_ends(store, error, status):
    def work():
        with store.start_run("a") as run:
            run.log({"loss": 1.0})
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)) as caught:
            work()
        assert caught.value is error
    assert (store.run("a").status, points(store.run("a").metrics["loss"])) == (status, [(0, 1.0)])


@pytest.mark.usefixtures("broken")
def test_an_error_in_the_block_is_not_hidden_by_one_of_the_end(store, weights, said):
    def work():
        with store.start_run("a") as run:
            run.save_checkpoint(state=weights(0))
            raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        work()
    assert any(words.startswith("run 'a' did not end cleanly: writing pack 0 failed") for words in said())


@pytest.mark.usefixtures("broken")
def test_an_error_of_the_end_is_raised_and_the_run_has_ended_all_the_same(store, weights):
    def work():
        with store.start_run("a") as run:
            run.save_checkpoint(state=weights(0))

    with pytest.raises(DiskFull, match="pack 0"):
        work()
    assert store.run("a").status == "finished"
    store.start_run("a", resume=True).finish()


# ---------------------------------------------------------------------------------------------------------- stop_on_signal


def test_a_signal_asks_the_run_to_stop_and_the_run_is_killed(store):
    for number in (signal.SIGTERM, signal.SIGUSR1):
        with store.start_run(f"a{number}") as run:
            run.stop_on_signal()
            assert not run.stop_requested
            os.kill(os.getpid(), number)
            assert run.stop_requested
        assert run.status == "killed"


def test_the_handlers_from_before_stand_again_when_the_run_has_ended(store):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    first, second = store.start_run("a"), store.start_run("b")
    first.stop_on_signal()
    second.stop_on_signal()
    second.finish()
    first.finish()
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    assert after[1] == before[1]
    assert after[0] == before[0] or before[0] == signal.SIG_DFL


def test_a_handler_that_was_put_over_ours_stays(store):
    with store.start_run("a") as run:
        before = signal.getsignal(signal.SIGUSR1)
        run.stop_on_signal()
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
    signal.signal(signal.SIGUSR1, before)


# ------------------------------------------------------------------------------------------------------- several threads


def test_the_first_points_of_a_resumed_run_stay_on_the_line_whatever_thread_they_come_from(store):
    for attempt in range(10):
        with store.start_run("a", resume=True) as run:
            together = threading.Barrier(4)

            def work(number, run=run, together=together):
                together.wait()
                run.log({f"m{number}": 1.0}, step=5)

            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(run.metrics) == ["m0", "m1", "m2", "m3"], attempt


def test_points_of_many_threads_all_arrive(run):
    def work(name):
        for step in range(200):
            run.log({name: float(step)}, step=step)

    threads = [threading.Thread(target=work, args=(f"m{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: series.steps.tolist() for name, series in run.metrics.items()} == {f"m{n}": list(range(200)) for n in range(4)}


def test_two_runs_of_one_process_write_side_by_side(store, weights):
    with store.start_run("a") as first, store.start_run("b") as second:
        for step in range(3):
            first.save_checkpoint(state=weights(step), step=step)
            second.save_checkpoint(state=weights(10 + step), step=step)
    assert [onyx.Store.open(store.folder).run(name).latest.checkpoint.step for name in "ab"] == [2, 2]
    assert store.fsck().damage == []
