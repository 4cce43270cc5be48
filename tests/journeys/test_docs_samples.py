"""The examples of `docs/library.md` run, in their order, and give what they say; and the pages tell of every public method."""

import inspect
import re
from pathlib import Path

import pytest

import onyxstore as onyx
from tests.guide.samples import read_samples, run_sample

DOCS = Path(__file__).parents[2] / "docs"
TELLS = "".join((DOCS / page).read_text() for page in ["library.md", "guide.md", "configuration.md"])


def test_every_sample_gives_what_it_says(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONYX_STORE", raising=False)
    names = {}
    assert [difference for sample in read_samples(DOCS / "library.md") for difference in run_sample(sample, names)] == []


@pytest.mark.parametrize("name", [name for name in onyx.__all__ if inspect.isclass(getattr(onyx, name))])
def test_every_public_method_is_told_of(name):
    members = {member for base in getattr(onyx, name).__mro__ if base.__module__.startswith("onyxstore") for member in vars(base)}
    members |= set(getattr(getattr(onyx, name), "__annotations__", {}))
    public = {member for member in members if not member.startswith("_")} - set(getattr(getattr(onyx, name), "__members__", {}))
    assert sorted(member for member in public if not re.search(rf"\b{member}\b", TELLS)) == []
