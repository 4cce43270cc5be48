"""fsck: whatever is damaged is found and named by what it hits; what a crash leaves is a note; nothing ends it."""

import os
import random
import shutil
import time

import numpy as np
import pytest
import zstandard
from safetensors.numpy import save_file

import onyxstore as onyx
from onyxstore.disk.files import walk_files
from onyxstore.disk.locks import pinned
from onyxstore.store.adding import Addition
from onyxstore.store.trees import Trees, write_trees

UNCHECKED = {"settings.yaml", ".gitignore", "lock"}
"""The files that people edit, and what a run is locked by. Those below `locks`, `cache` and `tmp` are no data either."""


def make(folder):
    """A store that has one of everything: runs that ended and one that crashed, a fork, a tag, files, artifacts, pruned ones."""
    store = onyx.Store.init(folder)
    (folder / "c.yaml").write_text("lr: 1 # of many\n")
    generator = np.random.default_rng(0)
    with store.start_run("bert", configs={"c": folder / "c.yaml"}, best_metric="loss", max_checkpoints=2) as run:
        for step in range(4):
            run.log({"loss": 1.0 / (step + 1), "n": step}, step=step)
            run.log_artifact("plot.txt", b"a plot at %d" % step, step=step)
            run.save_checkpoint(state={"model": {"w": generator.standard_normal(5000, np.float32)}}, step=step, metrics={"loss": 1.0})
    store.tag("v1", "bert@step:2")
    store.start_run("fork", parent="v1").finish()
    save_file({"w": generator.standard_normal(500)}, folder / "m.safetensors")
    store.add_commit(Addition(message="file", checkpoint=folder / "m.safetensors", artifacts=[folder / "c.yaml"]))
    if (child := os.fork()) == 0:
        run = store.start_run("crashed")
        for step in range(5):
            run.log({"loss": float(step)}, step=step)
        run.commit("half-way")
        os._exit(0)
    os.waitpid(child, 0)
    store.gc()
    return store


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    make(folder)
    return folder


@pytest.fixture
def store(original, tmp_path):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return onyx.Store.open(tmp_path)


def data_files(folder):
    root = folder / ".onyx"
    paths = [path.relative_to(root) for path in walk_files(root)]
    return sorted(path for path in paths if path.name not in UNCHECKED and path.parts[0] not in {"locks", "cache", "tmp"})


def check(folder):
    """What fsck of a store says, or what opening it does."""
    try:
        return [str(finding) for finding in onyx.Store.open(folder).fsck().damage]
    except onyx.OnyxError as error:
        return [f"cannot be opened: {error}"]


def content(data):
    """What zstd makes of a file; the file itself when it is none of zstd's. One bit of a frame's header means nothing to anybody."""
    try:
        return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    except zstandard.ZstdError:
        return data


def flip(path, offset, bit=0x10):
    data = bytearray(path.read_bytes())
    data[offset] ^= bit
    path.write_bytes(data)


