"""The command as the tests of this folder run it: in this process, in a folder of its own, at a time that does not pass by itself."""

import io
import json
import logging
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onyxstore.store.surroundings  # noqa: F401 - a Store imports it when it is asked to write: here, so that `stop` finds it
from onyxstore.cli.app import run
from onyxstore.frameworks import rng
from onyxstore.store.store import Store

NOON = 1_767_355_200
"""2026-01-02 12:00:00 UTC."""

ENVIRONMENT = {
    "onyx": "environment",
    "python": {"implementation": "cpython", "release": "3.12.0"},
    "packages": {"numpy": "2.0.0", "torch": "2.9.0"},
    "argv": ["train.py"],
}

CONFIG = "# how we train\nlearning_rate: {}\noptimizer:\n  name: adamw\n  betas: [0.9, 0.999]\n"


@dataclass
class Clock:
    """Seconds since 1970 UTC, moved by hand."""

    now: int = NOON

    def time(self) -> float:
        return float(self.now)

    def time_ns(self) -> int:
        return self.now * 10**9


@dataclass(frozen=True)
class Done:
    """What a command left: its exit status, and all that it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=lambda token: pytest.fail(f"{token} is not JSON"))


class Onyx:
    """Runs `onyx` in this process."""

    def __call__(self, *arguments: str) -> Done:
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        kept = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = out, err
        try:
            status = run(list(arguments))
        finally:
            sys.stdout, sys.stderr = kept
        out.flush()
        err.flush()
        return Done(status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


@pytest.fixture
def onyx() -> Onyx:
    return Onyx()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's: no store from the environment, no terminal's settings, UTC, a code state and environment that stay."""
    for name in ("ONYX_STORE", "ONYX_TRACEBACK", "NO_COLOR", "PAGER", "LESS", "COLUMNS", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    stop(monkeypatch, clock)
    return clock


def stop(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Time as the clock has it; the environment as it always is, no code around it, and no torch, which another test may have loaded."""
    monkeypatch.delitem(rng.SOURCES, "torch", raising=False)
    monkeypatch.setattr(time, "time", clock.time)
    monkeypatch.setattr(time, "time_ns", clock.time_ns)
    for module in list(sys.modules.values()):
        name = getattr(module, "__name__", "")
        if name.startswith("onyxstore."):
            if hasattr(module, "capture_environment"):
                monkeypatch.setattr(module, "capture_environment", lambda *_, **__: ENVIRONMENT)
            if hasattr(module, "capture_code_state"):
                monkeypatch.setattr(module, "capture_code_state", lambda *_, **__: None)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store has two runs: `base`, and `tuned`, which goes on from the best commit of that."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = Clock()
        stop(monkeypatch, clock)
        logging.getLogger("onyxstore").setLevel(logging.ERROR)
        store = Store.init(folder)
        _train(store, clock, "base", "2e-5", [20, 40, 60])
        _train(store, clock, "tuned", "1e-5", [80], parent="base@best")
        store.tag("paper", "base@best")
        logging.getLogger("onyxstore").setLevel(logging.NOTSET)
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory, an hour later."""
    folder = tmp_path / "trained"
    shutil.copytree(trained_once, folder)
    monkeypatch.chdir(folder)
    clock.now = NOON + 2 * 3600
    return folder


@pytest.fixture
def empty(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with no store, as the working directory."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    clock.now = NOON
    return folder


def _train(store: Store, clock: Clock, name: str, rate: str, steps: list[int], **options: Any) -> None:
    config = store.folder / "train.yaml"
    config.write_text(CONFIG.format(rate))
    random = np.random.default_rng(steps[0])
    clock.now += 60
    with store.start_run(name, configs={"training": config}, best_metric="val_loss", labels=["test"], **options) as run:
        for step in steps:
            clock.now += 600
            run.log({"loss": 30 / step, "lr": float(rate)}, step=step, epoch=step // 20)
            model = {"weight": random.integers(0, 2**32, (50, 100), np.uint32), "bias": np.zeros(3, np.float32)}
            state = {"model": model, "optimizer": {"momentum": random.integers(0, 2**32, 1000, np.uint32)}, "scheduler": {"epoch": step}}
            run.save_checkpoint(state=state, metrics={"val_loss": abs(40 - step) / 10}, step=step, epoch=step // 20, wait=True)
        clock.now += 600
