"""How `onyx diff --tensors` shows tensors of every kind."""

import os
import shutil

import numpy as np
import pytest

from onyxstore.store.store import Store


@pytest.fixture
def store(empty):
    store = Store.init(empty)
    odd = np.array([np.nan, 1, np.inf, 4], np.float32)
    old = {"same": np.ones(3), "odd": odd, "shape": np.ones(4), "dtype": np.ones(2, np.float32), "zero": np.zeros(2), "one": np.float64(1)}
    new = {"same": np.ones(3), "odd": odd * 2, "shape": np.ones((2, 2)), "dtype": np.ones(2), "zero": np.ones(2), "one": np.float64(1)}
    with store.start_run("run") as run:
        run.save_checkpoint(state={"model": old | {"gone": np.ones(1)}}, step=1, wait=True)
        run.save_checkpoint(state={"model": new | {"here": np.ones(())}}, step=2, wait=True)
    return store


TABLE = """
tensors
     TENSOR       SHAPE          DTYPE               NORM    COSINE  CHANGED  NAN  INF
  +  model.here   []             float64
  ~  model.shape  [4] -> [2, 2]  float64
  ~  model.zero   [2]            float64              inf         -    100 %
  -  model.gone   [1]            float64
  ~  model.odd    [4]            float32                1  1.000000     50 %  1    1
  ~  model.dtype  [2]            float32 -> float64     0  1.000000      0 %
  1 tensor is the same
"""


@pytest.mark.usefixtures("store")
def test_each_kind_of_change_is_shown_those_that_changed_most_first(onyx):
    done = onyx("diff", "run@step:1", "run@step:2", "--tensors")
    assert (done.status, done.out.partition("\ntensors\n")[2]) == (0, TABLE.partition("\ntensors\n")[2])


@pytest.mark.usefixtures("store")
def test_on_a_narrow_terminal_names_are_cut_and_figures_stay(onyx, monkeypatch):
    monkeypatch.setattr("onyxstore.cli.screen.is_watched", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((40, 24)))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PAGER", "cat")
    done = onyx("diff", "run@step:1", "run@step:2", "--tensors")
    titles = done.out.partition("\ntensors\n")[2].splitlines()[0].split()
    assert titles == ["TENSOR", "SHAPE", "NORM", "COSINE", "CHANGED"]


@pytest.mark.usefixtures("store")
def test_what_json_has_no_word_for_is_a_string(onyx):
    rows = onyx("diff", "run@step:1", "run@step:2", "--tensors", "--json").json["differences"]
    assert {row["path"]: row["norm"] for row in rows if row["part"] == "tensor"} == {
        "model.here": None,
        "model.gone": None,
        "model.shape": None,
        "model.zero": "inf",
        "model.odd": 1.0,
        "model.dtype": 0.0,
    }
