"""Whether configs can be used: what each field takes, what fields must be with one another, and configs with one another.

Everything that is wrong is found at once, as problems without a place: who read a file knows where its keys stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onyxstore.configs.kinds import fitted, found, misfits
from onyxstore.configs.problems import Problem
from onyxstore.configs.types import Config, ConfigType, DataConfig, ExperimentConfig, OptimizationConfig, TrainingConfig
from onyxstore.names import near
from onyxstore.yaml12 import Key


def find_problems(config: object, config_type: ConfigType) -> tuple[Problem, ...]:
    """All that keeps an object from being a config of a type; empty when nothing does."""
    expected = config_type.config_class
    if not isinstance(config, expected):
        return (Problem((), f"expected a {expected.__name__}, got a {type(config).__name__}"),)
    return check_values({name: getattr(config, name) for name in config_type.fields}, config_type)


def check_values(values: Mapping[Key, Any], config_type: ConfigType) -> tuple[Problem, ...]:
    """All that is wrong with values by key, where each key that is left out has its default."""
    problems = [problem for key, value in values.items() for problem in _check_field(key, value, config_type)]
    wrong = {problem.path[0] for problem in problems}
    sound = build_config({key: value for key, value in values.items() if key not in wrong}, config_type)
    rules = [rule for rule in _RULES if isinstance(sound, rule.config_class) and wrong.isdisjoint(rule.reads)]
    return (*problems, *(problem for rule in rules for problem in rule.broken_by(sound)))


def build_config(values: Mapping[Key, Any], config_type: ConfigType) -> Config:
    """The config of values that were checked."""
    known = config_type.fields
    return config_type.config_class(**{str(name): fitted(value, known[str(name)].kind) for name, value in values.items()})


@dataclass(frozen=True)
class Clash:
    """One setting of which two configs of a project say different things: the key in each, and what they say."""

    training: str
    optimization: str
    why: str


def find_clashes(training: TrainingConfig, optimization: OptimizationConfig) -> tuple[Clash, ...]:
    """Where two configs of a project differ on what both say.

    It is an error, not a warning: which of the two would hold depends on the function that is handed them.
    """
    pairs = [(ours, getattr(training, ours), theirs, getattr(optimization, theirs)) for ours, theirs in _SHARED.items()]
    return tuple(
        Clash(ours, theirs, f"training.{ours} is {found(one)}, but optimization.{theirs} is {found(other)}; let both say the same")
        for ours, one, theirs, other in pairs
        if one != other
    )


def _check_field(key: Key, value: Any, config_type: ConfigType) -> Iterator[Problem]:
    fields = config_type.fields
    if not isinstance(key, str) or key not in fields:
        yield Problem((key,), f"no such key{_what_was_meant(str(key), config_type)}")
        return
    for misfit in misfits(value, fields[key].kind, fields[key].rule, (key,)):
        yield Problem(misfit.path, f"expected {misfit.expected}, got {misfit.found}")


def _what_was_meant(key: str, config_type: ConfigType) -> str:
    if meant := near(key, config_type.fields):
        return f"; did you mean {meant[0]}?"
    homes = [other for other in ConfigType if key in other.fields]
    return f"; it belongs to the {' or the '.join(homes)} config" if homes else ""


# ------------------------------------------------------------------------------------------------ fields with one another

_SHARED = {
    "mixed_precision": "enable_mixed_precision",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "gradient_clipping": "max_grad_norm",
}
"""What a training and an optimization config both say, by the names that each has for it."""


@dataclass(frozen=True)
class _Rule:
    """What fields of a config must be with one another; not asked where one of those that it reads is wrong already."""

    config_class: type[Config]
    reads: tuple[str, ...]
    broken_by: Callable[[Any], Iterator[Problem]]


def _splits_leave_nothing(training: TrainingConfig) -> Iterator[Problem]:
    total = training.validation_split + training.test_split
    if total >= 1:
        larger = max("validation_split", "test_split", key=lambda name: getattr(training, name))
        yield Problem((larger,), f"validation_split and test_split make {total:g}; below 1, something is left to train on")


def _warmup_never_ends(training: TrainingConfig) -> Iterator[Problem]:
    warmup, most = (training.scheduler_params.get(name) for name in ("warmup_steps", "max_steps"))
    if isinstance(warmup, (int, float)) and isinstance(most, (int, float)) and warmup > most:
        yield Problem(("scheduler_params", "warmup_steps"), f"expected at most max_steps, which is {found(most)}, got {found(warmup)}")


def _no_worker_to_ask(data: DataConfig) -> Iterator[Problem]:
    if data.num_workers > 0:
        return
    for name, without in (("persistent_workers", False), ("prefetch_factor", None)):
        if getattr(data, name) != without:
            yield Problem((name,), f"needs num_workers above 0; without workers it is {found(without)}")


def _backend_fed_twice(tracked: ExperimentConfig) -> Iterator[Problem]:
    names = tracked.tracking_backend
    for index, name in enumerate(names if isinstance(names, list) else ()):
        if name in names[:index]:
            yield Problem(("tracking_backend", index), f"{found(name)} is named twice")


_RULES = (
    _Rule(TrainingConfig, ("validation_split", "test_split"), _splits_leave_nothing),
    _Rule(TrainingConfig, ("scheduler_params",), _warmup_never_ends),
    _Rule(DataConfig, ("num_workers", "persistent_workers", "prefetch_factor"), _no_worker_to_ask),
    _Rule(ExperimentConfig, ("tracking_backend",), _backend_fed_twice),
)
