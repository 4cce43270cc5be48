"""How long the command takes to begin, and what an import loads."""

from __future__ import annotations

import shutil
import subprocess
import sys

from pairs import Row, alternate

HEAVY = ("torch", "numpy", "pandas", "pydantic", "ruamel")


def measure() -> list[Row]:
    """The rows of the table."""
    onyx = shutil.which("onyx") or "onyx"
    started = alternate(
        lambda: subprocess.run([onyx, "--version"], check=True, capture_output=True),
        lambda: subprocess.run([sys.executable, "-c", "import click"], check=True),
        pairs=21,
    )
    asked = f"import sys, onyxstore; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout.split()
    return [
        started.row("`onyx --version`", 1.3, '`python -c "import click"`'),
        Row("`import onyxstore` loads", "no torch, numpy, pandas", ", ".join(loaded) or "none of them", not loaded),
    ]
