"""Starting a run: names, resuming, forking, configs, and what is refused before anything is written."""

import argparse
import dataclasses
import sys

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.errors import (
    BadConfig,
    BadInput,
    BadName,
    CannotEncode,
    CheckpointPruned,
    DiskFull,
    RunIsLive,
    UnknownRevision,
)
from onyxstore.store import starting


def points(series):
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


# --------------------------------------------------------------------------------------------------------------- names


def test_a_name_that_is_taken_becomes_the_next_free_one_and_that_is_said(store, said):
    names = []
    for _ in range(3):
        with store.start_run("bert-base") as run:
            names.append(run.name)
    assert names == ["bert-base", "bert-base-2", "bert-base-3"]
    assert said() == ["run 'bert-base' exists, this one is 'bert-base-2'", "run 'bert-base' exists, this one is 'bert-base-3'"]


def test_reruns_of_a_name_are_in_its_group(store):
    for group in (None, None, "others"):
        store.start_run("bert", group=group).finish()
    assert [store.run(name).group for name in ("bert-2", "bert-3")] == ["bert", "others"]


def test_a_rerun_joins_the_group_that_the_first_was_given(store):
    store.start_run("bert", group="seeds").finish()
    store.start_run("bert").finish()
    assert store.run("bert-2").group == "seeds"


def test_names_are_compared_without_case_and_keep_their_spelling(store):
    store.start_run("BERT").finish()
    with store.start_run("bert") as run:
        assert (run.name, store.run("bert").name) == ("bert-2", "BERT")


def test_a_live_run_of_the_name_is_no_obstacle_to_a_rerun(store):
    with store.start_run("bert"), store.start_run("bert") as second:
        assert second.name == "bert-2"


def test_a_long_name_is_cut_for_its_number(store):
    store.start_run("x" * 100).finish()
    with store.start_run("x" * 100) as run:
        assert run.name == "x" * 98 + "-2"


