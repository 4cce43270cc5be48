"""Purge: afterwards no file of the store holds those bytes, in whatever form, and all else is as it was."""

import contextlib
import shutil

import numpy as np
import pytest
import zstandard

import onyxstore as onyx
from onyxstore.disk import files
from onyxstore.disk.locks import pinned
from onyxstore.errors import AmbiguousRevision, PlanSpent, Refused, RunIsLive, StoreBusy, UnknownName
from onyxstore.history.purged import PURGED
from onyxstore.store.adding import Addition
from onyxstore.store.checkout import CheckoutOptions

SECRET = "the-word-that-leaked"  # noqa: S105 - it opens nothing
TENSOR = np.frombuffer(b"a tensor that must not be seen. " * 400, np.uint8)


@pytest.fixture
def leaked(store, folder, weights):
    """A store in whose runs a secret stands: in a config of `a` and its fork, in two artifacts, in a tensor."""
    (folder / "train.yaml").write_text(f"# a comment\nword: {SECRET}\nlr: 1\n")
    with store.start_run("a", configs={"train": folder / "train.yaml", "other": {"lr": 2}}, best_metric="loss") as run:
        run.log({"loss": 1.0}, step=1)
        run.log_artifact("notes.txt", f"it says {SECRET}".encode(), step=1)
        run.save_checkpoint(state={"w": weights(1)["w"], "text": TENSOR}, step=1, metrics={"loss": 1.0}, wait=True)
        run.log({"loss": 2.0}, step=2)
        run.save_checkpoint(state={"w": weights(1)["w"], "text": TENSOR[:64]}, step=2, metrics={"loss": 2.0}, wait=True)
    store.start_run("fork", parent="a@step:1").finish()
    (folder / "plan.txt").write_text(f"{SECRET} is the plan")
    store.add_commit(Addition(message="by hand", artifacts=[folder / "plan.txt"]))
    (folder / "plan.txt").unlink()
    (folder / "train.yaml").unlink()
    with store.start_run("b") as run:
        run.save_checkpoint(state=weights(2), step=1, wait=True)
    return store


def contents(store):
    """What zstd makes of each file of the store, or the file itself, by its path."""
    root = store.folder / ".onyx"
    found = {}
    for path in files.walk_files(root):
        data = path.read_bytes()
        with contextlib.suppress(zstandard.ZstdError):
            data += zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
        found[str(path.relative_to(root))] = data
    return found


def holding(store, words):
    return sorted(path for path, data in contents(store).items() if words.encode() in data)


def holding_tensor(store):
    return sorted(path for path, data in contents(store).items() if bytes(TENSOR[:300]) in data)


def snapshot(store, revision="a"):
    return store.commit(revision).record.configs["train"]


def artifact(store, revision, name):
    return next(each.address for each in store.commit(revision).artifacts if each.name == name)


def chunk(store):
    return store.commit("a@step:1").checkpoint.tensors.stored("text").chunks[0]


# ----------------------------------------------------------------------------------------------------------- by address


def test_a_config_goes_in_all_its_forms_whichever_is_named(leaked, folder):
    entry = snapshot(leaked)
    (folder / "train.yaml").write_text(f"lr: 1\nword: {SECRET} # another comment\n")
    leaked.add_commit(Addition(message="the same in other words", configs={"train": folder / "train.yaml"}))
    other = snapshot(leaked, "main")
    assert (other.value, other.snapshot != entry.snapshot) == (entry.value, True)
    before = holding(leaked, SECRET)
    report = leaked.trash.purge(entry.snapshot[:12])
    assert (report.objects, len(before) - len(holding(leaked, SECRET))) == (3, 3)
    for each in (entry.snapshot, entry.value, other.snapshot):
        assert not leaked._doors.objects.has(each)
    assert leaked.fsck().damage == []


def test_a_plan_says_which_addresses_go_and_what_then_lacks_them(leaked):
    entry = snapshot(leaked)
    plan = leaked.trash.plan_purge(entry.value)
    assert {(each.address, each.kind, each.lacked_by) for each in plan.objects} == {
        (entry.snapshot, "config", ("config 'train' of run 'a', in 4 commits", "config 'train' of run 'fork', in 2 commits")),
        (entry.value, "config value", ("config 'train' of run 'a', in 4 commits", "config 'train' of run 'fork', in 2 commits")),
    }
    assert all(each.bytes > 0 for each in plan.objects)
    assert str(plan).splitlines()[-1] == f"{plan.bytes:,} bytes would be gone for good"
    assert len(holding(leaked, SECRET)) == 4


