import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.store.adding import Addition
from onyxstore.store.store import Store
from onyxstore.store.usage import Share, Tally

STORED = 4016
"""Bytes that a chunk of 1000 random uint32s takes, frame included."""


def noise(seed):
    return np.random.default_rng(seed).integers(0, 2**32, 1000, np.uint32)


def save_state(run, step, **state):
    return run.save_checkpoint(state=state, step=step, wait=True).wait()


def rows(shares):
    return {row.name: (row.checkpoints, row.raw, row.stored, row.shared, row.unique) for row in shares.rows}


@pytest.fixture
def check_sums(folder, size_of):
    """The usage, whose numbers are those of the files."""

    def check_sums(store):
        usage = store.usage()
        on_disk = size_of(folder / ".onyx")
        assert usage.total == on_disk
        assert usage.packs == size_of(folder / ".onyx" / "packs")
        assert usage.objects == size_of(folder / ".onyx" / "objects")
        assert usage.logs == size_of(folder / ".onyx" / "runs")
        assert usage.trash == size_of(folder / ".onyx" / "trash")
        for shares in (usage.runs, usage.parts):
            assert shares.stored + usage.garbage + usage.overhead + usage.other + usage.trash == on_disk
        return usage

    return check_sums


def test_an_empty_store_has_its_settings(store, check_sums):
    usage = check_sums(store)
    assert (usage.runs.rows, usage.parts.rows, usage.packs, usage.garbage, usage.trash) == ((), (), 0, 0, 0)
    assert usage.other == usage.total > 0


def test_what_runs_share_is_counted_in_each_and_stored_once(store, check_sums):
    for name, seed in (("a", 1), ("b", 2)):
        with store.start_run(name) as run:
            save_state(run, 1, model={"frozen": noise(0), "own": noise(seed)})
    usage = check_sums(store)
    one, other = usage.runs.rows
    assert one.checkpoints == other.checkpoints == 1
    assert one.shared == other.shared >= STORED
    assert min(one.unique, other.unique) > STORED
    assert usage.runs.stored == one.unique + other.unique + usage.runs.shared
    assert usage.runs.shared == one.shared


def test_parts_have_their_tensors_and_everything_else_its_kind(store, folder, check_sums):
    (folder / "train.yaml").write_text("lr: 1\n")
    with store.start_run("run", configs={"train": folder / "train.yaml"}) as run:
        run.log({"loss": 1.0}, step=1)
        run.log_artifact("sample.txt", b"once upon a time", kind="text")
        save_state(run, 1, model={"a": noise(1), "b": noise(2)}, optimizer={"m": noise(3)})
        save_state(run, 2, model={"a": noise(1), "b": noise(4)}, optimizer={"m": noise(5)})
    parts = rows(check_sums(store).parts)
    assert parts["model"] == (2, 16_000, 3 * STORED, 0, 3 * STORED)
    assert parts["optimizer"] == (2, 8_000, 2 * STORED, 0, 2 * STORED)
    assert {"rng", "commits", "manifests", "metrics", "configs", "artifacts", "environment"} <= parts.keys()
    assert parts["artifacts"][:2] == (0, None)


def test_a_part_shares_with_another_what_is_the_same_in_both(store, check_sums):
    with store.start_run("run") as run:
        save_state(run, 1, model={"w": noise(1)}, ema={"w": noise(1).copy()})
    parts = rows(check_sums(store).parts)
    assert parts["model"] == parts["ema"] == (1, 4000, STORED, STORED, 0)


def test_a_fork_does_not_own_what_it_starts_from(store, check_sums):
    with store.start_run("base") as run:
        save_state(run, 1, model={"w": noise(1)})
    with store.start_run("fork", parent="base@latest"):
        pass
    found = rows(check_sums(store).runs)
    assert (found["base"][0], found["fork"][:2]) == (1, (0, None))


