import pytest

from onyxstore.errors import BadInput, BadQuery, UnknownName
from onyxstore.store.query.run import find_trait, sort_rows
from onyxstore.store.query.traits import Traits
from tests.store.query.conftest import figures, row


def names(runs):
    return [run.name for run in runs]


@pytest.fixture
def three(store):
    """Three runs, of which each later one has the smaller loss."""
    for number in (1, 2, 3):
        configs = {"training": {"lr": number / 10, "optimizer": "adamw" if number < 3 else "sgd"}}
        with store.start_run(f"run-{number}", configs=configs, labels=[f"v{number}"]) as run:
            run.log({"val/loss": 1.0 / number, "loss": 5.0}, step=number)
    return store


def test_without_a_query_all_runs_come_the_newest_first(three):
    assert names(three.runs()) == ["run-3", "run-2", "run-1"]


def test_a_query_chooses_and_sort_orders(three):
    assert names(three.runs('"val/loss" < 0.9', sort="val/loss")) == ["run-3", "run-2"]
    assert names(three.runs(where="training.optimizer == 'adamw' and 'v1' in labels")) == ["run-1"]
    assert names(three.runs(sort="-lr")) == ["run-3", "run-2", "run-1"]
    assert names(three.runs(sort="name")) == ["run-1", "run-2", "run-3"]


def test_rows_say_what_runs_were_chosen_by(three):
    (row,) = three.runs("lr == 0.2").rows
    assert (row.name, row.curves["val/loss"].last, row.configs["training"]) == ("run-2", 0.5, {"lr": 0.2, "optimizer": "adamw"})


def test_a_bad_query_is_an_error_even_if_nothing_would_be_found(three):
    with pytest.raises(BadQuery, match="no run has 'val_loss'; did you mean 'val/loss'?"):
        three.runs("name == 'x' and val_loss < 1")


@pytest.mark.parametrize(("sort", "meant"), [("los", "loss"), ("-los", "loss"), ("los.min", "loss.min"), ("'los'", "loss")])
def test_to_sort_by_what_no_run_has_is_an_error_with_near_matches(three, sort, meant):
    with pytest.raises(UnknownName, match=f"the store has no metric or config key called '.*'; did you mean '{meant}'?"):
        three.runs(sort=sort)


def test_to_sort_by_what_means_two_things_is_an_error(store):
    with store.start_run("a", configs={"x": {"lr": 1}, "y": {"lr": 1}}):
        pass
    with pytest.raises(BadInput, match="'lr' could be 'x.lr' or 'y.lr'"):
        store.runs(sort="lr")


@pytest.mark.parametrize("sort", [3, ["loss"]])
def test_sort_is_a_name(three, sort):
    with pytest.raises(BadInput, match="sort is the name of"):
        three.runs(sort=sort)


def test_a_store_without_runs_has_none_whatever_is_asked(store):
    assert (store.runs("anything < 3", sort="nothing"), store.runs().rows) == ([], ())


def sorted_by(rows, name, *, is_falling=False):
    return names(sort_rows(rows, find_trait(Traits(rows), name), is_falling=is_falling))


def test_what_has_no_value_or_nan_comes_last_in_either_order():
    values = {"a": 2.0, "b": float("nan"), "c": 1.0, "e": True}
    rows = [row(name, curves={"x": figures(value)}) for name, value in values.items()] + [row("d")]
    assert sorted_by(rows, "x") == ["c", "e", "a", "b", "d"]
    assert sorted_by(rows, "x", is_falling=True) == ["a", "c", "e", "b", "d"]


def test_numbers_come_before_text_and_text_without_case():
    rows = [row(name, configs={"t": {"x": value}}) for name, value in {"a": "B", "b": "a", "c": 7, "d": [1]}.items()]
    assert sorted_by(rows, "t.x") == ["c", "d", "b", "a"]


def test_what_is_damaged_is_said_and_the_others_are_listed(three, said):
    (three.folder / ".onyx" / "runs" / "run-2" / "state").write_bytes(b"noise")
    runs = three.runs()
    assert (names(runs), runs.damaged) == (["run-3", "run-1"], {"run-2": "a line fails its check"})
    assert said() == ["run 'run-2' is damaged: a line fails its check; 'onyx fsck' says what else is hit"]
