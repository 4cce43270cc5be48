"""Which backends there are, what they need, what they take."""

import subprocess
import sys

import pytest

from onyxstore.errors import BadInput, BadName, MissingPackage, OnyxError, UnknownName
from onyxstore.tracking.backends import table
from onyxstore.tracking.backends.base import TrackingBackendBase
from onyxstore.tracking.backends.table import check_params, find_backends, params_for, register_backend


class Custom(TrackingBackendBase):
    """Does not say what it takes."""


class Strict(TrackingBackendBase):
    known_params = frozenset({"url", "project"})


@pytest.fixture(autouse=True)
def _table(monkeypatch):
    monkeypatch.setattr(table, "_table", dict(table._table))


# --------------------------------------------------------------------------------------------------------------- names


def test_the_store_is_no_backend_that_is_fed_besides():
    assert (find_backends("local"), find_backends([]), find_backends(["local", "local"])) == ({}, {}, {})


def test_backends_come_in_the_order_in_which_they_are_named_each_once():
    register_backend("b", Custom)
    register_backend("a", Strict)
    assert list(find_backends(["b", "local", "a", "b"]).items()) == [("b", Custom), ("a", Strict)]


def test_an_unknown_name_has_near_matches():
    with pytest.raises(UnknownName, match="^onyxstore has no tracking backend called 'tensorbord'; did you mean 'tensorboard'\\?$"):
        find_backends(["local", "tensorbord"])


@pytest.mark.parametrize("names", [None, 3, ["local", 3], {"local": 1}])
def test_what_is_no_name_is_refused(names):
    with pytest.raises(BadInput, match="^tracking_backend is a name or a list of names, not "):
        find_backends(names)


# --------------------------------------------------------------------------------------------------------- registering


def test_a_backend_may_be_named_by_where_it_stands():
    register_backend("mine", f"{TrackingBackendBase.__module__}:TrackingBackendBase")
    assert find_backends("mine") == {"mine": TrackingBackendBase}


def test_a_registered_name_may_be_given_to_another_as_when_a_notebook_cell_runs_again():
    register_backend("mine", Custom)
    register_backend("mine", Strict)
    assert find_backends("mine") == {"mine": Strict}


def test_a_built_in_backend_gives_way_only_when_that_is_said():
    with pytest.raises(BadInput, match="^'wandb' is a built-in backend; replace=True puts another in its place$"):
        register_backend("wandb", Custom)
    register_backend("wandb", Custom, replace=True)
    assert find_backends("wandb") == {"wandb": Custom}


def test_the_store_never_gives_way():
    with pytest.raises(BadInput, match="^'local' is a built-in backend; the store records in any case$"):
        register_backend("local", Custom, replace=True)


@pytest.mark.parametrize("what", [int, "no_colon", None, object()])
def test_only_a_class_of_backends_or_where_one_stands_can_be_registered(what):
    with pytest.raises(BadInput, match="no subclass of TrackingBackendBase, nor where one stands"):
        register_backend("mine", what)


@pytest.mark.parametrize("where", ["onyxstore.tracking.recorded:Image", "onyxstore.errors:NoSuch"])
def test_a_place_where_no_backend_stands_is_said_when_it_is_asked_for(where):
    register_backend("mine", where)
    with pytest.raises(BadInput, match="backend 'mine'"):
        find_backends("mine")


def test_a_name_is_a_word():
    with pytest.raises(BadName):
        register_backend("no/word", Custom)


# -------------------------------------------------------------------------------------------------------------- extras


@pytest.mark.parametrize(("name", "package"), [("wandb", "wandb"), ("tensorboard", "tensorboard"), ("mlflow", "sqlalchemy")])
def test_a_missing_package_names_the_extra_and_is_an_import_error(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, "mlflow", sys.modules.get("mlflow", sys))  # what comes before it is there
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as caught:
        find_backends(name)
    assert isinstance(caught.value, MissingPackage)
    assert isinstance(caught.value, OnyxError)
    assert str(caught.value) == (
        f"tracking backend '{name}' needs the package {package}: it is not installed; pip install 'onyxstore[{name}]'"
    )


def test_a_package_that_cannot_be_imported_says_why(monkeypatch, tmp_path):
    (tmp_path / "broken_peer.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    table._table["mine"] = table.Entry(Custom, ("broken_peer",), "peer")
    with pytest.raises(MissingPackage, match=r"^tracking backend 'mine' needs the package broken_peer: No module named .*; pip install"):
        find_backends("mine")


def test_a_folder_that_a_backend_wrote_is_no_installed_package(monkeypatch, tmp_path):
    (tmp_path / "some_peer" / "run-1").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    assert not table.is_installed("some_peer")
    (tmp_path / "some_peer" / "__init__.py").touch()
    sys.path_importer_cache.clear()
    assert table.is_installed("some_peer")


def test_what_is_available_is_known_without_importing_it():
    code = """
import sys
from onyxstore.tracking.backends.table import MLFLOW_AVAILABLE, WANDB_AVAILABLE
heavy = {"mlflow", "wandb", "tensorboard", "torch", "matplotlib", "PIL", "pydantic"} & sys.modules.keys()
print(MLFLOW_AVAILABLE, WANDB_AVAILABLE, sorted(heavy))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True True []\n"


def test_every_built_in_backend_stands_where_the_table_says_under_its_own_name():
    assert [(name, table._class_of(name).name) for name in table._BUILT_IN] == [(name, name) for name in table._BUILT_IN]


# -------------------------------------------------------------------------------------------------------------- params


def test_a_key_that_any_built_in_backend_takes_is_right_whoever_is_fed():
    check_params({}, {"entity": "your_team", "project": "ads"})
    check_params({"s": Strict}, {"entity": "your_team", "url": "x"})


def test_keys_that_nobody_takes_are_all_named_with_near_matches():
    with pytest.raises(BadInput) as caught:
        check_params({}, {"entitty": "a", "zzzz": 1, "wand": {}})
    assert str(caught.value) == (
        "no backend takes tracking_params.entitty (did you mean entity?); "
        "no backend takes tracking_params.wand (did you mean wandb?); "
        "no backend takes tracking_params.zzzz"
    )


def test_what_stands_under_a_backends_name_is_held_to_what_that_one_takes():
    with pytest.raises(BadInput, match=r"^no backend takes tracking_params\.tensorboard\.entity$"):
        check_params({}, {"tensorboard": {"entity": "x"}, "wandb": {"entity": "x"}})


@pytest.mark.parametrize(("params", "words"), [({"wandb": "x"}, "tracking_params.wandb holds"), (["a"], "tracking_params map names")])
def test_params_map_names_to_values(params, words):
    with pytest.raises(BadInput, match=f"^{words}"):
        check_params({}, params)


def test_a_backend_that_does_not_say_what_it_takes_may_take_anything():
    register_backend("mine", Custom)
    check_params({"mine": Custom}, {"anything": 1, "mine": {"more": 2}})
    check_params({}, {"mine": {"more": 2}})
    assert params_for("mine", Custom, {"anything": 1, "mine": {"more": 2}, "wandb": {}}) == {"anything": 1, "more": 2}


def test_a_backend_gets_what_it_knows_and_its_own_wins():
    register_backend("s", Strict)
    params = {"project": "all", "url": "here", "entity": "not mine", "s": {"project": "own"}, "wandb": {"entity": "x"}}
    assert params_for("s", Strict, params) == {"project": "own", "url": "here"}


def test_the_store_takes_no_params():
    with pytest.raises(BadInput, match=r"tracking_params\.local\.path"):
        check_params({}, {"local": {"path": "x"}})
