"""Runs in the trash: set aside whole, brought back whole, whatever is killed where, and freed after their grace."""

import contextlib
import shutil

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.disk.locks import try_lock
from onyxstore.errors import BadName, CheckpointPruned, NameTaken, PlanSpent, RunIsLive, UnknownName
from onyxstore.history import runs
from onyxstore.store.removed import removed_runs

DAY = 86_400 * 10**9


@pytest.fixture
def trained(store, save):
    """A store with runs `a` and `b`, `b` the newer, `a` the better, each with points, artifacts, a note, and an older checkpoint pruned."""
    for name, offset in (("a", 0), ("b", 10)):
        with store.start_run(name, best_metric="loss", max_checkpoints=2, configs={"c": {"name": name}}) as run:
            for step in range(offset, offset + 4):
                run.log({"loss": step}, step=step)
                run.log_artifact(f"{step}.txt", f"{name} {step}".encode(), step=step)
                save(run, step, 3000, metrics={"loss": step})
        store.commit(f"{name}@best").add_note(f"of {name}", {"f1": 0.5})
    store.gc()
    return store


def whole(store, name):
    """All that a run is, read through and through."""
    run = store.run(name)
    commits = [
        (commit.address, {metric: curve.values.tolist() for metric, curve in commit.metrics.items()}, commit.notes, commit.config)
        for commit in run.commits
    ]
    kept = [step for commit in run.commits if (step := loaded_step(commit)) is not None]
    artifacts = {artifact.name: run.latest.artifact_bytes(artifact.name) for artifact in run.latest.artifacts}
    return (run.state, commits, kept, artifacts, run.latest, run.best)


def loaded_step(commit):
    try:
        return commit.checkpoint.load() and commit.checkpoint.step if commit.checkpoint else None
    except CheckpointPruned:
        return None


def names(store):
    return sorted(run.name for run in store.runs())


def age(store, days):
    """Makes everything in the trash so much older."""
    for batch in sorted((store.folder / ".onyx" / "trash").iterdir()):
        batch.rename(batch.with_name(str(int(batch.name) - days * DAY)))


def chunks_of(store, name):
    return {chunk for commit in store.run(name).commits if commit.checkpoint for chunk in all_chunks(commit)}


def all_chunks(commit):
    return onyx.store.trees.manifest_chunks(commit._doors.objects, commit.checkpoint.address)


# ----------------------------------------------------------------------------------------------------------- there and back


def test_a_removed_run_is_gone_and_comes_back_as_it_was(trained):
    before = {name: whole(trained, name) for name in "ab"}
    refs = {name: trained._doors.refs.read(name) for name in trained._doors.refs.names()}
    trained.run("a").remove()
    assert names(trained) == ["b"]
    with pytest.raises(UnknownName):
        trained.run("a")
    with pytest.raises(onyx.OnyxError):
        trained.commit("a@best")
    assert trained.fsck().damage == []
    trained.trash.restore("a")
    assert {name: whole(trained, name) for name in "ab"} == before
    assert {name: trained._doors.refs.read(name) for name in trained._doors.refs.names()} == refs
    assert (trained.trash.list(), list((trained.folder / ".onyx" / "trash").iterdir()), trained.fsck().damage) == ([], [], [])


def test_names_are_compared_without_case(trained):
    trained.trash.remove("A")
    assert [entry.name for entry in trained.trash.list()] == ["a"]
    trained.trash.restore("A")
    assert names(trained) == ["a", "b"]


def test_latest_and_best_fall_to_the_next_candidates_and_back(trained):
    a, b = trained.run("a"), trained.run("b")
    best_of_a, latest_of_b, best_of_b, latest_of_a = a.best, b.latest, b.best, a.latest
    assert (trained.commit("latest"), trained.commit("best")) == (latest_of_b, best_of_a)
    changes = trained.run("b").remove()
    assert [(change.ref, change.old["commit"], change.new["commit"]) for change in changes] == [
        ("latest", latest_of_b.address, latest_of_a.address)
    ]
    trained.trash.restore("b")
    changes = a.remove()
    assert [(change.ref, change.new["commit"], change.new["value"]) for change in changes] == [("best", best_of_b.address, 10)]
    trained.run("b").remove()
    assert [trained._doors.refs.read(name) for name in ("latest", "best")] == [None, None]
    trained.trash.restore("b")
    assert (trained.commit("latest"), trained.commit("best")) == (latest_of_b, best_of_b)
    trained.trash.restore("a")
    assert (trained.commit("latest"), trained.commit("best")) == (latest_of_b, best_of_a)


