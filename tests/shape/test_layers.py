"""Calls go down: the contracts of importlinter.ini hold, and each would notice what it is there to notice."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ABOVE_THE_ROOT = {"onyxstore.__main__", "onyxstore.cli.app"}
"""What may ask the package's root for something: the command, for the number of the release."""


def lint(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The linter in a process of its own: it keeps what it read of a package for as long as it lives."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache", *options]
    return subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False)


def test_the_contracts_hold(root):
    done = lint(root, "--config", "importlinter.ini")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def skeleton(root, tmp_path):
    """The layers with a module or two in each, and nothing wrong."""
    (tmp_path / "importlinter.ini").write_text((root / "importlinter.ini").read_text())
    for name in ["cli", "tracking", "store", "frameworks", "history", "configs", "disk", "disk/packs", "disk/codecs"]:
        (tmp_path / "onyxstore" / name).mkdir(parents=True)
        (tmp_path / "onyxstore" / name / "__init__.py").touch()
    ground = ["errors", "hashing", "canonical", "names", "yaml12"]
    for name in ["__init__", *ground, "store/save", "history/commits", "disk/objects"]:
        (tmp_path / "onyxstore" / f"{name}.py").touch()
    (tmp_path / "onyxstore/disk/locks.py").write_text("def late():\n    import onyxstore.disk.leases\n")
    return tmp_path


def test_a_sound_skeleton_passes(skeleton):
    done = lint(skeleton, "--config", "importlinter.ini")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "fault", "contract"),
    [
        ("history/runs", "def late():\n    import onyxstore.disk.packs", "Only disk opens packs and codecs BROKEN"),
        ("disk/refs", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import onyxstore.history.commits", "Calls go down BROKEN"),
        ("nowhere/__init__", "", "Calls go down BROKEN"),
        ("store/load", "def late():\n    import torch", "torch only where live objects are turned into trees BROKEN"),
        ("disk/leases", "import onyxstore.disk.locks", "No cycles in any folder BROKEN"),
    ],
    ids=["packs from history", "upwards for a type", "a folder nobody placed", "torch in a function", "two files in a ring"],
)
def test_a_planted_fault_is_found(skeleton, module, fault, contract):
    planted = skeleton / "onyxstore" / f"{module}.py"
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(fault)
    done = lint(skeleton, "--config", "importlinter.ini")
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert (done.returncode, broken) == (1, [contract]), done.stdout


def root_imports(tree: ast.Module, names: set[str]) -> list[ast.AST]:
    """The imports of the package's root, or from it of anything but one of its modules (`names`); relative ones too."""
    return [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(alias.name == "onyxstore" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.level > 0)
        or (isinstance(node, ast.ImportFrom) and node.module == "onyxstore" and any(alias.name not in names for alias in node.names))
    ]


def test_nothing_inside_the_package_imports_its_root(modules):
    """The root hands names out lazily; an import of it from inside would be a cycle that no linter sees."""
    inside = [module for module in modules if module.name not in ABOVE_THE_ROOT]
    top = {module.name.split(".")[1] for module in modules if "." in module.name}
    assert [module.at(node) for module in inside for node in root_imports(module.tree, top)] == []


def test_an_import_of_the_root_is_seen_and_one_of_a_layer_let_be():
    source = (
        "import onyxstore\nfrom onyxstore import Run\nfrom . import refs\nfrom onyxstore import frameworks\nimport onyxstore.disk.refs\n"
    )
    assert [node.lineno for node in root_imports(ast.parse(source), {"frameworks", "disk"})] == [1, 2, 3]
