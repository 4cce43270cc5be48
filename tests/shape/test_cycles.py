"""No module imports itself by way of others, counting imports inside functions and those for types only."""

import graphlib

import grimp
import pytest


def import_cycle(package: str) -> list[str]:
    """The modules of one cycle, the first one also at the end; empty when there is none."""
    graph = grimp.build_graph(package, cache_dir=None)
    try:
        graphlib.TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_the_package_has_no_cycle():
    assert import_cycle("onyxstore") == []


@pytest.mark.parametrize(
    "upward",
    [
        "import PACKAGE.first",
        "def late():\n    from PACKAGE import first",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from PACKAGE.first import Thing",
    ],
    ids=["plain", "inside a function", "for types only"],
)
def test_a_cycle_is_seen_however_it_is_imported(tmp_path, monkeypatch, request, upward):
    package = "knot_" + request.node.callspec.id.replace(" ", "_")
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "first.py").write_text(f"import {package}.second\n")
    (tmp_path / package / "second.py").write_text(f"import {package}.third\n")
    (tmp_path / package / "third.py").write_text(upward.replace("PACKAGE", package) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(import_cycle(package)) == {f"{package}.first", f"{package}.second", f"{package}.third"}
