"""Measures everything, and writes the table of docs/benchmarks.md.

    python benchmarks/run.py                    all of it, some four minutes; needs onyxstore[torch,tensorboard,wandb]
    python benchmarks/run.py sizes startup      some of it, only printed

Peers that are not installed (`pip install zipnn`, git, restic, borg) are left out, and that is said.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from pairs import Row

ALL = ("sizes", "saving", "loading", "logging_points", "tracking", "startup")
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main(names: list[str]) -> None:
    """Runs the named benchmarks, or all."""
    rows: list[Row] = []
    for name in names or ALL:
        print(f"— {name}", flush=True)
        measured = importlib.import_module(name).measure()
        rows += measured
        print("\n".join(table(measured)), flush=True)
    if not names:
        text = PAGE.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text("\n".join([before + BEGIN, "", machine(), "", *HEAD, *table(rows), "", END + after]))


VERSIONS = ("torch", "numpy", "zstandard", "blake3", "orjson", "safetensors", "zipnn", "tensorboard", "wandb")
HEAD = ["| what | goal | measured | | |", "| --- | --- | --- | --- | --- |"]


def table(rows: list[Row]) -> list[str]:
    """The rows as Markdown."""
    marks = {True: "reached", False: "**missed**", None: ""}
    return [f"| {row.what} | {row.goal} | {row.measured} | {marks[row.holds]} | {row.detail} |" for row in rows]


def machine() -> str:
    """What it was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    versions = ", ".join(f"{name} {_version(name)}" for name in VERSIONS)
    return f"{cpu or platform.machine()}, {_cores()} cores, {platform.system()}, Python {platform.python_version()}; {versions}."


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main(sys.argv[1:])