def test_without_a_name_a_run_is_called_as_its_script(store, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/home/me/train my model.py", "--lr", "1"])
    with store.start_run() as run:
        assert run.name == "train-my-model"


@pytest.mark.parametrize("argv", [[], [""], ["-c"], ["-m"], ["/there/best.py"]])
def test_without_a_script_that_can_name_it_a_run_is_called_run(store, monkeypatch, argv):
    monkeypatch.setattr(sys, "argv", argv)
    with store.start_run() as run:
        assert run.name == ("best-run" if argv == ["/there/best.py"] else "run")


@pytest.mark.parametrize("name", ["", "latest", "Best", "HEAD", "a/b", "../up", "-x", "x" * 101, "ü", "a b", "a\n"])
def test_a_name_that_no_run_can_have_is_refused(store, name):
    with pytest.raises(BadName):
        store.start_run(name)
    assert store.runs() == []


@pytest.mark.parametrize(
    "options",
    [
        {"best_mode": "least"},
        {"best_metric": ""},
        {"max_checkpoints": 0},
        {"max_checkpoints": True},
        {"max_checkpoints": "5"},
        {"labels": "v1"},
        {"labels": [""]},
        {"labels": ["a\nb"]},
        {"labels": [1]},
        {"labels": None},
        {"configs": [1]},
        {"configs": "c.yaml"},
        {"group": ""},
        {"group": 5},
        {"resume": "apend"},
        {"resume": 2},
        {"resume": True, "parent": "main"},
        {"resume": "append", "parent": "main"},
        {"configs": {"../up": {}}},
        {"configs": {"a": "missing.yaml"}},
        {"configs": {"a": object()}},
        {"parent": "nothing"},
        {"parent": ""},
    ],
)
def test_what_is_wrong_is_found_before_anything_is_written(store, size_of, options):
    before = size_of(store.folder)
    with pytest.raises((BadInput, BadName, BadConfig, CannotEncode, UnknownRevision)):
        store.start_run("a", **options)
    assert (store.runs(), size_of(store.folder)) == ([], before)


# -------------------------------------------------------------------------------------------------------- first commit


def test_the_first_commit_is_there_when_the_run_starts(store):
    run = store.start_run("a", labels=["v1", "small"], group="g", configs={"training": {"lr": 0.1}})
    (first,) = run.commits
    assert (first.message, first.step, first.checkpoint, first.config) == ("start", None, None, {"training": {"lr": 0.1}})
    assert (run.status, run.labels, run.group) == ("running", ("v1", "small"), "g")
    assert store.commit("latest") == first
    assert first.environment["python"]["release"].startswith("3.")
    run.finish()


def test_configs_are_taken_as_files_texts_dicts_dataclasses_and_namespaces(store, folder):
    @dataclasses.dataclass
    class Model:
        width: int = 3

    (folder / "conf").mkdir()
    (folder / "conf" / "data.yaml").write_text("# where\nroot: ./x\n")
    configs = {
        "data": folder / "conf" / "data.yaml",
        "again": "conf/data.yaml",
        "plain": {"b": 1, "a": [1, 1.0, True, None]},
        "model": Model(),
        "flags": argparse.Namespace(lr=0.1),
    }
    with store.start_run("a", configs=configs) as run:
        commit = run.latest
    assert commit.config == {
        "data": {"root": "./x"},
        "again": {"root": "./x"},
        "plain": {"b": 1, "a": [1, 1.0, True, None]},
        "model": {"width": 3},
        "flags": {"lr": 0.1},
    }
    assert [type(value) for value in commit.config["plain"]["a"]] == [int, float, bool, type(None)]
    assert commit.config_bytes("data") == b"# where\nroot: ./x\n"
    assert {name: entry.path for name, entry in commit.config_entries.items()} == {
        "data": "conf/data.yaml",
        "again": "conf/data.yaml",
        "plain": None,
        "model": None,
        "flags": None,
    }


def test_a_secret_in_a_config_never_reaches_the_disk_and_that_is_said(store, folder, said):
    secret = "x" * 19
    (folder / "c.yaml").write_text(f"api_key: {secret}\nlr: 1\n")
    with store.start_run("a", configs={"file": "c.yaml", "value": {"password": secret}}) as run:
        commit = run.latest
    assert commit.config == {"file": {"api_key": "<masked>", "lr": 1}, "value": {"password": "<masked>"}}
    assert said() == ["config 'file': masked before it is stored: api_key", "config 'value': masked before it is stored: password"]


def test_a_config_that_changes_after_the_start_is_not_seen(store, folder):
    (folder / "c.yaml").write_text("lr: 1\n")
    given = {"n": [1]}
    run = store.start_run("a", configs={"file": "c.yaml", "value": given})
    (folder / "c.yaml").write_text("lr: 2\n")
    given["n"].append(2)
    assert run.commit("later").config == {"file": {"lr": 1}, "value": {"n": [1]}}
    run.finish()


# ------------------------------------------------------------------------------------------------------------ resuming


def test_resume_starts_a_run_that_there_is_not(store):
    with store.start_run("a", resume=True) as run:
        assert (run.name, run.restore(), [commit.message for commit in run.commits]) == ("a", 0, ["start"])


def test_resume_goes_on_from_the_latest_checkpoint_and_takes_later_points_off_the_line(store, save):
    run = store.start_run("a")
    for step in range(4):
        run.log({"loss": float(step)}, step=step)
        if step == 1:
            save(run, step)
    run.finish("failed")
    with store.start_run("a", resume=True) as run:
        assert run.restore() == 2
        run.log({"loss": 20.0})
    run = store.run("a")
    assert points(run.metrics["loss"]) == [(0, 0.0), (1, 1.0), (2, 20.0)]
    assert points(run.superseded["loss"]) == [(2, 2.0), (3, 3.0)]
    assert [(attempt.status, attempt.ended is not None) for attempt in run.state.attempts] == [("failed", True), ("finished", True)]
    assert run.status == "finished"


def test_a_resumed_run_counts_on_from_its_checkpoint_without_being_restored(store, save):
    run = store.start_run("a")
    run.log({"loss": 0.0}, step=7, epoch=1)
    save(run, 7, epoch=1)
    run.log({"loss": 1.0}, step=8)
    run.finish()
    with store.start_run("a", resume=True) as run:
        run.log({"loss": 9.0})
    assert points(store.run("a").metrics["loss"]) == [(7, 0.0), (8, 9.0)]
    assert store.run("a").metrics["loss"].epochs.tolist() == [1.0, 1.0]


def test_a_resumed_run_without_a_checkpoint_begins_anew(store):
    run = store.start_run("a")
    run.log({"loss": 0.0}, step=0)
    run.finish()
    with store.start_run("a", resume=True) as run:
        run.log({"loss": 5.0})
    assert points(store.run("a").metrics["loss"]) == [(0, 5.0)]


def test_append_supersedes_nothing_and_counts_on_from_the_last_point(store, save):
    run = store.start_run("a")
    for step in range(4):
        run.log({"loss": float(step)}, epoch=step / 2)
        if step == 1:
            save(run, step)
    run.finish()
    with store.start_run("a", resume="append") as run:
        run.log({"loss": 4.0})
        run.log({"loss": 0.5}, step=0)
    run = store.run("a")
    assert points(run.metrics["loss"]) == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (0, 0.5)]
    assert dict(run.superseded) == {}
    assert run.metrics["loss"].epochs.tolist() == [0.0, 0.5, 1.0, 1.5, 1.5, 1.5]


