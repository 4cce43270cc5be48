"""What nobody means to type, and stores that somebody has damaged: an answer in a line, no traceback, nothing that moves a cursor."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from onyxstore.store.store import Store

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r\b"
"""Sets a window's title, clears the screen, turns the direction of writing, goes back over what stands there."""

REVISIONS = [
    *("", " ", "~", "~1", "@", "@{0}", "@{}", "HEAD^", "HEAD~999999999", "base~~", "base~-1", "base~x", "best@{99}", "latest@{1}", "base@"),
    *("base@worst", "base@best@latest", "base@step:", "base@step:nan", "base@step:1e3", f"base@step:{'9' * 400}", "base@epoch:-0.5"),
    *("0000", "dead", "f" * 64, "F" * 65, "../base", "/etc/passwd", "base/../base", ".", "..", "refs/latest", "tags/paper", "HEAD\n"),
    *("x" * 10_000, "bäse", "🙂", "\udcff", ESCAPES, "base\x00", "$(reboot)", "%s%n", "{revision}", "-", "base best"),
]

LINES = [
    ["log", "-n", "many"],
    ["log", "-n", "99999999999999999999"],
    ["log", "base", "tuned"],
    ["runs", "--sort", ""],
    ["runs", "--sort", "-"],
    ["runs", "--columns", ",,"],
    ["runs", "--columns", ESCAPES],
    ["metrics", ESCAPES],
    ["metrics", "base", ESCAPES],
    ["metrics", "base", "-m", ESCAPES, "--plot"],
    ["metrics", "base", "-n", "-1"],
    ["metrics", "base", "--parquet", "train.yaml/below"],
    ["diff", "base", ""],
    ["diff", "--exit-code"],
    ["diff", "base", "tuned", "--only", ESCAPES],
    ["diff", "base", "tuned", "--tensors", "--only", ""],
    ["cat", ESCAPES],
    ["cat", ":"],
    ["cat", f"base:{ESCAPES}"],
    ["cat", "base:../../etc/passwd"],
    ["cat", "0" * 64],
    ["cat", f"base:{'x' * 10_000}"],
    ["whence", ESCAPES],
    ["whence", "huge.safetensors"],
    ["whence", "."],
    ["du", "--by", ""],
    ["tag", "", "base"],
    ["tag", ESCAPES, "base"],
    ["tag", "x" * 101, "base"],
    ["tag", "HEAD", "base"],
    ["tag", "-d", "../../format"],
    ["checkout", "base", "--to", ""],
    ["checkout", "base", "--to", "x" * 5000],
    ["checkout", "base", "--to", "train.yaml/below"],
    ["checkout", "base", "--only", ESCAPES],
    ["commit", "-m", ESCAPES, "--config", "train.yaml"],
    ["commit", "-m", "x", "--config", "=train.yaml"],
    ["commit", "-m", "x", "--config", "a/b=train.yaml"],
    ["commit", "-m", "x", "--config", "../a=train.yaml"],
    ["commit", "-m", "x", "--config", "/etc/hostname"],
    ["commit", "-m", "x", "--config", "."],
    ["commit", "-m", "x", "--metrics", "train.yaml"],
    ["commit", "-m", "x", "--checkpoint", "train.yaml"],
    ["commit", "-m", "x", "--checkpoint", "empty.safetensors"],
    ["commit", "-m", "x", "--checkpoint", "huge.safetensors"],
    ["commit", "-m", "x", "--checkpoint", "noise.pt"],
    ["commit", "-m", "x", "--artifact", "/dev/zero"],
    ["commit", "-m", "\udcff"],
    ["--store", "", "log"],
    ["--store", "/dev/null", "log"],
    ["-C", "", "log"],
    ["-C", "train.yaml", "log"],
    ["init", "train.yaml/below"],
    ["init", "/proc/nowhere"],
    ["fsck", "--json", "extra"],
    ["gc", "--dry-run", "--dry-run", "--no"],
    ["status", "\x1b[31m"],
    ["reflog", ESCAPES],
    ["reflog", "../HEAD"],
    ["reflog", "-n", "-1"],
    ["undo", ESCAPES],
    ["undo", "tags/paper"],
    ["best", ESCAPES],
    ["best", "base", "--by", ESCAPES, "--mode", "min"],
    ["best", "base", "--by", "x" * 1000, "--mode", "min"],
    ["note", "base", "-m", ESCAPES],
    ["note", "base", "-m", "\udcff"],
    ["note", "base", f"{ESCAPES}=1"],
    ["note", "base", "=1"],
    ["note", "base", "f1=" + "9" * 5000],
    ["note", "base", "f1=1e999999"],
    ["note", "base", "--metrics", "/dev/zero"],
    ["note", "base", "--metrics", "noise.pt"],
    ["rm", "--yes", ESCAPES],
    ["rm", "--yes", "../../format"],
    ["rm", "--yes", "base", "base", "BASE"],
    ["restore", ESCAPES],
    ["restore", "../../format"],
    ["restore", "0"],
    ["purge", "--yes", ESCAPES],
    ["purge", "--yes", "../../format"],
    ["purge", "--yes", "0" * 64],
    ["purge", "--yes", "--trash", "base", "base"],
    ["settings", ESCAPES],
    ["settings", "best_metric", ESCAPES],
    ["settings", "best_metric", "\udcff"],
    ["settings", "trash_days", "1e400"],
    ["settings", "max_checkpoints", "9" * 5000],
]


