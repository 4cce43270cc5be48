"""How much one has to read at once: modules, functions, classes, calls."""

import ast
from collections.abc import Iterator

MODULE_LINES = 500
MODULE_LINES_P90 = 350
BODY_LINES = 60
METHODS = 25
PARAMETERS = 8

MANY_PARAMETERS = {"start_run", "save_checkpoint"}
"""They take what a training has: each parameter is one thing that everybody knows, none changes what another means."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """Lines of a function without its decorators and its docstring."""
    docstring = ast.get_docstring(function, clean=False)
    lines = function.end_lineno - function.lineno + 1
    return lines - (len(docstring.splitlines()) if docstring else 0)


def parameters(function: Function) -> list[str]:
    spec = function.args
    return [each.arg for each in spec.posonlyargs + spec.args + spec.kwonlyargs if each.arg not in {"self", "cls"}]


def methods(node: ast.ClassDef) -> int:
    return sum(isinstance(each, Function) for each in node.body)


def test_no_module_is_longer_than_anyone_reads(modules):
    assert [f"{m.path}: {len(m.text.splitlines())} lines" for m in modules if len(m.text.splitlines()) > MODULE_LINES] == []


def test_nine_modules_in_ten_are_short(modules):
    lengths = sorted(len(module.text.splitlines()) for module in modules)
    assert lengths[int(0.9 * (len(lengths) - 1))] <= MODULE_LINES_P90


def test_no_function_is_longer_than_a_screen(modules):
    long = [f"{m.at(f)} {f.name}: {body_lines(f)} lines" for m in modules for f in functions(m.tree) if body_lines(f) > BODY_LINES]
    assert long == []


def test_no_class_has_more_methods_than_one_remembers(modules):
    classes = [(module, node) for module in modules for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    assert [f"{module.at(node)} {node.name}: {methods(node)} methods" for module, node in classes if methods(node) > METHODS] == []


def test_no_call_takes_more_parameters_than_one_tells_apart(modules):
    # A command of click's is handed each of its options as a parameter, and nobody else calls it.
    library = [module for module in modules if "commands" not in module.path.parts]
    assert [
        f"{module.at(function)} {function.name}: {len(parameters(function))} parameters"
        for module in library
        for function in functions(module.tree)
        if len(parameters(function)) > PARAMETERS and function.name not in MANY_PARAMETERS
    ] == []


def test_the_count_of_a_function_leaves_out_its_docstring_and_self():
    (function,) = functions(
        ast.parse('class A:\n    def f(self, a, /, b, *c, d=1, **e):\n        """One.\n\n        Two."""\n        return a\n')
    )
    assert (body_lines(function), parameters(function)) == (2, ["a", "b", "d"])
