"""Which refs a commit moves, and when it is the best."""

import math

import numpy as np
import pytest

from onyxstore.disk.refs import BEST, LATEST, Reason, run_ref, to
from onyxstore.errors import BadInput
from onyxstore.store.committing import Election, check_message, run_best, store_best

NAN = math.nan
ADDRESS = "a" * 64
HELD = {"commit": "0" * 64, "metric": "loss", "mode": "min", "value": 1.0}


@pytest.fixture
def follow(store, weights):
    """Saves one checkpoint for each of these options, and gives the steps that `RUN@best` named after each, and `best`'s."""

    def follow(name, *saves, **options):
        with store.start_run(name, **options) as run:
            steps = []
            for step, save in enumerate(saves):
                run.save_checkpoint(state=weights(step, 10), step=step, wait=True, **save)
                steps.append(run.best.step if run.best else None)
        return steps

    return follow


@pytest.fixture
def best(store):
    """The run and step of the store's `best`."""

    def best():
        address = store._doors.refs.commit(BEST)
        return None if address is None else (store.commit("best").run, store.commit("best").step)

    return best


def settle(store, text):
    """The store, opened again with other settings."""
    (store.folder / ".onyx" / "settings.yaml").write_text(text)
    return type(store).open(store.folder)


# -------------------------------------------------------------------------------------------------------- RUN@best


def test_best_is_the_first_commit_that_reached_the_least_value(follow):
    values = [3.0, 2.0, 2.0, 2.5, 1.0, 1]
    assert follow("a", *({"metrics": {"loss": v}} for v in values), best_metric="loss") == [0, 1, 1, 1, 4, 4]


def test_best_is_the_first_commit_that_reached_the_greatest_value(follow):
    values = [0.5, 0.7, 0.6, 0.7, True]
    assert follow("a", *({"metrics": {"acc": v}} for v in values), best_metric="acc", best_mode="max") == [0, 1, 1, 1, 4]


def test_nan_and_nothing_are_no_candidates_and_infinity_is_one(follow):
    saves = [{}, {"metrics": {"loss": NAN}}, {"metrics": {"loss": math.inf}}, {"metrics": {"loss": NAN}}, {"metrics": {"other": 0.0}}]
    assert follow("a", *saves, best_metric="loss") == [None, None, 2, 2, 2]


def test_is_best_has_the_last_word(follow):
    saves = [
        {"metrics": {"loss": 1.0}},
        {"metrics": {"loss": 0.5}, "is_best": False},
        {"metrics": {"loss": 5.0}, "is_best": True},
        {"metrics": {"loss": 4.0}},
        {"metrics": {"loss": NAN}, "is_best": True},
        {"metrics": {"loss": 9.0}},
    ]
    assert follow("a", *saves, best_metric="loss") == [0, 0, 2, 3, 4, 5]


def test_without_a_metric_best_follows_only_is_best(follow, best):
    assert follow("a", {"metrics": {"loss": 1.0}}, {"is_best": True}, {}, {"is_best": False}, {"is_best": True}) == [None, 1, 1, 1, 4]
    assert best() == ("a", 4)


def test_the_value_that_was_logged_at_the_step_counts_where_none_was_handed_in(store, weights):
    with store.start_run("a", best_metric="val/loss", max_checkpoints=None) as run:
        found = []
        logged = [{"val": {"loss": 3.0}}, {"val/loss": 2.0}, {"train": 0.0}, {"val/loss": 9.0}]
        for step, metrics in enumerate(logged):
            run.log(metrics, step=step)
            options = {"metrics": {"val": {"loss": 1.0}}} if step == 3 else {}
            run.save_checkpoint(state=weights(step, 10), wait=True, **options)
            found.append(run.best.step)
    assert found == [0, 1, 1, 3]


def test_a_value_of_columns_counts_and_one_of_another_step_does_not(store, weights):
    with store.start_run("a", best_metric="loss") as run:
        run.log_many({"loss": [3.0, 1.0]}, steps=[0, 1])
        run.save_checkpoint(state=weights(0, 10), step=0, wait=True)
        assert run.best is None
        run.save_checkpoint(state=weights(1, 10), step=1, epoch=4, wait=True)
        assert run.best.step == 1
        run.log({"loss": 0.5}, step=2, epoch=1)
        run.save_checkpoint(state=weights(2, 10), step=2, epoch=2, wait=True)
        assert run.best.step == 1


def test_a_value_counts_as_it_was_when_it_was_logged(store, weights):
    loss = np.array(1.0)
    with store.start_run("a", best_metric="loss") as run:
        run.log({"loss": loss}, step=0)
        loss[...] = NAN
        run.save_checkpoint(state=weights(0, 10), step=0, wait=True)
    best = {"commit": store.run("a").best.address, "metric": "loss", "mode": "min", "value": 1.0}
    assert store._doors.refs.read(run_ref("a", BEST)) == best


def test_a_resumed_run_goes_on_comparing_with_its_best(store, weights):
    store_values = [("a", False, 2.0), ("a", True, 3.0), ("a", True, 1.0)]
    found = []
    for step, (name, resume, value) in enumerate(store_values):
        with store.start_run(name, resume=resume, best_metric="loss") as run:
            run.save_checkpoint(state=weights(step, 10), step=step, metrics={"loss": value}, wait=True)
        found.append(store.run("a").best.step)
    assert found == [0, 0, 2]


# ------------------------------------------------------------------------------------------------------------- best