def test_artifacts_are_purged_wherever_they_came_from(leaked):
    logged, added = artifact(leaked, "a", "notes.txt"), artifact(leaked, "main", "plan.txt")
    told = {each.address: each.lacked_by for each in leaked.trash.plan_purge(logged, added).objects}
    assert told == {logged: ("artifact 'notes.txt' of run 'a'",), added: ("artifact 'plan.txt' of run 'main', in 1 commit",)}
    leaked.trash.purge(logged, added, snapshot(leaked).snapshot)
    assert (holding(leaked, SECRET), leaked.fsck().damage) == ([], [])
    assert [each.name for each in leaked.commit("a").artifacts] == ["notes.txt"]
    assert leaked.gc().unreadable == ()


def test_a_chunk_goes_out_of_every_pack_and_the_others_in_it_stay(leaked, weights):
    assert len(holding_tensor(leaked)) == 1
    plan = leaked.trash.plan_purge(chunk(leaked))
    assert [(each.kind, each.lacked_by) for each in plan.objects] == [("chunk", ("the checkpoint of run 'a' at step 1",))]
    plan.execute()
    assert (holding_tensor(leaked), [str(note) for note in leaked.fsck().damage]) == ([], [])
    assert "it was purged" in " ".join(str(note) for note in leaked.fsck().notes)
    np.testing.assert_array_equal(leaked.commit("a@step:1").checkpoint.tensors["w"], weights(1)["w"])
    np.testing.assert_array_equal(leaked.commit("a@step:2").checkpoint.load()["text"], TENSOR[:64])
    with pytest.raises(onyx.OnyxError):
        leaked.commit("a@step:1").checkpoint.load()


def test_copies_in_the_trash_in_tmp_and_in_the_cache_go_too(leaked, folder):
    entry, address = snapshot(leaked), chunk(leaked)
    root, doors = folder / ".onyx", leaked._doors
    loose = doors.layout.object(entry.snapshot)
    pack = doors.objects._index.find(address)[0].path
    batch = doors.trash.open_batch()
    for path in (loose, pack):
        copy = batch / path.relative_to(root)
        copy.parent.mkdir(parents=True)
        shutil.copy(path, copy)
        shutil.copy(path, root / "tmp" / f"left-{path.name}")
    (root / "tmp" / "young").write_bytes(b"a ref that is being replaced at this moment")
    (root / "cache").mkdir(exist_ok=True)
    (root / "cache" / "derived").write_text(SECRET)
    leaked.trash.purge(entry.snapshot, address, artifact(leaked, "a", "notes.txt"), artifact(leaked, "main", "plan.txt"))
    assert (holding(leaked, SECRET), holding_tensor(leaked)) == ([], [])
    assert [path.name for path in (root / "tmp").iterdir()] == ["young"]


def test_what_lies_in_the_trash_alone_is_found_by_its_address(leaked):
    address = leaked._doors.objects.put(f"nobody names {SECRET}".encode())
    leaked.gc()
    plan = leaked.trash.plan_purge(address[:10])
    assert [(each.address, each.kind, each.lacked_by) for each in plan.objects] == [(address, "object", ())]
    plan.execute()
    assert holding(leaked, f"nobody names {SECRET}") == []


