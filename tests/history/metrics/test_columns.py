import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history.metrics.columns import Metric, Shape, columns_of, records_of
from onyxstore.history.metrics.records import Artifact, Points, Rewind, Summary
from tests.history.metrics.records_strategy import RECORDS, same

RUN = [
    Points(0, 0, 10, {"loss": 0.5, "n": 3}),
    Points(1, 0, 20, {"loss": 0.25, "n": 2**70}),
    Artifact("image", "a" * 64, 5, "png", None, None, 25),
    Points(1, 0.5, 30, {"loss": 1}),
    Rewind(1, None, 40),
    Points(1, 0, 50, {"loss": True, "n": 1}),
    Summary({"loss": 0.125}, 60),
]


@given(st.lists(RECORDS, min_size=1, max_size=20))
def test_records_come_back_exactly_and_in_order(records):
    assert same(records_of(columns_of(records))) == same(records)


@given(st.lists(RECORDS, min_size=1, max_size=20))
def test_arrays_are_as_long_as_the_records_that_have_the_field(records):
    columns = columns_of(records)
    for number, metric in enumerate(columns.metrics):
        assert len(columns.arrays[f"values.{number}"]) == len(columns.rows_with(number)), metric
    assert all(len(array) for array in columns.arrays.values())


def test_records_of_the_same_fields_share_a_shape():
    columns = columns_of(RUN)
    assert columns.arrays["shapes"].tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert columns.shapes[:2] == (Shape("points", step=True, epoch="int", metrics=(0, 1)), Shape("artifact", step=False, epoch="none"))
    assert columns.metrics == (
        Metric("points", "loss", "float"),
        Metric("points", "n", "int"),
        Metric("points", "loss", "int"),
        Metric("points", "loss", "bool"),
        Metric("summary", "loss", "float"),
    )


def test_fields_are_read_as_arrays_without_records():
    columns = columns_of(RUN)
    assert {name: (array.dtype, array.tolist()) for name, array in columns.arrays.items() if name != "shapes"} == {
        "times": (np.int64, [10, 20, 25, 30, 40, 50, 60]),
        "steps": (np.int64, [0, 1, 1, 1, 1]),
        "epochs.int": (np.int64, [0, 0, 0]),
        "epochs.float": (np.float64, [0.5]),
        "values.0": (np.float64, [0.5, 0.25]),
        "values.1": (object, [3, 2**70, 1]),
        "values.2": (np.int64, [1]),
        "values.3": (np.bool_, [True]),
        "values.4": (np.float64, [0.125]),
    }


def test_every_record_has_a_place_in_the_spread_arrays():
    columns = columns_of(RUN)
    assert columns.steps.tolist() == [0, 1, 0, 1, 1, 1, 0]
    assert np.nan_to_num(columns.epochs, nan=-1).tolist() == [0, 0, -1, 0.5, -1, 0, -1]
    assert columns.rows_with(1).tolist() == [0, 1, 5]
    assert len(columns) == 7
