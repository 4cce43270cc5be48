"""`onyx metrics` where a transcript cannot tell: files, processes, damage, very many rows."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onyxstore.cli import screen
from onyxstore.store.store import Store

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>,\"'=cmd()"


def start(folder, *arguments):
    """A process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, *arguments], cwd=folder, env=environment, text=True, **pipes)


ONYX = ("-c", "from onyxstore.cli.app import main; main()")

WRITER = """
import sys
import onyxstore
with onyxstore.Store.open('.').start_run('live') as run:
    for line in sys.stdin:
        run.log({'loss': float(line)}, step=int(line))
        if int(line) % 2:
            run._log.seal()
        print('logged', flush=True)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that logs a point for each number that it is told."""
    Store.init(tmp_path)
    process = start(tmp_path, "-c", WRITER)

    def tell(number):
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "logged\n"

    tell(0)
    yield process, tell
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()


def test_a_live_run_is_followed_point_by_point_until_it_ends(tmp_path, writer):
    process, tell = writer
    following = start(tmp_path, *ONYX, "metrics", "live", "--follow")
    for number in range(5):
        assert following.stdout.readline() == f"step {number}  loss {number}\n"
        tell(number + 1)
    process.communicate()
    out, err = following.communicate(timeout=60)
    assert (out, err, following.returncode) == ("step 5  loss 5\n", "", 0)


def test_ctrl_c_ends_the_following_and_not_the_run(tmp_path, writer):
    process, tell = writer
    following = start(tmp_path, *ONYX, "metrics", "live", "-f", "--json")
    row = json.loads(following.stdout.readline())
    assert (row.pop("time") > 0, row) == (True, {"schema": 1, "run": "live", "epoch": None, "step": 0, "values": {"loss": 0.0}})
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=60)
    assert (out, err, following.returncode) == ("", "\nonyx: interrupted\n", 130)
    tell(1)
    assert process.poll() is None


def test_a_followed_run_whose_reader_has_gone_is_left_quietly(tmp_path, writer):
    _, tell = writer
    following = start(tmp_path, *ONYX, "metrics", "live", "-f")
    following.stdout.readline()
    following.stdout.close()
    tell(1)
    assert (following.wait(60), following.stderr.read()) == (141, "")
    following.stdin.close()
    following.stderr.close()


@pytest.fixture
def hostile(empty):
    with Store.init(empty).start_run("run") as run:
        run.log({HOSTILE: math.nan, "größe 🙂 שלום": math.inf, "ok": True}, step=1)
        run.log({HOSTILE: 2**100, "ok": False}, step=2)
    return empty


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("form", ["", "--csv", "--json", "--plot", "--follow", "--follow --json", "--parquet out.parquet"])
def test_names_of_any_kind_and_values_without_a_place_are_answered(onyx, form):
    done = onyx("metrics", "run", *form.split())
    assert done.status == 0
    assert "Traceback" not in done.err
    assert "\x1b" not in done.out
    if form == "--json":
        assert [row["values"].get(HOSTILE) for row in done.json["rows"]] == ["nan", 2**100]
    if form == "--plot":
        assert "onyx: 1 point of 'größe 🙂 שלום' in 'run' left out: NaN or infinite, or without step\n" in done.err


@pytest.mark.usefixtures("hostile")
def test_a_plot_over_epochs_says_what_has_none(onyx):
    done = onyx("metrics", "run", "ok", "--plot", "-x", "epoch")
    assert done.out == "ok\n  no point that could be drawn\n"
    assert done.err == "onyx: 2 points of 'ok' in 'run' left out: NaN or infinite, or without epoch\n"


def test_a_parquet_file_is_written_whole_or_not_at_all(onyx, trained, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert onyx("metrics", "base", "tuned", "-m", "loss", "--parquet", "m.parquet").status == 0
    found = parquet.read_table(trained / "m.parquet")
    assert (found["run"].to_pylist(), found["loss"].to_pylist()) == (["base"] * 3 + ["tuned"], [1.5, 0.75, 0.5, 0.375])
    before = (trained / "m.parquet").read_bytes()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = onyx("metrics", "base", "--parquet", "m.parquet")
    assert (done.status, done.err) == (
        128,
        "onyx: --parquet needs the package pyarrow: it is not installed; pip install 'onyxstore[frames]'\n",
    )
    assert (trained / "m.parquet").read_bytes() == before


@pytest.mark.usefixtures("trained")
def test_without_plotille_a_terminal_gets_a_plain_plot_and_a_word(onyx, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotille", None)
    monkeypatch.setattr(screen, "is_watched", lambda: True)
    done = onyx("metrics", "base", "loss", "--plot")
    assert done.err == "onyx: with plotille the curves are finer: pip install 'onyxstore[plot]'\n"
    assert ("loss" in done.out.splitlines()[0], "*." in done.out) == (True, True)


def test_superseded_points_are_shown_by_themselves(onyx, empty):
    store = Store.init(empty)
    run = store.start_run("run")
    run.save_checkpoint(state={"a": 1}, step=1, wait=True)
    for step in (1, 2, 3):
        run.log({"loss": step / 10}, step=step)
    run.finish("failed")
    with store.start_run("run", resume=True) as run:
        run.log({"loss": 9}, step=2)
    assert onyx("metrics", "run").out == "STEP  loss\n   1   0.1\n   2     9\n"
    assert onyx("metrics", "run", "--superseded").out == "STEP  loss\n   2   0.2\n   3   0.3\n"


def test_of_a_damaged_log_the_rest_is_shown_and_what_is_lost_is_said(onyx, empty):
    store = Store.init(empty)
    run = store.start_run("run")
    for step in range(4):
        run.log({"loss": step}, step=step)
    (tail,) = (empty / ".onyx" / "runs" / "run").glob("tail-*")
    lines = tail.read_bytes().splitlines(keepends=True)
    tail.write_bytes(b"".join([*lines[:1], lines[1].replace(b"loss", b"lost"), *lines[2:]]))
    done = onyx("metrics", "run")
    assert (done.status, done.out) == (1, "STEP  loss\n   0     0\n   2     2\n   3     3\n")
    assert done.err == "onyx: metric log of 'run': record 1 is lost\n"


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("name", ["", "../base", "\x1b[2J", "x" * 5000, "base@", "base~9"])
def test_what_is_no_run_and_no_revision_is_an_error_in_a_line(onyx, name):
    for form in ([], ["--follow"], ["--superseded"]):
        done = onyx("metrics", name, *form)
        assert (done.status, done.out, done.err.count("\n"), "\x1b" in done.err) == (128, "", 1, False)
