"""The public names: sorted, handed out lazily, and documented, all of them and no others."""

import re
import subprocess
import sys

import pytest

import onyxstore


def test_the_public_names_are_sorted_and_there():
    assert list(onyxstore.__all__) == sorted(set(onyxstore.__all__))
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
    homes = {name: getattr(onyxstore, name).__module__ for name in onyxstore.__all__ if not name.startswith("__")}
    assert [name for name, home in homes.items() if not home.startswith("onyxstore.")] == []


def test_the_library_page_names_exactly_what_is_public(root):
    page = (root / "docs" / "library.md").read_text()
    named = set(re.findall(r"\bonyx\.(__version__|[A-Za-z]\w*)", page))
    assert named == {name for name in onyxstore.__all__ if name != "__version__"} | (named & {"__version__"})