def test_several_runs_go_in_one_call_and_come_back_one_by_one(trained):
    refs = {name: trained._doors.refs.read(name) for name in trained._doors.refs.names()}
    changes = trained.trash.remove("b", "a")
    assert (names(trained), [(change.ref, change.new) for change in changes]) == ([], [("latest", None), ("best", None)])
    assert len({run.removed.call for run in removed_runs(trained._doors)}) == 1
    trained.trash.restore("a")
    trained.trash.restore("b")
    assert {name: trained._doors.refs.read(name) for name in trained._doors.refs.names()} == refs


def test_what_happened_meanwhile_stays_when_a_run_comes_back(trained, save):
    trained.run("a").remove()
    with trained.start_run("c", best_metric="loss") as run:
        save(run, 1, metrics={"loss": -1.0})
    latest, best = trained.commit("latest"), trained.commit("best")
    trained.trash.restore("a")
    assert (trained.commit("latest"), trained.commit("best")) == (latest, best)


def test_head_lets_go_of_a_removed_run_and_takes_it_up_again(store, folder):
    (folder / "c.yaml").write_text("lr: 1\n")
    store.add_commit(onyx.Addition(message="one", configs={"c": folder / "c.yaml"}))
    head = store._doors.refs.read("HEAD")
    changes = store.run("main").remove()
    assert [(change.ref, change.new) for change in changes] == [("latest", None), ("HEAD", None)]
    store.trash.restore("main")
    assert (store._doors.refs.read("HEAD"), store.add_commit(onyx.Addition(message="two")).parents[0].message) == (head, "one")


def test_a_commit_after_the_run_of_head_was_removed_begins_a_run_of_the_same_name(store, folder):
    store.add_commit(onyx.Addition(message="one"))
    store.run("main").remove()
    made = store.add_commit(onyx.Addition(message="anew"))
    assert (made.run, made.parents) == ("main", [])
    with pytest.raises(NameTaken, match="a run called 'main' exists"):
        store.trash.restore("main")
    store.run("main").remove()
    store.trash.restore("main")
    assert store.commit("main") == made


def test_of_two_removed_runs_of_a_name_the_last_comes_back_or_the_one_of_that_time(store, save):
    for step in (1, 2):
        with store.start_run("a") as run:
            save(run, step)
        store.run("a").remove()
    older = removed_runs(store._doors)[0]
    store.trash.restore("a")
    assert store.run("a").latest.checkpoint.step == 2
    store.run("a").remove()
    store.trash.restore(str(older.batch.time))
    assert store.run("a").latest.checkpoint.step == 1


def test_a_resumed_run_goes_on_after_it_was_taken_back(trained):
    trained.run("a").remove()
    trained.trash.restore("a")
    with trained.start_run("a", resume=True) as run:
        run.log({"loss": 0.5}, step=4)
    assert (run.metrics["loss"].values.tolist(), trained.fsck().damage) == ([0, 1, 2, 3, 0.5], [])


def test_the_reflog_of_a_run_goes_along(trained):
    before = [(move.by, move.new) for move in trained.reflog("a")]
    trained.run("a").remove()
    assert [move for move in trained.reflog() if move.ref.startswith("runs/a/")] == []
    trained.trash.restore("a")
    moves = [(move.by, move.new) for move in trained.reflog("a")]
    assert moves == [("restore a", before[0][1]), ("rm a", None), *before]


# --------------------------------------------------------------------------------------------------------------- refused


def test_a_live_run_is_refused(trained, script):
    live = script("run = onyx.start_run('live'); print('on', flush=True); sys.stdin.readline()")
    live.read()
    with pytest.raises(RunIsLive):
        trained.trash.plan_remove("live")
    live.send(9)
    live.end()
    trained.trash.remove("live")
    assert names(trained) == ["a", "b"]