def spoil(store, what):
    """Damages the object at an address."""
    path = store._doors.layout.object(what)
    flip(path, path.stat().st_size // 2)


def damage(store):
    return [str(finding) for finding in store.fsck().damage]


def test_a_whole_store_has_no_damage_and_says_who_crashed(store):
    report = store.fsck()
    assert (report.damage, report.is_whole) == ([], True)
    assert [str(note) for note in report.notes] == ["run crashed: it crashed; start it with resume to go on"]
    assert (report.objects > 30, report.chunks > 5, report.read > 40_000) == (True, True, True)


def test_a_flipped_byte_is_found_in_every_file_wherever_it_is(original, tmp_path):
    seed = time.time_ns() % 2**32
    print(f"seed {seed}")
    chance = random.Random(seed)
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    missed = []
    for relative in data_files(tmp_path):
        path = tmp_path / ".onyx" / relative
        whole = path.read_bytes()
        if not whole:
            continue
        # Not the last byte: without its newline a log's last line is one that a crash left unfinished.
        for offset in {0, chance.randrange(max(len(whole) - 1, 1))}:
            flip(path, offset, 1 << chance.randrange(8))
            if not check(tmp_path) and content(path.read_bytes()) != content(whole):
                missed.append((str(relative), offset))
            path.write_bytes(whole)
    assert missed == []
    assert check(tmp_path) == []


def test_every_file_that_is_gone_is_missed(original, tmp_path):
    """But for reflogs, which only remember. A ref that moved once may be one that a crash came before: that is a note."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    missed = []
    for relative in data_files(tmp_path):
        path = tmp_path / ".onyx" / relative
        whole = path.read_bytes()
        path.unlink()
        if not check(tmp_path) and not any("or it is gone" in str(note) for note in onyx.Store.open(tmp_path).fsck().notes):
            missed.append(relative)
        path.write_bytes(whole)
    assert [path for path in missed if path.parts[0] != "reflog"] == []


def test_every_file_that_was_cut_in_half_is_found(original, tmp_path):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    missed = []
    for relative in data_files(tmp_path):
        path = tmp_path / ".onyx" / relative
        whole = path.read_bytes()
        if len(whole) > 1:
            path.write_bytes(whole[: len(whole) // 2])
            if not check(tmp_path):
                missed.append(relative)
            path.write_bytes(whole)
    # A log that was cut short looks as a crash leaves it.
    assert [path for path in missed if path.parts[0] != "reflog" and path.name != "pruned"] == []


# ------------------------------------------------------------------------------------------------------ names of what is hit


def test_a_damaged_chunk_is_named_by_run_step_and_tensor(store):
    tensor = store.commit("bert@step:3").checkpoint.tensors.stored("w")
    pack, row = store._doors.objects._index.find(tensor.chunks[0])
    flip(pack.path, pack.table[row].offset + pack.table[row].stored // 2)
    assert damage(store)[-1] == "run bert: the checkpoint at step 3: model.w lacks 1 of 1 chunks"
    assert damage(store)[0].startswith(f"pack {pack.name}: chunk {tensor.chunks[0][:10]}")


def test_a_pack_that_cannot_be_opened_is_named_with_all_that_lack_it(store):
    tensor = store.commit("bert@step:3").checkpoint.tensors.stored("w")
    pack, _ = store._doors.objects._index.find(tensor.chunks[0])
    flip(pack.path, pack.path.stat().st_size - 3)
    found = damage(onyx.Store.open(store.folder))
    assert found[0].startswith(f"pack {pack.name}: ")
    assert "run bert: the checkpoint at step 3: model.w lacks 1 of 1 chunks" in found


def test_damage_to_what_a_commit_names_says_which_commit(store):
    commit = store.commit("bert@step:3")
    spoil(store, commit.config_entries["c"].snapshot)
    spoil(store, commit.record.environment)
    found = damage(store)
    assert f"run bert: config c of commit {commit.short} is damaged" in found
    assert f"run bert: environment of commit {commit.short} is damaged" in found


def test_a_damaged_commit_is_named_by_whoever_names_it(store):
    commit = store.commit("bert")
    spoil(store, commit.address)
    found = damage(store)
    assert {words.partition(":")[0] for words in found} >= {f"object {commit.address}", "refs/runs/bert/latest", f"commit {commit.short}"}


def test_a_commit_that_was_read_before_is_read_again(store):
    commit = store.commit("bert~1")
    spoil(store, commit.address)
    assert f"commit {commit.short}" in {words.partition(":")[0] for words in damage(store)}


def test_a_damaged_manifest_tree_or_header_is_named_by_its_run(store):
    spoil(store, store.commit("bert@step:3").checkpoint.manifest.state)
    spoil(store, store.commit("main").checkpoint.manifest.file.header)
    found = [words for words in damage(store) if words.startswith("run ")]
    assert {words.partition(" cannot be read")[0] for words in found} == {
        "run bert: the checkpoint at step 3",
        "run main: the checkpoint at step None",
    }


def test_a_missing_artifact_is_named_whether_it_was_logged_or_committed(store):
    for revision, name in (("bert", "plot.txt"), ("main", "c.yaml")):
        store._doors.layout.object({each.name: each.address for each in store.commit(revision).artifacts}[name]).unlink()
    found = damage(store)
    assert "run bert: artifact plot.txt is missing" in found
    assert f"run main: artifact c.yaml of commit {store.commit('main').short} is missing" in found


def test_a_log_that_lost_records_is_not_what_its_commits_saw(store):
    (tail,) = [path for path in (store.folder / ".onyx/runs/crashed").iterdir() if path.name.startswith("tail")]
    lines = tail.read_bytes().splitlines(keepends=True)
    tail.write_bytes(b"".join(lines[:2] + lines[3:]))
    found = damage(store)
    assert found[0] == "run crashed: record 2 is lost"
    assert found[1] == f"run crashed: its metric log is not what commit {store.commit('crashed').short} saw"


def test_a_log_that_was_exchanged_for_another_is_found(store):
    runs = store.folder / ".onyx" / "runs"
    shutil.copy(runs / "fork" / "segments", runs / "bert" / "segments")
    assert [words for words in damage(store) if "is not what commit" in words and words.endswith("later ones saw")] != []


# ------------------------------------------------------------------------------------------------------------- notes


def test_a_torn_line_is_a_note(store):
    root = store.folder / ".onyx"
    (tail,) = [path for path in (root / "runs/crashed").iterdir() if path.name.startswith("tail")]
    for path in (tail, root / "reflog/latest", root / "runs/bert/pruned"):
        with path.open("ab") as file:
            file.write(b"12345678 {half")
    report = store.fsck()
    assert report.damage == []
    assert {str(note) for note in report.notes} == {
        "reflog/latest: a crash left 14 bytes of an unfinished line",
        "runs/bert/pruned: a crash left 14 bytes of an unfinished line",
        "run crashed: it crashed; start it with resume to go on",
        f"run crashed: {tail.name}: 14 bytes of an unfinished line at the end",
    }


def test_what_a_killed_save_left_is_a_note_at_most(store):
    doors = store._doors
    with pinned(doors.layout.locks):
        write_trees(doors.objects, Trees({"x": 1}))
    (store.folder / ".onyx" / "tmp" / "1-abc").write_bytes(b"half")
    report = store.fsck()
    assert (report.damage, [str(note) for note in report.notes if note.where.startswith("tmp")]) == (
        [],
        ["tmp/1-abc: a crash left it, or somebody is writing it now; gc removes it"],
    )


def test_a_pruned_checkpoint_is_no_damage(store):
    assert store.commit("bert@step:1").checkpoint.is_pruned
    assert damage(store) == []


def test_what_is_left_of_a_pruned_checkpoint_is_checked(store):
    checkpoint = store.commit("bert@step:1").checkpoint
    spoil(store, checkpoint.manifest.state)
    assert [words.partition(" cannot be read")[0] for words in damage(store)][-1] == "run bert: the checkpoint at step 1"


def test_a_ref_that_is_gone_and_a_run_without_its_state_are_damage(store):
    root = store.folder / ".onyx"
    (root / "refs/latest").unlink()
    (root / "runs/fork/state").unlink()
    assert damage(store) == [
        "refs/latest: it is gone; its reflog says what it named",
        "run fork: its state is gone; its commits are there",
    ]


def test_a_tag_that_was_deleted_is_no_damage(store):
    store.delete_tag("v1")
    assert damage(store) == []


def test_a_damaged_mark_keeps_what_it_may_have_taken_back(store):
    marks = store.folder / ".onyx/runs/bert/pruned"
    flip(marks, 20)
    assert damage(store)[0].startswith("runs/bert/pruned: ")


# --------------------------------------------------------------------------------------------------- nothing ends it


@pytest.mark.parametrize("name", ["refs/latest", "reflog/latest", "runs/bert/state", "runs/bert/pruned", "runs/bert/segments", "HEAD"])
@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "empty"])
def test_a_file_that_is_none_is_damage_and_not_an_error(store, name, kind):
    path = store.folder / ".onyx" / name
    path.unlink()
    {
        "link": lambda: path.symlink_to(store.folder / "c.yaml"),
        "folder": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "empty": lambda: path.write_bytes(b""),
    }[kind]()
    found = damage(store)
    assert found != [] or name.startswith("reflog")


def test_a_live_store_has_no_damage(store, weights):
    with store.start_run("live") as run:
        for step in range(3):
            run.log({"loss": 1.0}, step=step)
            run.save_checkpoint(state=weights(step), step=step)
            assert damage(store) == []


def test_a_sweep_waits_for_fsck(store, monkeypatch):
    """Or what it takes away meanwhile would be missed."""
    taken = []

    def verify(*arguments):
        try:
            store.plan_gc().execute(patience=0.01)
        except onyx.OnyxError as error:
            taken.append(error.id)
        return real(*arguments)

    real = onyx.store.fsck.verify_disk
    monkeypatch.setattr(onyx.store.fsck, "verify_disk", verify)
    store.fsck()
    assert taken == ["store-busy"]