def test_a_point_that_is_refused_rewinds_nothing(store, save):
    run = store.start_run("a")
    save(run, 0)
    run.log({"loss": 1.0}, step=1)
    run.finish()
    run = store.start_run("a", resume=True)
    with pytest.raises(onyx.OnyxError):
        run.log({"loss": "much"}, step=1)
    run.finish()
    assert points(store.run("a").metrics["loss"]) == [(1, 1.0)]


def test_a_resumed_run_keeps_what_is_not_said_anew(store):
    store.start_run("a", labels=["x"], group="g", best_metric="acc", best_mode="max", max_checkpoints=3).finish()
    with store.start_run("a", resume=True, labels=["x", "y"], max_checkpoints=None) as run:
        state = run.state
    assert (state.labels, state.group, state.best_metric, state.best_mode, state.max_checkpoints) == (("x", "y"), "g", "acc", "max", None)


def test_configs_of_a_resumed_run_come_with_its_next_commit_and_survive_a_gc_before_it(store):
    store.start_run("a", configs={"c": {"lr": 1}, "d": {"n": 1}}).finish()
    run = store.start_run("a", resume=True, configs={"c": {"lr": 2}})
    store.gc()
    run.finish()
    assert store.run("a").config == {"c": {"lr": 2}, "d": {"n": 1}}
    assert store.fsck().damage == []


def test_a_run_that_is_live_in_another_process_cannot_be_resumed(store, script):
    other = script("run = onyx.start_run('a'); print('on', flush=True); sys.stdin.readline(); run.finish()")
    other.read()
    with pytest.raises(RunIsLive, match=r"run 'a' is being written by another process; wait for it"):
        store.start_run("a", resume=True)
    assert store.run("a").status == "running"
    other.process.stdin.write("\n")
    assert other.end()[0] == 0
    store.start_run("a", resume=True).finish()


def test_a_run_and_its_reruns_are_one_group_that_of_the_first_which_has_the_name(store):
    groups = [("a", None), ("b", "seeds"), ("a", None), ("b", None), ("a", "x")]
    runs = [store.start_run(name, group=group) for name, group in groups]
    for run in runs:
        run.finish()
    assert [(run.name, run.group) for run in runs] == [("a", "a"), ("b", "seeds"), ("a-2", "a"), ("b-2", "seeds"), ("a-3", "x")]


