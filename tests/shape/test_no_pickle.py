"""Nothing that is read can run code: no pickle, no eval, and one place that opens `.pt` files."""

import ast
from collections.abc import Iterator

import pytest

UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve", "code", "codeop"}
UNSAFE_BUILTINS = {"eval", "exec", "compile", "__import__"}
UNSAFE_CALLS = {
    "torch.load",
    "torch.save",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "yaml.load_all",
}

TORCH_FILE = "onyxstore/frameworks/torch_file.py"
"""Runs in a process of its own, with `weights_only=True`: it turns a `.pt` file into what everything else reads."""


def unsafe(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Each thing in `tree` that could run what it reads, with its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names if alias.name.partition(".")[0] in UNSAFE_MODULES)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((node, name) for name in names if name.partition(".")[0] in UNSAFE_MODULES or name in UNSAFE_CALLS)
        elif isinstance(node, ast.Name) and node.id in UNSAFE_BUILTINS:
            yield node, node.id
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in UNSAFE_CALLS:
            yield node, ast.unparse(node)
        elif (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and not (isinstance(node.value, ast.Constant) and node.value.value is False)
        ):
            yield node, "allow_pickle"


def test_no_module_can_run_what_it_reads(modules):
    found = [(module, node, name) for module in modules for node, name in unsafe(module.tree)]
    assert [f"{m.at(node)} {name}" for m, node, name in found if (str(m.path), name) != (TORCH_FILE, "torch.load")] == []


def test_every_torch_load_takes_weights_only(modules):
    calls = [
        (m, node) for m in modules for node in ast.walk(m.tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    careless = [m.at(node) for m, node in calls if not any(ast.unparse(each) == "weights_only=True" for each in node.keywords)]
    assert careless == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def f():\n    import pickle", "pickle"),
        ("from marshal import loads", "marshal.loads"),
        ("x = torch.load(path)", "torch.load"),
        ("from torch import load", "torch.load"),
        ("f = eval", "eval"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
    ],
)
def test_what_runs_code_is_seen_however_it_is_spelt(source, name):
    assert [found for _, found in unsafe(ast.parse(source))] == [name]


@pytest.mark.parametrize("source", ["model.eval()", "np.load(path, allow_pickle=False)", "yaml.safe_load(text)", "re.compile(text)"])
def test_what_only_sounds_alike_is_let_be(source):
    assert list(unsafe(ast.parse(source))) == []
