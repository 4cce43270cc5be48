import pytest

from onyxstore.store.query.parse import parse_name
from onyxstore.store.query.traits import Traits, Unknown, differing, logged
from onyxstore.store.run_rows import Figures
from tests.store.query.conftest import figures, row

ROWS = [
    row(
        "a",
        best_mode="max",
        configs={
            "training": {"lr": 0.1, "optimizer.name": "adamw", "layers": [1, {"w": [7, 8]}]},
            "model": {"lr": 1, "width": 64},
            "seed": {"": 3},
        },
        curves={"loss": figures(3.0, 1.0, 2.0, at_best=1.0), "val/loss": figures(0.5), "loss.min": figures(9.0)},
    ),
    row("b", configs={"training": {"lr": 0.2, "warmup": 10}}, values={"acc": Figures(0.9, 0.8, 0.95)}),
]


def value(name, number=0):
    """What a run has of a name."""
    return Traits(ROWS).find(parse_name(name)).of(ROWS[number])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("name", "a"), ("status", "finished"), ("group", "a"), ("labels", ()), ("step", 10), ("epoch", None)),
        *(("loss", 2.0), ("loss.last", 2.0), ("loss.max", 3.0), ("loss.best", 3.0), ("loss.at_best", 1.0), ("val/loss", 0.5)),
        *(("val/loss.max", 0.5), ("'val/loss'.best", 0.5), ("training.lr", 0.1), ("model.lr", 1), ("width", 64), ("seed", 3)),
        *(("training.optimizer.name", "adamw"), ("optimizer.name", "adamw"), ("layers", [1, {"w": [7, 8]}]), ("layers.0", 1)),
        *(("training.layers.1.w.1", 8), ("warmup", None), ("acc", None)),
    ],
)
def test_a_name_means_a_field_a_metric_or_a_key(name, expected):
    assert value(name) == expected


def test_a_metric_comes_before_the_figure_of_another():
    assert (value("loss.min"), value("'loss'.min"), value("'loss.min'.last")) == (9.0, 9.0, 9.0)


def test_what_was_only_handed_in_has_the_same_figures():
    assert [value(f"acc{end}", 1) for end in ("", ".min", ".max", ".best", ".at_best")] == [0.9, 0.8, 0.95, 0.8, None]


def test_a_quoted_word_is_no_field():
    with pytest.raises(Unknown, match="no run has 'status'"):
        Traits(ROWS).find(parse_name("'status'"))


@pytest.mark.parametrize(
    ("name", "words", "near"),
    [
        ("los", "no run has 'los'; did you mean 'loss'?", ("loss",)),
        ("optimizer", "no run has 'optimizer'; did you mean", ("optimizer.name",)),
        ("training.lrr", "no run has 'training.lrr'; did you mean", ("training.lr",)),
        ("training.optimizer", "did you mean 'training.optimizer.name'?", ("training.optimizer.name",)),
        ("statuss", "did you mean 'status'?", ("status",)),
        ("layers.7", "no run has 'layers.7'", ("layers",)),
        ("layers.1.x", "no run has 'layers.1.x'", ("layers",)),
        ("xyz", "no run has 'xyz'", ()),
        ("lr", "'lr' could be 'training.lr' or 'model.lr'; write it with the config's name", ("training.lr", "model.lr")),
    ],
)
def test_what_no_run_has_is_said_with_what_was_perhaps_meant(name, words, near):
    with pytest.raises(Unknown) as raised:
        Traits(ROWS).find(parse_name(name))
    assert words in str(raised.value)
    assert set(near) <= set(raised.value.near)
    assert raised.value.is_ambiguous == (name == "lr")


def test_where_there_are_no_runs_a_name_may_mean_anything():
    assert Traits([]).find(parse_name("anything")).of(ROWS[0]) is None


def titles(rows):
    return [trait.title for trait in differing(rows)]


def test_runs_differ_in_the_keys_of_which_not_all_have_one_value():
    values = (("a", 1, 1), ("b", 2, 1.0), ("c", 2, True))
    rows = [row(name, configs={"t": {"same": 1, "lr": lr, "kind": kind}}) for name, lr, kind in values]
    assert titles(rows) == ["lr", "kind"]
    assert (titles(rows[:1]), titles([])) == ([], [])


def test_nan_does_not_differ_from_nan():
    assert titles([row(name, configs={"t": {"x": float("nan")}}) for name in "ab"]) == []


def test_a_key_that_few_runs_have_comes_last():
    rows = [row("a", configs={"t": {"rare": 1, "lr": 1}}), row("b", configs={"t": {"lr": 2}})]
    assert titles(rows) == ["lr", "rare"]


def test_a_key_has_its_config_s_name_where_its_own_would_mean_something_else():
    rows = [
        row(name, configs={"t": {"lr": at, "name": at, "loss": at}, "m": {"lr": at}, "alone": {"": at}}, curves={"loss": figures(1)})
        for at, name in enumerate("ab")
    ]
    assert titles(rows) == ["t.lr", "t.name", "t.loss", "m.lr", "alone"]


def test_metrics_come_with_those_of_most_runs_first():
    rows = [row("a", curves={"x": figures(1), "y": figures(1)}), row("b", curves={"y": figures(1)}, values={"z": figures(1)})]
    assert [trait.title for trait in logged(rows)] == ["y", "x", "z"]
