"""Rows of runs that nobody ran."""

from onyxstore.store.run_rows import BestRow, Figures, RunRow

DAY = 86_400 * 10**9
NOW = 20_000 * DAY
"""Some midnight UTC, in nanoseconds since 1970."""


def figures(*values, at_best=None):
    """Those of a metric that was logged with these values, the last one last."""
    whole = [value for value in values if value == value]  # noqa: PLR0124 - NaN is none of them
    return Figures(values[-1], min(whole, default=values[-1]), max(whole, default=values[-1]), len(values), at_best)


def row(name="run", **fields):
    """A run of whom only what is given is not as it mostly is."""
    usual = {
        "status": "finished",
        "created": NOW - DAY,
        "ended": NOW,
        "labels": (),
        "group": name,
        "best_metric": None,
        "best_mode": "min",
        "step": 10,
        "epoch": None,
        "rate": None,
        "records": 10,
        "commits": 2,
        "latest": "ab" * 32,
        "latest_time": NOW,
        "best": None,
        "configs": {},
        "curves": {},
        "values": {},
    }
    return RunRow(name=name, **(usual | fields))


def best(value, metric="loss", step=5):
    return BestRow("cd" * 32, NOW, step, metric, value)
