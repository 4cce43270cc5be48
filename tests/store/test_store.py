"""Opening and making stores, tags, listing, and a store that may only be read."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import onyxstore as onyx
from onyxstore.disk.linefile import replace_value
from onyxstore.errors import (
    BadName,
    CorruptFile,
    FormatTooNew,
    NameTaken,
    ReadOnly,
    RefConflict,
    StoreNotFound,
    UnknownName,
    UnknownRevision,
)

# ------------------------------------------------------------------------------------------------------- opening, making


def test_init_makes_a_store_and_the_folder_for_it(folder):
    store = onyx.Store.init(folder / "new" / "project")
    assert store.folder == folder / "new" / "project"
    names = sorted(path.name for path in (store.folder / ".onyx").iterdir())
    assert names == [".gitignore", "format", "locks", "objects", "packs", "reflog", "refs", "runs", "settings.yaml", "tmp", "trash"]
    assert (store.folder / ".onyx" / ".gitignore").read_text() == "*\n"
    assert (store.runs(), store.commits(), store.tags(), store.fsck().damage) == ([], [], {}, [])


def test_init_of_a_store_that_is_there_opens_it_and_says_so(store, folder, said):
    store.start_run("a").finish()
    again = onyx.Store.init(folder)
    assert ([run.name for run in again.runs()], said()) == (["a"], [f"there is a store in {folder} already"])


def test_init_takes_the_working_directory(folder):
    onyx.Store.init()
    assert onyx.Store.open(folder).folder == folder


def test_a_store_is_found_from_below_and_a_named_folder_is_not_walked_up(store, folder, monkeypatch):
    (folder / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(folder / "a" / "b")
    assert onyx.Store.open().folder == folder
    with pytest.raises(StoreNotFound):
        onyx.Store.open(folder / "a")
    with pytest.raises(StoreNotFound):
        onyx.Store.open(".")


def test_the_nearest_of_two_stores_is_meant(store, folder, monkeypatch):
    onyx.Store.init(folder / "inner")
    monkeypatch.chdir(folder / "inner")
    assert onyx.Store.open().folder == folder / "inner"


def test_the_environment_names_the_store_itself(store, folder, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(StoreNotFound, match="no store in .*elsewhere"):
        onyx.Store.open()
    monkeypatch.setenv("ONYX_STORE", str(folder / ".onyx"))
    assert onyx.Store.open().folder == folder
    monkeypatch.setenv("ONYX_STORE", str(folder))
    with pytest.raises(StoreNotFound):
        onyx.Store.open()


@pytest.mark.parametrize("kind", ["nothing", "file", "half"])
def test_where_there_is_no_store_none_is_opened(folder, kind):
    if kind == "file":
        (folder / ".onyx").write_text("x")
    if kind == "half":
        (folder / ".onyx" / "objects").mkdir(parents=True)
    for path in (folder, folder / "missing", str(folder)):
        with pytest.raises(StoreNotFound, match="no store in"):
            onyx.Store.open(path)


def test_a_store_that_was_half_made_is_made_whole(folder):
    (folder / ".onyx" / "objects").mkdir(parents=True)
    assert onyx.Store.init(folder).fsck().damage == []


def test_many_that_make_one_store_at_once_have_one(folder):
    made = []
    threads = [threading.Thread(target=lambda: made.append(onyx.Store.init(folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made[0].start_run("a").finish()
    assert [store.run("a").status for store in made] == ["finished"] * 4


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"format": 2, "hash": "blake3"}, "has format 2; this release reads up to 1; install a newer"),
        ({"format": 1, "hash": "sha3"}, "has format 1"),
    ],
)
def test_a_newer_format_is_refused(store, folder, value, words):
    replace_value(folder / ".onyx" / "tmp", folder / ".onyx" / "format", value)
    for call in (lambda: onyx.Store.open(folder), lambda: onyx.Store.init(folder), onyx.Store.open, lambda: onyx.start_run("a")):
        with pytest.raises(FormatTooNew, match=words):
            call()


def test_a_damaged_format_is_no_missing_store(store, folder):
    (folder / ".onyx" / "format").write_bytes(b"00000000 {}\n")
    for call in (lambda: onyx.Store.open(folder), lambda: onyx.start_run("a")):
        with pytest.raises(CorruptFile, match="format is damaged"):
            call()


def test_a_store_may_be_moved_and_copied(store, folder, save, tmp_path_factory):
    with store.start_run("a") as run:
        save(run, 1)
    copy = tmp_path_factory.mktemp("copy") / "deep"
    shutil.copytree(folder, copy)
    shutil.rmtree(folder / ".onyx")
    moved = onyx.Store.open(copy)
    with moved.start_run("a", resume=True) as run:
        assert run.restore() == 2
    written = (path for path in (copy / ".onyx").rglob("*") if path.is_file() and "objects" not in path.parts)
    everything = b"".join(path.read_bytes() for path in written)
    assert (moved.fsck().damage, str(folder).encode() in everything) == ([], False)


# --------------------------------------------------------------------------------------------------------------- tags


def test_a_tag_names_a_commit_for_good(store, save):
    with store.start_run("a") as run:
        first = save(run, 1)
        assert store.tag("V1", "a") == first
        save(run, 2)
    assert store.tags() == {"V1": first}
    with pytest.raises(NameTaken, match="a tag called 'v1' exists; choose another name"):
        store.tag("v1", "a")
    store.delete_tag("v1")
    assert store.tags() == {}
    with pytest.raises(UnknownName, match="the store has no tag called 'v1'"):
        store.delete_tag("v1")


def test_a_tag_that_somebody_else_makes_meanwhile_is_not_overwritten(store, save, monkeypatch):
    with store.start_run("a") as run:
        save(run, 1)
        save(run, 2)
    kind = type(store._doors.refs)
    update = kind.update

    def late(self, *arguments):
        monkeypatch.setattr(kind, "update", update)
        store.tag("v1", "a")
        return update(self, *arguments)

    monkeypatch.setattr(kind, "update", late)
    with pytest.raises(RefConflict, match="'tags/v1' moved meanwhile"):
        onyx.Store.open(store.folder).tag("v1", "a~1")
    assert store.tags()["v1"] == store.commit("a")


@pytest.mark.parametrize("name", ["", "latest", "best", "HEAD", "a/b", "..", "a b"])
def test_a_tag_has_a_name_that_a_run_could_have(store, save, name):
    with store.start_run("a") as run:
        save(run, 1)
    with pytest.raises(BadName):
        store.tag(name, "a")
    with pytest.raises((BadName, UnknownName)):
        store.delete_tag(name)


def test_a_tag_of_nothing_is_refused(store):
    with pytest.raises(UnknownRevision):
        store.tag("v1")


# ------------------------------------------------------------------------------------------------------------- reading


def test_runs_are_listed_newest_first_or_by_a_metric(store):
    for name, values in [("a", [3.0, 1.0]), ("b", [2.0]), ("c", []), ("d", [float("nan")])]:
        with store.start_run(name) as run:
            for value in values:
                run.log({"loss": value})
    assert [run.name for run in store.runs()] == ["d", "c", "b", "a"]
    assert [run.name for run in store.runs(sort="loss")][:2] == ["a", "b"]
    assert [run.name for run in store.runs(sort="-loss")][:2] == ["b", "a"]


def test_commits_of_all_runs_and_of_one_line_come_newest_first(store, save):
    with store.start_run("a") as run:
        save(run, 1)
    with store.start_run("b", parent="a") as fork:
        save(fork, 2)
    assert [(each.run, each.message) for each in store.commits("b")] == [
        ("b", "finish"),
        ("b", "checkpoint at step 2"),
        ("b", "start"),
        ("a", "finish"),
        ("a", "checkpoint at step 1"),
        ("a", "start"),
    ]
    assert store.commits() == store.commits("b")
    store.start_run("c").finish()
    assert [each.run for each in store.commits()[:3]] == ["c", "c", "b"]


@pytest.mark.parametrize("name", ["b", "", "latest", "../a", "../../x", "a/../a", 5])
def test_a_run_that_there_is_not_is_unknown(store, name):
    store.start_run("a").finish()
    with pytest.raises(UnknownName, match="the store has no run called"):
        store.run(name)


def test_a_run_that_was_perhaps_meant_is_named(store):
    store.start_run("bert-large").finish()
    with pytest.raises(UnknownName, match="did you mean 'bert-large'"):
        store.run("bert-lrge")


def test_a_store_reads_afresh_at_each_call(store, save):
    other = onyx.Store.open(store.folder)
    with store.start_run("a") as run:
        view = other.run("a")
        for step in range(3):
            run.log({"loss": float(step)}, step=step)
            commit = save(run, step)
            assert (view.latest, other.commit("latest"), view.metrics["loss"].last) == (commit, commit, float(step))
        assert view.status == "running"
    assert (view.status, len(view.commits)) == ("finished", 5)


# ---------------------------------------------------------------------------------------------------------- only to be read

READING = """
import logging
store = onyx.Store.open()
run = store.run("a")
assert (run.status, run.metrics["loss"].values.tolist()) == ("finished", [0.5])
assert [commit.message for commit in run.commits] == ["start", "checkpoint at step 1", "finish"]
assert run.latest.checkpoint.load()["w"].tolist() == list(range(1000))
assert store.commit("best").config == {"c": {"lr": 1}} and list(store.tags()) == ["v1"]
assert store.run("live").status == sys.argv[1], store.run("live").status
assert [r.name for r in store.runs()] == ["live", "a"] and len(store.commits("v1~1")) == 2
assert store.fsck().damage == []
store.diff("a~1", "a")
"""
WRITING = """
refused = []
for write in (
    lambda: store.start_run("b"), lambda: store.start_run("a", resume=True), lambda: store.tag("v2", "a"), store.gc,
    lambda: store.checkout("a"), lambda: store.add_commit(onyx.store.adding.Addition(message="x")),
):
    try:
        write()
    except onyx.OnyxError as error:
        refused.append(error.id)
