"""Runs and commits as one reads them."""

import shutil

import numpy as np
import pytest

import onyxstore as onyx


def points(series):
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def test_a_commit_says_what_it_is(store, save):
    with store.start_run("a", configs={"c": {"lr": 1}}) as run:
        run.log({"loss": 2.0}, step=4, epoch=1.5)
        commit = save(run, 4, metrics={"acc": 0.5})
    assert repr(commit) == f"<Commit {commit.short} of a: checkpoint at step 4>"
    assert (commit.run, commit.message, commit.step, commit.epoch) == ("a", "checkpoint at step 4", 4, 1.5)
    assert dict(commit.values) == {"acc": 0.5}
    assert (commit.parents, commit.config, commit.code) == ([run.commits[0]], {"c": {"lr": 1}}, None)
    assert (len(commit.address), commit.address.startswith(commit.short), len(commit.short)) == (64, True, 10)
    assert commit.time == pytest.approx(run.created_ns / 1e9, abs=60)


def test_two_views_of_one_commit_are_equal(store, save):
    with store.start_run("a") as run:
        save(run, 1)
    left, right = store.commit("a~1"), onyx.Store.open(store.folder).commit("a@step:1")
    assert (left == right, {left: 1}[right], left == left.address, left == store.commit("a")) == (True, 1, False, False)


def test_the_curves_of_a_commit_end_with_it(store, save):
    with store.start_run("a") as run:
        run.log({"loss": 1.0, "acc": 1}, step=0)
        first = save(run, 0)
        run.log({"loss": 0.5}, step=1)
        second = save(run, 1)
    assert (points(first.metrics["loss"]), points(second.metrics["loss"]), points(second.metrics["acc"])) == (
        [(0, 1.0)],
        [(0, 1.0), (1, 0.5)],
        [(0, 1)],
    )


def test_the_curves_of_a_commit_stay_when_a_resumed_attempt_supersedes_them(store, save):
    run = store.start_run("a")
    save(run, 0)
    run.log({"loss": 1.0}, step=1)
    before = run.commit("before")
    run.finish()
    with store.start_run("a", resume=True) as run:
        run.log({"loss": 7.0}, step=1)
    assert (points(before.metrics["loss"]), points(store.run("a").metrics["loss"])) == ([(1, 1.0)], [(1, 7.0)])
    assert points(store.run("a").superseded["loss"]) == [(1, 1.0)]


def test_a_commit_of_a_run_that_is_gone_shows_nothing_of_one_that_has_its_name_now(store, save):
    with store.start_run("a") as run:
        run.log({"loss": 1.0}, step=0)
        run.log_artifact("x", b"1")
        save(run, 0)
    store.tag("old", "a")
    for folder in ("runs", "refs/runs", "reflog/runs"):
        shutil.rmtree(store.folder / ".onyx" / folder / "a")
    assert dict(store.commit("old").metrics) == {}
    with store.start_run("a") as run:
        run.log({"loss": 7.0}, step=0)
        run.log_artifact("y", b"2")
    old = store.commit("old")
    assert (dict(old.metrics), old.artifacts, old.checkpoint.step) == ({}, (), 0)


def test_a_run_says_what_it_is(store, save):
    with store.start_run("A", labels=["x"], group="g", configs={"c": {"lr": 1}}, best_metric="loss") as run:
        save(run, 1, metrics={"loss": 1.0})
        run.summary({"test": 3})
        assert repr(run) == "<Run A: running>"
    view = store.run("a")
    assert repr(view) == "<Run A: finished>"
    assert (view.name, view.status, view.labels, view.group, view.config) == ("A", "finished", ("x",), "g", {"c": {"lr": 1}})
    assert [commit.message for commit in view.commits] == ["start", "checkpoint at step 1", "finish"]
    assert (view.latest, view.best.step, dict(view.final_values)) == (view.commits[-1], 1, {"test": 3})


def test_a_run_that_is_live_can_be_read_as_any_other(store, save):
    with store.start_run("a", configs={"c": 1}) as run:
        run.log({"loss": 1.0})
        save(run, 0)
        view = store.run("a")
        assert (run.status, run.config, run.labels, points(run.metrics["loss"])) == ("running", {"c": 1}, (), [(0, 1.0)])
        assert (run.commits, run.latest, run.best) == (view.commits, view.latest, None)


def test_a_value_is_the_last_that_was_logged_else_the_summarys_else_a_commits(store, save):
    with store.start_run("a") as run:
        save(run, 0, metrics={"logged": 9.0, "said": 9.0, "handed": 1.0})
        save(run, 1, metrics={"handed": 2.0})
        run.summary({"said": 3, "logged": 9})
        run.log({"logged": 1.0}, step=0)
        run.log({"logged": 0.5}, step=1)
    view = store.run("a")
    assert [view.value_of(name) for name in ("logged", "said", "handed", "none")] == [0.5, 3, 2.0, None]


def test_the_newest_artifact_of_a_name_is_meant(store):
    with store.start_run("a") as run:
        for text in (b"1", b"2"):
            run.log_artifact("x", text)
        commit = run.commit("x")
    assert commit.artifact_bytes("x") == b"2"
    with pytest.raises(KeyError):
        commit.artifact_bytes("y")


def test_arrays_of_a_curve_have_the_kinds_that_were_logged(store):
    with store.start_run("a") as run:
        for step, value in enumerate([1, True, 2**70]):
            run.log({"whole": value, "mixed": value if step else 0.5}, step=step)
    metrics = store.run("a").metrics
    assert (metrics["whole"].values.tolist(), metrics["whole"].values.dtype) == ([1, 1, 2**70], np.dtype(object))
    assert (metrics["mixed"].values.tolist(), metrics["mixed"].values.dtype) == ([0.5, 1.0, float(2**70)], np.dtype(float))
