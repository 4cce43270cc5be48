"""The guide, from its first sample to its last, as a reader works through it.

All samples run in one namespace, in the order of the page. Its parts are no one script, though: `tracker` is ended by one sample and
made anew by another, and what follows logs to it. A reader starts each part with a tracker that is on. So where a section (the second
and third level of headings) begins and the tracker at hand is none that takes calls, there is a fresh one, started with the
`experiment_config` and the `metadata` that the guide has made. That is all that is done between samples.

Nothing is left out but what NOT_YET names.
"""

import contextlib
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onyxstore as onyx
from tests.guide.promises import PROMISES
from tests.guide.samples import Sample, run_sample


@dataclass(frozen=True)
class NotYet:
    """Why the samples under a heading cannot run, and the error that they end with until they can."""

    why: str
    error: type[Exception]
    words: str


NOT_YET = {
    "Integration with Mixed Precision Training": NotYet(
        "onyxstore trains nothing yet: it records what a training of the caller's does", ImportError, "MixedPrecisionTrainer"
    ),
    "Integration with Diffusion Models": NotYet(
        "a service that trains and samples diffusion models belongs to the same layer", ImportError, "DiffusionService"
    ),
    "Integration with External Systems": NotYet(
        "it speaks to an MLflow server at localhost:5000, which a test has none of; and the stage doesn't hand out `mlflow`, so that "
        "nobody waits minutes for that server",
        NameError,
        "mlflow",
    ),
}


def perform(samples: list[Sample], names: dict[str, Any]) -> None:
    """Runs all samples that can run, and holds them to what they promise; an error says under which heading it happened."""
    section: tuple[str, ...] = ()
    with contextlib.ExitStack() as end:
        for heading, group in by_heading(samples):
            if heading in NOT_YET:
                continue
            if group[0].section != section:
                section = group[0].section
                start_afresh(names)
            keep_promise(heading, group, names, end)


def by_heading(samples: list[Sample]) -> Iterator[tuple[str, list[Sample]]]:
    """The samples in their order, those of one heading together."""
    for _, group in itertools.groupby(samples, key=lambda sample: sample.outline):
        found = list(group)
        yield found[0].heading, found


def start_afresh(names: dict[str, Any]) -> None:
    """A tracker that is on, if there was one before and it is not."""
    if "tracker" in names and not is_on(names["tracker"]):
        names["tracker"] = onyx.create_experiment_tracker(names["experiment_config"])
        names["tracker"].start_experiment(names["metadata"])


def is_on(tracker: onyx.ExperimentTracker) -> bool:
    with contextlib.suppress(onyx.OnyxError):
        return tracker.run.status == "running"
    return False


def keep_promise(heading: str, group: list[Sample], names: dict[str, Any], end: contextlib.ExitStack) -> None:
    look = PROMISES.get(heading, promise_nothing)(names, group[-1])
    try:
        next(look)
        printed = play(group, names)
        if "tracker" in names:
            end.callback(names["tracker"].end_experiment)
        with contextlib.suppress(StopIteration):
            look.send(printed)
    except Exception as error:
        error.add_note(f"{group[0].page}, under '{heading}'")
        raise


def promise_nothing(names: dict[str, Any], sample: Sample) -> Iterator[None]:
    yield


def play(group: list[Sample], names: dict[str, Any]) -> str:
    """Runs samples one after the other; what they print."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for sample in group:
            assert run_sample(sample, names) == []
    return printed.getvalue()