def test_a_run_that_somebody_takes_meanwhile_is_refused(trained):
    plan = trained.trash.plan_remove("a")
    held = try_lock(trained._doors.layout.run("a") / "lock")
    with pytest.raises(RunIsLive):
        plan.execute()
    held.release()
    assert names(trained) == ["a", "b"]


def test_a_run_that_is_not_there_is_named_with_what_was_perhaps_meant(trained, save):
    with trained.start_run("bert") as run:
        save(run, 1)
    with pytest.raises(UnknownName, match="the store has no run called 'berd'; did you mean 'bert'"):
        trained.trash.plan_remove("berd")
    with pytest.raises(BadName):
        trained.trash.plan_remove("../a")
    trained.run("bert").remove()
    with pytest.raises(UnknownName, match="the trash has no run called 'berd'; did you mean 'bert'"):
        trained.trash.restore("berd")
    with pytest.raises(UnknownName, match="the trash has no run"):
        trained.trash.restore("../a")


def test_a_plan_is_executed_once(trained):
    plan = trained.trash.plan_remove("a")
    plan.execute()
    with pytest.raises(PlanSpent):
        plan.execute()
    plan = trained.trash.plan_restore("a")
    plan.execute()
    with pytest.raises(PlanSpent):
        plan.execute()


def test_a_plan_says_what_goes_and_who_needs_what_of_it(trained, save):
    trained.tag("paper", "a@best")
    with trained.start_run("fork", parent="a@step:3") as run:
        save(run, 9, 3000)
    plan = trained.trash.plan_remove("a")
    lines = str(plan).splitlines()
    assert lines[:3] == [
        "a (finished, 6 commits) would go to the trash",
        "tag 'paper' names it: what that needs of 'a' stays",
        "'fork' starts from it: what that needs of 'a' stays",
    ]
    assert 0 < plan.unique < trained.trash.plan_remove("a", "fork").unique
    assert names(trained) == ["a", "b", "fork"]


def test_a_run_whose_folder_a_crashed_start_took_comes_back_all_the_same(trained):
    trained.run("a").remove()
    (trained.folder / ".onyx" / "runs" / "a").mkdir()
    (trained.folder / ".onyx" / "runs" / "a" / "tail-000001").touch()
    trained.trash.restore("a")
    assert whole(trained, "a")[2] == [0, 2, 3, 3]


# ----------------------------------------------------------------------------------------------------------- space, grace


