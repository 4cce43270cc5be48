"""The word on how a run was set aside, strict on reading."""

import pytest

from onyxstore.disk.layout import create_layout
from onyxstore.disk.linefile import replace_value
from onyxstore.errors import CorruptFile
from onyxstore.history.removed import REMOVED, Removed, read_removed, write_removed

A = "a" * 64
WHOLE = {"call": "call:0123456789abcdef", "refs": {"best": None, "latest": {"commit": A}}, "time": 5}


@pytest.fixture
def layout(tmp_path):
    return create_layout(tmp_path / ".onyx", b"")


@pytest.mark.parametrize("best", [None, {"commit": A, "metric": "loss", "mode": "min", "value": 0.5}])
def test_it_comes_back_as_it_was_written(layout, best):
    removed = Removed(5, "call:0123456789abcdef", {"best": best, "latest": {"commit": A}})
    write_removed(layout, layout.run("a"), removed)
    assert read_removed(layout.run("a")) == removed
    assert (removed.commit("latest"), removed.commit("best")) == (A, best and A)


def test_without_a_file_there_is_none(layout):
    with pytest.raises(FileNotFoundError):
        read_removed(layout.run("a"))


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {**WHOLE, "more": 1}, {"call": "c", "refs": WHOLE["refs"]}]
    + [{**WHOLE, "refs": refs} for refs in (None, [], {}, {"latest": None}, {"best": None, "latest": {"run": "a"}},
                                          {"best": 1, "latest": None},
                                          {"best": None, "latest": {"commit": "x"}}, {"best": None, "latest": None, "more": None})]
    + [{**WHOLE, "time": time} for time in (None, 1.5, "1")]
    + [{**WHOLE, "call": call} for call in (None, 1)],
)  # fmt: skip
def test_anything_else_is_damage(layout, value):
    replace_value(layout.tmp, layout.run("a") / REMOVED, value)
    with pytest.raises(CorruptFile):
        read_removed(layout.run("a"))
