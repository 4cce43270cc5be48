import pytest

from onyxstore.cli.metric_sources import choose_metrics, get_run, read_curves, say_what_is_missing
from onyxstore.errors import UnknownName
from onyxstore.store.store import Store


@pytest.fixture
def store(trained):
    return Store.open(trained)


def test_a_source_is_a_run_or_its_curves_up_to_a_commit(store):
    found = {name: read_curves(store, name, superseded=False) for name in ("BASE", "base@step:40", "paper", "latest")}
    assert {name: (label, len(curves["loss"])) for name, (label, curves) in found.items()} == {
        "BASE": ("base", 3),
        "base@step:40": ("base@step:40", 2),
        "paper": ("paper", 2),
        "latest": ("latest", 1),
    }
    assert len(read_curves(store, "paper", superseded=True)[1]) == 0


def test_what_is_followed_is_a_run_or_the_run_of_a_commit(store):
    assert [get_run(store, name).name for name in ("tuned", "latest", "paper")] == ["tuned", "tuned", "base"]


def test_a_mistyped_source_is_met_with_the_runs_that_are_near(store):
    with pytest.raises(UnknownName, match="the store has no run called 'bas'; did you mean 'base'"):
        read_curves(store, "bas", superseded=False)


def test_metrics_are_those_that_are_wanted_each_once_else_all(store, capsys):
    base, tuned = (read_curves(store, name, superseded=False)[1] for name in ("base", "tuned"))
    assert choose_metrics(store, {"base": base}, ["lr", "loss", "lr"]) == ["lr", "loss"]
    assert choose_metrics(store, {"base": base, "tuned": tuned}, []) == ["loss", "lr"]
    assert choose_metrics(store, {"base": base, "none": {}}, ["lr"]) == ["lr"]
    assert capsys.readouterr().err == "onyx: 'none' has no metric called 'lr'\n"


def test_a_run_in_place_of_a_metric_is_told_how_several_are_named(store):
    with pytest.raises(UnknownName) as found:
        choose_metrics(store, {"base": read_curves(store, "base", superseded=False)[1]}, ["tuned"])
    assert found.value.__notes__ == ["'tuned' is a run: to see several, name the metrics with -m"]


def test_a_source_without_points_is_named(store, capsys):
    nothing = read_curves(store, "base", superseded=True)[1]
    assert [say_what_is_missing({"base": nothing}, superseded=superseded) for superseded in (True, False)] == [False, False]
    assert capsys.readouterr().err == "onyx: nothing was superseded in 'base'\nonyx: no points were logged in 'base'\n"
