"""A training that is ended at any moment, and resumed, is the training that never was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import onyxstore as onyx

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
STEPS = 200  # of --tiny
CURVES = ["grad_norm", "loss", "lr"]


def started(folder: Path, name: str, *flags: str) -> subprocess.Popen[str]:
    """The example in a process of its own. One thread: the tests beside this one have the other cores."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "examples" / "train_gpt.py"), "--tiny", "--device", "cpu", "--name", name, *flags]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def finish(folder: Path, name: str, *flags: str) -> None:
    with started(folder, name, *flags) as process:
        process.communicate()
    assert process.returncode == 0


def end_at_random(folder: Path, name: str, number: signal.Signals, chance: random.Random, *flags: str) -> int:
    """Starts or resumes a training, sends a signal some time after its first checkpoint, and gives the status that it ended with."""
    with started(folder, name, "--resume", *flags) as process:
        process.stdout.readline()
        try:
            process.wait(timeout=chance.uniform(0, 1))
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        process.communicate()
    return process.returncode


def leaves(tree: Any, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], object]]:
    """Every value of a checkpoint with its path; tensors as dtype, shape and bytes, so that equal means equal to the last bit."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, index))
    elif isinstance(tree, torch.Tensor):
        yield path, (tree.dtype, tuple(tree.shape), tree.detach().reshape(-1).view(torch.uint8).numpy().tobytes())
    else:
        yield path, tree


def outcome(store: onyx.Store, name: str) -> dict[str, Any]:
    """All of a run that must not depend on what happened to it on the way."""
    run = store.run(name)
    curves = {metric: run.metrics[metric] for metric in CURVES}
    checkpoint = run.latest.checkpoint
    return {
        "status": run.status,
        "curves": {name: list(zip(c.epochs.tolist(), c.steps.tolist(), c.values.tolist(), strict=True)) for name, c in curves.items()},
        "step": checkpoint.step,
        "val_loss": checkpoint.metrics["val_loss"],
        "best": run.best.checkpoint.step,
        "state": dict(leaves(checkpoint.load())),
        "tracked": dict(leaves(checkpoint.tracked)),
    }


def pairs(series: onyx.Series) -> list[tuple[int, float]]:
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store with a training that nothing happened to."""
    folder = tmp_path_factory.mktemp("trainings")
    onyx.Store.init(folder)
    finish(folder, "undisturbed")
    return folder


@pytest.fixture
def chance():
    seed = int(os.environ.get("ONYX_TEST_SEED", time.time_ns() % 2**32))
    print(f"ONYX_TEST_SEED={seed}")
    return random.Random(seed)


def test_a_training_that_was_killed_again_and_again_ends_with_the_same_bits(folder, chance):
    endings = [end_at_random(folder, "killed", signal.SIGKILL, chance) for _ in range(3)]
    finish(folder, "killed", "--resume")
    store = onyx.Store.open(folder)
    assert -signal.SIGKILL in endings
    assert outcome(store, "killed") == outcome(store, "undisturbed")
    assert store.fsck().damage == []


def test_the_curve_of_a_killed_training_is_one_and_what_was_superseded_is_kept(folder, chance):
    seldom = ["--checkpoint-every", "1000"]
    while end_at_random(folder, "curve", signal.SIGKILL, chance, *seldom) != -signal.SIGKILL:
        pass
    run = onyx.Store.open(folder).run("curve")
    saved = run.latest.checkpoint
    cut_short, logged = run.status, run.metrics["loss"].steps.tolist()
    finish(folder, "curve", "--resume", *seldom)
    run = onyx.Store.open(folder).run("curve")
    loss, off_the_line = run.metrics["loss"], run.superseded.get("loss")
    superseded = [] if off_the_line is None else pairs(off_the_line)
    assert cut_short == "crashed"
    assert loss.steps.tolist() == list(range(STEPS))
    assert superseded == [(step, loss.values[step]) for step in logged[saved.step + 1 if saved else 0 :]]


def test_a_training_that_was_asked_to_stop_saves_where_it_is_and_goes_on_from_there(folder, chance):
    assert end_at_random(folder, "stopped", signal.SIGTERM, chance) == 0
    store = onyx.Store.open(folder)
    stopped = store.run("stopped")
    assert stopped.latest.checkpoint.step == stopped.metrics["loss"].steps[-1]
    finish(folder, "stopped", "--resume")
    assert outcome(store, "stopped") == outcome(store, "undisturbed")


def test_a_training_can_be_asked_for_what_it_takes_without_a_store(tmp_path):
    with started(tmp_path, "any", "--help") as process:
        text, _ = process.communicate()
    assert process.returncode == 0
    assert "--checkpoint-every" in text
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_a_setting_that_there_is_not_is_refused(tmp_path):
    (tmp_path / "gpt.yaml").write_text("stepps: 3\n")
    command = [sys.executable, str(ROOT / "examples" / "train_gpt.py"), "--config", "gpt.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "train_gpt.py: error: gpt.yaml sets what there is not: stepps")
