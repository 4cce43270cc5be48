"""Which checkpoints a run keeps, and what is left of those it does not."""

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.disk.refs import tag_ref
from onyxstore.errors import CheckpointPruned
from onyxstore.history.retention import read_marks, read_pruned
from onyxstore.store.retaining import is_pruned, protected_manifests


@pytest.fixture
def train(store, save):
    """A run that saved so many checkpoints and has ended."""

    def train(name, count, first=0, **options):
        with store.start_run(name, **options) as run:
            for step in range(first, first + count):
                run.log({"loss": float(step)}, step=step)
                save(run, step)
        return store.run(name)

    return train


def test_a_run_keeps_its_newest_five_unless_somebody_says_otherwise(store, train, steps_kept):
    run = train("a", 8)
    store.gc()
    assert steps_kept(run) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(("limit", "kept"), [(1, [6]), (3, [4, 5, 6]), (None, [0, 1, 2, 3, 4, 5, 6])])
def test_a_run_keeps_as_many_as_it_was_told_to(store, train, steps_kept, limit, kept):
    run = train("a", 7, max_checkpoints=limit)
    store.gc()
    assert steps_kept(run) == kept


def test_the_settings_say_how_many(store, folder, save, steps_kept):
    (folder / ".onyx" / "settings.yaml").write_text("max_checkpoints: 2\n")
    store = onyx.Store.open(folder)
    with store.start_run("a") as run, store.start_run("b", max_checkpoints=None) as other:
        for step in range(4):
            save(run, step)
            save(other, 10 + step)
    store.gc()
    assert (steps_kept(store.run("a")), steps_kept(store.run("b"))) == ([2, 3], [10, 11, 12, 13])


def test_best_and_tagged_ones_stay_whatever_their_age(store, save, steps_kept):
    with store.start_run("a", best_metric="loss", max_checkpoints=2) as run:
        for step, loss in enumerate([5.0, 1.0, 4.0, 3.0, 2.0, 6.0]):
            save(run, step, metrics={"loss": loss})
            if step == 2:
                store.tag("keep", "a@step:2")
    store.gc()
    assert steps_kept(store.run("a")) == [1, 2, 4, 5]
    assert sorted(protected_manifests(store._doors).values()) == ["best", "latest", "tagged keep"]


def test_what_was_best_once_goes_when_something_else_is(store, save, steps_kept):
    with store.start_run("a", best_metric="loss", max_checkpoints=1) as run:
        for step, loss in enumerate([1.0, 2.0, 0.5, 3.0]):
            save(run, step, metrics={"loss": loss})
    store.gc()
    assert steps_kept(store.run("a")) == [2, 3]


def test_it_counts_checkpoints_and_not_commits(store, save, steps_kept):
    with store.start_run("a", max_checkpoints=2) as run:
        for step in range(3):
            save(run, step)
            for number in range(4):
                run.commit(f"thought {number}")
    store.gc()
    assert steps_kept(store.run("a")) == [1, 2]


def test_the_same_state_saved_twice_is_one_checkpoint(store, save, steps_kept):
    """Without random states, which differ from save to save."""
    with store.start_run("a", max_checkpoints=2) as run:
        run._stage = lambda live, slot: onyx.store.trees.Trees(slot.capture(live))
        for step, seed in enumerate([0, 1, 1, 1]):
            save(run, step, seed=seed)
    store.gc()
    assert steps_kept(store.run("a")) == [0, 1, 2, 3]


def test_the_first_pruning_is_said_once(store, train, said):
    train("a", 4, max_checkpoints=2)
    assert said() == ["run 'a' keeps its newest 2 checkpoints; older ones are pruned (max_checkpoints)"]
    with store.start_run("a", resume=True) as run:
        run.save_checkpoint(state={"w": np.ones(5)}, step=9, wait=True)
    assert len(said()) == 1


