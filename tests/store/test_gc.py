"""gc: it prints itself, does it once, takes nothing that somebody needs, and may be interrupted anywhere."""

import contextlib
import os
import shutil

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

import onyxstore as onyx
from onyxstore.disk import files
from onyxstore.disk.locks import pinned
from onyxstore.errors import CheckpointPruned, DiskFull, PlanSpent, StoreBusy
from onyxstore.history.metrics.log import read_list
from onyxstore.history.metrics.sealed import decode_list
from onyxstore.store import gc
from onyxstore.store.trees import Trees, write_trees

PATIENCE = 60.0
DAY = 86_400 * 10**9


@pytest.fixture
def quiet(store):
    """The store, with nothing freed but by a gc."""
    (store.folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    return onyx.Store.open(store.folder)


@pytest.fixture
def pruned(quiet, save):
    """A store with a run whose two older checkpoints of three are marked and still there."""
    with quiet.start_run("a", max_checkpoints=1) as run:
        for step in range(3):
            save(run, step, 50_000)
    return quiet


def leave_behind(store, seed):
    """What a save that was killed before its commit leaves: chunks, trees, a manifest. The packs' sizes."""
    doors = store._doors
    with pinned(doors.layout.locks):
        state = {"w": np.random.default_rng(seed).standard_normal(50_000, np.float32)}
        return write_trees(doors.objects, Trees(onyx.frameworks.capture.capture_tree(state))).stored


# ------------------------------------------------------------------------------------------------------------ the plan


def test_a_plan_says_what_would_go_and_changes_nothing(quiet, save, size_of):
    with quiet.start_run("a", max_checkpoints=None) as run:
        commits = [save(run, step, 50_000) for step in range(3)]
    quiet.start_run("a", resume=True, max_checkpoints=1).finish()
    before = size_of(quiet.folder)
    plan = quiet.plan_gc()
    assert [line.partition(",")[0] for line in str(plan).splitlines()[:2]] == [
        f"a: the checkpoint of {commits[step].short} would be pruned" for step in (0, 1)
    ]
    assert (plan.pruned, plan.sweep.freed > 300_000, plan.sweep.to_trash, size_of(quiet.folder)) == (2, True, 0, before)
    report = plan.execute()
    assert (report.pruned, report.freed) == (plan.pruned, plan.sweep.freed)
    assert str(report) == f"pruned 2 checkpoints, freed {report.freed:,} bytes (0 of them wait in the trash), emptied 0 bytes of trash"


def test_a_plan_is_executed_once(pruned):
    plan = pruned.plan_gc()
    plan.execute()
    with pytest.raises(PlanSpent, match="this gc plan was executed already"):
        plan.execute()


def test_a_plan_that_could_not_begin_may_be_tried_again(pruned):
    plan = pruned.plan_gc()
    with pinned(pruned._doors.layout.locks), pytest.raises(StoreBusy, match=r"others are committing to the store, for more than 0\.05 s"):
        plan.execute(patience=0.05)
    assert plan.execute().freed > 0


def test_a_plan_looks_again_when_it_is_executed(pruned, steps_kept):
    plan = pruned.plan_gc()
    pruned.tag("keep", "a@step:0")
    plan.execute()
    assert steps_kept(pruned.run("a")) == [0, 2]


def test_a_gc_of_a_clean_store_does_nothing(store, save, size_of):
    with store.start_run("a") as run:
        save(run, 0)
    before = size_of(store.folder / ".onyx" / "packs"), size_of(store.folder / ".onyx" / "objects")
    report = store.gc()
    assert (report.pruned, report.freed, report.to_trash, report.trash_emptied, report.unreadable) == (0, 0, 0, 0, ())
    assert (size_of(store.folder / ".onyx" / "packs"), size_of(store.folder / ".onyx" / "objects")) == before


def test_a_live_run_is_pruned_by_itself_alone(quiet, save, script, steps_kept):
    with quiet.start_run("a", max_checkpoints=None) as run:
        for step in range(3):
            save(run, step)
    other = script("run = onyx.start_run('a', resume=True, max_checkpoints=1); print('on', flush=True); sys.stdin.readline()")
    other.read()
    quiet.gc()
    assert steps_kept(quiet.run("a")) == [0, 1, 2]


# --------------------------------------------------------------------------------------------------------- what is live


def test_everything_that_a_commit_names_stays(store, save, folder):
    (folder / "c.yaml").write_text("lr: 1 # fine\n")
    (folder / "plot.png").write_bytes(b"png")
    with store.start_run("a", configs={"c": "c.yaml"}) as run:
        run.log({"loss": 1.0}, step=1)
        run.log_artifact("plot.png", folder / "plot.png", step=1)
        run.log_artifact("early.txt", b"superseded", step=5)
        save(run, 1)
        run.log({"loss": 2.0}, step=5)
    with store.start_run("a", resume=True) as run:
        run.log({"loss": 3.0}, step=2)
        run.log_artifact("late.txt", b"later", step=2)
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    addition = onyx.store.adding.Addition(message="file", checkpoint=folder / "model.safetensors", artifacts=[folder / "plot.png"])
    file = store.add_commit(addition)
    before = {path: path.read_bytes() for path in files.walk_files(folder / ".onyx" / "objects")}
    assert store.gc().freed == 0
    assert {path: path.read_bytes() for path in files.walk_files(folder / ".onyx" / "objects")} == before
    assert (file.artifact_bytes("plot.png"), store.run("a").latest.artifact_bytes("plot.png")) == (b"png", b"png")
    assert store.fsck().damage == []


def test_what_a_killed_save_left_goes_to_the_trash_and_from_there_after_its_grace(store, save, size_of):
    with store.start_run("a") as run:
        save(run, 0)
    left = leave_behind(store, 9)
    report = store.gc()
    assert (report.freed == report.to_trash, report.to_trash > left, report.trash_emptied) == (True, True, 0)
    trash = store.folder / ".onyx" / "trash"
    assert size_of(trash) == report.to_trash
    assert store.gc().trash_emptied == 0
    (batch,) = trash.iterdir()
    batch.rename(trash / str(int(batch.name) - 15 * DAY))
    assert str(store.plan_gc()).splitlines()[-1] == f"{report.to_trash:,} bytes in the trash have had their grace"
    assert (store.gc().trash_emptied, size_of(trash)) == (report.to_trash, 0)


def test_without_a_grace_the_trash_is_emptied_at_once(store, size_of):
    (store.folder / ".onyx" / "settings.yaml").write_text("trash_days: 0\n")
    store = onyx.Store.open(store.folder)
    left = leave_behind(store, 9)
    assert (store.gc().trash_emptied > left, size_of(store.folder / ".onyx" / "trash")) == (True, 0)


def test_what_was_set_aside_can_be_put_back(store, save):
    with store.start_run("a") as run:
        save(run, 0)
    leave_behind(store, 9)
    store.gc()
    doors = store._doors
    (batch,) = doors.trash.batches()
    doors.trash.restore(batch)
    assert store.gc().to_trash > 0


def test_what_retention_dropped_skips_the_trash(pruned, size_of):
    report = pruned.gc()
    assert (report.freed > 300_000, report.to_trash, size_of(pruned.folder / ".onyx" / "trash")) == (True, 0, 0)


def test_a_pack_with_little_dead_weight_stays_and_one_with_more_is_rewritten(quiet, weights):
    frozen = weights(99, 100_000)["w"]
    packs = quiet.folder / ".onyx" / "packs"
    with quiet.start_run("a", max_checkpoints=1) as run:
        for step, size in enumerate([100_000, 1000]):
            run.save_checkpoint(state={"frozen": frozen, "head": weights(step, size)["w"]}, step=step, wait=True)
    first = max(packs.iterdir(), key=lambda path: path.stat().st_size)
    quiet.gc()
    assert not first.exists()
    large = {path for path in packs.iterdir() if path.stat().st_size > 300_000}
    with quiet.start_run("a", resume=True) as run:
        run.save_checkpoint(state={"frozen": frozen, "head": weights(2, 1000)["w"]}, step=2, wait=True)
    quiet.gc()
    assert (len(large), large <= set(packs.iterdir())) == (1, True)
    np.testing.assert_array_equal(quiet.run("a").latest.checkpoint.load()["frozen"], frozen)


# ---------------------------------------------------------------------------------------------------------- unreadable


def spoil(path):
    """Turns the last byte of a file over."""
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def the_segment(store):
    return store._doors.layout.object(files_of_segments(store)[0])


def files_of_segments(store):
    return [each.segment for each in decode_list(read_list(store._doors.layout.run("a"))).segments]


SPOILED = {
    "commit": lambda store: store._doors.layout.object(store.commit("a~1").address),
    "manifest": lambda store: store._doors.layout.object(store.commit("a").checkpoint.address),
    "tree": lambda store: store._doors.layout.object(store.commit("a").checkpoint.manifest.state),
    "ref": lambda store: store.folder / ".onyx/refs/runs/a/latest",
    "state": lambda store: store.folder / ".onyx/runs/a/state",
    "segment": the_segment,
}


@pytest.mark.parametrize("kind", SPOILED)
def test_nothing_is_swept_while_something_cannot_be_read(pruned, size_of, kind):
    with pruned.start_run("a", resume=True) as run:
        run.log({"loss": 1.0})
    leave_behind(pruned, 9)
    spoil(SPOILED[kind](pruned))
    store = onyx.Store.open(pruned.folder)
    before = size_of(pruned.folder / ".onyx" / "packs"), size_of(pruned.folder / ".onyx" / "objects")
    plan = store.plan_gc()
    assert (plan.sweep.freed, "nothing would be swept: " in str(plan)) == (0, True)
    report = plan.execute()
    assert (report.freed, len(report.unreadable) > 0) == (0, True)
    assert str(report).startswith("nothing was swept, since ")
    assert (size_of(pruned.folder / ".onyx" / "packs"), size_of(pruned.folder / ".onyx" / "objects")) == before


def test_a_pack_with_a_damaged_live_chunk_stays_and_the_rest_is_swept(quiet, weights):
    shared = weights(99, 50_000)["w"]
    with quiet.start_run("a", max_checkpoints=1) as run:
        run.save_checkpoint(state={"shared": shared, "w": weights(0, 50_000)["w"]}, step=0, wait=True)
        chunk = run.latest.checkpoint.tensors.stored("shared").chunks[0]
        run.save_checkpoint(state={"shared": shared, "w": weights(1, 50_000)["w"]}, step=1, wait=True)
        run.save_checkpoint(state={"shared": shared, "w": weights(2, 50_000)["w"]}, step=2, wait=True)
    pack, row = quiet._doors.objects._index.find(chunk)
    with pack.path.open("r+b") as file:
        file.seek(pack.table[row].offset + pack.table[row].stored // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 255]))
    report = onyx.Store.open(quiet.folder).gc()
    assert (report.freed > 100_000, pack.path.exists()) == (True, True)
    assert [finding.where for finding in quiet.fsck().damage] == [f"pack {pack.name}", "run a"]


def test_an_unreadable_pack_stays(pruned):
    (newest,) = [pack for pack in pruned._doors.objects.packs() if pack.path.stat().st_size > 150_000][-1:]
    spoil(newest.path)
    onyx.Store.open(pruned.folder).gc()
    assert newest.path.exists()


# -------------------------------------------------------------------------------------------------------- a full disk


def fill(folder):
    """Takes all the room that is left; what is to be removed to have it back."""
    path = folder / "fill"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return path


@pytest.fixture
def small(make_small_disk, monkeypatch):
    folder = make_small_disk("6m")
    monkeypatch.chdir(folder)
    return onyx.Store.init(folder)


def test_a_gc_frees_space_on_a_disk_that_is_full_to_the_last_byte(small, save, steps_kept):
    (small.folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    store = onyx.Store.open(small.folder)
    with store.start_run("a", max_checkpoints=2) as run:
        for step in range(6):
            save(run, step, 100_000)
    fill(store.folder)
    assert store.gc().freed > 1_000_000
    assert (steps_kept(store.run("a")), store.fsck().damage) == ([4, 5], [])


def test_a_gc_that_has_yet_to_mark_frees_space_on_a_full_disk(small, save, steps_kept):
    """The marks need room: what is in the trash gives it, whatever its grace."""
    with small.start_run("a", max_checkpoints=None) as run:
        for step in range(6):
            save(run, step, 100_000)
    small.start_run("a", resume=True, max_checkpoints=2).finish()
    leave_behind(small, 9)
    small._doors.trash.set_aside(small._doors.trash.open_batch(), next((small.folder / ".onyx" / "packs").iterdir()))
    small._doors.trash.restore(next(small._doors.trash.batches()))
    spare = small.folder / ".onyx" / "spare"
    spare.write_bytes(bytes(10_000))
    small._doors.trash.set_aside(small._doors.trash.open_batch(), spare)
    fill(small.folder)
    assert small.gc().pruned == 4
    assert (steps_kept(small.run("a")), small.fsck().damage) == ([4, 5], [])


def test_a_gc_with_nothing_to_do_works_on_a_full_disk(small, save):
    with small.start_run("a") as run:
        save(run, 0)
    fill(small.folder)
    assert small.gc().freed == 0


def test_a_save_on_a_full_disk_is_a_typed_error_and_loses_nothing(small, save, weights, steps_kept):
    run = small.start_run("a", max_checkpoints=None)
    run.log({"loss": 1.0})
    save(run, 0, 100_000)
    filler = fill(small.folder)
    handle = run.save_checkpoint(state=weights(1, 100_000), step=1)
    with pytest.raises(DiskFull, match="No space left on device; free some space"):
        handle.wait(PATIENCE)
    assert (steps_kept(run), small.commit("latest").step, small.fsck().damage) == ([0], 0, [])
    for step in range(50):
        run.log({"loss": float(step)})
    filler.unlink()
    save(run, 2, 100_000)
    with pytest.raises(DiskFull):
        run.flush()  # the points that waited in memory said so once
    run.finish()
    assert (steps_kept(small.run("a")), small.run("a").metrics["loss"].values.tolist()) == ([0, 2], [1.0, *map(float, range(50))])
    assert small.fsck().damage == []


def test_a_full_disk_empties_the_trash_and_the_save_goes_through(small, save, steps_kept):
    run = small.start_run("a")
    save(run, 0, 100_000)
    spare = small.folder / ".onyx" / "spare"
    spare.write_bytes(bytes(600_000))
    small._doors.trash.set_aside(small._doors.trash.open_batch(), spare)
    fill(small.folder)
    save(run, 1, 100_000)
    run.finish()
    assert steps_kept(run) == [0, 1]


def test_a_commit_of_files_on_a_full_disk_has_the_trash_emptied_too(small, weights):
    np.save(small.folder / "w.npy", weights(0, 100_000)["w"])
    spare = small.folder / ".onyx" / "spare"
    spare.write_bytes(bytes(600_000))
    small._doors.trash.set_aside(small._doors.trash.open_batch(), spare)
    filler = fill(small.folder)
    made = small.add_commit(onyx.Addition(message="words", artifacts=[small.folder / "w.npy"]))
    assert (small.commits("HEAD"), made.artifact_bytes("w.npy")) == ([made], (small.folder / "w.npy").read_bytes())
    fill(small.folder)
    with pytest.raises(DiskFull):
        small.add_commit(onyx.Addition(message="more", artifacts=[filler]))
    filler.unlink()
    assert (small.add_commit(onyx.Addition(message="more")).run, small.fsck().damage) == ("main", [])


def test_a_full_disk_frees_what_retention_dropped_and_the_save_goes_through(small, save, steps_kept):
    (small.folder / ".onyx" / "settings.yaml").write_text("auto_gc: false\n")
    store = onyx.Store.open(small.folder)
    run = store.start_run("a", max_checkpoints=1)
    for step in range(3):
        save(run, step, 100_000)
    fill(store.folder)
    save(run, 3, 100_000)
    run.finish()
    assert (steps_kept(run), store.fsck().damage) == ([2, 3], [])


def test_a_start_on_a_full_disk_leaves_a_store_in_which_it_can_be_tried_again(small):
    filler = fill(small.folder)
    with pytest.raises(DiskFull):
        small.start_run("a")
    filler.unlink()
    with small.start_run("a", resume=True) as run:
        assert run.name == "a"
    assert small.fsck().damage == []


# ------------------------------------------------------------------------------------------------- killed at any moment

def test_a_gc_that_is_killed_at_any_of_its_changes_loses_nothing(quiet, weights, save, folder, killed_at, steps_kept):
    shared = weights(99, 2000)["w"]
    with quiet.start_run("a", max_checkpoints=None, best_metric="loss") as run, quiet.start_run("b", max_checkpoints=None) as other:
        for step in range(4):
            state = {"shared": shared, "w": weights(step, 2000)["w"]}
            run.save_checkpoint(state=state, step=step, metrics={"loss": abs(step - 1)}, wait=True)
            save(other, 10 + step)
    for name in "ab":
        quiet.start_run(name, resume=True, max_checkpoints=2).finish()
    quiet.tag("keep", "b@step:10")
    leave_behind(quiet, 9)
    copy = folder / "copy"
    calls, was_killed = 0, True
    while was_killed:
        shutil.copytree(folder / ".onyx", copy / ".onyx")
        was_killed = killed_at(calls, lambda: onyx.Store.open(copy).gc())
        store = onyx.Store.open(copy)
        kept = {name: set(steps_kept(store.run(name))) for name in "ab"}
        assert (kept["a"] >= {1, 2, 3}, kept["b"] >= {10, 12, 13}, store.fsck().damage) == (True, True, []), f"killed at change {calls}"
        if was_killed and calls % 5 == 0:
            store.gc()
            assert [steps_kept(store.run(name)) for name in "ab"] == [[1, 2, 3], [10, 12, 13]], f"killed at change {calls}"
        shutil.rmtree(copy)
        calls += 1
    assert kept == {"a": {1, 2, 3}, "b": {10, 12, 13}}
    assert calls > 25


# ------------------------------------------------------------------------------------------------------ many processes


def test_every_save_that_finished_loads_while_others_collect_garbage(store, script, steps_kept):
    saving = """
name = sys.argv[1]
generator = np.random.default_rng(int(sys.argv[2]))
frozen = np.arange(20_000, dtype=np.float32)
with onyx.start_run(name, max_checkpoints=3) as run:
    print("on", flush=True)
    for step in range(25):
        state = {"frozen": frozen, "w": generator.standard_normal(20_000, np.float32), "step": step}
        run.log({"loss": 1.0}, step=step)
        run.log_artifact(f"{step}.txt", str(step).encode())
        commit = run.save_checkpoint(state=state, step=step).wait(60)
        loaded = commit.checkpoint.load()
        assert loaded["step"] == step and (loaded["w"] == state["w"]).all() and (loaded["frozen"] == frozen).all()
"""
    collecting = """
store = onyx.Store.open()
print("on", flush=True)
rounds = 0
while any(run.status == "running" for run in store.runs()):
    store.gc()
    rounds += 1
print(rounds, flush=True)
"""
    writers = [script(saving, name, number) for number, name in enumerate("ab")]
    for writer in writers:
        writer.read()
    collector = script(collecting)
    assert [(status, "Traceback" in errors) for status, errors in map(type(collector).end, writers)] == [(0, False), (0, False)]
    assert collector.read() == "on"
    assert int(collector.read()) > 0
    assert collector.end()[0] == 0
    for name in "ab":
        run = store.run(name)
        assert (run.status, steps_kept(run)[-3:], len(run.latest.artifacts)) == ("finished", [22, 23, 24], 25)
    assert store.fsck().damage == []


# -------------------------------------------------------------------------------------------------------- any sequence


class Collecting(RuleBasedStateMachine):
    """Runs that save, tag, fork and end in any order, with sweeps between; a model knows what must load."""

    runs = Bundle("runs")
    tags = Bundle("tags")

    def __init__(self):
        super().__init__()
        self.folder = files.Path(os.environ["ONYX_TEST_FOLDER"]) / os.urandom(8).hex()
        self.store = onyx.Store.init(self.folder)
        (self.folder / ".onyx" / "settings.yaml").write_text("max_checkpoints: 2\n")
        self.store = onyx.Store.open(self.folder)
        self.live = {}
        self.states = {}  # by manifest: what was saved
        self.saved = {}  # by run: its manifests, the newest last
        self.inherited = {}  # by run: what it was forked from
        self.gone = {}  # by run: manifests that it may have pruned

    def protected(self):
        refs = self.store._doors.refs
        named = [refs.commit(name) for name in refs.names()]
        found = {onyx.Commit(self.store._doors, address).checkpoint for address in named if address}
        return {checkpoint.address for checkpoint in found if checkpoint} | {each for each in self.inherited.values() if each}

    def prune(self, name):
        self.gone[name] |= set(self.saved[name][:-2]) - self.protected()

    def must_load(self):
        kept = {each for name in self.saved for each in self.saved[name] if each not in self.gone[name]}
        return kept | {each for each in self.inherited.values() if each}

    @initialize(target=runs)
    def first_run(self):
        return self.start(None)

    @rule(target=runs, parent=st.one_of(st.none(), runs))
    def start(self, parent):
        known = parent is not None and self.saved.get(parent)
        try:
            run = self.store.start_run("run", best_metric="loss", parent=parent if known else None)
        except CheckpointPruned:
            return parent
        self.live[run.name] = run
        self.saved[run.name], self.gone[run.name] = [], set()
        checkpoint = run.latest.checkpoint
        self.inherited[run.name] = checkpoint.address if checkpoint else None
        return run.name

    @rule(name=runs, seed=st.integers(0, 6), loss=st.sampled_from([1.0, 2.0, 3.0, float("nan")]))
    def save(self, name, seed, loss):
        if name not in self.live:
            self.live[name] = self.store.start_run(name, resume=True)
        state = {"shared": np.full(3000, seed % 2, np.float32), "w": np.random.default_rng(seed).standard_normal(3000, np.float32)}
        run = self.live[name]
        run._stage = lambda live, slot: Trees(slot.capture(live))
        manifest = run.save_checkpoint(state=state, metrics={"loss": loss}).wait(PATIENCE).checkpoint.address
        run.flush()
        self.states[manifest] = state
        self.saved[name] = [each for each in self.saved[name] if each != manifest] + [manifest]
        self.gone[name].discard(manifest)
        self.prune(name)

    @rule(name=runs)
    def commit(self, name):
        if name in self.live:
            self.live[name].commit("words")

    @rule(name=runs)
    def finish(self, name):
        if name in self.live:
            self.live.pop(name).finish()

    @rule(target=tags, name=runs, tag=st.sampled_from(["v1", "v2", "v3"]), back=st.integers(0, 3))
    def tag(self, name, tag, back):
        with contextlib.suppress(onyx.OnyxError):  # the tag is taken, or the line is shorter
            self.store.tag(tag, f"{name}~{back}")
        return tag

    @rule(tag=consumes(tags))
    def delete_tag(self, tag):
        if tag in self.store.tags():
            self.store.delete_tag(tag)

    @rule(seed=st.integers(20, 25))
    def be_killed_in_a_save(self, seed):
        leave_behind(self.store, seed)

    @rule()
    def collect(self):
        self.store.gc()
        for name in self.saved:
            if name not in self.live:
                self.prune(name)

    @invariant()
    def what_must_load_loads(self):
        doors = self.store._doors
        for manifest in self.must_load():
            entry = onyx.history.commits.CheckpointEntry(manifest, None, None, {})
            loaded = onyx.Checkpoint(doors, entry, doors.refs.commit("latest")).load()
            for name, array in self.states[manifest].items():
                np.testing.assert_array_equal(loaded[name], array)

    def teardown(self):
        for run in self.live.values():
            run.finish()
        assert self.store.fsck().damage == []
        shutil.rmtree(self.folder)


def test_no_sequence_of_saves_tags_forks_and_sweeps_loses_what_must_load(tmp_path, monkeypatch):
    monkeypatch.setenv("ONYX_TEST_FOLDER", str(tmp_path))
    Machine = Collecting.TestCase  # noqa: N806
    Machine.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
    Machine("runTest").runTest()


def test_the_estimate_of_garbage_starts_anew_after_a_sweep(pruned):
    doors = pruned._doors
    assert gc.garbage_estimate(doors) > 300_000
    pruned.gc()
    assert gc.garbage_estimate(doors) == 0
    (pruned.folder / ".onyx" / "cache" / "swept").unlink()
    assert gc.garbage_estimate(doors) > 300_000
