"""The files that a new project begins with: every key, with a comment that says what it is.

They give the defaults; where a default is empty because it belongs to one choice, an example that suits this choice, so that everything
that can be said is seen once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onyxstore.configs.kinds import words_for
from onyxstore.configs.splice import encode_flow
from onyxstore.configs.types import ConfigType

_EXAMPLES: dict[ConfigType, dict[str, Any]] = {
    ConfigType.MODEL: {"custom_parameters": {"attention_heads": 12, "hidden_dropout": 0.1}},
    ConfigType.TRAINING: {
        "optimizer_params": {"weight_decay": 0.01, "betas": [0.9, 0.999]},
        "scheduler_params": {"warmup_steps": 1000, "max_steps": 10000},
        "loss_params": {"label_smoothing": 0.1},
    },
    ConfigType.DATA: {
        "persistent_workers": True,
        "prefetch_factor": 2,
        "augmentation_params": {"rotation": 10, "horizontal_flip": True, "color_jitter": 0.1, "random_crop": [224, 224]},
    },
    ConfigType.DEPLOYMENT: {"quantization_params": {"dtype": "int8", "calibration_data": "./calibration_data"}},
}


def default_file(project: str, config_type: ConfigType) -> bytes:
    """The file of a project that has said nothing yet."""
    defaults = {name: known.default for name, known in config_type.fields.items()}
    values = defaults | _EXAMPLES.get(config_type, {}) | _named_after(project, config_type)
    return commented(f"The {config_type} config of {project}.", values, config_type)


def commented(title: str, values: Mapping[str, Any], config_type: ConfigType) -> bytes:
    """Values of a config as YAML, each key under what is known of it. CannotEncode names what has no YAML form."""
    lines = [f"# {title} {config_type.config_class.__doc__}", *_HEAD]
    for name, value in values.items():
        known = config_type.fields[name]
        expected = words_for(known.kind, known.rule)
        default = "" if value == known.default else f" Default: {encode_flow(known.default)}."
        lines += ["", f"# {known.meaning} {expected[0].upper()}{expected[1:]}.{default}", *_pair(name, value)]
    return "".join(f"{line}\n" for line in lines).encode()


_HEAD = (
    "#",
    "# Every key is optional: what is left out has its default. A text may hold variables of the environment, ${NAME} or",
    "# ${NAME:-default}.",
)


def _named_after(project: str, config_type: ConfigType) -> dict[str, Any]:
    names = {"model": {"name": f"{project}_model"}, "experiment": {"experiment_name": f"{project}_v1", "project_name": project}}
    return names.get(config_type, {})


def _pair(name: str, value: Any) -> list[str]:
    """A key with its value: a mapping in lines of its own, a list on one."""
    if not isinstance(value, dict) or not value:
        return [f"{name}: {encode_flow(value)}"]
    return [f"{name}:", *(f"  {encode_flow(key)}: {encode_flow(item)}" for key, item in value.items())]
