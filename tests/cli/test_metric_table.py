import csv
import io
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.cli import screen
from onyxstore.cli.metric_table import RunTable, csv_lines, encode_parquet, json_rows, text_table
from onyxstore.errors import MissingPackage
from onyxstore.history.metrics.wide import wide_of
from tests.history.metrics.test_wide import POINTS, Curve

NAN = math.nan


def table(label, **curves):
    return RunTable(label, wide_of({name: Curve(tuple(points)) for name, points in curves.items()}))


TWO = [table("a", loss=[(0, 1, 0.5), (0, 2, NAN)], step=[(0, 2, 7)]), table("b", loss=[(None, 1, 1e-9)])]
METRICS = ["loss", "step"]


def test_people_see_blanks_where_there_is_no_value_and_no_epoch():
    assert [screen.plain(line) for line in text_table(TWO, METRICS, None).lines] == [
        "RUN  EPOCH  STEP   loss  step",
        "a        0     1    0.5",
        "a        0     2    nan     7",
        "b              1  1e-09",
    ]
    assert [screen.plain(line) for line in text_table(TWO[1:], ["loss"], None).lines] == ["STEP   loss", "   1  1e-09"]


def test_csv_has_floats_in_full_and_tells_nan_from_nothing():
    assert list(csv_lines(TWO, METRICS)) == [
        "run,epoch,step,time,loss,metric/step",
        "a,0,1,0.0,0.5,",
        "a,0,2,0.0,nan,7",
        "b,,1,0.0,1e-09,",
    ]
    assert list(csv_lines(TWO[1:], [])) == ["epoch,step,time", ",1,0.0"]


def test_a_name_with_commas_quotes_and_line_breaks_comes_back_from_csv():
    name = 'a,"b"\nc'
    lines = "\n".join(csv_lines([RunTable("r", wide_of({name: Curve(((0, 1, 0.1),))}))], [name]))
    assert list(csv.reader(io.StringIO(lines))) == [["epoch", "step", "time", name], ["0", "1", "0.0", "0.1"]]


def test_json_rows_have_only_the_metrics_that_have_a_value():
    assert list(json_rows(TWO, METRICS))[::2] == [
        {"run": "a", "epoch": 0, "step": 1, "time": 0.0, "values": {"loss": 0.5}},
        {"run": "b", "epoch": None, "step": 1, "time": 0.0, "values": {"loss": 1e-9}},
    ]


def read(tables, metrics):
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(io.BytesIO(encode_parquet(tables, metrics)))


def test_parquet_has_null_where_there_is_no_value_and_keeps_nan():
    found = read(TWO, METRICS)
    assert found.column_names == ["run", "epoch", "step", "time", "loss", "metric/step"]
    assert [str(field.type) for field in found.schema] == ["string", "double", "int64", "timestamp[us, tz=UTC]", "double", "int64"]
    assert found["epoch"].to_pylist() == [0.0, 0.0, None]
    assert found["metric/step"].to_pylist() == [None, 7, None]
    loss = found["loss"].to_pylist()
    assert (loss[0], math.isnan(loss[1]), loss[2]) == (0.5, True, 1e-9)


def test_parquet_has_whole_numbers_beyond_64_bits_as_floats():
    found = read([RunTable("r", wide_of({"big": Curve(((0, 1, 2**70), (0, 2, 3)))}))], ["big"])
    assert found["big"].to_pylist() == [2.0**70, 3.0]


@given(st.dictionaries(st.sampled_from(["loss", "run", "a b"]), POINTS.map(Curve)))
def test_csv_json_and_parquet_say_the_same(curves):
    tables, metrics = [RunTable("r", wide_of(curves))], list(curves)
    rows = [[row["epoch"], row["step"], *(row["values"].get(name) for name in metrics)] for row in json_rows(tables, metrics)]
    number = lambda text: float(text) if text else None  # noqa: E731
    assert [[number(cell) for cell in row[:2] + row[3:]] for row in csv.reader(list(csv_lines(tables, metrics))[1:])] == rows
    assert [list(row.values())[:2] + list(row.values())[3:] for row in read(tables, metrics).to_pylist()] == rows


def test_without_pyarrow_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage) as found:
        encode_parquet(TWO, METRICS)
    assert str(found.value) == "--parquet needs the package pyarrow: it is not installed; pip install 'onyxstore[frames]'"