def test_a_gc_during_the_grace_leaves_a_removed_run_whole(trained):
    before = whole(trained, "a")
    (trained.folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    trained.run("a").remove()
    age(trained, 13)
    for _ in range(2):
        report = trained.gc()
        assert (report.freed, report.trash_emptied, report.unreadable) == (0, 0, ())
    trained.trash.restore("a")
    assert whole(trained, "a") == before


def test_after_the_grace_a_gc_frees_what_only_the_run_needed_at_once(trained, size_of):
    chunks, others = chunks_of(trained, "a") - chunks_of(trained, "b"), whole(trained, "b")
    unique = trained.trash.plan_remove("a").unique
    trained.run("a").remove()
    age(trained, 15)
    plan = trained.plan_gc()
    assert (plan.sweep.freed >= unique, plan.sweep.to_trash, plan.trash > 0) == (True, 0, True)
    report = trained.gc()
    assert (report.freed, report.to_trash) == (plan.sweep.freed, 0)
    assert [chunk for chunk in chunks if trained._doors.objects.has_chunk(chunk)] == []
    assert (trained.trash.list(), size_of(trained.folder / ".onyx" / "trash"), trained.fsck().damage) == ([], 0, [])
    assert whole(trained, "b") == others
    with pytest.raises(UnknownName):
        trained.trash.restore("a")


def test_without_a_grace_a_removed_run_goes_with_the_next_gc(trained):
    (trained.folder / ".onyx" / "settings.yaml").write_text("trash_days: 0\n")
    store = onyx.Store.open(trained.folder)
    chunks = chunks_of(store, "a") - chunks_of(store, "b")
    store.run("a").remove()
    store.gc()
    assert ([chunk for chunk in chunks if store._doors.objects.has_chunk(chunk)], store.fsck().damage) == ([], [])


def test_what_tags_and_forks_need_of_a_run_outlives_it_and_the_rest_goes(trained, save):
    trained.tag("paper", "a@best")
    with trained.start_run("fork", parent="a@step:3") as run:
        save(run, 9, 3000)
    middle = trained.commit("a@step:2")
    trained.run("a").remove()
    age(trained, 15)
    trained.gc()
    paper, start = trained.commit("paper"), trained.run("fork").commits[0]
    assert (loaded_step(paper), loaded_step(start), paper.config, dict(paper.metrics)) == (0, 3, {"c": {"name": "a"}}, {})
    assert (paper.checkpoint.is_pruned, start.checkpoint.is_pruned) == (False, False)
    assert [commit.message for commit in trained.commits("fork")][-3:] == ["checkpoint at step 1", "checkpoint at step 0", "start"]
    with pytest.raises(CheckpointPruned):
        middle.checkpoint.load()
    assert (middle.checkpoint.is_pruned, trained.fsck().damage) == (True, [])


def test_a_new_run_of_the_name_changes_nothing_of_that(trained, save):
    trained.tag("paper", "a@step:3")
    trained.run("a").remove()
    age(trained, 15)
    trained.gc()
    with trained.start_run("a") as run:
        save(run, 30)
    assert (loaded_step(trained.commit("paper")), trained.fsck().damage) == (3, [])


def test_checkpoints_that_two_runs_share_stay_for_the_other(store, weights):
    for name in "ab":
        with store.start_run(name) as run:
            run.save_checkpoint(state=weights(1), step=1, wait=True)
    store.run("a").remove()
    age(store, 15)
    store.gc()
    np.testing.assert_array_equal(store.run("b").latest.checkpoint.load()["w"], weights(1)["w"])


def test_the_trash_says_what_lies_in_it_with_bytes_and_days(trained, clock_of_files):
    doors = trained._doors
    trained.run("a").remove()
    clock_of_files.append(3 * DAY)
    doors.objects.put(b"nobody needs this")
    trained.gc()
    objects, run = trained.trash.list()
    assert (run.name, run.run, run.bytes > 30_000, 10.9 < run.days_left < 11.1) == ("a", "a", True, True)
    assert (objects.name.isdigit(), objects.run, objects.bytes > 0, 13.9 < objects.days_left <= 14) == (True, None, True, True)
    assert objects.time > run.time
    trained.trash.restore(objects.name)
    assert [entry.name for entry in trained.trash.list()] == ["a"]


@pytest.fixture
def clock_of_files(monkeypatch):
    """What is added to the files' clock."""
    passed = [0]
    clock = onyx.disk.files.clock
    monkeypatch.setattr("onyxstore.disk.files.clock", lambda tmp: clock(tmp) + sum(passed))
    return passed


def test_a_full_disk_takes_removed_runs_and_all_that_they_held(make_small_disk, monkeypatch, save, steps_kept):
    folder = make_small_disk("6m")
    monkeypatch.chdir(folder)
    store = onyx.Store.init(folder)
    with store.start_run("old", max_checkpoints=None) as run:
        for step in range(8):
            save(run, step, 100_000)
    store.run("old").remove()
    with store.start_run("new") as run:
        with (folder / "fill").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(1 << 16)):
                pass
        save(run, 1, 100_000)
    assert (steps_kept(store.run("new")), store.trash.list(), store.fsck().damage) == ([1], [], [])


def test_a_damaged_run_in_the_trash_is_named_and_nothing_is_swept(trained):
    trained.run("a").remove()
    (run,) = removed_runs(trained._doors)
    (run.folder / "state").write_bytes(b"noise\n")
    report = trained.gc()
    assert (report.freed, len(report.unreadable)) == (0, 1)
    assert [finding.where for finding in trained.fsck().damage] == [f"trash/{run.batch.time}/runs/a"]
    with pytest.raises(UnknownName):
        trained.trash.restore("a")


# ------------------------------------------------------------------------------------------------- killed at any moment


def at_every_change(folder, killed_at, act, check, prepare=None):
    """Kills `act` before each of its changes, on a copy of the store each time; `check` looks at what that leaves."""
    copy = folder / "copy"
    calls, was_killed = 0, True
    while was_killed:
        shutil.copytree(folder / ".onyx", copy / ".onyx")
        was_killed = killed_at(calls, lambda: act(onyx.Store.open(copy)))
        try:
            check(onyx.Store.open(copy), was_killed)
        except Exception as error:
            error.add_note(f"killed at change {calls}")
            raise
        shutil.rmtree(copy)
        calls += 1
    return calls


