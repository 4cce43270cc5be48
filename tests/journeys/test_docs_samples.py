"""The examples of `docs/library.md` run, in their order, and give what they say; and every public method is told of."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import onyxstore as onyx

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text()
SAMPLES = re.finditer(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
BLOCKS = [(PAGE[: sample.start(1)].count("\n"), sample[1]) for sample in SAMPLES]
GIVES = re.compile(r"#? *# -> (.*)$")


def differences(first_line, block, names):
    """Runs a block; for each line that says what it gives and gives something else, its number, what is said, what is given."""
    lines = block.splitlines()
    found = []
    for statement in ast.parse(block).body:
        code = compile(ast.Module([statement], []), f"docs/library.md:{first_line + statement.lineno}", "exec")
        said = GIVES.search(lines[statement.end_lineno - 1])
        if not said or not isinstance(statement, ast.Expr):
            exec(code, names)  # noqa: S102 (that is what a sample is for)
            continue
        given = repr(eval(compile(ast.Expression(statement.value), "docs/library.md", "eval"), names))  # noqa: S307 (as above)
        if given != said[1]:
            found.append((first_line + statement.lineno, said[1], given))
    return found


def test_every_sample_gives_what_it_says(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONYX_STORE", raising=False)
    names = {}
    assert [difference for first_line, block in BLOCKS for difference in differences(first_line, block, names)] == []


def test_a_sample_that_gives_something_else_is_told():
    assert differences(10, "x = 1\nx + 1  # -> 2\nx    # -> 7\n", {}) == [(13, "7", "1")]


@pytest.mark.parametrize("name", [name for name in onyx.__all__ if inspect.isclass(getattr(onyx, name))])
def test_every_public_method_is_told_of(name):
    members = {member for base in getattr(onyx, name).__mro__ if base.__module__.startswith("onyxstore") for member in vars(base)}
    members |= set(getattr(getattr(onyx, name), "__annotations__", {}))
    public = {member for member in members if not member.startswith("_")}
    assert sorted(member for member in public if not re.search(rf"\b{member}\b", PAGE)) == []