def test_of_a_pruned_checkpoint_everything_but_the_tensors_is_there(store, folder, save):
    with store.start_run("a", configs={"c": {"lr": 1}}, max_checkpoints=1) as run:
        for step in range(3):
            run.log({"loss": float(step)}, step=step)
            save(run, step, metrics={"acc": step / 10})
    store.gc()
    commit = store.commit("a@step:0")
    assert (commit.config, commit.checkpoint.step, dict(commit.checkpoint.metrics)) == ({"c": {"lr": 1}}, 0, {"acc": 0.0})
    assert commit.metrics["loss"].values.tolist() == [0.0]
    assert (dict(commit.checkpoint.manifest.sizes), list(commit.checkpoint.tensors)) == ({"w": 4000}, ["w"])
    assert commit.checkpoint.is_pruned
    for read in (
        commit.checkpoint.load,
        lambda: commit.checkpoint.tensors["w"],
        lambda: commit.checkpoint.tensors.numpy("w"),
        commit.checkpoint.check_stored,
        lambda: store.checkout("a@step:0"),
    ):
        with pytest.raises(CheckpointPruned, match=f"the checkpoint of {commit.short} was pruned: its run keeps only so many"):
            read()
    assert store.fsck().damage == []
    assert {path.name for path in folder.iterdir()} == {".onyx"}