def test_readers_go_on_without_what_was_purged(leaked, folder):
    leaked.trash.purge(snapshot(leaked).snapshot, leaked.commit("a").record.environment)
    commit = onyx.Store.open(folder).commit("a")
    assert (commit.config, commit.environment) == ({"train": PURGED, "other": {"lr": 2}}, None)
    with pytest.raises(onyx.OnyxError):
        commit.config_bytes("train")
    plan = leaked.plan_checkout("a", CheckoutOptions(to=folder / "out", checkpoint=False))
    assert [(file.path.name, file.state) for file in plan.files] == [("other.yaml", "new"), ("train.yaml", "purged")]
    assert [path.name for path in plan.execute().written] == ["other.yaml"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["other.yaml"]
    assert (len(leaked.runs()), bool(leaked.diff("a", "b"))) == (4, True)
    with leaked.start_run("a", resume=True) as run:
        assert run.config["train"] == PURGED
    assert leaked.fsck().damage == []


def test_the_same_bytes_may_be_committed_again(leaked, folder):
    entry = snapshot(leaked)
    leaked.trash.purge(entry.snapshot)
    (folder / "train.yaml").write_text(f"# a comment\nword: {SECRET}\nlr: 1\n")
    leaked.add_commit(Addition(message="again", configs={"train": folder / "train.yaml"}))
    assert leaked.commit("a").config["train"] == {"word": SECRET, "lr": 1}
    leaked.trash.purge(entry.snapshot)
    assert leaked._doors.objects.has(entry.snapshot) is False


# ------------------------------------------------------------------------------------------------------ runs, the trash


def test_a_run_goes_with_all_that_only_it_needs(leaked, weights):
    with leaked.start_run("c", configs={"train": {"secret_plan": "mine alone"}}) as run:
        run.log_artifact("x.txt", b"mine alone too")
        run.save_checkpoint(state={"text": TENSOR[::-1].copy(), "w": weights(1)["w"]}, step=1, wait=True)
    others = {path: data for path, data in contents(leaked).items() if path.startswith("runs/a/")}
    refs = leaked._doors.refs.read("refs/runs/a/latest".removeprefix("refs/"))
    report = leaked.trash.purge("C")
    assert (report.runs, holding(leaked, "mine alone"), [run.name for run in leaked.runs()]) == (("c",), [], ["b", "main", "fork", "a"])
    assert [path for path, data in contents(leaked).items() if bytes(TENSOR[::-1][:300]) in data] == []
    assert {path: data for path, data in contents(leaked).items() if path.startswith("runs/a/")} == others
    assert (leaked._doors.refs.read("runs/a/latest"), leaked.trash.list(), leaked.fsck().damage) == (refs, [], [])
    np.testing.assert_array_equal(leaked.commit("a@step:1").checkpoint.load()["w"], weights(1)["w"])
    with pytest.raises(UnknownName):
        leaked.trash.restore("c")


def test_what_a_fork_needs_of_a_purged_run_stays_and_that_is_said(leaked):
    plan = leaked.trash.plan_purge("a")
    assert (plan.staying > 5, plan.runs) == (True, ("a",))
    plan.execute()
    assert leaked.run("fork").config["train"]["word"] == SECRET
    np.testing.assert_array_equal(leaked.run("fork").latest.checkpoint.load()["text"], TENSOR)
    assert (leaked.fsck().damage, leaked.gc().unreadable) == ([], ())


def test_a_run_in_the_trash_is_purged_there(leaked):
    leaked.trash.remove("a", "fork", "b")
    plan = leaked.trash.plan_purge("a", "fork")
    assert (plan.runs, sorted(plan.removed), plan.unique > 1000) == ((), ["a", "fork"], True)
    plan.execute()
    assert (holding_tensor(leaked), [entry.name for entry in leaked.trash.list()]) == ([], ["b"])
    leaked.trash.purge(trash=True)
    assert (leaked.trash.list(), leaked.fsck().damage, [run.name for run in leaked.runs()]) == ([], [], ["main"])
    leaked.trash.purge("main")
    assert (holding(leaked, SECRET), leaked.fsck().damage, leaked.runs()) == ([], [], [])


def test_the_whole_trash_is_purged_with_what_gc_set_aside(leaked):
    leaked._doors.objects.put(f"garbage {SECRET}".encode())
    leaked.gc()
    leaked.run("b").remove()
    assert len(leaked.trash.list()) == 2
    leaked.trash.purge(trash=True)
    assert (holding(leaked, f"garbage {SECRET}"), leaked.trash.list()) == ([], [])
    leaked.trash.purge(trash=True)


# --------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("kind", ["commit", "manifest", "tree", "metric segment"])
def test_what_a_history_hangs_on_goes_with_its_run_only(leaked, kind):
    checkpoint = leaked.commit("a@step:1").checkpoint
    from onyxstore.history.metrics.log import read_list  # noqa: PLC0415
    from onyxstore.history.metrics.sealed import decode_list  # noqa: PLC0415

    segments = decode_list(read_list(leaked._doors.layout.run("a"))).segments
    address = {
        "commit": leaked.commit("a").address,
        "manifest": checkpoint.address,
        "tree": checkpoint.manifest.state,
        "metric segment": segments[0].segment,
    }[kind]
    with pytest.raises(Refused, match=f"{address[:10]} is a .*: its run's history hangs on it; purge the run"):
        leaked.trash.plan_purge(address)


def test_what_there_is_not_or_could_be_several_is_said(leaked):
    for text in ("abcd", "no-such-run", "../a", "", "zz"):
        with pytest.raises(UnknownName, match="the store has no run or object called"):
            leaked.trash.plan_purge(text)
    for number in range(600):
        leaked._doors.objects.put(str(number).encode())
    firsts = [address[:4] for address in leaked._doors.objects.loose.addresses()]
    twice = next((first for first in firsts if firsts.count(first) > 1), None)
    if twice is not None:
        with pytest.raises(AmbiguousRevision):
            leaked.trash.plan_purge(twice)


def test_a_live_run_and_a_busy_store_are_refused(leaked, script):
    live = script("run = onyx.start_run('live'); print('on', flush=True); sys.stdin.readline()")
    live.read()
    with pytest.raises(RunIsLive):
        leaked.trash.purge("live")
    plan = leaked.trash.plan_purge(snapshot(leaked).snapshot)
    with pinned(leaked._doors.layout.locks), pytest.raises(StoreBusy):
        plan.execute(patience=0.05)
    plan.execute()
    with pytest.raises(PlanSpent):
        plan.execute()


def test_a_run_is_not_purged_while_it_cannot_be_known_what_others_need(leaked):
    path = leaked._doors.layout.object(leaked.commit("fork").address)
    path.write_bytes(b"noise")
    leaked = onyx.Store.open(leaked.folder)
    with pytest.raises(Refused, match="nothing was purged, since it cannot be known what others need"):
        leaked.trash.purge("b")
    assert "b" in [run.name for run in leaked.runs()]


def test_a_pack_that_cannot_be_written_anew_is_said_to_be_left(leaked):
    pack, _ = leaked._doors.objects._index.find(chunk(leaked))
    row = next(row for row in pack.table if row.address != chunk(leaked))
    with pack.path.open("r+b") as file:
        file.seek(row.offset + row.stored // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 255]))
    leaked = onyx.Store.open(leaked.folder)
    with pytest.raises(Refused, match="could not be purged: a pack that holds more is damaged, or the disk is full"):
        leaked.trash.purge(chunk(leaked))


# ----------------------------------------------------------------------------------------------------- killed at any moment


@pytest.mark.parametrize("what", ["a config and a chunk", "a run"])
def test_a_purge_that_is_killed_anywhere_can_be_repeated_and_loses_nothing_else(leaked, folder, weights, killed_at, what):
    names = ("b",) if what == "a run" else (snapshot(leaked).snapshot, chunk(leaked))
    own = {leaked.commit("b").address, *leaked.commit("b").checkpoint.tensors.stored("w").chunks}
    copy, calls, was_killed = folder / "copy", 0, True
    while was_killed:
        shutil.copytree(folder / ".onyx", copy / ".onyx")
        was_killed = killed_at(calls, lambda: onyx.Store.open(copy).trash.purge(*names))
        found = onyx.Store.open(copy)
        assert (found.fsck().damage, found.gc().unreadable) == ([], ()), f"killed at change {calls}"
        np.testing.assert_array_equal(found.commit("a@step:1").checkpoint.tensors["w"], weights(1)["w"])
        if was_killed:
            try:
                found.trash.purge(*names)
            except UnknownName:
                found.trash.purge(trash=True)
        if what == "a run":
            assert [run.name for run in found.runs()] == ["main", "fork", "a"]
            assert [each for each in own if found._doors.objects.has(each) or found._doors.objects.has_chunk(each)] == []
        else:
            assert (holding_tensor(found), found._doors.objects.has(names[0])) == ([], False), f"killed at change {calls}"
        shutil.rmtree(copy)
        calls += 1
    assert calls > 10