def test_what_retention_dropped_is_garbage_until_it_is_swept(store, folder, check_sums):
    (folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    store = Store.open(folder)
    with store.start_run("run", max_checkpoints=1) as run:
        for step in (1, 2, 3):
            save_state(run, step, model={"w": noise(step)})
    usage = check_sums(store)
    assert (usage.garbage, rows(usage.runs)["run"][0]) == (2 * STORED, 1)
    store.gc()
    assert check_sums(store).garbage == 0


def test_the_trash_is_told_apart(store, check_sums):
    store.add_commit(Addition(message="first"))
    store._doors.objects.put(b"nobody names this")
    assert check_sums(store).garbage > 0
    store.gc()
    usage = check_sums(store)
    assert (usage.garbage, usage.trash > 0) == (0, True)


def test_a_live_run_counts_as_it_is(store, check_sums):
    run = store.start_run("run")
    for step in range(50):
        run.log({"loss": 1.0}, step=step)
    run.flush()
    assert check_sums(store).logs > 1000
    run.finish()


def test_damage_is_said_and_the_rest_is_counted(store, folder, check_sums):
    with store.start_run("good") as run:
        save_state(run, 1, model={"w": noise(1)})
    with store.start_run("bad") as run:
        commit = save_state(run, 1, model={"w": noise(2)})
    tree = commit.checkpoint.manifest.state
    (folder / ".onyx" / "objects" / tree[:2] / tree[2:]).write_bytes(b"noise")
    (folder / ".onyx" / "runs" / "bad" / "state").write_bytes(b"noise")
    usage = check_sums(Store.open(folder))
    assert rows(usage.runs)["good"][0] == 1
    assert any("state" in words for words in usage.unreadable)
    assert any(tree[:10] in words for words in usage.unreadable)


def test_a_damaged_pack_is_said(store, folder, check_sums):
    with store.start_run("run") as run:
        save_state(run, 1, model={"w": noise(1)})
    (pack,) = (folder / ".onyx" / "packs").iterdir()
    pack.write_bytes(b"noise")
    usage = check_sums(Store.open(folder))
    assert ["pack" in words for words in usage.unreadable] == [True]


def test_usage_prints_itself(store, folder):
    with store.start_run("run") as run:
        save_state(run, 1, model={"w": noise(1)})
    lines = str(store.usage()).splitlines()
    assert (lines[0].startswith("run: "), lines[-1].endswith("0 of them garbage, 0 in the trash")) == (True, True)


def test_a_store_that_was_copied_has_the_same_usage(store, folder, tmp_path):
    with store.start_run("run") as run:
        save_state(run, 1, model={"w": noise(1)})
    shutil.copytree(folder / ".onyx", tmp_path / "copy" / ".onyx")
    assert Store.open(tmp_path / "copy").usage() == store.usage()


@given(
    needs=st.dictionaries(st.sampled_from("abcd"), st.sets(st.integers(0, 9)), max_size=4),
    sizes=st.lists(st.integers(0, 100), min_size=10, max_size=10),
)
def test_unique_and_shared_bytes_are_what_their_words_say(needs, sizes):
    by_address = {f"{number:064x}": size for number, size in enumerate(sizes)}
    tally = Tally(by_address)
    for owner, numbers in needs.items():
        tally.add(owner, {f"{number:064x}" for number in numbers})
    for owner, numbers in needs.items():
        others = set().union(*(held for other, held in needs.items() if other != owner))
        assert tally.stored[owner] == sum(sizes[number] for number in numbers)
        assert tally.unique[owner] == sum(sizes[number] for number in numbers - others)
    assert tally.shared + sum(tally.unique.values()) == sum(sizes[number] for number in set().union(*needs.values()))


def test_an_address_that_is_not_stored_counts_nothing():
    tally = Tally({})
    tally.add("a", {"0" * 64})
    assert (tally.stored["a"], tally.unique["a"], tally.shared) == (0, 0, 0)
    assert Share("a", 0, None, 0, 0).shared == 0
