"""Who a run is: what was handed in, and what is found out."""

import platform
import re
import subprocess
from dataclasses import replace
from datetime import datetime

import pytest

from onyxstore.configs.types import ExperimentConfig
from onyxstore.errors import BadInput
from onyxstore.tracking.identity import identify
from onyxstore.tracking.metadata import ExperimentMetadata

CONFIG = ExperimentConfig(experiment_name="ads v1", project_name="ads", tags=["a", "b"])
GIVEN = ExperimentMetadata(
    "exp_001", "ads", "p", datetime(2024, 1, 15, 10, 30), ["t"], "BERT", git_commit="abc123", python_version="3.9.0"  # noqa: DTZ001 - as the guide has it
)


def git(*words):
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    return subprocess.run(["git", *who, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(folder, monkeypatch):
    """A git repository with one commit, and its commit."""
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "x")
    return git("rev-parse", "HEAD")


def test_what_was_handed_in_stays(repository):
    assert identify(CONFIG, GIVEN) == GIVEN


def test_what_was_left_out_is_found_out_and_what_was_handed_in_is_not_changed(repository):
    given = replace(GIVEN, git_commit=None, python_version=None)
    assert identify(CONFIG, given) == replace(GIVEN, git_commit=repository, python_version=platform.python_version())
    assert (given.git_commit, given.python_version) == (None, None)


def test_outside_a_repository_there_is_no_commit(folder):
    assert identify(CONFIG, replace(GIVEN, git_commit=None)).git_commit is None


def test_without_git_there_is_no_commit(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert identify(CONFIG, replace(GIVEN, git_commit=None)).git_commit is None


def test_without_metadata_the_config_says_it(folder):
    found = identify(replace(CONFIG, experiment_id="exp 7"), None)
    assert (found.experiment_id, found.experiment_name, found.project_name, found.tags) == ("exp 7", "ads v1", "ads", ["a", "b"])
    assert found.tags is not CONFIG.tags


def test_without_an_id_it_is_the_name_and_the_time(folder):
    found = identify(CONFIG, None)
    assert found.experiment_id == f"ads v1_{found.created_at:%Y%m%d_%H%M%S}"
    assert re.fullmatch(r"ads v1_\d{8}_\d{6}", found.experiment_id)


@pytest.mark.parametrize("word", ["", "  ", "a\nb", None, 7])
def test_an_id_is_a_line_of_text(folder, word):
    with pytest.raises(BadInput, match="^an experiment_id is a line of text, not "):
        identify(CONFIG, replace(GIVEN, experiment_id=word))
