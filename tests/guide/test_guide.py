"""The guides run as they are written: `docs/guide.md`, and the pages that ONYX_GUIDE names, on a stage of small real things."""

import os
import re
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import onyxstore as onyx
from onyxstore.tracking.backends import table
from tests.guide.performance import NOT_YET, by_heading, perform, play
from tests.guide.promises import PROMISES
from tests.guide.samples import read_samples, run_sample

pytest.importorskip("torch")

from tests.guide.stage import set_stage

OURS = Path(__file__).parents[2] / "docs" / "guide.md"
OTHERS = [Path(page).absolute() for page in os.environ.get("ONYX_GUIDE", "").split(os.pathsep) if page]

NONE = pytest.param(None, marks=pytest.mark.skip(reason="ONYX_GUIDE names no page"), id="none")
on_each_guide = pytest.mark.parametrize("guide", [pytest.param(page, id=page.name) for page in OTHERS] or [NONE])


@pytest.fixture(autouse=True)
def _workplace(tmp_path, monkeypatch):
    """An empty folder, an environment that says nothing of stores, ranks or accounts, and nothing of a backend's that stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(table, "_table", dict(table._table))
    for name in [name for name in os.environ if name in {"ONYX_STORE", "RANK"} or name.startswith(("MLFLOW_", "WANDB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for name in ("exit", "excepthook"):  # W&B puts its own in their place
        monkeypatch.setattr(sys, name, getattr(sys, name))
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()
    os.environ.pop("WANDB_SERVICE", None)


# ----------------------------------------------------------------------------------------------------- the project's own


def test_every_sample_of_our_guide_gives_what_it_says():
    names = {"__name__": "our_guide"}
    assert [difference for sample in read_samples(OURS) for difference in run_sample(sample, names)] == []


# --------------------------------------------------------------------------------------------------- pages of ONYX_GUIDE


@on_each_guide
def test_every_sample_runs_as_it_is_written_and_does_what_it_promises(guide):
    perform(read_samples(guide), set_stage())


@on_each_guide
def test_every_config_loads_and_means_what_it_says(guide):
    kinds = []
    for sample in read_samples(guide, "yaml"):
        (kind,) = re.findall(r"`(\w+)Config`", sample.heading)
        path = Path(f"guide_{kind.lower()}_config.yaml")
        path.write_text(sample.text)
        config = onyx.ConfigManager(".").load_config(path, onyx.ConfigType[kind.upper()])
        said = YAML(typ="safe", pure=True).load(sample.text)
        assert {name: is_as_said(getattr(config, name), value) for name, value in said.items()} == dict.fromkeys(said, True)
        kinds.append(type(config))
    assert kinds == [each.config_class for each in onyx.ConfigType]


def is_as_said(value, said):
    """The same value, of the same type but for an int where a float is meant."""
    return value == said and type(value) in {type(said), float if type(said) is int else None}


@on_each_guide
def test_every_heading_with_samples_has_a_promise_or_a_reason_why_it_cannot_run_yet(guide):
    headings = sorted(heading for heading, _ in by_heading(read_samples(guide)))
    assert headings == sorted([*PROMISES, *NOT_YET])


@on_each_guide
@pytest.mark.parametrize("heading", NOT_YET)
def test_what_cannot_run_yet_cannot_run_yet(guide, heading):
    """When this fails, the sample has begun to work: it is taken out of NOT_YET, and gets a promise."""
    expected = NOT_YET[heading]
    (group,) = (group for found, group in by_heading(read_samples(guide)) if found == heading)
    with pytest.raises(expected.error, match=expected.words):
        play(group, set_stage())


@on_each_guide
def test_the_stage_has_nothing_that_no_sample_asks_for(guide):
    text = "".join(sample.text for sample in read_samples(guide))
    assert [name for name in set_stage() if name != "__name__" and not re.search(rf"\b{name}\b", text)] == []
