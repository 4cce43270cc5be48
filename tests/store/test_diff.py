import math
from dataclasses import replace
from pathlib import Path

import pytest

from onyxstore.history.config_difference import Change
from onyxstore.store.diff import Difference, MetricChange, difference
from onyxstore.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.init(tmp_path / "project")


def run(store: Store, name: str, configs=None, **metrics) -> None:
    with store.start_run(name, configs=configs) as started:
        if metrics:
            started.log(metrics, step=1)


def test_a_commit_does_not_differ_from_itself(store):
    run(store, "a", {"training": {"lr": 1.0}}, loss=math.nan)
    found = store.diff("a", "a")
    assert (bool(found), found.configs, found.code, found.environment) == (False, {}, (), ())


def test_configs_differ_by_their_values(store):
    run(store, "a", {"training": {"lr": 1, "same": 2}})
    run(store, "b", {"training": {"lr": 1.0, "same": 2}})
    assert store.diff("a", "b").configs == {"training": (Change(("lr",), "changed", 1, 1.0),)}


@pytest.mark.parametrize(
    ("value", "leaves"),
    [
        ({"lr": 1, "more": {"seed": 2}}, {("lr",): 1, ("more", "seed"): 2}),
        ([1, 2], {(0,): 1, (1,): 2}),
    ],
)
def test_a_config_that_only_one_side_has_is_listed_by_its_leaves(store, value, leaves):
    run(store, "without")
    run(store, "with", {"only": value})
    assert store.diff("without", "with").configs == {"only": tuple(Change(path, "added", new=leaf) for path, leaf in leaves.items())}
    assert store.diff("with", "without").configs == {"only": tuple(Change(path, "removed", old=leaf) for path, leaf in leaves.items())}


def test_metrics_are_compared_by_their_last_values_and_equal_ones_stay_in_the_list(store):
    run(store, "a", loss=0.5, same=1, gone=2.5)
    run(store, "b", loss=0.25, same=1, new=2)
    assert store.diff("a", "b").metrics == (
        MetricChange("gone", 2.5, None),
        MetricChange("loss", 0.5, 0.25),
        MetricChange("new", None, 2),
        MetricChange("same", 1, 1),
    )


@pytest.mark.parametrize(
    ("old", "new", "differs", "change"),
    [
        *((1, 1, False, 0), (1, 1.0, True, 0.0), (0.5, 0.25, True, -0.25), (None, 1, True, None), (1, None, True, None)),
        *((math.inf, math.inf, False, None), (10**400, 1.5, True, None), (2**70, 2**70 + 1, True, 1)),
    ],
)
def test_a_change_is_new_minus_old_where_there_is_such_a_number(old, new, differs, change):
    found = MetricChange("m", old, new)
    shown = None if isinstance(found.change, float) and math.isnan(found.change) else found.change
    assert (found.differs, shown) == (differs, change)


def test_nan_is_nan():
    assert not MetricChange("m", math.nan, math.nan).differs


def test_the_command_line_is_one_change_however_many_words_differ(store):
    run(store, "a")
    commit = store.commit("a")
    found = difference(store._doors, Surrounded(commit, ["train.py", "--lr", "1"]), Surrounded(commit, ["train.py", "--name", "a b"]))
    assert found.environment == (Change(("argv",), "changed", "train.py --lr 1", "train.py --name 'a b'"),)


class Surrounded:
    """A commit in another environment."""

    def __init__(self, commit, argv: list[str]) -> None:
        self._commit, self.environment = commit, {"argv": argv}

    def __getattr__(self, name: str):
        return getattr(self._commit, name)


def test_any_part_makes_a_difference(store):
    run(store, "a")
    nothing: Difference = store.diff("a", "a")
    change = (Change(("x",), "added", new=1),)
    parts = [{"configs": {"c": change}}, {"metrics": (MetricChange("m", 1, 2),)}, {"code": change}, {"environment": change}]
    assert [bool(replace(nothing, **part)) for part in parts] == [True] * 4
