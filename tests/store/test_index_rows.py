import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.store.index_rows import StoredRow, decode_row, dump, encode_row, load
from onyxstore.store.run_rows import BestRow, Figures
from tests.history.metrics.records_strategy import NAMES, VALUES
from tests.store.query.conftest import row


def exact(value):
    """A form in which equal means the same: kinds and bits of numbers included, NaN equal to NaN."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value).__name__, *map(exact, value)
    if isinstance(value, (list, tuple)):
        return [exact(item) for item in value]
    if hasattr(value, "items"):
        return {name: exact(item) for name, item in value.items()}
    return type(value).__name__, repr(value)


def again(row, stamp=-5, growing=""):
    return decode_row(encode_row(StoredRow(stamp, growing, row)))


NUMBERS = VALUES.map(lambda value: int(value) if type(value) is bool else value)
FIGURES = st.builds(Figures, VALUES, NUMBERS, NUMBERS, st.integers(0, 2**40), st.none() | VALUES)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYS = st.dictionaries(st.text(max_size=5), LEAVES | st.lists(LEAVES, max_size=3), max_size=4)
CONFIGS = st.dictionaries(st.text(max_size=5), KEYS, max_size=2)
BEST = st.builds(BestRow, st.just("ab" * 32), st.integers(0, 2**62), st.none() | st.integers(0, 99), st.none() | NAMES, st.none() | VALUES)
ROWS = st.builds(
    row,
    labels=st.lists(st.text(max_size=4), max_size=3).map(tuple),
    epoch=st.none() | st.integers(0, 9) | st.floats(allow_nan=False, allow_infinity=False),
    best=st.none() | BEST,
    configs=CONFIGS,
    curves=st.dictionaries(NAMES, FIGURES, max_size=3),
    values=st.dictionaries(NAMES, FIGURES, max_size=3),
)


@given(ROWS, st.integers(-(2**63), 2**63 - 1), st.text(max_size=9))
def test_a_row_comes_back_as_it_was(row, stamp, growing):
    found = again(row, stamp, growing)
    assert (found.stamp, found.growing, exact(found.row)) == (stamp, growing, exact(row))


def test_figures_and_configs_are_not_read_before_they_are_asked_for():
    _, configs, logged, given_, numbers, others = encode_row(StoredRow(1, "", row()))
    facts = encode_row(StoredRow(1, "", row(name="x")))[0]
    found = decode_row((facts, "no JSON", "nor this", given_, numbers, others)).row
    assert found.name == "x"
    for mapping in (found.configs, found.curves):
        with pytest.raises(ValueError, match="JSON|character|expected"):
            list(mapping)
    assert (configs, logged) == ("{}", '[[],"",[]]')


def test_a_metric_that_is_not_there_is_a_key_error():
    found = again(row(curves={"loss": Figures(1.0, 1.0, 1.0, 1)})).row.curves
    assert ("loss" in found, "los" in found, len(found), list(found)) == (True, False, 1, ["loss"])
    with pytest.raises(KeyError):
        found["los"]


@pytest.mark.parametrize("value", [math.nan, [1, math.inf], 2**100, {"a": -(2**70)}, "\ud800", -0.0, [True, 1, 1.0, None], "😀"])
def test_what_orjson_cannot_write_is_written_all_the_same(value):
    assert exact(load(dump(value))) == exact(value)
