"""Which checkpoints `save_best_only` lets through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onyxstore.history.best import Mode, Number, is_better, is_candidate
from onyxstore.store.run import Run


@dataclass(frozen=True)
class Verdict:
    """Whether a checkpoint is saved, whether it is the best (None: the store's own metric decides), and by which value."""

    is_saved: bool
    is_best: bool | None
    value: Number | None = None


class BestOnly:
    """The best value of a run's metric so far, as the run's own `best` has it."""

    def __init__(self, run: Run, metric: str | None, mode: Mode) -> None:
        self._run = run
        self._metric = metric
        self._mode = mode
        self._best = _best_of(run, metric)

    def judge(self, values: Mapping[str, Number], *, is_best: bool | None) -> Verdict:
        """Saved is what the caller calls the best, and what has a better value than all before, in `values` or else logged last.

        Where neither the metric nor the caller says anything, it is saved: a checkpoint too many is better than none.
        """
        value = self._value_in(values)
        if is_best:
            return Verdict(is_saved=True, is_best=True, value=value)
        if value is None:
            return Verdict(is_saved=is_best is None, is_best=is_best)
        wins = is_candidate(value) and (self._best is None or is_better(value, self._best, self._mode))
        return Verdict(is_saved=wins, is_best=wins, value=value)

    def note(self, verdict: Verdict) -> None:
        """It was saved."""
        if verdict.is_best:
            self._best = verdict.value if is_candidate(verdict.value) else None

    def _value_in(self, values: Mapping[str, Number]) -> Number | None:
        if self._metric is None or self._metric in values:
            return values[self._metric] if self._metric is not None else None
        # Reads the run's log: slow for a long one, and only for who does not hand the metric in.
        logged = self._run.metrics.get(self._metric)
        return logged.last if logged is not None else None


def _best_of(run: Run, metric: str | None) -> Number | None:
    """The value of the best that a resumed run has."""
    best = run.best
    if best is None or metric is None:
        return None
    value = best.values.get(metric)
    if value is None and metric in best.metrics:
        value = best.metrics[metric].last
    return value if is_candidate(value) else None
