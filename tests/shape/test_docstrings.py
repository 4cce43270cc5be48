"""Everything public says what it is."""

import ast
from collections.abc import Iterator

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(node: ast.AST) -> Iterator[Definition]:
    """What others may call: functions, classes and their methods, by names without an underscore; not what stands inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            if not child.name.startswith("_"):
                yield child
                if isinstance(child, ast.ClassDef):
                    yield from public(child)
        else:
            yield from public(child)


def restates(definition: Definition) -> bool:
    """Whether it stands for something documented beside it: an overload, or the setter of a property."""
    return any(ast.unparse(each).endswith(("overload", ".setter", ".deleter")) for each in definition.decorator_list)


def test_every_module_says_what_it_holds(modules):
    assert [str(module.path) for module in modules if not ast.get_docstring(module.tree)] == []


def test_everything_public_says_what_its_name_does_not(modules):
    assert [
        f"{module.at(node)} {node.name}"
        for module in modules
        for node in public(module.tree)
        if not ast.get_docstring(node) and not restates(node)
    ] == []


def test_a_folder_only_says_what_lives_there(modules):
    """But the root, which hands out the public names, an `__init__.py` holds a docstring and at most a table of its family."""
    inits = [module for module in modules if module.path.name == "__init__.py" and module.name != "onyxstore"]
    assert [f"{module.at(node)} {node.name}" for module in inits for node in module.tree.body if isinstance(node, ast.ClassDef)] == []


EXAMPLE = """
if x:
    def a(): ...
class B:
    def c(self):
        def d(): ...
    def _e(self): ...
class _F:
    def g(self): ...
"""


def test_what_is_public_is_found_in_classes_and_branches_but_not_in_functions():
    assert [node.name for node in public(ast.parse(EXAMPLE))] == ["a", "B", "c"]