def test_a_start_that_fails_lets_go_of_the_run(store, monkeypatch):
    def fail(*_):
        raise DiskFull("writing", "x", 28)

    with monkeypatch.context() as patch:
        patch.setattr(starting, "_make_first_commit", fail)
        with pytest.raises(DiskFull):
            store.start_run("a")
    assert store.run("a").status == "crashed"
    with store.start_run("a", resume=True) as run:
        assert [commit.message for commit in run.commits] == ["start"]


# ------------------------------------------------------------------------------------------------------------- forking


def test_a_fork_begins_with_the_checkpoint_and_the_configs_of_its_parent(store, save, weights):
    with store.start_run("a", configs={"c": {"lr": 1}, "d": {"n": 1}}, best_metric="loss") as run:
        save(run, 3, epoch=1, metrics={"loss": 1.0})
        save(run, 4, metrics={"loss": 2.0})
    with store.start_run("b", parent="a@best", configs={"c": {"lr": 2}}) as fork:
        first = fork.commits[0]
        assert (first.parents, first.step, first.epoch, first.checkpoint.step) == ([store.commit("a@step:3")], 3, 1, 3)
        assert first.config == {"c": {"lr": 2}, "d": {"n": 1}}
        np.testing.assert_array_equal(first.checkpoint.load()["w"], weights(3)["w"])
        assert fork.restore() == 4
        fork.log({"loss": 0.5})
    assert points(store.run("b").metrics["loss"]) == [(4, 0.5)]
    assert [commit.run for commit in store.run("b").commits] == ["b", "b"]


def test_a_fork_that_is_not_restored_counts_on_from_its_parent(store, save):
    with store.start_run("a") as run:
        save(run, 3, epoch=2)
    with store.start_run("b", parent="a") as fork:
        fork.log({"loss": 0.5})
        assert points(fork.metrics["loss"]) == [(4, 0.5)]


def test_what_a_fork_starts_from_is_never_pruned(store, save, steps_kept):
    run = store.start_run("a", max_checkpoints=1)
    save(run, 0)
    store.start_run("b", parent="a@step:0").finish()
    for step in range(1, 4):
        save(run, step)
    run.finish()
    store.gc()
    assert steps_kept(store.run("a")) == [0, 3]
    assert steps_kept(store.run("b")) == [0]


def test_a_fork_from_a_pruned_checkpoint_is_refused_at_once(store, save):
    run = store.start_run("a", max_checkpoints=1)
    for step in range(3):
        save(run, step)
    run.finish()
    store.gc()
    with pytest.raises(CheckpointPruned):
        store.start_run("b", parent="a@step:0")
    assert [view.name for view in store.runs()] == ["a"]


def test_a_fork_from_a_commit_without_a_checkpoint_begins_without_one(store):
    store.start_run("a", configs={"c": {"lr": 1}}).finish()
    with store.start_run("b", parent="a~1") as fork:
        assert (fork.restore(), fork.latest.checkpoint, fork.config) == (0, None, {"c": {"lr": 1}})


# ----------------------------------------------------------------------------------------------- without onyx init


def test_the_function_makes_a_store_where_there_is_none_and_says_where(folder, said):
    with onyx.start_run("a") as run:
        assert run.status == "running"
    assert onyx.Store.open(folder).run("a").status == "finished"
    assert said() == [f"made a store in {folder}"]


def test_the_function_takes_the_nearest_store_above(store, folder, monkeypatch, said):
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder / "deep" / "er")
    onyx.start_run("a").finish()
    assert (store.run("a").status, said()) == ("finished", [])


def test_the_function_makes_no_store_where_one_was_named(folder, monkeypatch):
    monkeypatch.setenv("ONYX_STORE", str(folder / "elsewhere" / ".onyx"))
    with pytest.raises(onyx.OnyxError, match="no store in"):
        onyx.start_run("a")
    assert list(folder.iterdir()) == []
