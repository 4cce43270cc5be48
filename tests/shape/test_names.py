"""A reader with only the file listing guesses where each thing is."""

from collections import Counter

SAYS_NOTHING = {"base", "common", "core", "helper", "helpers", "misc", "stuff", "util", "utils"}

PLUGS = {"backends", "codecs"}
"""Families of plugs, where `base.py` is the name of the contract."""

DEEPEST = 3
"""Folders below the repository's root; more would be a hierarchy of kinds, not of things."""


def test_no_module_or_folder_has_a_name_that_says_nothing(modules):
    others = [module.path for module in modules if not (module.path.stem == "base" and module.path.parent.name in PLUGS)]
    assert [str(path) for path in others if {*path.parts, *path.stem.split("_")} & SAYS_NOTHING] == []


def test_no_folder_is_made_for_one_module(modules):
    files = [module.path for module in modules if module.path.name != "__init__.py"]
    inside = Counter(folder for path in files for folder in path.parents)
    folders = {module.path.parent for module in modules}
    assert [str(folder) for folder in sorted(folders) if inside[folder] < 2] == []


def test_no_module_lies_deeper_than_one_can_keep_in_mind(modules):
    assert [str(module.path) for module in modules if len(module.path.parent.parts) > DEEPEST] == []


def test_every_folder_says_in_its_init_what_lives_there(modules):
    folders = {module.path.parent for module in modules}
    assert {module.path.parent for module in modules if module.path.name == "__init__.py"} == folders
