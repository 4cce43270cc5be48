"""What a call of `run.log` costs, against the least that anybody could do: a line of JSON in a buffered file."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from pairs import Row, alternate

import onyxstore as onyx

CALLS = 3000


def measure() -> list[Row]:
    """The rows of the table."""
    values = np.random.default_rng(1).normal(size=(CALLS, 5)).tolist()
    names = ("loss", "lr", "grad_norm", "accuracy", "tokens_per_second")
    points = [dict(zip(names, row, strict=True)) for row in values]
    with (
        tempfile.TemporaryDirectory() as folder,
        onyx.Store.init(folder).start_run("run") as run,
        (Path(folder) / "log").open("w") as lines,
    ):

        def log() -> None:
            for step, point in enumerate(points):
                run.log(point, step=step)

        def write_json() -> None:
            for step, point in enumerate(points):
                lines.write(json.dumps({"step": step, "time": time.time(), **point}) + "\n")

        quiet = alternate(log, write_json, pairs=15)
        state = {"w": np.random.default_rng(2).normal(size=12_000_000).astype(np.float32)}

        during = [_call_times(run, points, state) for _ in range(5)]
    slow = statistics.median(during)
    return [
        quiet.row("`run.log` of 5 metrics", 1, "a `json.dumps` line"),
        Row("the slowest of 100 such calls while a save is in flight", "none set", f"{slow * 1e6:.0f} µs"),
    ]


def _call_times(run: onyx.Run, points: list[dict[str, float]], state: dict[str, np.ndarray]) -> float:
    """The 99th percentile of calls made while a checkpoint is being written."""
    state["w"][::512] += 1
    handle = run.save_checkpoint(state=state)
    times = []
    while not handle.done() and len(times) < CALLS:
        began = time.perf_counter()
        run.log(points[len(times)])
        times.append(time.perf_counter() - began)
    handle.wait()
    return sorted(times)[len(times) * 99 // 100]
