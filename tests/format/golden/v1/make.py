"""Makes the golden store of format 1, `onyx/` beside this file, and `expected.json`, what the library read from it on that day.

    PYTHONPATH=. python tests/format/golden/v1/make.py

It was made once, and stays: every later release must read it. This script is kept to say what is in it, and for the golden store of
the next format. Clock, random numbers and environment are made up, so that nothing of the machine is in it.
"""

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.numpy import save_file

import onyxstore as onyx
from onyxstore.canonical import encode_value
from onyxstore.frameworks.python_state import capture_rng
from onyxstore.hashing import address_of
from onyxstore.history.code_state import CodeState
from onyxstore.store.adding import Addition

HERE = Path(__file__).parent
CODE = CodeState("0123456789abcdef0123456789abcdef01234567", "main", None, "diff --git a/train.py b/train.py\n", {"notes.txt": "small\n"})
ENVIRONMENT = {"onyx": "environment", "python": {"implementation": "cpython", "release": "3.11.7"}, "packages": {"numpy": "2.4.0"}}


def stand_ins(process):
    """Time that goes on by a second a look, and other things that would tell where this ran; another time and other ids each process."""
    seconds, numbers = itertools.count(1_764_000_000 + 10_000 * process), itertools.count(1 + 10_000 * process)
    return [
        mock.patch.object(time, "time_ns", side_effect=(second * 10**9 for second in seconds)),
        mock.patch.object(time, "perf_counter", return_value=0.0),
        mock.patch.object(os, "urandom", lambda size: next(numbers).to_bytes(size, "big")),
        mock.patch("onyxstore.store.surroundings.capture_code_state", return_value=CODE),
        mock.patch("onyxstore.store.surroundings.capture_environment", return_value=ENVIRONMENT),
        mock.patch("onyxstore.store.run.capture_rng", return_value={"python": capture_rng()}),
    ]


def state(step):
    """Something of everything: each codec, ties, views, dtypes, containers, and a tensor of two chunks. Only the weights change."""
    generator = torch.Generator().manual_seed(1)
    half = torch.randn(32, 32, generator=generator).bfloat16()
    moments = torch.rand(16, 32, generator=generator).pow(8) * 1e-6
    weight = torch.nn.Parameter(torch.randn(16, 32, generator=generator.manual_seed(step)))
    flat = torch.arange(12, dtype=torch.float32)
    return {
        "model": {
            "weight": weight, "tied": weight, "half": half, "rows": flat[:8].view(2, 4), "columns": flat[4:].view(4, 2).t(),
            "channels": torch.ones(1, 3, 2, 2).to(memory_format=torch.channels_last),
        },
        "moments": moments,
        "tokens": np.arange(1024, dtype=np.int16) * 7, "ids": np.arange(512, dtype=np.int32) * 70_001,
        "positions": np.arange(0, 512, 2, dtype=np.int64) ** 3,
        "doubles": np.linspace(-1.0, 1.0, 256), "zeros": np.zeros((4 << 20) + 1, np.uint8),
        "empty": torch.empty(0, 3), "scalar": torch.tensor(data=True), "complex": torch.tensor([1 + 2j, -0j]),
        "plain": {7: (1, 2.5, None), "set": {3, 1}, "big": 2**70, "nan": float("nan"), "bytes": b"\0\xff", "span": slice(1, None, 2)},
        "numpy": [np.float32(0.1), np.datetime64("2026-01-02", "s"), np.dtype("<f8"), torch.Size([2, 3]), torch.bfloat16],
    }  # fmt: skip


