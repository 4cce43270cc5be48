"""The public names: sorted, handed out lazily, and documented, all of them and no others."""

import re
import subprocess
import sys

import pytest

import onyxstore


def test_each_public_name_is_named_once_and_there():
    assert sorted(onyxstore.__all__) == sorted(set(onyxstore.__all__))  # ruff holds the order in which they stand
    assert [name for name in onyxstore.__all__ if not hasattr(onyxstore, name)] == []


def test_no_public_name_is_there_before_it_is_asked_for():
    code = "import onyxstore; print(*[name for name in onyxstore.__all__ if name in vars(onyxstore) and not name.startswith('__')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_dir_lists_the_public_names():
    assert set(onyxstore.__all__) <= set(dir(onyxstore))


def test_a_name_that_is_not_there_is_an_attribute_error_with_the_name():
    with pytest.raises(AttributeError, match="no_such_name"):
        onyxstore.no_such_name  # noqa: B018 (the attribute access is the act)


def test_a_public_class_says_where_it_lives():
    made = {name: getattr(onyxstore, name) for name in onyxstore.__all__}
    homes = {name: value.__module__ for name, value in made.items() if callable(value)}
    assert [name for name, home in homes.items() if not home.startswith("onyxstore.")] == []


def test_the_library_page_and_the_guide_name_exactly_what_is_public(root):
    named = set(re.findall(r"\bonyx\.([A-Za-z]\w*)", (root / "docs" / "library.md").read_text()))
    for names in re.findall(r"^from onyxstore import (\([^)]*\)|.*)", (root / "docs" / "guide.md").read_text(), re.MULTILINE):
        named |= set(re.findall(r"\w+", names))
    assert named == set(onyxstore.__all__)
