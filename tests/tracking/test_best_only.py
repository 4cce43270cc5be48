"""What `save_best_only` lets through is better than all before it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.tracking.best_only import BestOnly, Verdict
from tests.tracking.training import Lab


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run without points and without commits of its own."""
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab.start()


@given(values=st.lists(st.floats() | st.integers(-3, 3), max_size=20), mode=st.sampled_from(["min", "max"]))
def test_what_is_let_through_grows_better_and_ends_with_the_best(run, values, mode):
    best_only = BestOnly(run, "loss", mode)
    saved = []
    for value in values:
        verdict = best_only.judge({"loss": value}, is_best=False)
        assert verdict == Verdict(is_saved=verdict.is_saved, is_best=verdict.is_saved, value=value)
        if verdict.is_saved:
            saved.append(value)
            best_only.note(verdict)
    numbers = [value for value in values if not math.isnan(value)]
    assert saved == sorted(set(saved), reverse=mode == "min")
    assert saved[-1:] == ([(min if mode == "min" else max)(numbers)] if numbers else [])


@pytest.mark.parametrize("is_best", [None, False, True])
def test_without_a_metric_the_callers_word_counts(run, is_best):
    assert BestOnly(run, None, "min").judge({"": 1.0}, is_best=is_best) == Verdict(is_saved=is_best is not False, is_best=is_best)


def test_the_callers_best_is_what_comes_after_it_has_to_beat(run):
    best_only = BestOnly(run, "loss", "min")
    for value, is_best, is_saved in [(1.0, None, True), (5.0, True, True), (4.0, None, True), (4.5, None, False)]:
        verdict = best_only.judge({"loss": value}, is_best=is_best)
        assert verdict.is_saved is is_saved
        if is_saved:
            best_only.note(verdict)


def test_a_best_without_a_value_is_beaten_by_any(run):
    best_only = BestOnly(run, "loss", "min")
    best_only.note(best_only.judge({"loss": 1.0}, is_best=None))
    best_only.note(best_only.judge({}, is_best=True))
    assert best_only.judge({"loss": 2.0}, is_best=None).is_saved
