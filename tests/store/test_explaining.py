import numpy as np
import pytest

from onyxstore.store.explaining import Verdict
from onyxstore.store.store import Store


def noise(seed, size=1000):
    return np.random.default_rng(seed).integers(0, 2**32, size, np.uint32)


STORED = 4016
"""Bytes that a chunk of such noise takes, frame included."""


@pytest.fixture
def settings(folder):
    """Writes the store's settings."""
    return (folder / ".onyx" / "settings.yaml").write_text


def told(verdicts):
    return [(each.run, each.step, each.is_kept, each.reason) for each in verdicts]


def test_every_checkpoint_has_its_reason(store, save):
    with store.start_run("run", max_checkpoints=2, best_metric="loss") as run:
        for step, loss in enumerate((3, 1, 2, 4, 5)):
            save(run, step, metrics={"loss": loss})
            if step == 2:
                store.tag("paper", "run@step:2")
    with store.start_run("fork", parent="run@step:4"):
        pass
    assert told(store.plan_gc().explain()) == [
        ("run", 4, True, "'fork' starts from it"),
        ("run", 3, True, "among the newest 2"),
        ("run", 2, True, "tagged paper"),
        ("run", 1, True, "best"),
    ]


def test_what_a_gc_would_drop_is_dropped_and_what_a_live_run_has_is_its_own(store, save, folder, settings):
    live = store.start_run("live", max_checkpoints=None)
    save(live, 1)
    save(live, 2)
    with store.start_run("run", max_checkpoints="settings") as run:
        for step in range(3):
            save(run, 10 + step)
    settings("max_checkpoints: 1\n")
    reopened = Store.open(folder)
    assert told(reopened.plan_gc().explain()) == [
        ("live", 2, True, "latest"),
        ("live", 1, True, "among the newest 2"),
        ("run", 12, True, "latest"),
        ("run", 11, False, "older than those that the run keeps"),
        ("run", 10, False, "older than those that the run keeps"),
    ]
    live.finish()


def test_unique_bytes_are_those_that_no_other_checkpoint_needs(store):
    frozen = noise(0)
    with store.start_run("run", max_checkpoints=None) as run:
        for step in range(3):
            run.save_checkpoint(state={"frozen": frozen, "own": noise(step + 1)}, step=step).wait()
        run.save_checkpoint(state={"frozen": frozen}, step=3).wait()
    verdicts = store.plan_gc().explain()
    rng = verdicts[0].stored - STORED  # the same in all
    assert [(each.step, each.stored - rng, each.unique) for each in verdicts] == [
        (3, STORED, 0),
        (2, 2 * STORED, STORED),
        (1, 2 * STORED, STORED),
        (0, 2 * STORED, STORED),
    ]


def test_the_same_checkpoint_in_two_runs_is_one(store):
    for name in ("a", "b"):
        with store.start_run(name) as run:
            run.save_checkpoint(state={"w": noise(1)}, step=1).wait()
    one, other = store.plan_gc().explain()
    assert (one.manifest, one.stored, one.unique) == (other.manifest, other.stored, other.unique)
    assert one.unique == one.stored


def test_dropping_what_is_unique_frees_that_much(store, save, folder, settings):
    with store.start_run("run", max_checkpoints="settings") as run:
        for step in range(3):
            save(run, step)
    settings("max_checkpoints: 1\nauto_gc: false\n")
    reopened = Store.open(folder)
    dropped = [each for each in reopened.plan_gc().explain() if not each.is_kept]
    before = reopened.usage()
    reopened.gc()
    after = reopened.usage()
    in_chunks = (before.packs - before.overhead) - (after.packs - after.overhead)
    assert (len(dropped), in_chunks) == (2, sum(each.unique for each in dropped))


def test_a_store_without_checkpoints_has_nothing_to_explain(store):
    with store.start_run("run"):
        pass
    assert store.plan_gc().explain() == ()


def test_a_damaged_ref_leaves_the_reasons_unknown(store, save, folder):
    with store.start_run("run") as run:
        save(run, 1)
    (folder / ".onyx" / "refs" / "latest").write_bytes(b"noise")
    plan = store.plan_gc()
    assert (plan.explain(), len(plan.unreadable) > 0) == ((), True)


def test_a_damaged_tree_counts_no_bytes(store, save, folder):
    with store.start_run("run") as run:
        commit = save(run, 1)
    tree = commit.checkpoint.manifest.state
    (folder / ".onyx" / "objects" / tree[:2] / tree[2:]).write_bytes(b"noise")
    (verdict,) = Store.open(folder).plan_gc().explain()
    assert verdict == Verdict("run", 1, commit.address, commit.checkpoint.address, is_kept=True, reason="latest", stored=0, unique=0)