def fill(folder):
    """The store's history."""
    store = onyx.Store.init(folder)
    (folder / "train.yaml").write_text("# A config with a comment.\nlr: 1e-3\nbig: 123456789012345678901\nlayers: [1, 2.0, true, null]\n")
    configs = {"train": folder / "train.yaml", "handed": {"depth": 3, "limit": float("inf"), 5: "five"}}
    options = {"labels": ["a", "b"], "group": "golden", "best_metric": "val/loss", "max_checkpoints": 1}
    run = store.start_run("Golden", configs=configs, **options)
    for step in range(6):
        run.log({"loss": 1 / (step + 1), "lr": 0.001 * step, "ok": step % 2 == 0, "n": 10**step}, step=step, epoch=step // 3)
        if step in {1, 3}:
            run.save_checkpoint(state=state(step), metrics={"val/loss": 1.0 - step / 10}, step=step, wait=True)
    run.log({"loss": float("nan"), "n": -(10**30), "up": float("inf"), "down": -0.0})
    run.log_artifact("sample.txt", b"a sample\n", kind="text", step=5)
    run.finish("failed")
    with store.start_run("Golden", resume=True) as run:
        for step in range(4, 6):
            run.log({"loss": 0.125, "lr": 0.5, "ok": True, "n": 0}, step=step, epoch=step // 3)
        run.log({"loss": 1e-300}, step=6, epoch=2.5)
        run.save_checkpoint(state=state(6), metrics={"val/loss": 0.9}, step=6, wait=True)
        run.summary({"test": 0.75, "count": 12})
    store.tag("First", "Golden@step:1")
    store.start_run("fork", parent="First").finish()
    save_file({"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([1], np.int8)}, folder / "model.safetensors")
    checkpoint = folder / "model.safetensors"
    by_hand = Addition(message="by hand", configs={"train": configs["train"]}, metrics={"acc": 0.5}, checkpoint=checkpoint)
    store.add_commit(by_hand)


def crash(folder):
    """A run whose process ends without a word, in the middle of a line."""
    run = onyx.Store.open(folder).start_run("crashed")
    for step in range(3):
        run.log({"loss": 0.5, "name with spaces/ä": step}, step=step)
    run.flush()
    (tail,) = (folder / ".onyx" / "runs" / "crashed").glob("tail-*")
    with tail.open("ab") as opened:
        opened.write(b'0123abcd {"position":3,"st')
    os._exit(9)


def described(store):
    """What the library says is in the store."""
    names = ["latest", "best", "First", "Golden", "Golden@best", "fork", "crashed", "main"]
    runs = {run.name: run for run in store.runs()}
    return {
        "refs": {name: store.commit(name).address for name in names},
        "runs": {name: [run.status, list(run.labels), run.group, run.final_values] for name, run in runs.items()},
        "curves": {name: {metric: points(curve) for metric, curve in run.metrics.items()} for name, run in runs.items()},
        "superseded": {name: {metric: points(curve) for metric, curve in run.superseded.items()} for name, run in runs.items()},
        "commits": {commit.address: described_commit(commit) for commit in store.commits()},
    }


def points(curve):
    """A curve as (epoch, step, time, value), an epoch of none as null."""
    epochs = [None if epoch != epoch else epoch for epoch in curve.epochs.tolist()]  # noqa: PLR0124 (NaN)
    return [list(point) for point in zip(epochs, curve.steps.tolist(), curve.times.tolist(), curve.values.tolist(), strict=True)]


def described_commit(commit):
    """Everything that a commit names, tensors by the address of all their bytes."""
    checkpoint = None if commit.checkpoint is None or commit.checkpoint.is_pruned else commit.checkpoint
    stored = {} if checkpoint is None else {name: checkpoint.tensors.stored(name) for name in checkpoint.tensors}
    return {
        "run": commit.run, "message": commit.message, "time": commit.record.time, "step": commit.step, "epoch": commit.epoch,
        "parents": [parent.address for parent in commit.parents], "values": dict(commit.values),
        "configs": {name: [value, commit.config_bytes(name).decode()] for name, value in commit.config.items()},
        "points": {name: len(curve) for name, curve in commit.metrics.items()},
        "artifacts": {each.name: commit.artifact_bytes(each.name).decode() for each in commit.artifacts},
        "tensors": {name: [each.dtype, list(each.shape), address_of(checkpoint.tensors.read(name))] for name, each in stored.items()},
    }  # fmt: skip


def main():
    """Makes both anew: the same bytes from the same library, but for the time of a prune mark, which is the filesystem's."""
    random.seed(1)
    for stand_in in stand_ins(len(sys.argv) - 1):
        stand_in.start()
    if len(sys.argv) > 1:
        crash(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder)
        subprocess.run([sys.executable, __file__, name], check=False)
        store = onyx.Store.open(folder)
        expected = json.dumps(encode_value(described(store)), indent=1, ensure_ascii=False)
        (folder / ".onyx" / ".gitignore").unlink()  # or git would not take the store
        shutil.rmtree(HERE / "onyx", ignore_errors=True)
        shutil.copytree(folder / ".onyx", HERE / "onyx")
        (HERE / "expected.json").write_text(expected + "\n")


if __name__ == "__main__":
    main()