def test_a_removal_that_is_killed_anywhere_leaves_the_run_here_or_in_the_trash_whole(trained, folder, killed_at):
    trained.tag("paper", "a@step:3")
    before = {name: whole(trained, name) for name in "ab"}
    refs = {name: trained._doors.refs.read(name) for name in trained._doors.refs.names()}

    def check(store, was_killed):
        assert store.fsck().damage == []
        assert [loaded_step(store.commit(name)) is not None for name in ("latest", "best", "paper")] == [True] * 3
        if runs.run_exists(store._doors.layout, "a"):
            assert {name: whole(store, name) for name in "ab"} == before
            assert was_killed
            store.run("a").remove()
        else:
            expected = "a-2" if half(store) else "a"
            with store.start_run("a") as other:
                assert (other.name, other.commits[0].parents) == (expected, [])
            store.run(other.name).remove()
            assert store.gc().unreadable == ()
        assert (half(store), store.fsck().damage) == (False, [])
        assert [store._doors.refs.read(name) for name in ("latest", "best")] == [refs["latest"], refs["runs/b/best"]]
        store.trash.restore(str(removed_runs(store._doors)[0].batch.time))
        assert {name: whole(store, name) for name in "ab"} == before
        assert {name: ref for name in store._doors.refs.names() if (ref := store._doors.refs.read(name))} == refs

    assert at_every_change(folder, killed_at, lambda store: store.run("a").remove(), check) > 20


def half(store):
    layout = store._doors.layout
    return any((folder / "a").is_dir() and any((folder / "a").iterdir()) for folder in (layout.refs / "runs", layout.reflog / "runs"))


def test_a_restoration_that_is_killed_anywhere_leaves_the_run_here_or_in_the_trash_whole(trained, folder, killed_at):
    before = {name: whole(trained, name) for name in "ab"}
    refs = {name: trained._doors.refs.read(name) for name in trained._doors.refs.names()}
    trained.run("a").remove()

    def check(store, was_killed):
        assert (store.fsck().damage, store.gc().unreadable) == ([], ())
        if not runs.run_exists(store._doors.layout, "a"):
            assert was_killed
            store.trash.restore("a")
        assert {name: whole(store, name) for name in "ab"} == before
        assert {name: store._doors.refs.read(name) for name in store._doors.refs.names()} == refs
        assert (store.trash.list(), store.fsck().damage) == ([], [])

    assert at_every_change(folder, killed_at, lambda store: store.trash.restore("a"), check) > 15


def test_a_gc_that_is_killed_while_a_removed_run_goes_for_good_leaves_the_others_whole(trained, folder, killed_at):
    others = whole(trained, "b")
    trained.tag("paper", "a@step:3")
    trained.run("a").remove()
    age(trained, 15)

    def check(store, was_killed):
        assert (store.fsck().damage, whole(store, "b"), loaded_step(store.commit("paper"))) == ([], others, 3)
        assert store.gc().unreadable == ()
        assert (store.fsck().damage, [entry.run for entry in store.trash.list() if entry.run]) == ([], [])

    assert at_every_change(folder, killed_at, lambda store: store.gc(), check) > 5


# ------------------------------------------------------------------------------------------------------ many processes


def test_of_processes_that_remove_and_restore_at_once_the_run_stays_whole(trained, script):
    before = whole(trained, "a")
    juggling = """
store = onyx.Store.open()
done = 0
for _ in range(15):
    for act in (lambda: store.run("a").remove(), lambda: store.trash.restore("a"), store.gc):
        try:
            act()
            done += 1
        except onyx.OnyxError:
            pass
print(done, flush=True)
"""
    both = [script(juggling) for _ in range(2)]
    assert all(int(each.read()) > 0 for each in both)
    assert [(status, errors) for status, errors in (each.end() for each in both)] == [(0, ""), (0, "")]
    if names(trained) == ["b"]:
        trained.trash.restore("a")
    assert (whole(trained, "a"), trained.fsck().damage) == (before, [])
