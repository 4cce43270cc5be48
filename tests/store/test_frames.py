"""Runs, a run and a commit as tables: for pandas and for notebooks."""

import subprocess
import sys

import pytest

import onyxstore as onyx
from onyxstore.errors import MissingPackage

pandas = pytest.importorskip("pandas")

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def three(store):
    with store.start_run("a", configs={"training": {"lr": 0.1, "layers": 2, "betas": [0.9, 0.99]}}, labels=["first"]) as run:
        run.log({"loss": 0.5, "count": 3, "status": 1}, step=1)
    with store.start_run("b", configs={"training": {"lr": 0.2, "layers": 2}, "loss": 7}, group="g") as run:
        run.log({"loss": 0.25}, step=7, epoch=1)
        run.summary({"accuracy": 0.75})
    with store.start_run("c"):
        pass
    return store


def test_runs_are_a_frame_with_configs_by_path_and_last_values(three):
    frame = three.runs().to_pandas()
    assert frame.columns.tolist() == [
        *("name", "status", "group", "labels", "created", "step", "epoch"),
        *("loss", "training.layers", "training.lr", "training.betas"),
        *("metric/loss", "accuracy", "count", "metric/status"),
    ]
    rows = frame.set_index("name")
    assert rows["metric/loss"].dropna().to_dict() == {"b": 0.25, "a": 0.5}
    assert rows["training.lr"].dropna().to_dict() == {"b": 0.2, "a": 0.1}
    assert rows["loss"].dropna().to_dict() == {"b": 7}
    assert (rows["accuracy"]["b"], rows["metric/status"]["a"], rows["group"]["b"], rows["labels"]["a"]) == (0.75, 1, "g", ("first",))
    assert (rows["step"]["a"], rows["step"]["b"], rows["step"].isna()["c"], rows["step"].dtype) == (1, 7, True, pandas.Int64Dtype())
    assert rows["training.betas"]["a"] == [0.9, 0.99]
    assert rows["created"].dt.tz is not None


def test_runs_are_a_list_and_a_part_of_them_too(three):
    runs = three.runs(sort="loss")
    assert ([run.name for run in runs], [run.name for run in runs[1:]]) == (["b", "a", "c"], ["a", "c"])
    assert runs[1:].to_pandas()["name"].tolist() == ["a", "c"]
    assert (runs[0].name, three.runs()[:0].to_pandas().shape) == ("b", (0, 7))


def test_a_name_from_the_store_cannot_write_html(store):
    with store.start_run("a", configs={HOSTILE: {HOSTILE: HOSTILE}}, labels=[HOSTILE]) as run:
        run.log({HOSTILE: 1.0}, step=1)
        run.log({HOSTILE: 2.0}, step=2)
        run.commit(HOSTILE)
    with store.start_run("b"):
        pass
    view = store.run("a")
    curves = view.metrics
    for shown in (store.runs(), view, view.commits[1], curves, curves[HOSTILE]):
        page = shown._repr_html_()
        assert "<script" not in page
        assert "&lt;script&gt;" in page
    assert "<polyline" in curves._repr_html_()


def test_a_notebook_shows_of_configs_only_what_differs(three):
    page = three.runs()._repr_html_()
    assert "<th>training.lr</th>" in page
    page = three.runs(sort="loss")[:2]._repr_html_()
    assert ("<th>training.lr</th>" in page, "<th>training.layers</th>" in page) == (True, False)


def test_without_pandas_the_error_names_the_extra(three, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackage, match=r"pip install 'onyxstore\[frames\]'"):
        three.runs().to_pandas()
    assert "<table>" in three.runs()._repr_html_()


def test_nothing_but_a_frame_loads_pandas(three):
    code = "import sys, onyxstore as onyx; s = onyx.Store.open('.'); s.runs()._repr_html_(); s.run('a').metrics['loss']._repr_html_()"
    done = subprocess.run([sys.executable, "-c", f"{code}; print('pandas' in sys.modules)"], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_commit_whose_run_is_gone_has_no_curves_and_still_shows(store):
    with store.start_run("a") as run:
        run.log({"loss": 1.0})
    commit = onyx.Store.open(store.folder).commit("a")
    assert (list(commit.metrics), "finish" in commit._repr_html_()) == (["loss"], True)
