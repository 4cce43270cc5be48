import subprocess
import sys
from pathlib import Path

from onyxstore.cli.app import VERBS
from onyxstore.cli.reference import WIDTH, page

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_what_the_command_says_of_itself():
    assert PAGE.read_text() == page(), "python -m onyxstore.cli.reference > docs/cli.md"


def test_it_has_every_verb_with_its_summary_and_its_usage():
    sections = page().split("\n## ")[1:]  # those of a verb's own verbs lie inside its section
    assert [section.partition("\n")[0] for section in sections] == [f"onyx {verb}" for verb in VERBS]
    assert [verb for verb, section in zip(VERBS, sections, strict=True) if f"Usage: onyx {verb}" not in section] == []
    assert [verb for verb, section in zip(VERBS, sections, strict=True) if VERBS[verb] not in section] == []


def test_it_is_the_same_whatever_the_terminal(monkeypatch):
    at_first = page()
    monkeypatch.setenv("COLUMNS", "40")
    assert page() == at_first
    assert max(map(len, at_first.partition("```text")[2].splitlines())) <= WIDTH


def test_the_script_prints_it():
    done = subprocess.run([sys.executable, "-m", "onyxstore.cli.reference"], capture_output=True, text=True, check=True)
    assert done.stdout == page()
