import sys

import numpy as np
import pytest

from onyxstore.errors import MissingPackage
from onyxstore.history.metrics.records import Points
from onyxstore.history.metrics.series import series_of

pandas = pytest.importorskip("pandas")


def logged(run, *records):
    writer = run.open()
    for number, record in enumerate(records):
        writer.append(record)
        if number == 1:
            writer.seal()
    return series_of(run.read())


def test_curves_are_a_frame_with_a_row_for_each_epoch_and_step(run):
    frame = logged(
        run,
        Points(1, 0, 1_500_000_000, {"loss": 0.5, "epoch": 7, "count": 3}),
        Points(2, 0, 2_000_000_000, {"loss": float("nan"), "big": 2**70}),
        Points(2, 1, 3_000_000_000, {"loss": 0.25, "count": -(2**63)}),
    ).to_pandas()
    assert frame.columns.tolist() == ["epoch", "step", "time", "loss", "metric/epoch", "count", "big"]
    assert frame["step"].tolist() == [1, 2, 2]
    assert frame["epoch"].tolist() == [0.0, 0.0, 1.0]
    assert frame["time"].tolist() == [pandas.Timestamp(seconds, unit="s", tz="UTC") for seconds in (1.5, 2, 3)]
    assert np.array_equal(frame["loss"], [0.5, np.nan, 0.25], equal_nan=True)
    assert (frame["count"].dtype, frame["count"].isna().tolist()) == (pandas.Int64Dtype(), [False, True, False])
    assert frame["count"].dropna().tolist() == [3, -(2**63)]
    assert frame["big"].dropna().tolist() == [2**70]
    assert (frame["loss"].dtype, frame.index.tolist()) == (np.float64, [0, 1, 2])


def test_a_column_of_whole_numbers_without_a_gap_is_int64(run):
    frame = logged(run, Points(1, None, 0, {"n": 1}), Points(2, None, 0, {"n": True})).to_pandas()
    assert (frame["n"].dtype, frame["n"].tolist(), frame["epoch"].isna().all()) == (np.int64, [1, 1], True)


def test_one_curve_is_a_frame_of_its_points_as_they_were_logged(run):
    frame = logged(run, Points(3, 1, 10**9, {"loss": 0.5}), Points(1, None, 2 * 10**9, {"loss": 0.25}))["loss"].to_pandas()
    assert frame.columns.tolist() == ["step", "epoch", "time", "value"]
    assert (frame["step"].tolist(), frame["value"].tolist()) == ([3, 1], [0.5, 0.25])
    assert (frame["epoch"][0], frame["epoch"].isna()[1]) == (1.0, True)
    assert frame["time"][1] == pandas.Timestamp(2, unit="s", tz="UTC")


def test_no_points_are_a_frame_without_rows(run):
    frame = logged(run).to_pandas()
    assert (len(frame), frame.columns.tolist()) == (0, ["epoch", "step", "time"])


def test_without_pandas_the_error_names_the_extra(run, monkeypatch):
    curves = logged(run, Points(1, None, 0, {"loss": 1.0}))
    monkeypatch.setitem(sys.modules, "pandas", None)
    for ask in (curves.to_pandas, curves["loss"].to_pandas):
        with pytest.raises(MissingPackage) as found:
            ask()
        assert str(found.value) == "to_pandas needs the package pandas: it is not installed; pip install 'onyxstore[frames]'"
        assert isinstance(found.value, ImportError)
