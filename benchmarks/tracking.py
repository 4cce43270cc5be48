"""What a call of `tracker.log_metrics` costs the thread that trains: with the store alone, and with backends besides.

Beside the store stand two backends that keep what they get in memory, TensorBoard, and W&B offline. The calls come in bursts that are
timed one by one, with a flush between them: that is what a caller pays who trains between two calls. The same calls are made to W&B and
to torch's SummaryWriter themselves, for comparison; and a loop of Python is timed as a whole, threads and all.
"""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import wandb
from pairs import Pairs, Row, alternate
from torch.utils.tensorboard import SummaryWriter

import onyxstore as onyx
from onyxstore.configs.types import ExperimentConfig
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.backends.table import register_backend
from onyxstore.tracking.tracker import ExperimentTracker, create_experiment_tracker

CALLS = 1000
BURSTS = 15
MEMORY = ("memory", "memory-2")
NAMES = ("loss", "lr", "grad_norm", "accuracy", "tokens_per_second")

Point = dict[str, float]
Log = Callable[[Point], object]


class Memory(TrackingBackendBase):
    """The least that a backend can be."""

    def __init__(self, config: ExperimentConfig) -> None:
        super().__init__(config)
        self.rows: list[tuple[object, int]] = []

    def log_metrics(self, metrics: object, step: int) -> None:
        """Keeps it."""
        self.rows.append((metrics, step))


def measure() -> list[Row]:
    """The rows of the table."""
    logging.getLogger("onyxstore").setLevel(logging.ERROR)
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    for name in MEMORY:
        register_backend(name, Memory)
    values = np.random.default_rng(1).normal(size=(CALLS, len(NAMES))).tolist()
    points = [dict(zip(NAMES, row, strict=True)) for row in values]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.callback(os.chdir, Path.cwd())
        os.chdir(folder)
        with onyx.start_run("run") as run, tracking("local") as alone:
            store = alternate(lambda: log_all(alone.log_metrics, points), lambda: log_all(run.log, points), pairs=25)
        rows = [store.row("`tracker.log_metrics` of 5 metrics to the store", 1.5, "`run.log`")]
        with tracking("local") as alone, tracking(*MEMORY) as two, tracking(*MEMORY, "tensorboard", "wandb") as four:
            rows.append(extra("the same with two backends in memory", two, alone, points))
            rows.append(extra("the same with those, TensorBoard and W&B", four, alone, points))
            rows += [against(what, four, log, points) for what, log in bare_libraries(stack, folder)]
            rows.append(loop(four, alone, points))
    return rows


@contextmanager
def tracking(*backends: str) -> Iterator[ExperimentTracker]:
    """A tracker that is on, its backends started."""
    config = ExperimentConfig(experiment_name="-".join(backends), tracking_backend=list(backends), log_level="ERROR")
    with create_experiment_tracker(config) as tracker:
        tracker.flush()
        yield tracker


def log_all(log: Log, points: list[Point]) -> None:
    """A burst."""
    for point in points:
        log(point)


def call_times(log: Log, points: list[Point]) -> list[float]:
    """Seconds of each call of a burst."""
    times = []
    for point in points:
        began = time.perf_counter()
        log(point)
        times.append(time.perf_counter() - began)
    return times


def extra(what: str, tracker: ExperimentTracker, alone: ExperimentTracker, points: list[Point]) -> Row:
    """What a call costs more than one to the store alone, each burst against one of the other; the tracker flushes between them."""
    more, slow = [], []
    for _ in range(BURSTS):
        fed, plain = call_times(tracker.log_metrics, points), call_times(alone.log_metrics, points)
        tracker.flush()
        more.append(statistics.median(fed) - statistics.median(plain))
        slow.append(sorted(fed)[CALLS * 99 // 100])
    median = statistics.median(more)
    spread = f"{median * 1e6:.1f} µs more ({min(more) * 1e6:.1f} to {max(more) * 1e6:.1f})"
    return Row(what, "< 10 µs more", spread, median < 10e-6, f"the slowest of 100: {statistics.median(slow) * 1e6:.0f} µs")


def loop(tracker: ExperimentTracker, alone: ExperimentTracker, points: list[Point]) -> Row:
    """A training that is nothing but Python, which is where threads are felt most: 300 steps of some 2 ms, each logged."""

    def train(log: Log) -> None:
        for point in points[:300]:
            sum(range(100_000))
            log(point)

    pairs = alternate(lambda: train(tracker.log_metrics), lambda: train(alone.log_metrics), pairs=BURSTS)
    return pairs.row("a loop of Python that logs each 2 ms, with those four", 1.1, "with the store alone")


def against(what: str, tracker: ExperimentTracker, log: Log, points: list[Point]) -> Row:
    """The tracker's calls against those that one would make without it."""
    log_all(log, points[:100])
    times = []
    for _ in range(BURSTS):
        ours = sum(call_times(tracker.log_metrics, points))
        tracker.flush()
        times.append((ours, sum(call_times(log, points))))
    middle = [statistics.median(column) for column in zip(*times, strict=True)]
    pairs = Pairs(tuple(a / b for a, b in times), middle[0], middle[1])
    return pairs.row("all of that", 1, f"{what} alone")


def bare_libraries(stack: ExitStack, folder: str) -> Iterator[tuple[str, Log]]:
    """How one logs without the tracker."""
    run = wandb.init(project="bare", dir=folder)
    stack.callback(run.finish)
    yield "offline `wandb.Run.log`", run.log
    writer = stack.enter_context(SummaryWriter(folder))
    yield "five `SummaryWriter.add_scalar`", lambda point: [writer.add_scalar(name, value) for name, value in point.items()]