def check_answer(done) -> None:
    """One line or more for people, no bug of ours, nothing that moves a cursor."""
    assert done.status in {0, 1, 2, 128}, done
    assert "This is a bug" not in done.err, done.err
    assert "Traceback" not in done.err + done.out
    assert [char for char in done.out + done.err if not char.isprintable() and char != "\n"] == []
    if done.status > 1:
        assert done.err.startswith("onyx: "), done.err


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("revision", REVISIONS, ids=lambda revision: ascii(revision)[:30])
def test_a_revision_that_is_none_is_said_to_be_none(onyx, revision):
    for verb in (["log"], ["show"], ["checkout", "--to", "out"]):
        check_answer(onyx(*verb, "--", revision))


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("line", LINES, ids=lambda line: ascii(" ".join(line))[:40])
def test_a_line_that_makes_no_sense_is_answered_in_a_line(onyx, line):
    Path("empty.safetensors").touch()
    Path("huge.safetensors").write_bytes(b"\xff" * 64)
    Path("noise.pt").write_bytes(bytes(range(256)))
    check_answer(onyx(*line))


VERBS = [["log"], ["log", "--json"], ["show", "base"], ["runs"], ["runs", "--json"], ["diff", "base", "tuned"], ["status"], ["tag"]]
VERBS += [["diff", "base", "tuned", "--tensors"], ["diff", "base"], ["cat", "base:weight"], ["cat", "base@best"]]
VERBS += [["du"], ["du", "--json"], ["gc", "-n", "--explain"], ["whence", "m.safetensors"]]
VERBS += [["checkout", "base@best", "--to", "out"], ["gc", "-n"], ["fsck"], ["fsck", "--json"], ["commit", "-m", "x"]]
VERBS += [["reflog"], ["reflog", "base"], ["undo", "-n"], ["undo"], ["best", "base"], ["note", "base"], ["note", "base", "f1=1"]]
VERBS += [["rm", "-n", "base"], ["restore"], ["restore", "base"], ["purge", "-n", "base"], ["settings"], ["settings", "trash_days", "3"]]
VERBS += [["rm", "--yes", "base"], ["purge", "--yes", "--trash"]]


def overwrite(path: Path) -> None:
    path.write_bytes(b"\x00\x1b[2J" + os.urandom(40))


def every_object(folder: Path, damage) -> None:
    for path in (folder / ".onyx" / "objects").glob("*/*"):
        damage(path)


DAMAGES = {
    "HEAD is noise": lambda folder: (folder / ".onyx" / "HEAD").write_bytes(b"\xff\x00noise\x1b[2J"),
    "latest is noise": lambda folder: overwrite(folder / ".onyx" / "refs" / "latest"),
    "a run's ref is noise": lambda folder: overwrite(folder / ".onyx" / "refs" / "runs" / "base" / "latest"),
    "a run's state is noise": lambda folder: overwrite(folder / ".onyx" / "runs" / "base" / "state"),
    "a run's segments are noise": lambda folder: overwrite(folder / ".onyx" / "runs" / "base" / "segments"),
    "the format is noise": lambda folder: overwrite(folder / ".onyx" / "format"),
    "the settings are noise": lambda folder: overwrite(folder / ".onyx" / "settings.yaml"),
    "every object is noise": lambda folder: every_object(folder, overwrite),
    "every object is empty": lambda folder: every_object(folder, lambda path: path.write_bytes(b"")),
    "every object is gone": lambda folder: shutil.rmtree(folder / ".onyx" / "objects"),
    "every pack is noise": lambda folder: [overwrite(path) for path in (folder / ".onyx" / "packs").iterdir()],
    "every pack is gone": lambda folder: shutil.rmtree(folder / ".onyx" / "packs"),
    "the runs are gone": lambda folder: shutil.rmtree(folder / ".onyx" / "runs"),
    "the refs are gone": lambda folder: shutil.rmtree(folder / ".onyx" / "refs"),
    "the store is a file": lambda folder: (shutil.rmtree(folder / ".onyx"), (folder / ".onyx").write_text("a file")),
    "the store is a link to itself": lambda folder: (shutil.rmtree(folder / ".onyx"), (folder / ".onyx").symlink_to(".onyx")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_store_is_answered_for_in_lines(onyx, trained, damage):
    onyx("checkout", "base", "--to", ".")
    shutil.move("base.safetensors", "m.safetensors")
    damage(trained)
    for verb in VERBS:
        check_answer(onyx(*verb))


def test_names_from_others_do_not_speak_to_the_terminal(onyx, empty):
    store = Store.init(empty)
    config = {f"a key {ESCAPES}": f"a value {ESCAPES}", "nested": [ESCAPES]}
    with store.start_run("run", configs={"config": config}) as run:
        run.log({"loss": float("nan"), "gain": float("inf"), "count": 10**200}, step=2**62)
        run.save_checkpoint(state={ESCAPES: {ESCAPES: np.zeros(3)}, "model": {"a\nb": np.ones(2)}}, wait=True)
        run.log_artifact("sample.txt", ESCAPES.encode(), kind=ESCAPES)
        run.commit(f"by hand {ESCAPES}\n\nsecond {ESCAPES}")
    verbs = [["log"], ["log", "--oneline"], ["show", "run"], ["show", "run", "--json"], ["runs"], ["diff", "run~2", "run", "--tensors"]]
    verbs += [["du"], ["gc", "-n", "--explain"], ["cat", "run"], ["cat", "run:a\nb"], ["cat", "run:sample.txt", "--json"]]
    for verb in verbs:
        done = onyx(*verb)
        check_answer(done)
        assert done.status == 0, done.err