def test_the_stores_best_follows_the_first_metric_that_a_run_names(follow, best):
    follow("none", {"metrics": {"acc": 0.9}})
    assert best() is None
    follow("a", {"metrics": {"loss": 2.0}}, best_metric="loss")
    assert best() == ("a", 0)
    follow("b", {"metrics": {"loss": 1.0, "acc": 0.1}}, best_metric="acc", best_mode="max")
    assert best() == ("a", 0)
    follow("c", {"metrics": {"loss": 2.5}}, {"metrics": {"loss": 1.5}}, best_metric="loss")
    assert best() == ("c", 1)


def test_the_stores_best_keeps_its_first_mode(follow, best):
    follow("a", {"metrics": {"m": 2.0}}, best_metric="m", best_mode="max")
    assert follow("b", {"metrics": {"m": 1.0}}, best_metric="m", best_mode="min") == [0]
    assert best() == ("a", 0)


def test_a_metric_takes_the_stores_best_over_from_one_that_was_only_called_so(follow, best):
    follow("a", {"is_best": True})
    follow("b", {"metrics": {"loss": 5.0}}, best_metric="loss")
    assert best() == ("b", 0)


def test_the_settings_say_what_the_stores_best_follows(store, weights):
    store = settle(store, "best_metric: acc\nbest_mode: max\n")
    for name, metrics, options in [
        ("a", {"acc": 0.5}, {}),
        ("b", {"acc": 0.9}, {}),
        ("c", {"acc": 0.7}, {}),
        ("d", {"loss": 0.0}, {"best_metric": "loss"}),
    ]:
        with store.start_run(name, **options) as run:
            for number, factor in enumerate([1, 0.9]):
                values = {metric: value * factor for metric, value in metrics.items()}
                run.save_checkpoint(state=weights(number, 10), step=number, metrics=values, wait=True)
    assert (store.commit("best").run, store.commit("best").step) == ("b", 0)
    assert [store.run(name).best.step for name in "abcd"] == [0, 0, 0, 0]


def test_the_settings_override_what_the_store_followed_before(store, weights, best):
    with store.start_run("a", best_metric="loss") as run:
        run.save_checkpoint(state=weights(0, 10), step=0, metrics={"loss": 0.0}, wait=True)
    store = settle(store, "best_metric: acc\nbest_mode: max\n")
    with store.start_run("b") as run:
        run.save_checkpoint(state=weights(1, 10), step=1, metrics={"acc": 0.1}, wait=True)
    assert best() == ("b", 1)


# ------------------------------------------------------------------------------------------------------------ the changes


@pytest.mark.parametrize(
    ("election", "new"),
    [
        (Election("loss", "min", 0.5), {"commit": ADDRESS, "metric": "loss", "mode": "min", "value": 0.5}),
        (Election("loss", "min", 1.0), HELD),
        (Election("loss", "max", 0.5), HELD),
        (Election("loss", "min", NAN), HELD),
        (Election("loss", "min", None), HELD),
        (Election(None, "min", None), HELD),
        (Election("loss", "min", 0.0, is_best=False), HELD),
        (Election("loss", "min", None, is_best=True), {"commit": ADDRESS, "metric": "loss", "mode": "min"}),
        (Election(None, "min", None, is_best=True), {"commit": ADDRESS}),
        (Election("acc", "max", 0.1), {"commit": ADDRESS, "metric": "acc", "mode": "max", "value": 0.1}),
    ],
)
def test_the_change_of_a_runs_best(election, new):
    assert run_best(ADDRESS, election)(HELD) == new


@pytest.mark.parametrize(
    ("election", "settings", "new"),
    [
        (Election("loss", "max", 0.5), (None, "min"), {"commit": ADDRESS, "metric": "loss", "mode": "min", "value": 0.5}),
        (Election("acc", "max", 0.5), (None, "min"), HELD),
        (Election("acc", "max", 0.5), ("acc", "min"), {"commit": ADDRESS, "metric": "acc", "mode": "min", "value": 0.5}),
        (Election("loss", "min", 0.5), ("acc", "max"), HELD),
        (Election("loss", "min", 0.5, is_best=False), (None, "min"), HELD),
        (Election("loss", "min", 2.0), ("loss", "max"), {"commit": ADDRESS, "metric": "loss", "mode": "max", "value": 2.0}),
    ],
)
def test_the_change_of_the_stores_best(election, settings, new):
    assert store_best(ADDRESS, election, *settings)(HELD) == new


def test_a_message_loses_only_the_white_space_around_it():
    assert check_message("  two\nlines ü \n") == "two\nlines ü"
    for wrong in ("", "  ", None, b"x", "\ud800"):
        with pytest.raises(BadInput):
            check_message(wrong)


def test_a_crash_between_the_refs_of_a_commit_costs_it_no_election(store):
    """The kill that this stands for is one between `RUN@latest` and `RUN@best`, so the refs are put to where they were then."""
    refs = store._doors.refs
    with store.start_run("a", best_metric="loss") as run:
        run.save_checkpoint(state={"w": 1}, metrics={"loss": 2.0}, step=1, wait=True)
        before = {name: refs.read(name) for name in (run_ref("a", BEST), BEST)}
        better = run.save_checkpoint(state={"w": 2}, metrics={"loss": 1.0}, step=2, wait=True).commit
        run.finish("killed")
    after = {run_ref("a", LATEST): {"commit": better.address}, LATEST: {"commit": better.address}, **before}
    refs.update({name: to(ref) for name, ref in after.items()}, Reason("as the crash left them"))
    with store.start_run("a", resume=True) as run:
        assert (run.best, store.commit("best")) == (better, better)
