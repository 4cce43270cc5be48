"""The page `docs/configuration.md`: how configs are written and read, and every field of them.

python -m onyxstore.configs.reference > docs/configuration.md
"""

from __future__ import annotations

import sys
from typing import Any

from onyxstore.configs.fields import RECORDED_ONLY, ConfigField
from onyxstore.configs.kinds import words_for
from onyxstore.configs.splice import encode_flow
from onyxstore.configs.types import ConfigType
from onyxstore.yaml12 import encode_scalar

_HEAD = """\
# Configuration

What can be said of a model, its training, its data, its tracking, its speed and its serving stands in six YAML files a project, each
read as a dataclass. The page is made by `python -m onyxstore.configs.reference > docs/configuration.md`; its examples are run by a test
from top to bottom in an empty folder. What stands behind `# ->` is what the line before it gives.

## Files

`create_default_configs` writes the six files of a project, with every key under a comment that says what it is; a file that exists is
left as it is. Keys that a file leaves out have their defaults. The files are YAML 1.2: `2e-5` is a float, `no` is a text.

```python
from onyxstore import ConfigManager, ConfigType, TrainingConfig

manager = ConfigManager("configs")
files = manager.create_default_configs("ads")
files["training"].name                        # -> 'ads_training_config.yaml'
configs = manager.load_all_configs("ads")     # a FileNotFoundError names all files that are not there
len(configs)                                  # -> 6
configs["training"].batch_size                # -> 32
manager.load_config(files["training"]) == configs["training"]               # -> True
manager.path_of("ads", ConfigType.MODEL).name                               # -> 'ads_model_config.yaml'
```

`update_config` changes values, and nothing else in the file: comments, order, quotes and white space stay. Keys inside a mapping are
written with a point. A change that would make the file invalid is refused, and the file stays as it was.

```python
manager.update_config(files["training"], {"batch_size": 64, "learning_rate": 1e-4, "optimizer_params.betas": [0.9, 0.95]})
manager.load_config(files["training"]).optimizer_params                     # -> {'weight_decay': 0.01, 'betas': [0.9, 0.95]}
```

`save_config` writes a config that was made by hand as a commented file, in place of what is there. `get_config_summary` gives all values
as JSON takes them.

```python
manager.save_config(TrainingConfig(epochs=3, optimizer="sgd"), "configs/small_training_config.yaml")
manager.load_config("configs/small_training_config.yaml").epochs            # -> 3
manager.get_config_summary(configs)["model"]["hidden_sizes"]                # -> [512, 256]
```

The type of a file is that in its name, `PROJECT_TYPE_config.yaml`; for a file of another name it is handed in. A type knows its class and
fields: `ConfigType.MODEL.config_class`, `ConfigType.MODEL.fields`.

## Checks

Whatever reads or writes configs says all that is wrong at once, each problem with file, line, column, key, and what was expected. The
error is a `ValueError`; `problems` has them one by one.

```python
from pathlib import Path

Path("configs/typo_training_config.yaml").write_text("learnin_rate: 2e-5\\nbatch_size: 32.7\\nepochs: true\\n")
try:
    manager.load_config("configs/typo_training_config.yaml")
except ValueError as error:
    problems = error.problems
str(problems[0])       # -> 'configs/typo_training_config.yaml:1:15: learnin_rate: no such key; did you mean learning_rate?'
problems[1].line, problems[1].key, problems[1].why
# -> (2, 'batch_size', 'expected a whole number of at least 1, got 32.7')
```

Nothing is converted that could have been meant otherwise: `true` is no 1, `"2"` is no 2, `32.0` is no 32. Only a whole number may stand
where any number may. What is checked besides the single fields:

- `validation_split` and `test_split` leave something to train on;
- `scheduler_params.warmup_steps` is at most `scheduler_params.max_steps`;
- `persistent_workers` and `prefetch_factor` need `num_workers` above 0;
- `tracking_backend` names nobody twice;
- training and optimization say the same of what both say: `mixed_precision` and `enable_mixed_precision`, `gradient_clipping` and
  `max_grad_norm`, `gradient_accumulation_steps`. (When the configs of a project are loaded. If they differed, it would depend on the
  function which of them holds.)

A config that was changed in a program is checked by `validate_config`; `find_problems` says why not.

```python
config = configs["training"]
config.epochs = 0
manager.validate_config(config, ConfigType.TRAINING)                        # -> False
manager.find_problems(config, ConfigType.TRAINING)[0].why   # -> 'expected a whole number of at least 1, got 0'
```

## Overlays, overrides, variables

What differs between places goes into an *overlay*: `ads_training_config.prod.yaml` lies over `ads_training_config.yaml` when
`overlay="prod"` asks for it. It says only what differs, and not every config needs one. *Overrides* are single values, as one types them.
The file is weakest, the overrides are strongest. Mappings are merged key by key; everything else, lists too, is replaced. So a key can be
given another value, but not be taken away.

```python
Path("configs/ads_training_config.prod.yaml").write_text("batch_size: ${BATCH:-256}\\noptimizer_params:\\n  weight_decay: 0.1\\n")
prod = manager.load_all_configs("ads", overlay="prod", overrides=["training.learning_rate=3e-4", "model.hidden_sizes=[64, 32]"])
prod["training"].batch_size, prod["training"].learning_rate                 # -> (256, 0.0003)
prod["training"].optimizer_params             # -> {'weight_decay': 0.1, 'betas': [0.9, 0.95]}
prod["model"].hidden_sizes                    # -> [64, 32]
```

`${NAME}` in a text is a variable of the environment; one that is not set is an error that names key and line, unless a default stands
behind it: `${NAME:-default}`. `$${` is a plain `${`. A value that is one variable and nothing else is read again as YAML, so that
`batch_size: ${BATCH}` is a number. It stays text where its field takes text, and in quotes where its field takes anything.

`resolve_all` and, for one file, `resolve_file` say where each value comes from, and have all problems instead of raising them:

```python
found = manager.resolve_all("ads", overlay="prod")
found.problems                                # -> ()
origins = {entry.key: entry.origin for entry in found.resolved["training"].entries()}
origins["optimizer_params.weight_decay"].source, origins["optimizer_params.weight_decay"].line          # -> ('overlay', 3)
origins["batch_size"].variables               # -> ('BATCH',)
```

## Editors

`json_schema` gives the JSON Schema (draft 2020-12) of a type, with which editors complete keys and underline what is wrong. It covers
overlays too.

```python
manager.json_schema(ConfigType.TRAINING)["properties"]["batch_size"]["description"]           # -> 'Samples in a batch.'
```

## Fields

*Acts in* names the function or class that reads a field. *Recorded only* means that nothing in the library does: the value is stored with
the run, and it is for the training's own code to heed it.
"""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_HEAD, *(_section(each) for each in ConfigType)])


def _section(config_type: ConfigType) -> str:
    rows = (_row(known) for known in config_type.fields.values())
    return "\n".join(
        (
            f"### {config_type.config_class.__name__}\n",
            f"{config_type.config_class.__doc__}\n",
            "| key | what it is | type and range | default | acts in |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        )
    )


def _row(known: ConfigField) -> str:
    acts_in = known.acts_in if known.acts_in == RECORDED_ONLY else f"`{known.acts_in}`"
    takes = words_for(known.kind, known.rule)
    return f"| `{known.name}` | {known.meaning} | {takes} | `{_spelt(known.default)}` | {acts_in} |"


def _spelt(value: Any) -> str:
    return encode_scalar(value, quoted=True) if isinstance(value, str) else encode_flow(value)


if __name__ == "__main__":
    sys.stdout.write(page())
