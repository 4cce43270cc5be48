"""`docs/configuration.md` is what the configs say of themselves, and its examples run."""

import re
import subprocess
import sys
from pathlib import Path

from onyxstore.configs.fields import RECORDED_ONLY
from onyxstore.configs.reference import page
from onyxstore.configs.types import ConfigType
from tests.guide.samples import read_samples, run_sample

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_what_the_configs_say_of_themselves():
    assert PAGE.read_text() == page(), "python -m onyxstore.configs.reference > docs/configuration.md"


def rows(config_class):
    """The cells of the table below a heading, by key."""
    section = page().partition(f"### {config_class}\n")[2].partition("\n###")[0]
    lines = [re.split(r"(?<!\\)\|", line.strip("|")) for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_every_field_has_a_row_with_meaning_range_default_and_where_it_acts():
    for config_type in ConfigType:
        table = rows(config_type.config_class.__name__)
        assert list(table) == list(config_type.fields)
        for name, known in config_type.fields.items():
            assert len(table[name]) == 4
            assert all(table[name])
            assert (table[name][0], table[name][3].strip("`")) == (known.meaning, known.acts_in)


def test_what_is_recorded_only_says_so_in_these_words():
    assert rows("TrainingConfig")["batch_size"] == ["Samples in a batch.", "a whole number of at least 1", "`32`", RECORDED_ONLY]
    assert rows("ExperimentConfig")["tags"] == ["Words to find the run by: its labels.", "a list of texts", "`[]`", "`ExperimentTracker`"]


def test_its_examples_give_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCH", raising=False)
    names = {}
    samples = read_samples(PAGE)
    assert len(samples) > 5
    assert [difference for sample in samples for difference in run_sample(sample, names)] == []


def test_the_script_prints_it():
    done = subprocess.run([sys.executable, "-m", "onyxstore.configs.reference"], capture_output=True, text=True, check=True)
    assert done.stdout == page()