print(refused)
"""


@pytest.fixture
def to_read(store, folder):
    """A store with a run that has ended and one that is live."""
    with store.start_run("a", configs={"c": {"lr": 1}}, best_metric="loss") as run:
        run.log({"loss": 0.5}, step=1)
        run.save_checkpoint(state={"w": np.arange(1000)}, step=1, wait=True)
    store.tag("v1", "a")
    live = store.start_run("live")
    yield store
    live.finish()


def test_another_user_reads_all_and_is_told_that_he_cannot_write(to_read, folder):
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("to become another user takes root and setpriv")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    # All is read once before: the other user may not be able to read the library, and much of it is imported where it is used.
    become = "os.setgid(65534); os.setuid(65534)"
    text = f"import sys, os\nimport onyxstore as onyx, onyxstore.store.adding\n{READING}\n{become}\n{READING}{WRITING}"
    done = subprocess.run(
        [sys.executable, "-c", text, "running"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(["read-only"] * 6), "")


def test_on_a_filesystem_that_is_mounted_to_be_read_all_can_be_read(to_read, folder):
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("a read-only mount takes Linux and root")
    mounted = folder.parent / f"{folder.name}-ro"
    mounted.mkdir()
    done = subprocess.run(["mount", "--bind", str(folder), str(mounted)], check=False, capture_output=True, text=True)
    if done.returncode:
        mounted.rmdir()
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(mounted)], check=True)
        text = f"import sys, os\nimport onyxstore as onyx, onyxstore.store.adding\n{READING}{WRITING}"
        done = subprocess.run(
            [sys.executable, "-c", text, "running"],
            cwd=mounted,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
        mounted.rmdir()
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(["read-only"] * 6), "")


def test_init_where_nothing_may_be_written_says_so(folder):
    if os.geteuid() != 0:
        pytest.skip("to become another user takes root")
    folder.chmod(0o755)
    if (child := os.fork()) == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            onyx.Store.init(folder)
        except ReadOnly:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