def test_a_checkpoint_that_is_marked_but_not_swept_still_loads(store, save, steps_kept):
    (store.folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    store = onyx.Store.open(store.folder)
    with store.start_run("a", max_checkpoints=1) as run:
        for step in range(3):
            save(run, step)
    assert steps_kept(store.run("a")) == [0, 1, 2]
    store.gc()
    assert steps_kept(store.run("a")) == [2]


def test_a_pruned_checkpoint_that_is_saved_again_is_kept_again(store, save, steps_kept):
    """Also when a sweep comes right after the commit."""
    with store.start_run("a", max_checkpoints=2) as run:
        run._stage = lambda live, slot: onyx.store.trees.Trees(slot.capture(live))
        for step in range(4):
            save(run, step)
        store.gc()
        assert steps_kept(run) == [2, 3]
        save(run, 4, seed=0)
        report = store.gc()
        # Step 0 had the same state, so it is one checkpoint with the newest.
        assert (steps_kept(run), report.unreadable) == ([0, 3, 4], ())
        folder = store._doors.layout.run("a")
        assert run.latest.checkpoint.address not in read_pruned(folder)
        assert [mark.pruned for mark in read_marks(folder)] == [True, True, False, True]
    assert store.fsck().damage == []


def test_what_two_runs_share_stays_while_one_of_them_keeps_it(store, save, steps_kept):
    with store.start_run("a", max_checkpoints=1) as run, store.start_run("b", max_checkpoints=None) as other:
        for each in (run, other):
            each._stage = lambda live, slot: onyx.store.trees.Trees(slot.capture(live))
        save(other, 0)
        save(other, 10)
        for step in range(3):
            save(run, step)
    store.gc()
    assert steps_kept(store.run("b")) == [0, 10]
    assert steps_kept(store.run("a")) == [0, 2]
    assert store.run("a").commits[1].checkpoint.is_pruned


def test_a_mark_made_in_the_moment_before_a_tag_frees_nothing(store, save, steps_kept):
    (store.folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    store = onyx.Store.open(store.folder)
    with store.start_run("a", max_checkpoints=1) as run:
        for step in range(3):
            save(run, step)
    store.tag("keep", "a@step:0")
    store.gc()
    assert steps_kept(store.run("a")) == [0, 2]
    store.delete_tag("keep")
    store.gc()
    assert steps_kept(store.run("a")) == [2]


def test_a_tag_that_is_gone_protects_no_more(store, train, save, steps_kept):
    run = train("a", 2, max_checkpoints=None)
    store.tag("keep", "a@step:0")
    with store.start_run("a", resume=True, max_checkpoints=1) as resumed:
        save(resumed, 9)
    store.gc()
    assert steps_kept(run) == [0, 9]
    store.delete_tag("keep")
    store.gc()
    assert steps_kept(run) == [9]


def test_a_fork_is_pruned_by_its_own_line_and_never_what_it_inherited(store, train, save, steps_kept):
    train("a", 2, max_checkpoints=2)
    with store.start_run("b", parent="a@step:0", max_checkpoints=1) as fork:
        for step in (5, 6, 7):
            save(fork, step)
    store.gc()
    assert steps_kept(store.run("b")) == [0, 7]
    assert steps_kept(store.run("a")) == [0, 1]


def test_a_commit_that_carries_a_pruned_checkpoint_over_to_another_run_says_so(store, train):
    train("a", 3, max_checkpoints=1)
    store.gc()
    store.checkout("a@step:0", onyx.store.checkout.CheckoutOptions(checkpoint=False))
    made = store.add_commit(onyx.store.adding.Addition(message="on from there"))
    assert (made.run, made.checkpoint.step) == ("main", 0)
    assert is_pruned(store._doors, made.address)
    with pytest.raises(CheckpointPruned):
        made.checkpoint.load()
    assert store.fsck().damage == []


def test_pruning_is_put_off_while_something_cannot_be_read_and_the_save_is_whole(store, save, said, steps_kept):
    with store.start_run("other") as other:
        save(other, 10)
    store.tag("keep", "other")
    tag = store._doors.refs._path(tag_ref("keep"))
    whole = tag.read_bytes()
    tag.write_bytes(whole.replace(b"commit", b"commil"))
    with store.start_run("a", max_checkpoints=1) as run:
        for step in range(3):
            save(run, step)
        assert steps_kept(run) == [0, 1, 2]
        assert [words.partition(" is damaged")[0] for words in said()] == [f"run 'a': pruning is put off, since {tag}"]
        tag.write_bytes(whole)
        save(run, 3)
        store.gc()
        assert steps_kept(run) == [3]


# ------------------------------------------------------------------------------------------------------- space is freed


def test_space_is_freed_without_a_gc_once_there_is_enough_garbage(store, weights, size_of):
    packs = store.folder / ".onyx" / "packs"
    with store.start_run("a", max_checkpoints=2) as run:
        sizes = []
        for step in range(12):
            run.save_checkpoint(state=weights(step, 100_000), step=step)
            run.flush()
            sizes.append(size_of(packs))
    one = sizes[0]
    # Two that are kept, and garbage of at most the larger of one checkpoint and a tenth, and the one that tips it over.
    assert max(sizes) < 4.1 * one
    assert sizes[-1] > 1.9 * one
    assert size_of(store.folder / ".onyx" / "trash") == 0


def test_space_is_not_freed_by_itself_when_the_settings_say_no(store, folder, weights, size_of):
    (folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    store = onyx.Store.open(folder)
    with store.start_run("a", max_checkpoints=1) as run:
        for step in range(6):
            run.save_checkpoint(state=weights(step, 10_000), step=step, wait=True)
    before = size_of(folder / ".onyx" / "packs")
    store.gc()
    assert size_of(folder / ".onyx" / "packs") < before / 4


def test_one_checkpoint_of_garbage_is_not_worth_a_sweep(store, weights, size_of):
    packs = store.folder / ".onyx" / "packs"
    sizes = []
    with store.start_run("a", max_checkpoints=1) as run:
        for step in range(4):
            run.save_checkpoint(state=weights(step, 100_000), step=step)
            run.flush()
            sizes.append(size_of(packs) / sizes[0] if sizes else size_of(packs))
    # Garbage of one checkpoint waits, the second tips it over: only the newest is left then.
    assert [round(size) for size in sizes[1:]] == [2, 1, 2]


def test_freeing_gives_way_to_another_process_that_saves(store, weights, size_of, monkeypatch, script):
    monkeypatch.setattr(onyx.store.gc, "BACKGROUND_PATIENCE", 0.05)
    other = script(
        "from onyxstore.disk.locks import pinned\nfrom pathlib import Path\n"
        "with pinned(Path('.onyx/locks')):\n    print('on', flush=True)\n    sys.stdin.readline()\nprint('off', flush=True)"
    )
    other.read()
    packs = store.folder / ".onyx" / "packs"
    with store.start_run("a", max_checkpoints=1) as run:
        for step in range(4):
            run.save_checkpoint(state=weights(step, 100_000), step=step)
        run.flush()
        before = size_of(packs)
        assert len(list(packs.iterdir())) == 4
        other.process.stdin.write("\n")
        other.process.stdin.flush()
        other.read()
        run.save_checkpoint(state=weights(4, 100_000), step=4)
        run.flush()
        assert size_of(packs) < before / 3
